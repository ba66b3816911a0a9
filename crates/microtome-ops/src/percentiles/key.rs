//! Pixel values as unsigned integers in the same order.
//!
//! *Invariant:* for values that are not NaN, `a < b` just where the key of `a` is below that of `b`; 0 and −0 have one key.

use half::f16;

use crate::number::Number;

/// A pixel value that has such a key, of as many bits as the value.
pub(super) trait Key: Number {
    /// Bits of a key.
    const BITS: u32 = 8 * size_of::<Self>() as u32;

    /// The key of a value that is not NaN.
    fn key(self) -> u64;
    /// The value of a key.
    fn from_key(key: u64) -> Self;
}

macro_rules! unsigned {
    ($($T:ty),*) => {$(
        impl Key for $T {
            fn key(self) -> u64 {
                self as u64
            }
            fn from_key(key: u64) -> Self {
                key as $T
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64);

// Two's complement with the sign turned over: the lowest value has key 0.
macro_rules! signed {
    ($($T:ty as $U:ty),*) => {$(
        impl Key for $T {
            fn key(self) -> u64 {
                (self as $U ^ <$T>::MIN as $U) as u64
            }
            fn from_key(key: u64) -> Self {
                (key as $U ^ <$T>::MIN as $U) as $T
            }
        }
    )*};
}
signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64);

// Sign and magnitude: positive values above all negative ones, and those in reverse.
macro_rules! floats {
    ($($T:ty as $U:ty, $zero:expr;)*) => {$(
        impl Key for $T {
            fn key(self) -> u64 {
                const SIGN: $U = 1 << (<$U>::BITS - 1);
                let bits = if self == $zero { 0 } else { self.to_bits() };
                (if bits & SIGN == 0 { bits | SIGN } else { !bits }) as u64
            }
            fn from_key(key: u64) -> Self {
                const SIGN: $U = 1 << (<$U>::BITS - 1);
                let key = key as $U;
                <$T>::from_bits(if key & SIGN == 0 { !key } else { key ^ SIGN })
            }
        }
    )*};
}
floats! {
    f16 as u16, f16::ZERO;
    f32 as u32, 0.0;
    f64 as u64, 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered<T: Key>(values: &[T]) {
        for pair in values.windows(2) {
            assert!(pair[0].key() < pair[1].key(), "{pair:?}");
        }
        for &value in values {
            assert!(
                T::from_key(value.key()) == value && value.key().checked_shr(T::BITS).unwrap_or(0) == 0,
                "{value:?}"
            );
        }
    }

    #[test]
    fn keys_have_the_order_of_their_values() {
        ordered(&[0u8, 1, 255]);
        ordered(&[i8::MIN, -1, 0, 127]);
        ordered(&[i64::MIN, -1, 0, i64::MAX]);
        ordered(&[f64::NEG_INFINITY, f64::MIN, -1.0, -5e-324, 0.0, 5e-324, 1.0, f64::INFINITY]);
        ordered(&[f32::NEG_INFINITY, -1.0, 0.0, f32::INFINITY]);
        ordered(&[f16::NEG_INFINITY, f16::MIN, f16::ZERO, f16::MAX, f16::INFINITY]);
        assert_eq!(((-0.0f64).key(), f16::NEG_ZERO.key()), (0.0f64.key(), f16::ZERO.key()));
    }

    proptest! {
        #[test]
        fn any_two_floats_keep_their_order(a: f32, b: f32) {
            prop_assert_eq!(a.partial_cmp(&b), Some(a.key().cmp(&b.key())));
        }
    }
}

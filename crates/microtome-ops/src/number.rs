//! The one place where a pixel value becomes another type of number.
//!
//! Integers travel as `i128`, which holds every one of them; floats travel as `f64`, which holds every `f16` and `f32`.
//!
//! *Invariant:* a conversion rounds once, to nearest with ties to even, and then saturates; nothing wraps. NaN becomes 0
//! in an integer and one and the same NaN in a float, so results are equal bit for bit wherever they are computed.

use half::f16;
use microtome_array::Pixel;

/// A real pixel value.
pub(crate) trait Number: Pixel {
    /// Whether the type is an integer.
    const INTEGER: bool;
    /// Smallest finite value, as `f64`.
    const LOWEST: f64;
    /// Largest finite value, as the nearest `f64`.
    const HIGHEST: f64;

    /// The value of an integer, exactly. For floats: cut to an integer, which no kernel here asks for.
    fn wide(self) -> i128;
    /// The value as `f64`, rounded for 64-bit integers and exact for all else.
    fn to_f64(self) -> f64;
    /// The nearest value of this type; integers saturate.
    fn from_wide(value: i128) -> Self;
    /// The nearest value of this type, ties to even; integers saturate and take NaN as 0.
    fn from_f64(value: f64) -> Self;
    /// Whether this is not a number.
    fn is_nan(self) -> bool;
}

macro_rules! integers {
    ($($T:ty),*) => {$(
        impl Number for $T {
            const INTEGER: bool = true;
            const LOWEST: f64 = <$T>::MIN as f64;
            const HIGHEST: f64 = <$T>::MAX as f64;

            fn wide(self) -> i128 {
                self as i128
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn from_wide(value: i128) -> Self {
                value.clamp(<$T>::MIN as i128, <$T>::MAX as i128) as $T
            }
            fn from_f64(value: f64) -> Self {
                // Either way saturates and takes NaN as 0; the size is known when this is compiled.
                if size_of::<$T>() <= 4 {
                    round_to_32_bits(value, Self::LOWEST, Self::HIGHEST) as $T
                } else {
                    round_ties_even(value) as $T
                }
            }
            fn is_nan(self) -> bool {
                false
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($T:ty, $nan:expr, $lowest:expr, $highest:expr, $to:expr, $from:expr;)*) => {$(
        impl Number for $T {
            const INTEGER: bool = false;
            const LOWEST: f64 = $lowest;
            const HIGHEST: f64 = $highest;

            fn wide(self) -> i128 {
                self.to_f64() as i128
            }
            fn to_f64(self) -> f64 {
                ($to)(self)
            }
            fn from_wide(value: i128) -> Self {
                // Past 2^53 an `f64` in between would round twice for `f32`; `as` from the integer rounds once.
                ($from).1(value)
            }
            fn from_f64(value: f64) -> Self {
                if value.is_nan() { $nan } else { ($from).0(value) }
            }
            fn is_nan(self) -> bool {
                <$T>::is_nan(self)
            }
        }
    )*};
}
floats! {
    // An integer past 2^53 is infinite as f16 whichever way it is rounded before.
    f16, f16::NAN, -65504.0, 65504.0, widen_f16, (nearest_f16, |v: i128| nearest_f16(v as f64));
    f32, f32::NAN, f32::MIN as f64, f32::MAX as f64, f64::from, (|v: f64| v as f32, |v: i128| v as f32);
    f64, f64::NAN, f64::MIN, f64::MAX, |v| v, (|v: f64| v, |v: i128| v as f64);
}

/// Adding this to a float64 of magnitude below 2^51 leaves no bit for a fraction: the addition rounds to the nearest
/// integer, ties to even, and the low bits of the sum are that integer in two's complement.
const NO_FRACTION: f64 = 1.5 * (1u64 << 52) as f64;

/// The nearest integer, ties to even, between `lowest` and `highest`, which fit 32 bits; NaN becomes 0.
///
/// Without calls, branches or float-to-integer instructions, of which baseline x86-64 has no vector form.
fn round_to_32_bits(value: f64, lowest: f64, highest: f64) -> u32 {
    let limited = if value > lowest { value } else { lowest };
    let limited = if limited < highest { limited } else { highest };
    let number = if value.is_nan() { 0.0 } else { limited };
    (number + NO_FRACTION).to_bits() as u32
}

/// Rounds to the nearest integer, ties to even: `f64::round_ties_even` without the call that it is on baseline x86-64.
fn round_ties_even(value: f64) -> f64 {
    let rounded = ((value + NO_FRACTION) - NO_FRACTION).copysign(value);
    // From 2^51 on one more bit than `NO_FRACTION` leaves is needed; from 2^52 on there is no fraction.
    if value.abs() < (1u64 << 51) as f64 { rounded } else { value.round_ties_even() }
}

/// An `f16` as `f64`, exactly; in arithmetic that vectorises, where `half` calls a function for each value.
fn widen_f16(value: f16) -> f64 {
    // Exponent and mantissa in the place of an f64's, then the difference of the two exponent biases.
    const REBIAS: f64 = f64::from_bits((1023 + 1023 - 15) << 52);
    const SPECIAL: u64 = 0x7ff << 52;
    let bits = u64::from(value.to_bits());
    let magnitude = f64::from_bits((bits & 0x7fff) << 42) * REBIAS;
    let special = if bits & 0x7c00 == 0x7c00 { SPECIAL } else { 0 };
    f64::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 48)
}

/// The nearest `f16`, ties to even, with a single rounding.
///
/// `f16::from_f64` drops the lower half of the mantissa before it rounds, so a value just above a tie goes down. Here
/// the value goes to `f32` rounded to odd, which keeps "just above" and "just below" a tie apart, and then to `f16`.
fn nearest_f16(value: f64) -> f16 {
    let near = value as f32;
    let back = f64::from(near);
    let bits = near.to_bits();
    if back == value || bits & 1 == 1 {
        return f16::from_f32(near);
    }
    let odd = if back.abs() > value.abs() { bits - 1 } else { bits + 1 };
    f16::from_f32(f32::from_bits(odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_neighbour() {
        let rounded =
            [0.5, 1.5, 2.5, -0.5, -1.5, 0.499_999_999_999_999_94, 4_503_599_627_370_495.5].map(round_ties_even);
        assert_eq!(rounded, [0.0, 2.0, 2.0, 0.0, -2.0, 0.0, 4_503_599_627_370_496.0]);
        assert!(round_ties_even(-0.25).is_sign_negative());
        assert!(round_ties_even(f64::NAN).is_nan());
        assert_eq!(round_ties_even(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }

    #[test]
    fn rounding_agrees_with_the_standard_library() {
        let mut bits = 1u64;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Exponents around 0 and around 2^52, where it matters.
            let value = f64::from_bits((bits & !(0x7ff << 52)) | ((1018 + (bits >> 11) % 64) << 52));
            assert_eq!(round_ties_even(value).to_bits(), value.round_ties_even().to_bits(), "{value}");
        }
    }

    #[test]
    fn f16_is_rounded_once_on_either_side_of_every_tie() {
        for bits in 0..0x7bffu16 {
            let (low, high) = (f16::from_bits(bits), f16::from_bits(bits + 1));
            let tie = f64::midpoint(low.to_f64(), high.to_f64());
            let even = if bits % 2 == 0 { low } else { high };
            assert_eq!(f16::from_f64(tie), even);
            assert_eq!(nearest_f16(tie), even, "tie above {low}");
            assert_eq!(nearest_f16(tie.next_up()), high, "just above the tie over {low}");
            assert_eq!(nearest_f16(-tie.next_down()), -low, "just below the tie over {low}");
        }
    }

    #[test]
    fn every_f16_widens_to_its_own_value() {
        for value in (0..=u16::MAX).map(f16::from_bits) {
            let wide = widen_f16(value);
            assert_eq!((wide.is_nan(), wide.is_sign_negative()), (value.is_nan(), value.is_sign_negative()));
            assert!(value.is_nan() || wide == value.to_f64(), "{value}");
        }
    }

    #[test]
    fn floats_round_and_saturate_at_both_ends_of_every_narrow_integer() {
        assert_eq!([-0.5, 254.5, 255.5, -1e300].map(<u8 as Number>::from_f64), [0, 254, 255, 0]);
        assert_eq!([-128.5, -127.5, -1.5, 127.5].map(<i8 as Number>::from_f64), [-128, -128, -2, 127]);
        assert_eq!([-0.6, 4_294_967_294.5, 5e9].map(<u32 as Number>::from_f64), [0, u32::MAX - 1, u32::MAX]);
        assert_eq!([-5e9, -0.5, 2_147_483_646.5].map(<i32 as Number>::from_f64), [i32::MIN, 0, i32::MAX - 1]);
        assert_eq!([f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(<i16 as Number>::from_f64), [32767, -32768, 0]);
    }

    #[test]
    fn every_nan_becomes_the_same_nan() {
        for bits in [0xfff8_0000_0000_1234, 0x7ff0_0000_0000_0001, 0x7fff_ffff_ffff_ffff] {
            let nan = f64::from_bits(bits);
            assert_eq!(<f64 as Number>::from_f64(nan).to_bits(), f64::NAN.to_bits());
            assert_eq!(<f32 as Number>::from_f64(nan).to_bits(), f32::NAN.to_bits());
            assert_eq!(<f16 as Number>::from_f64(nan).to_bits(), f16::NAN.to_bits());
        }
    }

    #[test]
    fn f16_ends_in_infinity_and_in_zero() {
        assert_eq!(nearest_f16(65519.999), f16::MAX);
        assert_eq!(nearest_f16(65520.0), f16::INFINITY);
        assert_eq!(nearest_f16(1e300), f16::INFINITY);
        assert_eq!(nearest_f16(-1e-300), f16::NEG_ZERO);
        assert!(<f16 as Number>::from_f64(f64::NAN).is_nan());
    }

    #[test]
    fn integers_past_2_to_53_round_once_to_f32() {
        // Just above the tie between two f32; through f64 the excess of 1 is lost and the tie goes down.
        let value = (1i128 << 60) + (1 << 36) + 1;
        assert_eq!(<f32 as Number>::from_wide(value), ((1u64 << 60) + (1 << 37)) as f32);
        assert_eq!((value as f64) as f32, (1u64 << 60) as f32);
    }

    #[test]
    fn integers_saturate() {
        assert_eq!(<i8 as Number>::from_wide(i128::from(u64::MAX)), 127);
        assert_eq!(<u64 as Number>::from_wide(-1), 0);
        assert_eq!(<u64 as Number>::from_f64(f64::INFINITY), u64::MAX);
        assert_eq!(<i64 as Number>::from_f64(-1e300), i64::MIN);
        assert_eq!(<u16 as Number>::from_f64(f64::NAN), 0);
    }
}

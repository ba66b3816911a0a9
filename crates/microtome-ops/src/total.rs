//! Sums and their means: exact for integers, in float64 for floats.
//!
//! *Invariant:* a sum of as many integers as [`Width::of`] was told cannot overflow, and its mean is the exact
//! quotient rounded once, half to even.

use bytemuck::Pod;
use microtome_array::PixelType;

use crate::number::Number;

/// An accumulator: the narrowest integer that no sum can pass.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Width {
    W32,
    W64,
    W128,
}

impl Width {
    /// For a sum of `length` pixels of a type. A `bool` counts as the byte it is stored in.
    pub(crate) fn of(input: PixelType, length: u64) -> Width {
        let bits = 8 * input.size() as u32;
        // The largest magnitude: 2^bits - 1 unsigned, 2^(bits - 1) signed.
        let most = if input.is_signed_integer() { 1u128 << (bits - 1) } else { (1u128 << bits) - 1 };
        let sum = most * u128::from(length.max(1));
        if sum <= i32::MAX as u128 {
            Width::W32
        } else if sum <= i64::MAX as u128 {
            Width::W64
        } else {
            Width::W128
        }
    }

    pub(crate) fn size(self) -> u64 {
        match self {
            Width::W32 => 4,
            Width::W64 => 8,
            Width::W128 => 16,
        }
    }
}

/// A sum of pixels and its mean.
pub(crate) trait Total: Pod + Send {
    fn of<T: Number>(value: T) -> Self;
    fn plus(self, other: Self) -> Self;
    /// `self / n`, rounded half to even.
    fn mean<B: Number>(self, n: u64) -> B;
    /// `self / 2^log`, the same.
    fn mean_of_power<B: Number>(self, log: u32) -> B;
}

/// An exact sum of integers.
pub(crate) trait Accumulator: Total {
    fn wide(self) -> i128;
}

macro_rules! accumulators {
    ($($A:ty),*) => {$(
        impl Accumulator for $A {
            fn wide(self) -> i128 {
                self as i128
            }
        }

        impl Total for $A {
            fn of<T: Number>(value: T) -> Self {
                value.wide() as $A
            }
            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn mean<B: Number>(self, n: u64) -> B {
                // A quotient of such a sum that is no half is at least 1/2n from one, further than a float64 rounds.
                if self.unsigned_abs() as u128 <= 1 << 51 {
                    return B::from_f64(self as i64 as f64 / n as f64);
                }
                let n = n as $A;
                let (floor, rest) = (self.div_euclid(n), self.rem_euclid(n));
                let up = rest > n - rest || (rest == n - rest && floor % 2 != 0);
                B::from_wide(floor as i128 + i128::from(up))
            }
            fn mean_of_power<B: Number>(self, log: u32) -> B {
                // Above the middle, or in the middle and odd.
                let (floor, rest) = (self >> log, self & ((1 << log) - 1));
                let up = 2 * rest + (floor & 1) > 1 << log;
                B::from_wide((floor + <$A>::from(up)) as i128)
            }
        }
    )*};
}
accumulators!(i32, i64, i128);

/// A sum of floats, in the order of its additions.
impl Total for f64 {
    fn of<T: Number>(value: T) -> Self {
        value.to_f64()
    }
    fn plus(self, other: Self) -> Self {
        self + other
    }
    fn mean<B: Number>(self, n: u64) -> B {
        B::from_f64(self / n as f64)
    }
    fn mean_of_power<B: Number>(self, log: u32) -> B {
        self.mean(1 << log)
    }
}

//! Exact sums of integers, and what is made of them.

use std::marker::PhantomData;

use bytemuck::Pod;
use microtome_array::{Buffer, BufferPool, PixelType, PixelsMut, PixelsRef, dispatch};

use super::Projection;
use super::frame::Frame;
use crate::number::Number;
use crate::{FoldState, OpError};

/// An accumulator: the narrowest integer that no sum of the fold can pass.
#[derive(Clone, Copy)]
enum Width {
    W32,
    W64,
    W128,
}

impl Width {
    /// For `length` pixels of a type. A `bool` counts as the byte it is stored in.
    fn of(input: PixelType, length: u64) -> Width {
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

    fn size(self) -> u64 {
        match self {
            Width::W32 => 4,
            Width::W64 => 8,
            Width::W128 => 16,
        }
    }
}

/// Bytes for the sums so far.
pub(super) fn state_bytes(input: PixelType, pixels: u64, length: u64) -> u64 {
    BufferPool::charged(pixels * Width::of(input, length).size())
}

/// Starts a fold that adds integers.
pub(super) fn start(frame: Frame, method: Projection, pool: &BufferPool) -> Result<Box<dyn FoldState>, OpError> {
    let width = Width::of(frame.input(), frame.length());
    let buffer = pool.take(frame.values() * width.size() as usize);
    let mean = method == Projection::Mean;
    dispatch!(frame.input(), T => Ok(match width {
        Width::W32 => Box::new(Sums::<T, i32> { frame, buffer, mean, kind: PhantomData }),
        Width::W64 => Box::new(Sums::<T, i64> { frame, buffer, mean, kind: PhantomData }),
        Width::W128 => Box::new(Sums::<T, i128> { frame, buffer, mean, kind: PhantomData }),
    }), else Err(super::complex(frame.input())))
}

/// An accumulator's arithmetic.
trait Accumulator: Pod + Send {
    fn of<T: Number>(value: T) -> Self;
    fn plus(self, other: Self) -> Self;
    fn wide(self) -> i128;
    /// `self / n`, rounded half to even.
    fn mean<B: Number>(self, n: u64) -> B;
}

macro_rules! accumulators {
    ($($A:ty),*) => {$(
        impl Accumulator for $A {
            fn of<T: Number>(value: T) -> Self {
                value.wide() as $A
            }
            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn wide(self) -> i128 {
                self as i128
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
        }
    )*};
}
accumulators!(i32, i64, i128);

struct Sums<T, A> {
    frame: Frame,
    buffer: Buffer,
    mean: bool,
    kind: PhantomData<(T, A)>,
}

impl<T: Number, A: Accumulator> FoldState for Sums<T, A> {
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError> {
        self.frame.check_add(pixels)?;
        let sums: &mut [A] = bytemuck::cast_slice_mut(self.buffer.bytes_mut());
        for tile in self.frame.tiles::<T>(pixels)? {
            let sums = &mut sums[tile.at.clone()];
            for step in 0..tile.steps {
                if self.frame.done() == 0 && step == 0 {
                    sums.iter_mut().zip(tile.step(0)).for_each(|(sum, &value)| *sum = A::of(value));
                } else {
                    sums.iter_mut().zip(tile.step(step)).for_each(|(sum, &value)| *sum = sum.plus(A::of(value)));
                }
            }
        }
        self.frame.advance(pixels);
        Ok(())
    }

    fn finish(self: Box<Self>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        self.frame.check_finish(output)?;
        let dtype = output.dtype();
        let sums: &[A] = bytemuck::cast_slice(self.buffer.bytes());
        let (mean, n) = (self.mean, self.frame.length());
        dispatch!(dtype, B => write(sums, mean, n, output.slice_mut::<B>()?), else Err(super::complex(dtype)))
    }
}

/// Writes what `sums` over `n` pixels each make.
fn write<A: Accumulator, B: Number>(sums: &[A], mean: bool, n: u64, output: &mut [B]) -> Result<(), OpError> {
    for (out, &sum) in output.iter_mut().zip(sums) {
        *out = match (mean, B::INTEGER) {
            (true, true) => sum.mean(n),
            (true, false) => B::from_f64(sum.wide() as f64 / n as f64),
            (false, true) => exact(sum.wide())?,
            (false, false) => B::from_wide(sum.wide()),
        };
    }
    Ok(())
}

/// A sum in the type of the result, if it fits.
fn exact<B: Number>(sum: i128) -> Result<B, OpError> {
    let value = B::from_wide(sum);
    if value.wide() == sum { Ok(value) } else { Err(OpError::Overflow { op: super::ENTRY.name, dtype: B::TYPE }) }
}

//! Exact sums of integers, and what is made of them.

use std::marker::PhantomData;

use microtome_array::{Buffer, BufferPool, PixelType, PixelsMut, PixelsRef, dispatch};

use super::Projection;
use super::frame::Frame;
use crate::number::Number;
use crate::total::{Accumulator, Width};
use crate::{FoldState, OpError};

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

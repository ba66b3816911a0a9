//! Largest or smallest value: one value of the input's type for each output pixel.

use std::marker::PhantomData;

use microtome_array::{Buffer, BufferPool, PixelType, PixelsMut, PixelsRef, dispatch};

use super::frame::Frame;
use crate::number::Number;
use crate::{FoldState, OpError};

/// Which of two values to keep.
pub(super) trait Pick: Send + 'static {
    /// Whether `a`, the earlier one, stays.
    fn keeps<T: Number>(a: T, b: T) -> bool;
}

/// The larger.
pub(super) struct Max;
/// The smaller.
pub(super) struct Min;

// As NumPy's maximum and minimum: the first NaN stays; a comparison with a NaN `b` fails, so that it comes in.
impl Pick for Max {
    fn keeps<T: Number>(a: T, b: T) -> bool {
        a >= b || a.is_nan()
    }
}

impl Pick for Min {
    fn keeps<T: Number>(a: T, b: T) -> bool {
        a <= b || a.is_nan()
    }
}

/// Bytes for the best values so far.
pub(super) fn state_bytes(input: PixelType, pixels: u64) -> u64 {
    BufferPool::charged(pixels * input.size() as u64)
}

/// Starts a fold that keeps one value a pixel.
pub(super) fn start<P: Pick>(frame: Frame, pool: &BufferPool) -> Result<Box<dyn FoldState>, OpError> {
    let best = pool.take(frame.values() * frame.input().size());
    dispatch!(frame.input(), T => {
        Ok(Box::new(Extreme::<T, P> { frame, best, kind: PhantomData }))
    }, else Err(super::complex(frame.input())))
}

struct Extreme<T, P> {
    frame: Frame,
    best: Buffer,
    kind: PhantomData<(T, P)>,
}

impl<T: Number, P: Pick> FoldState for Extreme<T, P> {
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError> {
        self.frame.check_add(pixels)?;
        let best: &mut [T] = bytemuck::cast_slice_mut(self.best.bytes_mut());
        for tile in self.frame.tiles::<T>(pixels)? {
            let best = &mut best[tile.at.clone()];
            for step in 0..tile.steps {
                if self.frame.done() == 0 && step == 0 {
                    best.copy_from_slice(tile.step(0));
                } else {
                    improve::<T, P>(best, tile.step(step));
                }
            }
        }
        self.frame.advance(pixels);
        Ok(())
    }

    fn finish(self: Box<Self>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        self.frame.check_finish(output)?;
        output.bytes().copy_from_slice(self.best.bytes());
        Ok(())
    }
}

/// A branch-free select, which the compiler vectorises for every type but `f16`.
fn improve<T: Number, P: Pick>(best: &mut [T], values: &[T]) {
    for (a, &b) in best.iter_mut().zip(values) {
        *a = if P::keeps(*a, b) { *a } else { b };
    }
}

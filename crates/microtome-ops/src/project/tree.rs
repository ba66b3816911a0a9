//! Sums of floats in a fixed order: a dyadic tree on the pixel index along the axis.
//!
//! ```text
//! tree(lo, hi) = a[lo]                                              if hi - lo = 1
//!              = tree(lo, lo + split) + tree(lo + split, hi)        split: largest power of two < hi - lo
//! ```
//! The state is a binary counter: `levels[k]` holds the sum of 2^k pixels, or nothing. A new pixel carries as a 1 does.
//!
//! *Invariant:* after `done` pixels, `levels[k]` is taken where bit k of `done` is set.

use std::marker::PhantomData;

use microtome_array::{Buffer, BufferPool, PixelsMut, PixelsRef, dispatch};

use super::Projection;
use super::frame::{Frame, TILE};
use crate::number::Number;
use crate::{FoldState, OpError};

/// Bytes for the partial sums: as many as a number up to `length` can have bits set.
pub(super) fn state_bytes(pixels: u64, length: u64) -> u64 {
    let most = u64::from(length.saturating_add(1).max(1).ilog2());
    most * BufferPool::charged(8 * pixels)
}

/// Starts a fold that adds floats.
pub(super) fn start(frame: Frame, method: Projection, pool: &BufferPool) -> Result<Box<dyn FoldState>, OpError> {
    let mean = method == Projection::Mean;
    let (levels, pool) = (Vec::new(), pool.clone());
    dispatch!(frame.input(), T => {
        Ok(Box::new(Tree::<T> { frame, levels, pool, mean, kind: PhantomData }))
    }, else Err(super::complex(frame.input())))
}

struct Tree<T> {
    frame: Frame,
    levels: Vec<Option<Buffer>>,
    pool: BufferPool,
    mean: bool,
    kind: PhantomData<T>,
}

impl<T: Number> FoldState for Tree<T> {
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError> {
        self.frame.check_add(pixels)?;
        for step in 0..self.frame.steps(pixels) {
            self.add_step(pixels, step)?;
        }
        self.frame.advance(pixels);
        Ok(())
    }

    fn finish(self: Box<Self>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        self.frame.check_finish(output)?;
        let levels: Vec<&[f64]> =
            self.levels.iter().flatten().map(|level| bytemuck::cast_slice(level.bytes())).collect();
        let divisor = if self.mean { self.frame.length() as f64 } else { 1.0 };
        let dtype = output.dtype();
        dispatch!(dtype, B => {
            write(&levels, divisor, output.slice_mut::<B>()?);
            Ok(())
        }, else Err(super::complex(dtype)))
    }
}

impl<T: Number> Tree<T> {
    /// Adds one pixel along the axis, everywhere in the box.
    fn add_step(&mut self, pixels: PixelsRef<'_>, step: usize) -> Result<(), OpError> {
        let carries = (self.frame.done() + step as u64).trailing_ones() as usize;
        if self.levels.len() == carries {
            self.levels.push(None);
        }
        let mut carried: Vec<Buffer> = self.levels[..carries].iter_mut().filter_map(Option::take).collect();
        // The sum takes the place of the highest level that is carried away.
        let last = carried.pop();
        let fresh = last.is_none();
        let mut target = last.unwrap_or_else(|| self.new_level());
        let sums: &mut [f64] = bytemuck::cast_slice_mut(target.bytes_mut());
        for tile in self.frame.tiles::<T>(pixels)? {
            let sums = &mut sums[tile.at.clone()];
            if fresh {
                sums.iter_mut().zip(tile.step(step)).for_each(|(sum, value)| *sum = value.to_f64());
                continue;
            }
            if carried.is_empty() {
                sums.iter_mut().zip(tile.step(step)).for_each(|(sum, value)| *sum += value.to_f64());
                continue;
            }
            let mut partial = [0.0; TILE];
            let partial = &mut partial[..sums.len()];
            partial.iter_mut().zip(tile.step(step)).for_each(|(sum, value)| *sum = value.to_f64());
            for level in &carried {
                add_left(&bytemuck::cast_slice(level.bytes())[tile.at.clone()], partial);
            }
            sums.iter_mut().zip(&*partial).for_each(|(sum, right)| *sum += right);
        }
        self.levels[carries] = Some(target);
        Ok(())
    }

    fn new_level(&mut self) -> Buffer {
        let bytes = self.frame.values() * size_of::<f64>();
        self.pool.take(bytes)
    }
}

/// `right = left + right`
fn add_left(left: &[f64], right: &mut [f64]) {
    right.iter_mut().zip(left).for_each(|(right, left)| *right += left);
}

/// Adds the levels, lowest first, divides, and rounds to the type of the result.
fn write<B: Number>(levels: &[&[f64]], divisor: f64, output: &mut [B]) {
    let Some((lowest, higher)) = levels.split_first() else { return };
    let mut sums = [0.0; TILE];
    for (n, output) in output.chunks_mut(TILE).enumerate() {
        let at = n * TILE..n * TILE + output.len();
        let sums = &mut sums[..output.len()];
        sums.copy_from_slice(&lowest[at.clone()]);
        for level in higher {
            add_left(&level[at.clone()], sums);
        }
        output.iter_mut().zip(&*sums).for_each(|(out, sum)| *out = B::from_f64(sum / divisor));
    }
}

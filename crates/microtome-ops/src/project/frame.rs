//! What every projection state knows: the box, the axis, and how far along it is.

use std::ops::Range;

use microtome_array::{ArrayError, ArraySpec, Axis, Pixel, PixelType, PixelsMut, PixelsRef, Shape};

use crate::check::check_spec;

/// The pixels that a buffer of the state is walked in: small enough to stay in the first cache next to its input.
pub(super) const TILE: usize = 2048;

/// The box being folded. Input is seen as `outer × steps × inner` values, state and output as `outer × inner`.
///
/// *Invariant:* `done` pixels along the axis, of `length`, have been accepted.
#[derive(Debug)]
pub(super) struct Frame {
    axis: Axis,
    input: PixelType,
    output: ArraySpec,
    length: u64,
    done: u64,
}

/// A tile of the state and the values of an addition that belong to it.
pub(super) struct Tile<'a, T> {
    /// Where the tile lies in the state.
    pub(super) at: Range<usize>,
    /// The addition.
    source: &'a [T],
    first: usize,
    inner: usize,
    /// Pixels along the axis.
    pub(super) steps: usize,
}

impl<'a, T> Tile<'a, T> {
    /// The values of one step along the axis, as many as the tile is long.
    pub(super) fn step(&self, step: usize) -> &'a [T] {
        let start = self.first + step * self.inner;
        &self.source[start..start + self.at.len()]
    }
}

impl Frame {
    pub(super) fn new(axis: Axis, input: PixelType, output: ArraySpec, length: u64) -> Frame {
        Frame { axis, input, output, length, done: 0 }
    }

    pub(super) fn input(&self) -> PixelType {
        self.input
    }

    /// Pixels along the axis in all.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Pixels along the axis taken so far.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Values in the output.
    pub(super) fn values(&self) -> usize {
        self.output.shape.pixels() as usize
    }

    /// Checks that `pixels` continue this box.
    pub(super) fn check_add(&self, pixels: PixelsRef<'_>) -> Result<(), ArrayError> {
        let steps = pixels.shape().get(self.axis);
        let shape = self.output.shape.with(self.axis, steps)?;
        check_spec(&ArraySpec { shape, dtype: self.input }, &pixels.spec())?;
        let end = self.done.saturating_add(steps);
        if end > self.length {
            return Err(ArrayError::OutOfBounds { axis: self.axis, start: self.done, end, extent: self.length });
        }
        Ok(())
    }

    /// Pixels along the axis that an addition brings.
    pub(super) fn steps(&self, pixels: PixelsRef<'_>) -> usize {
        pixels.shape().get(self.axis) as usize
    }

    /// Counts `pixels` as done.
    pub(super) fn advance(&mut self, pixels: PixelsRef<'_>) {
        self.done += pixels.shape().get(self.axis);
    }

    /// Checks that all pixels came, and that `output` is what they make.
    pub(super) fn check_finish(&self, output: &PixelsMut<'_>) -> Result<(), ArrayError> {
        if self.done != self.length {
            let (start, end) = (self.done, self.length);
            return Err(ArrayError::OutOfBounds { axis: self.axis, start, end, extent: self.done });
        }
        check_spec(&self.output, &output.spec())
    }

    /// Cuts an addition into tiles, so that the state stays in cache over all steps of an addition.
    pub(super) fn tiles<'a, T: Pixel>(
        &self,
        pixels: PixelsRef<'a>,
    ) -> Result<impl Iterator<Item = Tile<'a, T>>, ArrayError> {
        let source = pixels.slice::<T>()?;
        let steps = self.steps(pixels);
        let inner = inner(&pixels.shape(), self.axis);
        let outer = self.values().checked_div(inner).unwrap_or(0);
        let tiles = (0..outer).flat_map(move |o| (0..inner).step_by(TILE).map(move |i| (o, i..(i + TILE).min(inner))));
        Ok(tiles.map(move |(o, range)| Tile {
            at: o * inner + range.start..o * inner + range.end,
            source,
            first: o * steps * inner + range.start,
            inner,
            steps,
        }))
    }
}

/// Values from one pixel of an axis to the next.
fn inner(shape: &Shape, axis: Axis) -> usize {
    shape.dims()[axis.index() + 1..].iter().product()
}

//! Operations whose output pixel is made from a box of input pixels around one place: filters, and downsampling.
//!
//! An operation says how far it looks as a [`Reach`] on each axis; which pixels a region needs, and which it takes part
//! in, follow from that alone, here, for all of them.
//!
//! *Invariant:* regions computed from a reach stay inside their arrays and are adjoint: an output pixel needs an input
//! pixel just where the input pixel reaches the output pixel.

use std::fmt::Debug;
use std::ops::Range;

use microtome_array::{ArrayError, ArraySpec, Axis, BufferPool, PixelType, PixelsMut, PixelsRef, Region, Shape};

use crate::OpError;

/// How output coordinates lie over input coordinates on one axis: output pixel `i` is decided by the input pixels
/// `i * stride - before ..= i * stride + after`, cut to the input.
///
/// # Examples
/// ```
/// use microtome_ops::Reach;
/// let halves = Reach { stride: 2, before: 0, after: 1 }; // pairs of pixels become one
/// assert_eq!(halves.output_extent(7), 4); // the last one has no partner
/// assert_eq!(halves.input(&(1..4), 7), 2..7);
/// assert_eq!(halves.output(&(3..5), 7), 1..3);
/// let three = Reach { stride: 1, before: 1, after: 1 }; // each pixel with its two neighbours
/// assert_eq!(three.input(&(0..2), 7), 0..3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Input pixels from one output pixel to the next; at least 1.
    pub stride: u64,
    /// Input pixels that count before the place of the output pixel.
    pub before: u64,
    /// Input pixels that count after it.
    pub after: u64,
}

impl Reach {
    /// Each output pixel from the one input pixel at its place.
    pub const POINT: Reach = Reach { stride: 1, before: 0, after: 0 };

    /// Output pixels over an axis of `extent` input pixels: one wherever at least one input pixel is left.
    pub const fn output_extent(&self, extent: u64) -> u64 {
        extent.div_ceil(self.stride)
    }

    /// The input pixels that decide the output pixels of a range, of `extent` input pixels. O(1).
    pub fn input(&self, output: &Range<u64>, extent: u64) -> Range<u64> {
        if output.is_empty() {
            let at = output.start.saturating_mul(self.stride).min(extent);
            return at..at;
        }
        let start = output.start.saturating_mul(self.stride).saturating_sub(self.before).min(extent);
        let last = (output.end - 1).saturating_mul(self.stride).saturating_add(self.after);
        start..last.saturating_add(1).min(extent).max(start)
    }

    /// The output pixels that any input pixel of a range takes part in, of `extent` input pixels. O(1).
    pub fn output(&self, input: &Range<u64>, extent: u64) -> Range<u64> {
        if input.is_empty() {
            return 0..0;
        }
        let most = self.output_extent(extent);
        let start = input.start.saturating_sub(self.after).div_ceil(self.stride).min(most);
        let last = (input.end - 1).saturating_add(self.before) / self.stride;
        start..last.saturating_add(1).min(most).max(start)
    }

    /// Input pixels that an output range of `len` pixels needs away from the edges.
    pub const fn span(&self, len: u64) -> u64 {
        if len == 0 {
            return 0;
        }
        let between = (len - 1).saturating_mul(self.stride);
        between.saturating_add(self.before).saturating_add(self.after).saturating_add(1)
    }
}

/// Where given pixels lie in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Extents of the whole input array.
    pub whole: Shape,
    /// Where the given input pixels lie in it.
    pub input: Region,
    /// Where the output pixels to make lie in the whole output.
    pub output: Region,
}

/// An operation on a box of pixels around each place.
pub trait Neighbourhood: Debug + Send + Sync {
    /// How far it looks on an axis. On S always [`Reach::POINT`].
    fn reach(&self, axis: Axis) -> Reach;

    /// Most bytes of scratch beside input and output for an output box of that shape, as [`BufferPool`] charges them.
    fn scratch_bytes(&self, input: PixelType, output: &Shape) -> u64;

    /// Computes the output pixels of `place.output`.
    ///
    /// `input` holds exactly [`Op::input_region`](crate::Op::input_region) of them. Scratch comes from `pool`.
    ///
    /// # Errors
    /// [`OpError::Array`] if pixels are not those that `place` says: a bug in the caller; and what the operation says.
    fn run(
        &self,
        input: PixelsRef<'_>,
        output: &mut PixelsMut<'_>,
        place: &Placement,
        pool: &BufferPool,
    ) -> Result<(), OpError>;
}

/// What [`Op::input_region`](crate::Op::input_region) of such an operation is.
pub(crate) fn input_region(op: &dyn Neighbourhood, output: &Region, input: &Shape) -> Region {
    Axis::ALL.into_iter().fold(*output, |region, axis| {
        let range = op.reach(axis).input(&range(output, axis), input.get(axis));
        region.with(axis, range.start, range.end)
    })
}

/// What [`Op::output_region`](crate::Op::output_region) of such an operation is.
pub(crate) fn output_region(op: &dyn Neighbourhood, source: &Region, input: &Shape) -> Region {
    Axis::ALL.into_iter().fold(*source, |region, axis| {
        let range = op.reach(axis).output(&range(source, axis), input.get(axis));
        region.with(axis, range.start, range.end)
    })
}

/// Extents of the output of such an operation.
pub(crate) fn output_shape(op: &dyn Neighbourhood, input: &Shape) -> Result<Shape, ArrayError> {
    Shape::new(Axis::ALL.map(|axis| op.reach(axis).output_extent(input.get(axis))))
}

/// Checks that pixels are those that `place` says, and that the input is what the output needs.
pub(crate) fn check_placement(
    op: &(impl crate::Op + Neighbourhood),
    input: PixelsRef<'_>,
    output: &PixelsMut<'_>,
    place: &Placement,
) -> Result<(), OpError> {
    let whole = op.output(&ArraySpec { shape: place.whole, dtype: input.dtype() })?;
    place.output.check_inside(&whole.shape)?;
    let needed = input_region(op, &place.output, &place.whole);
    if let Some(axis) = Axis::ALL.into_iter().find(|&a| range(&needed, a) != range(&place.input, a)) {
        let (start, end) = (place.input.start(axis), place.input.end(axis));
        return Err(ArrayError::OutOfBounds { axis, start, end, extent: needed.end(axis) }.into());
    }
    let expected = ArraySpec { shape: place.input.shape(), dtype: input.dtype() };
    crate::check::check_spec(&expected, &input.spec())?;
    let expected = ArraySpec { shape: place.output.shape(), dtype: whole.dtype };
    Ok(crate::check::check_spec(&expected, &output.spec())?)
}

fn range(region: &Region, axis: Axis) -> Range<u64> {
    region.start(axis)..region.end(axis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_what_a_loop_over_pixels_finds(
            stride in 1u64..5, before in 0u64..7, after in 0u64..7, extent in 0u64..12, a in 0u64..13, b in 0u64..13,
        ) {
            let reach = Reach { stride, before, after };
            let needs = |i: u64| (0..extent).filter(move |p| i * stride <= p + before && *p <= i * stride + after);
            let count = (0..extent).filter(|i| i * stride < extent).count() as u64;
            prop_assert_eq!(reach.output_extent(extent), count);
            let output = a.min(b).min(count)..a.max(b).min(count);
            let expected: Vec<u64> = (0..extent).filter(|p| output.clone().any(|i| needs(i).any(|q| q == *p))).collect();
            let found = reach.input(&output, extent);
            prop_assert!(found.start <= found.end && found.end <= extent);
            // Between places that a large stride leaves out, a range is their hull.
            prop_assert_eq!(expected.first().copied(), found.clone().next());
            prop_assert_eq!(expected.last().copied(), found.clone().last());
            let source = a.min(b).min(extent)..a.max(b).min(extent);
            let expected: Vec<u64> = (0..count).filter(|&i| needs(i).any(|p| source.contains(&p))).collect();
            let found = reach.output(&source, extent);
            prop_assert!(found.start <= found.end && found.end <= count);
            prop_assert_eq!(expected, found.collect::<Vec<u64>>());
        }
    }

    #[test]
    fn the_largest_reach_does_not_overflow() {
        let reach = Reach { stride: u64::MAX, before: u64::MAX, after: u64::MAX };
        assert_eq!((reach.input(&(0..1), 9), reach.output(&(3..4), 9), reach.output_extent(9)), (0..9, 0..1, 1));
        assert_eq!(reach.span(2), u64::MAX);
    }
}

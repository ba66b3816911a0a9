//! What operations on neighbourhoods keep beside what all keep: regions that follow their reach, and bounded scratch.

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, PixelType, Pixels, Region, Shape};

use super::random::Random;
use super::{SHAPES, TRIES, cut, spec};
use crate::{Neighbourhood, Op, Placement, Reach, neighbourhood};

/// Output boxes that scratch is measured on in turn, T C Z Y X S.
const BOXES: [[u64; 6]; 4] = [[1, 1, 1, 160, 160, 1], [1, 1, 6, 12, 300, 1], [2, 1, 1, 1, 900, 3], [1, 2, 2, 40, 3, 1]];

/// Bytes that a pool does not count: buffers too small to be pooled.
const UNCOUNTED: u64 = 48 << 10;

pub(super) fn keeps(op: &dyn Op, boxes: &dyn Neighbourhood) {
    assert_eq!(boxes.reach(Axis::S), Reach::POINT, "{op:?} mixes the samples of a pixel");
    regions_follow_the_reach(op, boxes);
    for (dtype, extents) in PixelType::ALL.into_iter().zip(BOXES.into_iter().cycle()) {
        scratch_is_bounded(op, boxes, Shape::new(extents).expect("a small shape"), dtype);
    }
}

fn regions_follow_the_reach(op: &dyn Op, boxes: &dyn Neighbourhood) {
    let mut random = Random::new(11);
    for input in SHAPES.iter().flat_map(|&extents| PixelType::ALL.map(|dtype| spec(extents, dtype))) {
        let Ok(output) = op.output(&input) else { continue };
        let expected = neighbourhood::output_shape(boxes, &input.shape).expect("at most as many pixels");
        assert_eq!(output.shape, expected, "{op:?} on {input:?} has another shape than its reach says");
        for _ in 0..TRIES {
            let (wanted, source) = (random.region(output.shape), random.region(input.shape));
            let needed = neighbourhood::input_region(boxes, &wanted, &input.shape);
            assert_eq!(op.input_region(&wanted, &input), needed, "{op:?}: {wanted:?} needs what the reach says");
            let reached = neighbourhood::output_region(boxes, &source, &input.shape);
            assert_eq!(op.output_region(&source, &input), reached, "{op:?}: {source:?} reaches what the reach says");
        }
    }
}

/// Measures a box in the middle of an array large enough that no edge cuts what it needs.
fn scratch_is_bounded(op: &dyn Op, boxes: &dyn Neighbourhood, shape: Shape, dtype: PixelType) {
    let start = PerAxis::from_fn(|axis| boxes.reach(axis).before.div_ceil(boxes.reach(axis).stride));
    let end = PerAxis::from_fn(|axis| start[axis] + shape.get(axis));
    let output = Region::new(start, end).expect("ends in order");
    let extents = Axis::ALL.map(|axis| boxes.reach(axis).span(end[axis]));
    let whole = ArraySpec { shape: Shape::new(extents).expect("a small shape"), dtype };
    let Ok(made) = op.output(&whole) else { return };
    let needed = op.input_region(&output, &whole);
    let input = cut(Random::new(3).pixels(whole).as_ref(), &needed);
    let place = Placement { whole: whole.shape, input: needed, output };
    let pool = BufferPool::new(0);
    let mut result = Pixels::zeroed(ArraySpec { shape, dtype: made.dtype });
    let run = boxes.run(input.as_ref(), &mut result.as_mut(), &place, &pool);
    run.unwrap_or_else(|error| panic!("{op:?} fails on {output:?} of {whole:?}: {error}"));
    let (peak, bound) = (pool.stats().peak_lent, boxes.scratch_bytes(dtype, &shape));
    assert!(peak <= bound, "{op:?} on {shape} of {dtype}: scratch took {peak} bytes, at most {bound} were promised");
    let close = bound <= 3 * peak.max(UNCOUNTED / 3);
    assert!(close, "{op:?} on {shape} of {dtype}: {bound} bytes of scratch are promised, {peak} taken");
}

//! What every operation and every summary keeps, as checks that panic where one does not.
//!
//! A new operation is tested by its line in [`OPS`](crate::OPS): [`holds`] runs on its example. Further parameters go
//! through [`keeps`]. Summaries likewise, with [`summary_holds`] and [`summary_keeps`]. All work on small arrays of every pixel type with values that [`random`] makes from a fixed seed.
//!
//! *Invariant:* nothing here knows a particular operation.

mod boxes;
pub mod random;
mod summaries;

use std::sync::Arc;

use microtome_array::{ArraySpec, BufferPool, ChunkGrid, PixelType, Pixels, PixelsRef, Region, Shape, copy_region};
use serde_json::Value;

use crate::{Body, Fold, Op, OpEntry, OpError, Placement, Summary, summarise};
use random::Random;

pub use summaries::{summary_holds, summary_keeps};

/// Shapes that all is tried on, T C Z Y X S. An entry's example must suit them.
pub const SHAPES: [[u64; 6]; 2] = [[2, 3, 5, 4, 6, 1], [3, 2, 4, 3, 5, 3]];

/// How many random regions each shape and pixel type is tried with.
const TRIES: usize = 8;

/// Checks an entry of the list: its example builds, the operation comes back from its parameters, and [`keeps`].
///
/// # Panics
/// If a promise is broken; the message names the operation, the input and the region.
///
/// # Examples
/// ```
/// microtome_ops::contract::holds(&microtome_ops::OPS[0]);
/// ```
pub fn holds(entry: &OpEntry) {
    let name = entry.name;
    let params: Value = serde_json::from_str(entry.example).expect("an example is JSON");
    let op = (entry.build)(&params).unwrap_or_else(|error| panic!("the example of {name} does not build: {error}"));
    assert_eq!(op.name(), name, "the operation and its entry have one name");
    let text = op.params().to_string();
    let again: Value = serde_json::from_str(&text).expect("parameters are JSON");
    let again = (entry.build)(&again).unwrap_or_else(|error| panic!("{name} does not come back from {text}: {error}"));
    assert_eq!((again.name(), again.params()), (name, op.params()), "{name} comes back as another operation");
    keeps(op.as_ref());
}

/// Checks an operation on [`SHAPES`] of every pixel type that it accepts:
///
/// - `output` is what running makes;
/// - `input_region` and `output_region` stay inside their arrays and are adjoint: an output pixel needs an input pixel
///   just where the input pixel influences the output pixel;
/// - if it asks for a summary, it runs no sooner than the answer is there, and shape and type are what they were before;
/// - a region computed alone has the bits it has in the whole; for a fold, however the axis is cut into additions;
/// - a fold takes from the pool at most `state_bytes`, and at least a third of it; an operation on a neighbourhood
///   likewise of `scratch_bytes`, and its regions are what its reach says.
///
/// # Panics
/// If a promise is broken, or if no pixel type is accepted.
///
/// # Examples
/// ```
/// use microtome_array::PixelType;
/// use microtome_ops::{Cast, contract};
/// contract::keeps(&Cast { dtype: PixelType::F16 });
/// ```
pub fn keeps(op: &dyn Op) {
    let specs = SHAPES.iter().flat_map(|&extents| PixelType::ALL.map(|dtype| spec(extents, dtype)));
    let accepted: Vec<(ArraySpec, ArraySpec)> =
        specs.filter_map(|input| op.output(&input).ok().map(|output| (input, output))).collect();
    assert!(!accepted.is_empty(), "{op:?} accepts no pixel type on {SHAPES:?}");
    for (seed, (input, output)) in accepted.iter().enumerate() {
        let mut random = Random::new(seed as u64);
        regions_are_adjoint(op, input, output, &mut random);
        parts_equal_the_whole(op, input, output, &mut random);
    }
    match op.body() {
        Body::Fold(fold) => PixelType::ALL.into_iter().for_each(|dtype| state_is_bounded(op, fold, dtype)),
        Body::Neighbourhood(boxes) => boxes::keeps(op, boxes),
        Body::Map(_) | Body::Index => {}
    }
}

fn spec(extents: [u64; 6], dtype: PixelType) -> ArraySpec {
    ArraySpec { shape: Shape::new(extents).expect("a small shape"), dtype }
}

fn regions_are_adjoint(op: &dyn Op, input: &ArraySpec, output: &ArraySpec, random: &mut Random) {
    let all = output.shape.region();
    let single = Shape::new([1; 6]).expect("one pixel");
    let pixels = ChunkGrid::new(output.shape, single).expect("chunks of one pixel");
    for _ in 0..TRIES {
        let source = random.region(input.shape);
        let reached = op.output_region(&source, input);
        assert!(all.contains(&reached), "{op:?}: {source:?} reaches {reached:?} outside {all:?}");
        let wanted = random.region(output.shape);
        let needs_all = op.input_region(&wanted, input);
        for index in pixels.all().iter() {
            let pixel = pixels.region(&index).expect("an index of the grid");
            let needs = op.input_region(&pixel, input);
            assert!(input.shape.region().contains(&needs), "{op:?}: {pixel:?} needs {needs:?} outside the input");
            let needed = !needs.intersect(&source).is_empty();
            assert_eq!(needed, reached.contains(&pixel), "{op:?}: {pixel:?} needs {needs:?}, {source:?} {reached:?}");
            let covered = !wanted.contains(&pixel) || needs_all.contains(&needs);
            assert!(covered, "{op:?}: {wanted:?} needs {needs_all:?}, its {pixel:?} {needs:?}");
        }
    }
}

fn parts_equal_the_whole(op: &dyn Op, input: &ArraySpec, output: &ArraySpec, random: &mut Random) {
    let source = random.pixels(*input);
    let answered = op.asks().map(|summary| answer(op, summary, source.as_ref(), output));
    let op = answered.as_deref().unwrap_or(op);
    let Ok(whole) = evaluate(op, source.as_ref(), &output.shape.region(), |_| 1) else { return };
    assert_eq!(whole.spec(), *output, "{op:?} makes of {input:?} what `output` says");
    for _ in 0..TRIES {
        let region = random.region(output.shape);
        if region.is_empty() {
            continue;
        }
        let part = evaluate(op, source.as_ref(), &region, |left| 1 + random.below(left));
        let part = part.unwrap_or_else(|error| panic!("{op:?} fails on {region:?} of {input:?} alone: {error}"));
        let expected = cut(whole.as_ref(), &region);
        assert!(
            part.as_ref().bytes() == expected.as_ref().bytes(),
            "{op:?}: {region:?} of {input:?} computed alone differs from the whole"
        );
    }
}

/// The operation that runs, for one that asks for a summary.
fn answer(op: &dyn Op, summary: Arc<dyn Summary>, source: PixelsRef<'_>, output: &ArraySpec) -> Arc<dyn Op> {
    let early = evaluate(op, source, &output.shape.region(), |left| left).map(|pixels| pixels.spec());
    assert!(
        matches!(early, Err(OpError::Unanswered { .. })),
        "{op:?} does not wait for its {}: {early:?}",
        summary.name()
    );
    let answer =
        summarise(summary, source).unwrap_or_else(|error| panic!("{op:?} asks for what cannot be had: {error}"));
    let answered = op.answered(&answer).unwrap_or_else(|error| panic!("{op:?} cannot do with {answer}: {error}"));
    assert!(answered.asks().is_none(), "{op:?} has been answered and asks on");
    assert_eq!(answered.output(&source.spec()).as_ref(), Ok(output), "{op:?} makes something else once answered");
    answered
}

fn state_is_bounded(op: &dyn Op, fold: &dyn Fold, dtype: PixelType) {
    // Boxes large enough that the pool counts them even at a byte a pixel.
    let plane = [1, 1, 1, 160, 160, 1];
    for length in [1, 2, 3, 4, 7, 8, 20] {
        let shape = Shape::new(plane).and_then(|shape| shape.with(fold.axis(), length)).expect("a small shape");
        let input = ArraySpec { shape, dtype };
        let Ok(output) = op.output(&input) else { return };
        let source = Random::new(length).pixels(input);
        let pool = BufferPool::new(0);
        // A sum may overflow at the end; what was taken counts all the same.
        let _ = run_fold(fold, source.as_ref(), output, &pool, |_| 1);
        let (peak, bound) = (pool.stats().peak_lent, fold.state_bytes(dtype, output.shape.pixels(), length));
        assert!(peak <= bound, "{op:?} on {length} × {dtype}: state took {peak} bytes, at most {bound} were promised");
        assert!(bound <= 3 * peak, "{op:?} on {length} × {dtype}: {bound} bytes are promised, {peak} taken");
    }
}

/// Computes `region` of the output of `op` on all of `input`, from the input region that it asks for.
///
/// A fold gets `step(left)` pixels along its axis at a time, of `left` that remain.
///
/// # Errors
/// What the operation says.
///
/// # Panics
/// If the operation asks for pixels outside `input`, or `step` gives 0 or more than remain.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Axis, Pixels, PixelType, Shape};
/// use microtome_ops::{Project, Projection, contract};
/// let mut stack = Pixels::zeroed(ArraySpec { shape: Shape::new([1, 1, 3, 1, 2, 1])?, dtype: PixelType::U8 });
/// stack.as_mut().bytes().copy_from_slice(&[1, 6, 5, 4, 3, 2]);
/// let op = Project { axis: Axis::Z, method: Projection::Max, dtype: None };
/// let all = Shape::new([1, 1, 1, 1, 2, 1])?.region();
/// let result = contract::evaluate(&op, stack.as_ref(), &all, |left| left)?;
/// assert_eq!(result.as_ref().bytes(), [5, 6]);
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
pub fn evaluate(
    op: &dyn Op,
    input: PixelsRef<'_>,
    region: &Region,
    step: impl FnMut(u64) -> u64,
) -> Result<Pixels, OpError> {
    let dtype = op.output(&input.spec())?.dtype;
    let output = ArraySpec { shape: region.shape(), dtype };
    let needed = op.input_region(region, &input.spec());
    let part = cut(input, &needed);
    match op.body() {
        Body::Index => Ok(part),
        Body::Fold(fold) => run_fold(fold, part.as_ref(), output, &BufferPool::new(0), step),
        Body::Map(map) => {
            let mut result = Pixels::zeroed(output);
            map.run(part.as_ref(), &mut result.as_mut())?;
            Ok(result)
        }
        Body::Neighbourhood(boxes) => {
            let place = Placement { whole: input.shape(), input: needed, output: *region };
            let mut result = Pixels::zeroed(output);
            boxes.run(part.as_ref(), &mut result.as_mut(), &place, &BufferPool::new(0))?;
            Ok(result)
        }
    }
}

fn run_fold(
    fold: &dyn Fold,
    input: PixelsRef<'_>,
    output: ArraySpec,
    pool: &BufferPool,
    mut step: impl FnMut(u64) -> u64,
) -> Result<Pixels, OpError> {
    let length = input.shape().get(fold.axis());
    let mut state = fold.start(input.dtype(), output.shape, length, pool)?;
    let mut start = 0;
    while start < length {
        let end = start + step(length - start);
        let slab = cut(input, &input.shape().region().with(fold.axis(), start, end));
        state.add(slab.as_ref())?;
        start = end;
    }
    let mut result = Pixels::zeroed(output);
    state.finish(&mut result.as_mut())?;
    Ok(result)
}

/// A copy of a region.
fn cut(pixels: PixelsRef<'_>, region: &Region) -> Pixels {
    let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), ..pixels.spec() });
    let origin = Shape::region(&pixels.shape()).origin();
    copy_region(pixels, &origin, &mut part.as_mut(), &region.origin(), region).expect("a region inside the pixels");
    part
}

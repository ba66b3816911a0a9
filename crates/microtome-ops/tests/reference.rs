//! Kernels against a loop over pixels, written here without anything of the crate but the operations themselves.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod values;

use microtome_array::{Axis, PixelType, Pixels};
use microtome_ops::contract::random::Random;
use microtome_ops::{Cast, Ends, Op, Project, Projection, Rescale};
use proptest::prelude::*;
use values::{Float, Int, Value, check, input, mean_of_integers, nearest, range, real, values};

fn tree(values: &[f64]) -> f64 {
    if values.len() == 1 {
        return values[0];
    }
    let mut split = 1;
    while 2 * split < values.len() {
        split *= 2;
    }
    tree(&values[..split]) + tree(&values[split..])
}

/// One pixel's projection, or `None` for a sum that does not fit.
fn project(method: Projection, column: &[Value], output: PixelType) -> Option<Value> {
    let floats: Vec<f64> = column.iter().map(|v| v.float()).collect();
    let n = column.len();
    let integers: Option<Vec<i128>> = column.iter().map(|v| if let Int(v) = v { Some(*v) } else { None }).collect();
    let Some(integers) = integers else {
        let nan = floats.iter().copied().find(|v| v.is_nan());
        // Of equal values the first; `max_by` would keep the last.
        let best =
            |better: fn(&f64, &f64) -> bool| floats.iter().copied().reduce(|a, b| if better(&b, &a) { b } else { a });
        return Some(match method {
            Projection::Max => Float(nan.or(best(f64::gt))?),
            Projection::Min => Float(nan.or(best(f64::lt))?),
            Projection::Sum => nearest(Float(tree(&floats)), output),
            Projection::Mean => nearest(Float(tree(&floats) / n as f64), output),
        });
    };
    let sum: i128 = integers.iter().sum();
    match method {
        Projection::Max => integers.into_iter().max().map(Int),
        Projection::Min => integers.into_iter().min().map(Int),
        Projection::Mean if output.is_float() => Some(nearest(Float(sum as f64 / n as f64), output)),
        Projection::Mean => Some(Int(mean_of_integers(sum, n as i128))),
        Projection::Sum if output.is_float() => Some(Float(sum as f64)),
        Projection::Sum => (range(output).0 <= sum && sum <= range(output).1).then_some(Int(sum)),
    }
}

/// The columns along `axis`, in C order of the other axes.
fn columns(pixels: &Pixels, axis: Axis) -> Vec<Vec<Value>> {
    let dims = pixels.spec().shape.dims();
    let (n, inner) = (dims[axis.index()], dims[axis.index() + 1..].iter().product::<usize>());
    let values = values(pixels);
    let starts = (0..values.len() / n).map(|i| i / inner * inner * n + i % inner);
    starts.map(|start| (0..n).map(|k| values[start + k * inner]).collect()).collect()
}

proptest! {
    #[test]
    fn projections_agree(
        extents in [1u64..40, 1..4, 1..40, 1..4, 1..4, 1..3],
        dtype in real(),
        axis in proptest::sample::select(&[Axis::T, Axis::C, Axis::Z][..]),
        method in proptest::sample::select(&Projection::ALL[..]),
        asked in proptest::sample::select(&[None, None, Some(PixelType::F32), Some(PixelType::F64)][..]),
        seed: u64,
    ) {
        let source = input(extents, dtype, seed);
        let op = Project { axis, method, dtype: asked };
        let Ok(output) = op.output(&source.spec()) else { return Ok(()) };
        let expected: Vec<_> = columns(&source, axis).iter().map(|c| project(method, c, output.dtype)).collect();
        check(&op, &source, &mut Random::new(seed), &expected)?;
    }

    #[test]
    fn long_boxes_are_walked_in_tiles_of_any_remainder(
        width in 2000u64..4200, length in 1u64..6, dtype in real(),
        method in proptest::sample::select(&Projection::ALL[..]), seed: u64,
    ) {
        let source = input([1, 2, length, 1, width, 1], dtype, seed);
        let op = Project { axis: Axis::Z, method, dtype: None };
        let Ok(output) = op.output(&source.spec()) else { return Ok(()) };
        let expected: Vec<_> = columns(&source, Axis::Z).iter().map(|c| project(method, c, output.dtype)).collect();
        check(&op, &source, &mut Random::new(seed), &expected)?;
    }

    #[test]
    fn casts_agree(from in real(), to in real(), seed: u64) {
        let source = input([1, 1, 1, 5, 40, 1], from, seed);
        let expected: Vec<_> = values(&source).into_iter().map(|v| Some(nearest(v, to))).collect();
        check(&Cast { dtype: to }, &source, &mut Random::new(0), &expected)?;
    }

    #[test]
    fn rescaling_agrees(
        from in real(), to in real(), a in -300.0..300.0f64, b in -300.0..300.0f64,
        (c, d) in (0.0..127.0f64, 0.0..127.0f64), whole: bool, seed: u64,
    ) {
        if a == b || to == PixelType::Bool {
            return Ok(());
        }
        let source = input([1, 1, 1, 5, 40, 1], from, seed);
        let (low, high) = if to.is_float() { (0.0, 1.0) } else { (range(to).0 as f64, range(to).1 as f64) };
        let (c, d) = if whole { (low, high) } else { (c, d) };
        let expected: Vec<_> = values(&source).into_iter().map(|v| {
            let x = v.float();
            let y = ((x - a) * (d - c)) / (b - a) + c;
            Some(nearest(Float(y.clamp(c.min(d), c.max(d))), to))
        }).collect();
        let op = Rescale { from: Ends::Values(a, b), to: (!whole).then_some((c, d)), dtype: Some(to) };
        check(&op, &source, &mut Random::new(0), &expected)?;
    }
}

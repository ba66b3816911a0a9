//! Kernels against a loop over pixels, written here without anything of the crate but the operations themselves.
//!
//! The reference knows two kinds of numbers: integers as `i128`, floats as `f64`.
#![allow(clippy::unwrap_used, reason = "a test may")]

use half::f16;
use microtome_array::{ArraySpec, Axis, PixelType, Pixels, Shape};
use microtome_ops::contract::{evaluate, random::Random};
use microtome_ops::{Cast, Ends, Op, OpError, Project, Projection, Rescale};
use proptest::prelude::*;

/// A pixel value as the reference sees it.
#[derive(Clone, Copy, Debug)]
enum Value {
    Int(i128),
    Float(f64),
}
use Value::{Float, Int};

impl Value {
    fn float(self) -> f64 {
        match self {
            Int(v) => v as f64,
            Float(v) => v,
        }
    }

    /// Equal, with one NaN, and with 0 apart from -0.
    fn same(self, other: Value) -> bool {
        match (self, other) {
            (Int(a), Int(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            _ => false,
        }
    }
}

fn values(pixels: &Pixels) -> Vec<Value> {
    let (dtype, bytes) = (pixels.spec().dtype, pixels.as_ref().bytes());
    let chunks = bytes.chunks_exact(dtype.size());
    macro_rules! read {
        ($T:ty, $kind:expr) => {
            chunks.map(|c| $kind(<$T>::from_ne_bytes(c.try_into().unwrap()).into())).collect()
        };
    }
    match dtype {
        PixelType::Bool | PixelType::U8 => read!(u8, Int),
        PixelType::U16 => read!(u16, Int),
        PixelType::U32 => read!(u32, Int),
        PixelType::U64 => read!(u64, Int),
        PixelType::I8 => read!(i8, Int),
        PixelType::I16 => read!(i16, Int),
        PixelType::I32 => read!(i32, Int),
        PixelType::I64 => read!(i64, Int),
        PixelType::F16 => read!(f16, Float),
        PixelType::F32 => read!(f32, Float),
        PixelType::F64 => read!(f64, Float),
        PixelType::C64 | PixelType::C128 => unreachable!("not tested"),
    }
}

/// Lowest and highest value of an integer type.
fn range(dtype: PixelType) -> (i128, i128) {
    let bits = 8 * dtype.size() as u32;
    match dtype {
        PixelType::Bool => (0, 1),
        _ if dtype.is_signed_integer() => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    }
}

/// The nearest value of a type by searching: between the two neighbours, the nearer, else the even one.
fn nearest(value: Value, dtype: PixelType) -> Value {
    match (dtype, value) {
        (PixelType::Bool, Int(v)) => Int(i128::from(v != 0)),
        (PixelType::Bool, Float(v)) => Int(i128::from(v != 0.0)),
        (PixelType::F64, v) => Float(v.float()),
        (PixelType::F32, Int(v)) => Float(f64::from(v as f32)),
        (PixelType::F32, Float(v)) => Float(f64::from(v as f32)),
        (PixelType::F16, v) => Float(nearest_f16(v.float())),
        (_, Int(v)) => Int(v.clamp(range(dtype).0, range(dtype).1)),
        (_, Float(v)) if v.is_nan() => Int(0),
        (_, Float(v)) => Int((v.round_ties_even() as i128).clamp(range(dtype).0, range(dtype).1)),
    }
}

fn nearest_f16(value: f64) -> f64 {
    if value.is_nan() {
        return value;
    }
    // 65536 would be next: past the middle of the two a value is infinite.
    if value.abs() >= 65520.0 {
        return f64::INFINITY.copysign(value);
    }
    let (mut low, mut high) = (0u16, 0x7bff);
    while high - low > 1 {
        let middle = u16::midpoint(low, high);
        if f16::from_bits(middle).to_f64() <= value.abs() { low = middle } else { high = middle }
    }
    let distance = |bits| (f16::from_bits(bits).to_f64() - value.abs()).abs();
    let up = distance(high) < distance(low) || (distance(high) == distance(low) && high % 2 == 0);
    f16::from_bits(if up { high } else { low }).to_f64().copysign(value)
}

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

fn mean_of_integers(sum: i128, n: i128) -> i128 {
    let toward_zero = sum / n;
    let floor = if toward_zero * n > sum { toward_zero - 1 } else { toward_zero };
    match (2 * (sum - floor * n)).cmp(&n) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
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

fn input(extents: [u64; 6], dtype: PixelType, seed: u64) -> Pixels {
    Random::new(seed).pixels(ArraySpec { shape: Shape::new(extents).unwrap(), dtype })
}

/// The columns along `axis`, in C order of the other axes.
fn columns(pixels: &Pixels, axis: Axis) -> Vec<Vec<Value>> {
    let dims = pixels.spec().shape.dims();
    let (n, inner) = (dims[axis.index()], dims[axis.index() + 1..].iter().product::<usize>());
    let values = values(pixels);
    let starts = (0..values.len() / n).map(|i| i / inner * inner * n + i % inner);
    starts.map(|start| (0..n).map(|k| values[start + k * inner]).collect()).collect()
}

fn real() -> impl Strategy<Value = PixelType> {
    proptest::sample::select(&PixelType::ALL[..12])
}

fn check(op: &dyn Op, source: &Pixels, steps: &mut Random, expected: &[Option<Value>]) -> Result<(), TestCaseError> {
    let region = op.output(&source.spec()).unwrap().shape.region();
    let result = evaluate(op, source.as_ref(), &region, |left| 1 + steps.below(left));
    if expected.iter().any(Option::is_none) {
        let overflow = matches!(result, Err(OpError::Overflow { .. }));
        prop_assert!(overflow, "{:?} should overflow", op);
        return Ok(());
    }
    let found = values(&result.unwrap());
    prop_assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        let expected = expected.unwrap();
        prop_assert!(
            found.same(expected),
            "{:?} of {:?}: pixel {} is {:?}, not {:?}",
            op,
            source.spec(),
            i,
            found,
            expected
        );
    }
    Ok(())
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

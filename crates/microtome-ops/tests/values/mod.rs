//! Pixel values as a reference sees them: integers as `i128`, floats as `f64`; and the comparison with what is found.

use half::f16;
use microtome_array::{ArraySpec, PixelType, Pixels, Shape};
use microtome_ops::contract::{evaluate, random::Random};
use microtome_ops::{Op, OpError};
use proptest::prelude::*;

/// A pixel value as the reference sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Int(i128),
    Float(f64),
}
pub(crate) use Value::{Float, Int};

impl Value {
    pub(crate) fn float(self) -> f64 {
        match self {
            Int(v) => v as f64,
            Float(v) => v,
        }
    }

    /// Equal, with one NaN, and with 0 apart from -0.
    pub(crate) fn same(self, other: Value) -> bool {
        match (self, other) {
            (Int(a), Int(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            _ => false,
        }
    }
}

/// All values of an array, in C order.
pub(crate) fn values(pixels: &Pixels) -> Vec<Value> {
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
pub(crate) fn range(dtype: PixelType) -> (i128, i128) {
    let bits = 8 * dtype.size() as u32;
    match dtype {
        PixelType::Bool => (0, 1),
        _ if dtype.is_signed_integer() => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    }
}

/// The nearest value of a type by searching: between the two neighbours, the nearer, else the even one.
pub(crate) fn nearest(value: Value, dtype: PixelType) -> Value {
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

/// The mean, rounded half to even.
pub(crate) fn mean_of_integers(sum: i128, n: i128) -> i128 {
    let toward_zero = sum / n;
    let floor = if toward_zero * n > sum { toward_zero - 1 } else { toward_zero };
    match (2 * (sum - floor * n)).cmp(&n) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
}

/// Random pixels.
pub(crate) fn input(extents: [u64; 6], dtype: PixelType, seed: u64) -> Pixels {
    Random::new(seed).pixels(ArraySpec { shape: Shape::new(extents).unwrap(), dtype })
}

/// Every type but the complex ones.
pub(crate) fn real() -> impl Strategy<Value = PixelType> {
    proptest::sample::select(&PixelType::ALL[..12])
}

/// Runs an operation and compares; `None` is a sum that does not fit.
pub(crate) fn check(
    op: &dyn Op,
    source: &Pixels,
    steps: &mut Random,
    expected: &[Option<Value>],
) -> Result<(), TestCaseError> {
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

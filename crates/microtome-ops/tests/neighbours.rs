//! Operations on neighbourhoods against a loop over pixels and blocks, written here without anything of the crate but the
//! operations themselves.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod values;

use microtome_array::{Axis, PixelType, Pixels};
use microtome_ops::contract::random::Random;
use microtome_ops::{Downsample, Factors, Gaussian, Op, Shrink, Sigma};
use proptest::prelude::*;
use values::{Float, Int, Value, check, input, mean_of_integers, nearest, real, values};

/// All indices of a shape, in C order.
fn indices(shape: [u64; 6]) -> Vec<[u64; 6]> {
    let count: u64 = shape.iter().product();
    let index = |mut n: u64| {
        let mut index = [0; 6];
        for axis in (0..6).rev() {
            index[axis] = n % shape[axis];
            n /= shape[axis];
        }
        index
    };
    (0..count).map(index).collect()
}

fn at(shape: [u64; 6], index: [u64; 6]) -> usize {
    index.iter().zip(shape).fold(0, |n, (i, extent)| n * extent + i) as usize
}

/// The values of a block, in C order.
fn block(values: &[Value], shape: [u64; 6], factors: [u64; 6], index: [u64; 6]) -> Vec<Value> {
    let start: Vec<u64> = (0..6).map(|a| index[a] * factors[a]).collect();
    let block: [u64; 6] = std::array::from_fn(|a| factors[a].min(shape[a] - start[a]));
    let inside = |offset: [u64; 6]| values[at(shape, std::array::from_fn(|a| start[a] + offset[a]))];
    indices(block).into_iter().map(inside).collect()
}

/// Writes the first few values of an array over and over, in an order that a seed decides.
fn repeat(source: &mut Pixels, few: u64, seed: u64) {
    let size = source.spec().dtype.size();
    let palette = source.as_ref().bytes().to_vec();
    let (mut random, few) = (Random::new(seed), few.min((palette.len() / size) as u64));
    for value in source.as_mut().bytes().chunks_exact_mut(size) {
        let at = random.below(few) as usize * size;
        value.copy_from_slice(&palette[at..at + size]);
    }
}

/// What a method chooses of a block: by counting how many values are smaller, and how many are equal.
fn chosen(block: &[Value], method: Shrink, dtype: PixelType) -> Value {
    if method == Shrink::Nearest {
        return block[0];
    }
    if block.iter().any(|v| matches!(v, Float(f) if f.is_nan())) {
        return Float(f64::NAN);
    }
    let smaller = |a: &Value, b: &Value| match (a, b) {
        (Int(a), Int(b)) => a < b,
        // -0 comes before 0.
        (a, b) => a.float() < b.float() || (a.float() == b.float() && a.float().to_bits() > b.float().to_bits()),
    };
    let before = |v: &Value| block.iter().filter(|other| smaller(other, v)).count();
    let equal = |v: &Value| block.iter().filter(|other| other.float() == v.float() && exact(other) == exact(v)).count();
    if method == Shrink::Mode {
        let most = block.iter().map(equal).max().unwrap();
        return *block.iter().filter(|v| equal(v) == most).min_by_key(|v| before(v)).unwrap();
    }
    // The value at a position of the sorted block: so many are smaller, and it itself reaches that far.
    let nth = |n: usize| {
        let reaches = |v: &&Value| before(v) <= n && n < before(v) + block.iter().filter(|o| o.same(**v)).count();
        *block.iter().find(reaches).unwrap()
    };
    match (nth((block.len() - 1) / 2), nth(block.len() / 2)) {
        (Int(low), Int(high)) => Int(mean_of_integers(low + high, 2)),
        (low, high) if low.same(high) => low,
        (low, high) => nearest(Float(f64::midpoint(low.float(), high.float())), dtype),
    }
}

fn exact(value: &Value) -> i128 {
    if let Int(v) = value { *v } else { 0 }
}

/// The mean of a block: rows along X, then the rows.
fn block_mean(values: &[Value], shape: [u64; 6], factors: [u64; 6], index: [u64; 6], dtype: PixelType) -> Value {
    let block_of_x = factors[4].min(shape[4] - index[4] * factors[4]);
    let all = block(values, shape, factors, index);
    let n = all.len();
    if let Some(integers) = all.iter().map(|v| if let Int(v) = v { Some(*v) } else { None }).collect::<Option<Vec<_>>>()
    {
        return Int(mean_of_integers(integers.iter().sum(), n as i128));
    }
    let rows = all.chunks(block_of_x as usize).map(|row| row.iter().map(|v| v.float()).reduce(|a, b| a + b).unwrap());
    nearest(Float(rows.reduce(|a, b| a + b).unwrap() / n as f64), dtype)
}

/// A pass of a Gaussian along an axis over the whole array, mirrored by walking.
fn pass(values: &[f64], shape: [u64; 6], axis: usize, sigma: f64, radius: i64) -> Vec<f64> {
    let raw = |k: i64| (-0.5 * (k * k) as f64 / (sigma * sigma)).exp();
    let sum: f64 = (-radius..=radius).map(raw).sum();
    let last = shape[axis] as i64 - 1;
    let walk = |from: u64, distance: i64| {
        let (mut place, mut step) = (from as i64, distance.signum());
        for _ in 0..distance.abs() {
            // Past an edge comes the edge pixel again, and then the way back.
            if place + step < 0 || place + step > last { step = -step } else { place += step }
        }
        place as u64
    };
    let smooth = |index: [u64; 6]| {
        let value = |k: i64| {
            let mut from = index;
            from[axis] = walk(index[axis], k);
            values[at(shape, from)]
        };
        (-radius..=radius).map(|k| value(k) * raw(k) / sum).sum()
    };
    if radius == 0 { values.to_vec() } else { indices(shape).into_iter().map(smooth).collect() }
}

fn gaussian(source: &Pixels, op: &Gaussian) -> Vec<f64> {
    let shape = source.spec().shape.extents();
    let mut current: Vec<f64> = values(source).iter().map(|v| v.float()).collect();
    for axis in [Axis::T, Axis::Z, Axis::Y, Axis::X] {
        let sigma = op.sigma.get(axis);
        current = pass(&current, shape, axis.index(), sigma, (op.truncate * sigma + 0.5) as i64);
    }
    current
}

proptest! {
    #[test]
    fn block_means_agree(
        extents in [1u64..4, 1..3, 1..5, 1..9, 1..12, 1..6],
        [t, c, z, y, x] in [1u64..3, 1..3, 1..4, 1..5, 1..6],
        dtype in real(), seed: u64,
    ) {
        let source = input(extents, dtype, seed);
        let op = Downsample { factor: Factors { t, c, z, y, x }, method: Shrink::Mean };
        let shape = op.output(&source.spec()).unwrap().shape.extents();
        let all = values(&source);
        let mean = |index| Some(block_mean(&all, extents, [t, c, z, y, x, 1], index, dtype));
        let expected: Vec<_> = indices(shape).into_iter().map(mean).collect();
        check(&op, &source, &mut Random::new(seed), &expected)?;
    }

    #[test]
    fn what_is_chosen_of_a_block_agrees(
        extents in [1u64..4, 1..3, 1..5, 1..9, 1..12, 1..6],
        [t, c, z, y, x] in [1u64..3, 1..3, 1..4, 1..5, 1..6],
        method in proptest::sample::select(&[Shrink::Median, Shrink::Mode, Shrink::Nearest][..]),
        dtype in real(), few in 1u64..6, seed: u64,
    ) {
        let mut source = input(extents, dtype, seed);
        repeat(&mut source, few, seed);
        let op = Downsample { factor: Factors { t, c, z, y, x }, method };
        let shape = op.output(&source.spec()).unwrap().shape.extents();
        let all = values(&source);
        let one = |index| Some(chosen(&block(&all, extents, [t, c, z, y, x, 1], index), method, dtype));
        let expected: Vec<_> = indices(shape).into_iter().map(one).collect();
        check(&op, &source, &mut Random::new(seed), &expected)?;
    }

    #[test]
    fn long_rows_are_walked_in_tiles_of_any_remainder(
        width in 2000u64..9000, samples in 1u64..5, x in 1u64..4, y in 1u64..3, dtype in real(), seed: u64,
    ) {
        let extents = [1, 1, 1, 2, width, samples];
        let source = input(extents, dtype, seed);
        let op = Downsample { factor: Factors { y, x, ..Factors::default() }, method: Shrink::Mean };
        let shape = op.output(&source.spec()).unwrap().shape.extents();
        let all = values(&source);
        let mean = |index| Some(block_mean(&all, extents, [1, 1, 1, y, x, 1], index, dtype));
        let expected: Vec<_> = indices(shape).into_iter().map(mean).collect();
        check(&op, &source, &mut Random::new(seed), &expected)?;
    }

    #[test]
    fn gaussians_agree(
        extents in [1u64..4, 1..3, 1..4, 1..6, 1..8, 1..3],
        [t, z, y, x] in [0.0..1.0f64, 0.0..2.0, 0.0..2.0, 0.0..4.0],
        none in 0usize..5, dtype in real(), truncate in 1.0..5.0f64, seed: u64,
    ) {
        let source = input(extents, dtype, seed);
        let mut sigma = [t, z, y, x];
        if let Some(sigma) = sigma.get_mut(none) {
            *sigma = 0.0;
        }
        let sigma = Sigma { t: sigma[0], z: sigma[1], y: sigma[2], x: sigma[3] };
        let op = Gaussian { sigma, truncate, dtype: Some(PixelType::F64) };
        let expected = gaussian(&source, &op);
        let all = source.spec().shape.region();
        let found = microtome_ops::contract::evaluate(&op, source.as_ref(), &all, |left| left).unwrap();
        // Weights and order of additions are others here: equal but for rounding.
        let finite = expected.iter().filter(|v| v.is_finite()).fold(0.0f64, |most, v| most.max(v.abs()));
        let largest = values(&source).iter().map(|v| v.float()).filter(|v| v.is_finite()).fold(finite, |a, b| a.max(b.abs()));
        for (found, expected) in found.as_ref().slice::<f64>().unwrap().iter().zip(expected) {
            let same = found == &expected || (found.is_nan() && expected.is_nan());
            prop_assert!(same || (found - expected).abs() <= 1e-13 * largest, "{} is not {}", found, expected);
        }
    }
}

//! The Gaussian mean around the middle of each block: rows are added up with their weights, then the pixels of the sum.
//!
//! *Invariant:* weights follow from the factor alone; a value is made of the pixels around its own block in a fixed order,
//! and pixels past an edge are the edge's, found by its index in the whole array.

use std::f64::consts::LN_2;

use microtome_array::Axis;

use crate::Placement;
use crate::gaussian::exp_of_minus;
use crate::number::Number;

/// Where the Gaussian is cut off, in standard deviations.
const TRUNCATE: f64 = 4.0;

/// Pixels on either side of a block that count.
pub(super) fn beyond(factor: u64) -> u64 {
    let factor = factor as f64;
    let sigma = ((factor * factor - 1.0) / (8.0 * LN_2)).sqrt();
    (TRUNCATE * sigma - (factor - 1.0) / 2.0).max(0.0) as u64
}

/// The weights of the pixels of a block and of those beyond it, which add up to 1.
fn weights(factor: u64) -> Vec<f64> {
    if factor == 1 {
        return vec![1.0];
    }
    let (beyond, factor) = (beyond(factor) as i64, factor as i64);
    let falls = LN_2 / (factor * factor - 1) as f64;
    // Twice the distance from the middle is a whole number.
    let raw: Vec<f64> = (-beyond..factor + beyond)
        .map(|k| {
            let twice = 2 * k - (factor - 1);
            exp_of_minus(falls * (twice * twice) as f64)
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| weight / sum).collect()
}

/// How an axis of the given pixels is walked.
struct Along {
    factor: u64,
    beyond: i64,
    weights: Vec<f64>,
    /// Extent of the whole input.
    whole: u64,
    /// First given input pixel, and first output pixel.
    input: u64,
    output: u64,
}

impl Along {
    fn new(factor: u64, axis: Axis, place: &Placement) -> Along {
        let (input, output) = (place.input.start(axis), place.output.start(axis));
        let whole = place.whole.get(axis);
        Along { factor, beyond: beyond(factor) as i64, weights: weights(factor), whole, input, output }
    }

    /// Given input pixels and their weights, of a given output pixel.
    fn taps(&self, output: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let start = ((self.output + output as u64) * self.factor) as i64 - self.beyond;
        let last = self.whole as i64 - 1;
        self.weights.iter().enumerate().map(move |(k, &weight)| {
            let at = (start + k as i64).clamp(0, last) as u64 - self.input;
            (at as usize, weight)
        })
    }
}

/// The output region, with one row of sums.
pub(super) struct Rows<'a> {
    along: [Along; 6],
    input: [usize; 6],
    output: [usize; 6],
    sums: &'a mut [f64],
}

impl<'a> Rows<'a> {
    /// `sums` has room for an input row.
    pub(super) fn new(factor: impl Fn(Axis) -> u64, place: &Placement, sums: &'a mut [f64]) -> Rows<'a> {
        let along = Axis::ALL.map(|axis| Along::new(factor(axis), axis, place));
        Rows { along, input: place.input.shape().dims(), output: place.output.shape().dims(), sums }
    }

    pub(super) fn run<T: Number>(&mut self, input: &[T], output: &mut [T]) {
        let [_, channels, depth, rows, columns, samples] = self.output;
        if output.is_empty() {
            return;
        }
        for (row, line) in output.chunks_exact_mut(columns * samples).enumerate() {
            let (y, plane) = (row % rows, row / rows);
            let (z, c, t) = (plane % depth, plane / depth % channels, plane / depth / channels);
            self.add_up(input, [t, c, z, y]);
            for (at, out) in line.iter_mut().enumerate() {
                let (x, sample) = (at / samples, at % samples);
                let taps = self.along[Axis::X.index()].taps(x);
                *out = T::from_f64(taps.map(|(x, weight)| weight * self.sums[x * samples + sample]).sum());
            }
        }
    }

    /// Adds the rows around an output row into `sums`.
    fn add_up<T: Number>(&mut self, input: &[T], [t, c, z, y]: [usize; 4]) {
        let [_, channels, depth, rows, columns, samples] = self.input;
        let (along, width) = (&self.along, columns * samples);
        self.sums[..width].fill(0.0);
        for (t, of_t) in along[Axis::T.index()].taps(t) {
            for (c, of_c) in along[Axis::C.index()].taps(c) {
                for (z, of_z) in along[Axis::Z.index()].taps(z) {
                    for (y, of_y) in along[Axis::Y.index()].taps(y) {
                        let weight = of_t * of_c * of_z * of_y;
                        let row = ((t * channels + c) * depth + z) * rows + y;
                        let row = &input[row * width..(row + 1) * width];
                        self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value.to_f64());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_symmetric_and_fall_from_the_middle() {
        // numpy: w = exp(-x**2 * 4 * log(2) / 3) at x = -2.5 ... 2.5, over its sum
        let expected = [0.001_681_704_051_738, 0.067_802_058_703_307, 0.430_516_237_244_955];
        let found = weights(2);
        assert_eq!(found.len(), 6);
        for (k, expected) in expected.into_iter().enumerate() {
            assert!((found[k] - expected).abs() < 1e-12 && found[5 - k] == found[k], "{found:?}");
        }
        for factor in [1, 2, 3, 4, 7, 100] {
            let weights = weights(factor);
            assert_eq!(weights.len() as u64, factor + 2 * beyond(factor));
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-13);
        }
    }
}

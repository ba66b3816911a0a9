//! One value of each block: the median, the most frequent one, or the first.
//!
//! *Invariant:* a block is looked at as a whole and in order of its values, so nothing depends on how it was gathered.

use std::cmp::Ordering;

use microtome_array::{Axis, PerAxis};

use crate::number::Number;
use crate::{Neighbourhood, Placement};

/// Blocks of an output region; all counts are of the given pixels.
pub(super) struct Blocks {
    factors: PerAxis<usize>,
    input: PerAxis<usize>,
    output: PerAxis<usize>,
}

impl Blocks {
    pub(super) fn new(op: &impl Neighbourhood, place: &Placement) -> Blocks {
        let input = PerAxis(place.input.shape().dims());
        // A factor past the axis is one block; cut, it cannot overflow.
        let factors = PerAxis::from_fn(|a| op.reach(a).stride.min(input[a].max(1) as u64) as usize);
        Blocks { factors, input, output: PerAxis(place.output.shape().dims()) }
    }

    /// Pixels of the largest block.
    pub(super) fn most(&self) -> usize {
        self.factors.0.iter().product()
    }

    /// Writes what `choose` makes of the values of each block, which are gathered in `block`.
    pub(super) fn run<T: Number>(
        &self,
        input: &[T],
        output: &mut [T],
        block: &mut [T],
        choose: impl Fn(&mut [T]) -> T,
    ) {
        self.rows(output, |index, line| {
            let [ts, cs, zs, ys] = index;
            for (at, out) in line.iter_mut().enumerate() {
                let (x, sample) = (at / self.output[Axis::S], at % self.output[Axis::S]);
                let xs = self.range(Axis::X, x);
                let mut count = 0;
                for t in ts.clone() {
                    for c in cs.clone() {
                        for z in zs.clone() {
                            for y in ys.clone() {
                                let row = self.row([t, c, z, y]);
                                for x in xs.clone() {
                                    block[count] = input[(row + x) * self.input[Axis::S] + sample];
                                    count += 1;
                                }
                            }
                        }
                    }
                }
                *out = choose(&mut block[..count]);
            }
        });
    }

    /// Writes the first pixel of each block.
    pub(super) fn first<T: Number>(&self, input: &[T], output: &mut [T]) {
        let (samples, step) = (self.input[Axis::S], self.factors[Axis::X] * self.input[Axis::S]);
        self.rows(output, |index, line| {
            let start = self.row(index.map(|range| range.start)) * samples;
            let row = &input[start..start + self.input[Axis::X] * samples];
            if samples == 1 {
                line.iter_mut().zip(row.iter().step_by(step)).for_each(|(out, &value)| *out = value);
            } else {
                let pixels = line.chunks_exact_mut(samples).zip(row.chunks(step));
                pixels.for_each(|(out, pixels)| out.copy_from_slice(&pixels[..samples]));
            }
        });
    }

    /// Goes through the rows of the output, with the input indices T, C, Z, Y that each stands for.
    fn rows<T>(&self, output: &mut [T], mut each: impl FnMut([std::ops::Range<usize>; 4], &mut [T])) {
        let [_, channels, depth, rows, columns, samples] = self.output.0;
        if output.is_empty() {
            return;
        }
        for (row, line) in output.chunks_exact_mut(columns * samples).enumerate() {
            let (y, plane) = (row % rows, row / rows);
            let (z, c, t) = (plane % depth, plane / depth % channels, plane / depth / channels);
            each([(Axis::T, t), (Axis::C, c), (Axis::Z, z), (Axis::Y, y)].map(|(a, i)| self.range(a, i)), line);
        }
    }

    fn range(&self, axis: Axis, index: usize) -> std::ops::Range<usize> {
        index * self.factors[axis]..((index + 1) * self.factors[axis]).min(self.input[axis])
    }

    /// Pixels before an input row.
    fn row(&self, [t, c, z, y]: [usize; 4]) -> usize {
        let [_, channels, depth, rows, columns, _] = self.input.0;
        (((t * channels + c) * depth + z) * rows + y) * columns
    }
}

/// Smaller first; -0 before 0.
fn order<T: Number>(a: &T, b: &T) -> Ordering {
    if T::INTEGER { a.wide().cmp(&b.wide()) } else { a.to_f64().total_cmp(&b.to_f64()) }
}

fn nan<T: Number>(block: &[T]) -> Option<T> {
    block.iter().any(|value| value.is_nan()).then(|| T::from_f64(f64::NAN))
}

/// The middle value, or the mean of the two in the middle, rounded half to even.
pub(super) fn median<T: Number>(block: &mut [T]) -> T {
    if let Some(nan) = nan(block) {
        return nan;
    }
    let (middle, odd) = (block.len() / 2, block.len() % 2 == 1);
    let (below, &mut high, _) = block.select_nth_unstable_by(middle, order);
    if odd {
        return high;
    }
    let low = below.iter().copied().max_by(order).unwrap_or(high);
    if T::INTEGER {
        let sum = low.wide() + high.wide();
        let floor = sum >> 1;
        return T::from_wide(floor + (sum & floor & 1));
    }
    T::from_f64(f64::midpoint(low.to_f64(), high.to_f64()))
}

/// The most frequent value; of several the smallest.
pub(super) fn mode<T: Number>(block: &mut [T]) -> T {
    if let Some(nan) = nan(block) {
        return nan;
    }
    block.sort_unstable_by(order);
    let (mut best, mut most) = (block[0], 0);
    for run in block.chunk_by(|a, b| a == b) {
        if run.len() > most {
            (best, most) = (run[0], run.len());
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_rounded_to_even() {
        assert_eq!([median(&mut [1u8, 2, 9, 0]), median(&mut [3u8, 2, 9, 0]), median(&mut [7u8])], [2, 2, 7]);
        assert_eq!(median(&mut [i8::MIN, i8::MIN, i8::MIN + 1, 0]), i8::MIN);
        assert_eq!(median(&mut [u64::MAX, u64::MAX - 1]), u64::MAX - 1);
        assert_eq!(median(&mut [-1i16, -2]), -2);
        assert_eq!(median(&mut [0.5f32, 3.0, 1.0, f32::INFINITY]).to_bits(), 2.0f32.to_bits());
        assert!(median(&mut [0.0f32, f32::NAN, 1.0]).is_nan());
    }

    #[test]
    fn of_equally_frequent_values_the_smallest_counts() {
        assert_eq!([mode(&mut [5u16, 3, 5, 3]), mode(&mut [9u16, 1, 2, 9]), mode(&mut [4u16, 3, 2, 1])], [3, 9, 1]);
        assert_eq!(mode(&mut [-0.0f32, 1.0, 1.0, 0.0, 0.0]).to_bits(), (-0.0f32).to_bits());
        assert!(mode(&mut [1.0f64, 1.0, f64::NAN]).is_nan());
    }
}

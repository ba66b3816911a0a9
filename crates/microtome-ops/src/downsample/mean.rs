//! The mean of blocks: sums of rows of blocks, then of the rows.
//!
//! *Invariant:* the order of additions within a block is fixed: along X from left to right, then T, C, Z, Y in C order.

use std::ops::Range;

use microtome_array::{Axis, PerAxis};

use crate::number::Number;
use crate::total::{Total, Width};
use crate::{Neighbourhood, Placement};

/// Sums that are held at a time: few enough to stay in the first cache.
const TILE: usize = 2048;

/// The blocks of an output region. All counts are of the given pixels, not of the whole array.
pub(super) struct Blocks {
    /// Input pixels of each output index, on each axis.
    ranges: PerAxis<Axial>,
    /// Extents of the input.
    input: [usize; 6],
    /// Extents of the output.
    output: [usize; 6],
    /// Pixels of a block that no edge cuts.
    most: u64,
}

/// How blocks lie along an axis: of `factor` pixels, the last one shorter where the array ends.
#[derive(Clone, Copy)]
struct Axial {
    factor: usize,
    extent: usize,
}

impl Axial {
    fn range(self, output: usize) -> Range<usize> {
        output * self.factor..((output + 1) * self.factor).min(self.extent)
    }
}

/// A part of an output row: so many whole blocks of equal width, or samples of one pixel.
struct Tile {
    /// First output pixel.
    x: usize,
    pixels: usize,
    samples: Range<usize>,
    /// Input pixels of a block along X.
    width: usize,
}

impl Blocks {
    pub(super) fn new(op: &impl Neighbourhood, place: &Placement) -> Blocks {
        let input = place.input.shape().dims();
        let ranges = PerAxis::from_fn(|axis| {
            let extent = input[axis.index()];
            // A factor past the axis is one block; cut, it cannot overflow.
            Axial { factor: op.reach(axis).stride.min(extent.max(1) as u64) as usize, extent }
        });
        let most = ranges.0.iter().map(|axial| axial.factor as u64).product();
        Blocks { ranges, input, output: place.output.shape().dims(), most }
    }

    /// Writes the means of `input` to `output`, both in C order.
    pub(super) fn run<T: Number>(&self, input: &[T], output: &mut [T]) {
        match Width::of(T::TYPE, self.most) {
            _ if !T::INTEGER => self.rows::<T, f64>(input, output),
            Width::W32 => self.rows::<T, i32>(input, output),
            Width::W64 => self.rows::<T, i64>(input, output),
            Width::W128 => self.rows::<T, i128>(input, output),
        }
    }

    fn rows<T: Number, A: Total>(&self, input: &[T], output: &mut [T]) {
        let [_, channels, depth, rows, columns, samples] = self.output;
        if output.is_empty() {
            return;
        }
        let tiles = self.tiles();
        let mut sums = [A::zeroed(); TILE];
        for (row, output) in output.chunks_exact_mut(columns * samples).enumerate() {
            let (y, plane) = (row % rows, row / rows);
            let (z, c, t) = (plane % depth, plane / depth % channels, plane / depth / channels);
            let block = [(Axis::T, t), (Axis::C, c), (Axis::Z, z), (Axis::Y, y)].map(|(a, i)| self.ranges[a].range(i));
            let lines: u64 = block.iter().map(|range| range.len() as u64).product();
            for tile in &tiles {
                let sums = &mut sums[..tile.pixels * tile.samples.len()];
                self.sum(input, &block, tile, sums);
                let n = lines * tile.width as u64;
                let at = tile.x * samples + tile.samples.start;
                let output = output[at..at + sums.len()].iter_mut().zip(&*sums);
                if n.is_power_of_two() {
                    let log = n.trailing_zeros();
                    output.for_each(|(mean, sum)| *mean = sum.mean_of_power(log));
                } else {
                    output.for_each(|(mean, sum)| *mean = sum.mean(n));
                }
            }
        }
    }

    /// Cuts an output row into tiles of blocks of equal width.
    fn tiles(&self) -> Vec<Tile> {
        let ([.., columns, samples], along) = (self.output, self.ranges[Axis::X]);
        let whole = columns.min(along.extent / along.factor);
        let step = (TILE / samples).max(1);
        let pixels = (0..whole).step_by(step).map(|x| (x, step.min(whole - x))).chain((whole..columns).map(|x| (x, 1)));
        let parts = pixels.flat_map(|(x, pixels)| (0..samples).step_by(TILE).map(move |s| (x, pixels, s)));
        parts
            .map(|(x, pixels, s)| {
                let samples = s..(s + TILE).min(samples);
                Tile { x, pixels, samples, width: along.range(x).len() }
            })
            .collect()
    }

    /// Sums the blocks of a tile, over the input rows of `block` (T, C, Z, Y).
    fn sum<T: Number, A: Total>(&self, input: &[T], block: &[Range<usize>; 4], tile: &Tile, sums: &mut [A]) {
        let [_, channels, depth, rows, columns, samples] = self.input;
        let [ts, cs, zs, ys] = block.clone();
        let mut first = true;
        for t in ts {
            for c in cs.clone() {
                for z in zs.clone() {
                    for y in ys.clone() {
                        let row = ((t * channels + c) * depth + z) * rows + y;
                        let start = (row * columns + tile.x * self.ranges[Axis::X].factor) * samples;
                        let line = &input[start..(row + 1) * columns * samples];
                        add_line(line, tile, samples, first, sums);
                        first = false;
                    }
                }
            }
        }
    }
}

/// Adds one row of each block. The common widths are loops that the compiler vectorises.
fn add_line<T: Number, A: Total>(line: &[T], tile: &Tile, samples: usize, first: bool, sums: &mut [A]) {
    match (samples, tile.width) {
        (1, 1) => put(sums, line.iter().map(|&a| A::of(a)), first),
        (1, 2) => blocks::<T, A, 2>(line, first, sums),
        (1, 3) => blocks::<T, A, 3>(line, first, sums),
        (1, 4) => blocks::<T, A, 4>(line, first, sums),
        (3, 2) => pairs::<T, A, 3>(line, first, sums),
        (4, 2) => pairs::<T, A, 4>(line, first, sums),
        _ => {
            let part = tile.samples.len();
            let values = (0..sums.len()).map(|i| {
                let at = i / part * tile.width * samples + tile.samples.start + i % part;
                let block = (1..tile.width).map(|k| A::of(line[at + k * samples]));
                block.fold(A::of(line[at]), A::plus)
            });
            put(sums, values, first);
        }
    }
}

/// Blocks of `W` pixels of one sample.
fn blocks<T: Number, A: Total, const W: usize>(line: &[T], first: bool, sums: &mut [A]) {
    let rows = line.as_chunks::<W>().0.iter();
    put(sums, rows.map(|row| row[1..].iter().fold(A::of(row[0]), |sum, &a| sum.plus(A::of(a)))), first);
}

/// Pairs of pixels of `S` samples.
fn pairs<T: Number, A: Total, const S: usize>(line: &[T], first: bool, sums: &mut [A]) {
    for (sums, pair) in sums.as_chunks_mut::<S>().0.iter_mut().zip(line.chunks_exact(2 * S)) {
        put(sums, (0..S).map(|s| A::of(pair[s]).plus(A::of(pair[S + s]))), first);
    }
}

fn put<A: Total>(sums: &mut [A], values: impl Iterator<Item = A>, first: bool) {
    if first {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = value);
    } else {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.plus(value));
    }
}

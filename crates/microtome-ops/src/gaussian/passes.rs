//! The passes of a separable filter, a row at a time.
//!
//! For each output plane, rows that T and Z have been smoothed along are kept in a ring as long as Y still needs them; from
//! it comes a row smoothed along Y, put where mirrored pixels can stand on both sides of it, and from that the output row.
//! So scratch is a few rows, however large the box.
//!
//! *Invariant:* [`combine`] is the only arithmetic, and it treats every pixel of a row alike.

use microtome_array::{Axis, PerAxis, Shape};

use super::Gaussian;
use super::weights::weights;
use crate::Placement;
use crate::number::Number;

/// How input, output and the whole array lie along an axis.
#[derive(Clone, Copy)]
struct Along {
    /// Pixels of the whole array.
    whole: i64,
    /// First input pixel in it.
    input: i64,
    /// First output pixel in it.
    output: i64,
}

impl Along {
    /// The input index of the pixel `distance` away from an output index, mirrored at the edges of the whole.
    fn at(self, output: usize, distance: i64) -> usize {
        let place = (self.output + output as i64 + distance).rem_euclid(2 * self.whole);
        let inside = if place < self.whole { place } else { 2 * self.whole - 1 - place };
        (inside - self.input) as usize
    }
}

/// Lengths of the parts of the scratch, in values.
struct Parts {
    /// Rows of the ring; none where Y is not smoothed.
    slots: u64,
    /// One input row.
    row: u64,
    /// An output row with the pixels that X needs on both sides.
    padded: u64,
    /// An output row, where X is smoothed.
    smooth: u64,
    /// Two input rows, where both T and Z are smoothed.
    pair: u64,
}

impl Parts {
    fn new(op: &Gaussian, input: &[u64; 6], output: &Shape) -> Parts {
        let [radius_t, radius_z, radius_y, radius_x] = [Axis::T, Axis::Z, Axis::Y, Axis::X].map(|a| op.radius(a));
        let [_, _, _, rows, columns, samples] = *input;
        let row = columns.saturating_mul(samples);
        let out = output.get(Axis::X).saturating_mul(samples);
        Parts {
            slots: if radius_y == 0 { 0 } else { rows.min(2 * radius_y + 1) },
            row,
            padded: out.saturating_add(2 * radius_x.saturating_mul(samples)),
            smooth: if radius_x == 0 { 0 } else { out },
            pair: if radius_t == 0 || radius_z == 0 { 0 } else { row.saturating_mul(2) },
        }
    }
}

/// Bytes of scratch for an input box of these extents.
pub(super) fn scratch(op: &Gaussian, input: &[u64; 6], output: &Shape) -> u64 {
    let parts = Parts::new(op, input, output);
    let values = parts.slots.saturating_mul(parts.row).saturating_add(parts.padded);
    values.saturating_add(parts.smooth).saturating_add(parts.pair).saturating_mul(size_of::<f64>() as u64).min(1 << 62)
}

/// The passes over one box.
pub(super) struct Passes<'a> {
    geometry: Geometry,
    scratch: Scratch<'a>,
}

struct Geometry {
    along: PerAxis<Along>,
    /// Extents of the input.
    input: [usize; 6],
    /// Extents of the output.
    output: [usize; 6],
    taps: Taps,
}

/// Weights at distance 0, 1, … along each axis.
struct Taps {
    t: Vec<f64>,
    z: Vec<f64>,
    y: Vec<f64>,
    x: Vec<f64>,
}

struct Scratch<'a> {
    ring: &'a mut [f64],
    slots: usize,
    padded: &'a mut [f64],
    smooth: &'a mut [f64],
    pair: &'a mut [f64],
}

impl<'a> Passes<'a> {
    /// Prepares the box at `place`; `scratch` has the bytes that [`scratch`] said.
    pub(super) fn new(op: &Gaussian, place: &Placement, scratch: &'a mut [f64]) -> Passes<'a> {
        let parts = Parts::new(op, &place.input.shape().extents(), &place.output.shape());
        let (ring, rest) = scratch.split_at_mut((parts.slots * parts.row) as usize);
        let (padded, rest) = rest.split_at_mut(parts.padded as usize);
        let (smooth, pair) = rest.split_at_mut(parts.smooth as usize);
        let along = PerAxis::from_fn(|axis| Along {
            whole: place.whole.get(axis) as i64,
            input: place.input.start(axis) as i64,
            output: place.output.start(axis) as i64,
        });
        let [t, z, y, x] =
            [Axis::T, Axis::Z, Axis::Y, Axis::X].map(|axis| weights(op.sigma.get(axis), op.radius(axis)));
        let (input, output) = (place.input.shape().dims(), place.output.shape().dims());
        let geometry = Geometry { along, input, output, taps: Taps { t, z, y, x } };
        Passes { geometry, scratch: Scratch { ring, slots: parts.slots as usize, padded, smooth, pair } }
    }

    /// Smooths `input` into `output`, both in C order.
    pub(super) fn run<A: Number, B: Number>(&mut self, input: &[A], output: &mut [B]) {
        let [_, channels, depth, rows, columns, samples] = self.geometry.output;
        if output.is_empty() {
            return;
        }
        for (plane, output) in output.chunks_exact_mut(rows * columns * samples).enumerate() {
            let place = [plane / depth / channels, plane / depth % channels, plane % depth];
            let mut made = 0;
            for (y, output) in output.chunks_exact_mut(columns * samples).enumerate() {
                self.row_along_y(input, place, y, &mut made);
                let row = self.row_along_x();
                output.iter_mut().zip(row).for_each(|(out, &value)| *out = B::from_f64(value));
            }
        }
    }

    /// Puts output row `y`, smoothed along T, Z and Y, into the middle of the padded row. Of the plane's input rows the
    /// first `made` have been through the ring.
    fn row_along_y<A: Number>(&mut self, input: &[A], place: [usize; 3], y: usize, made: &mut usize) {
        let Passes { geometry, scratch } = self;
        let width = geometry.input[4] * geometry.input[5];
        let first = geometry.first_inside() * geometry.input[5];
        let middle = &mut scratch.padded[first..first + width];
        let (along, taps) = (geometry.along[Axis::Y], &geometry.taps.y);
        if taps.len() == 1 {
            geometry.row_along_tz(input, place, along.at(y, 0), scratch.pair, middle);
            return;
        }
        let last = (along.output + y as i64 + taps.len() as i64 - 1).min(along.whole - 1) - along.input;
        while *made as i64 <= last {
            let slot = *made % scratch.slots * width;
            geometry.row_along_tz(input, place, *made, scratch.pair, &mut scratch.ring[slot..slot + width]);
            *made += 1;
        }
        let ring = &*scratch.ring;
        combine(middle, taps, |distance| {
            let slot = along.at(y, distance) % scratch.slots * width;
            &ring[slot..slot + width]
        });
    }

    /// Mirrors what lies past the edges of the padded row, and smooths it along X.
    fn row_along_x(&mut self) -> &[f64] {
        let Passes { geometry, scratch } = self;
        let (along, taps, samples) = (geometry.along[Axis::X], &geometry.taps.x, geometry.input[5]);
        if taps.len() == 1 {
            return scratch.padded;
        }
        let radius = taps.len() - 1;
        let first = geometry.first_inside();
        for x in (0..first).chain(first + geometry.input[4]..geometry.output[4] + 2 * radius) {
            let from = first + along.at(0, x as i64 - radius as i64);
            scratch.padded.copy_within(from * samples..(from + 1) * samples, x * samples);
        }
        let (padded, width) = (&*scratch.padded, scratch.smooth.len());
        combine(scratch.smooth, taps, |distance| {
            let start = (radius as i64 + distance) as usize * samples;
            &padded[start..start + width]
        });
        scratch.smooth
    }
}

impl Geometry {
    /// The place in the padded row of the first input pixel.
    fn first_inside(&self) -> usize {
        let Along { input, output, .. } = self.along[Axis::X];
        (input - (output - (self.taps.x.len() as i64 - 1))) as usize
    }

    /// Smooths input row `row` of an output plane (T, C, Z) along T and Z.
    fn row_along_tz<A: Number>(&self, input: &[A], place: [usize; 3], row: usize, pair: &mut [f64], into: &mut [f64]) {
        let [_, channels, depth, rows, columns, samples] = self.input;
        let ([t, c, z], width) = (place, columns * samples);
        let line = |t: usize, z: usize| {
            let start = (((t * channels + c) * depth + z) * rows + row) * width;
            &input[start..start + width]
        };
        let (along_t, along_z) = (self.along[Axis::T], self.along[Axis::Z]);
        if self.taps.t.len() == 1 {
            return combine(into, &self.taps.z, |distance| line(along_t.at(t, 0), along_z.at(z, distance)));
        }
        let along = |z: usize, into: &mut [f64]| combine(into, &self.taps.t, |k| line(along_t.at(t, k), z));
        if self.taps.z.len() == 1 {
            return along(along_z.at(z, 0), into);
        }
        let (left, right) = pair.split_at_mut(width);
        along(along_z.at(z, 0), left);
        middle(into, left, self.taps.z[0]);
        for (k, &weight) in self.taps.z.iter().enumerate().skip(1).rev() {
            along(along_z.at(z, -(k as i64)), left);
            along(along_z.at(z, k as i64), right);
            add_pair(into, left, right, weight);
        }
    }
}

/// The weighted sum of rows: the one at distance 0, then pairs at equal distance, the outermost first.
fn combine<'a, T: Number>(into: &mut [f64], taps: &[f64], row: impl Fn(i64) -> &'a [T]) {
    middle(into, row(0), taps[0]);
    for (k, &weight) in taps.iter().enumerate().skip(1).rev() {
        add_pair(into, row(-(k as i64)), row(k as i64), weight);
    }
}

fn middle<T: Number>(into: &mut [f64], row: &[T], weight: f64) {
    into.iter_mut().zip(row).for_each(|(sum, value)| *sum = value.to_f64() * weight);
}

fn add_pair<T: Number>(into: &mut [f64], left: &[T], right: &[T], weight: f64) {
    let pairs = left.iter().zip(right);
    into.iter_mut().zip(pairs).for_each(|(sum, (a, b))| *sum += (a.to_f64() + b.to_f64()) * weight);
}

//! What the tests of this crate share: reading a scene whole, and hashing it in another order of axes.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

pub(crate) mod build;
#[path = "../../../../tests/tests/manifest/table.rs"]
mod table;

use std::path::PathBuf;

pub(crate) use table::table;

use microtome_array::{Axis, Pixels, Shape};
use microtome_io::{Place, ReadError, Reader, read_region};
use microtome_tiff::TiffReader;
use sha2::{Digest, Sha256};

/// A folder named by an environment variable; says loudly that the test is skipped where it is not set.
pub(crate) fn folder(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        eprintln!("SKIPPED: {variable} is not set, nothing was checked");
    }
    found
}

/// All pixels of a scene at full resolution.
pub(crate) fn read_all(reader: &TiffReader, scene: usize) -> Result<Pixels, ReadError> {
    read_region(reader, Place { scene, level: 0 }, &reader.info().scenes[scene].shape().region())
}

/// The axes of `shape` that the letters of a manifest mean: I and Q are the axis of T, Z, C that is left.
pub(crate) fn axes_of(letters: &str, shape: &Shape) -> Vec<Axis> {
    let named = |a: Axis| letters.contains(a.letter());
    let mut left = [Axis::T, Axis::Z, Axis::C].into_iter().filter(|&a| !named(a) && shape.get(a) > 1);
    letters.chars().filter_map(|c| Axis::parse(c).ok().or_else(|| left.next())).collect()
}

/// The sum of pixels in C order of `axes`; axes not named have length 1.
pub(crate) fn sha256(pixels: &Pixels, axes: &[Axis]) -> String {
    let spec = pixels.spec();
    let size = spec.dtype.size();
    let dims = spec.shape.dims();
    let mut strides = [size; 6];
    for n in (0..5).rev() {
        strides[n] = strides[n + 1] * dims[n + 1];
    }
    let bytes = pixels.as_ref().bytes();
    let mut hash = Sha256::new();
    let order: Vec<(usize, usize)> = axes.iter().map(|a| (dims[a.index()], strides[a.index()])).collect();
    walk(bytes, &order, 0, size, &mut hash);
    format!("{:x}", hash.finalize())
}

fn walk(bytes: &[u8], order: &[(usize, usize)], at: usize, size: usize, hash: &mut Sha256) {
    match order {
        [] => hash.update(&bytes[at..at + size]),
        // A run of neighbouring values.
        [(count, stride)] if *stride == size => hash.update(&bytes[at..at + count * size]),
        [(n0, s0), (n1, s1)] if *s1 == size && *s0 == n1 * size => hash.update(&bytes[at..at + n0 * s0]),
        [(count, stride), rest @ ..] => (0..*count).for_each(|n| walk(bytes, rest, at + n * stride, size, hash)),
    }
}

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
    let mut hash = Sha256::new();
    visit(pixels, axes, &mut |bytes| hash.update(bytes));
    format!("{:x}", hash.finalize())
}

/// The largest difference between pixels in C order of `axes` and others, little-endian; axes not named have length 1.
pub(crate) fn largest_difference(pixels: &Pixels, axes: &[Axis], others: &[u8]) -> Result<u64, String> {
    let mut bytes = Vec::new();
    visit(pixels, axes, &mut |part| bytes.extend_from_slice(part));
    if bytes.len() != others.len() {
        return Err(format!("{} bytes of pixels, expected {}", bytes.len(), others.len()));
    }
    let wide = |b: &[u8]| u64::from(u16::from_le_bytes([b[0], b[1]]));
    let difference = match pixels.spec().dtype.name() {
        "uint8" => bytes.iter().zip(others).map(|(&a, &b)| u64::from(a.abs_diff(b))).max(),
        "uint16" => bytes.chunks_exact(2).zip(others.chunks_exact(2)).map(|(a, b)| wide(a).abs_diff(wide(b))).max(),
        other => return Err(format!("no differences of {other}")),
    };
    Ok(difference.unwrap_or(0))
}

fn visit(pixels: &Pixels, axes: &[Axis], each: &mut dyn FnMut(&[u8])) {
    let spec = pixels.spec();
    let size = spec.dtype.size();
    let dims = spec.shape.dims();
    let mut strides = [size; 6];
    for n in (0..5).rev() {
        strides[n] = strides[n + 1] * dims[n + 1];
    }
    let bytes = pixels.as_ref().bytes();
    let order: Vec<(usize, usize)> = axes.iter().map(|a| (dims[a.index()], strides[a.index()])).collect();
    walk(bytes, &order, 0, size, each);
}

fn walk(bytes: &[u8], order: &[(usize, usize)], at: usize, size: usize, each: &mut dyn FnMut(&[u8])) {
    match order {
        [] => each(&bytes[at..at + size]),
        // A run of neighbouring values.
        [(count, stride)] if *stride == size => each(&bytes[at..at + count * size]),
        [(n0, s0), (n1, s1)] if *s1 == size && *s0 == n1 * size => each(&bytes[at..at + n0 * s0]),
        [(count, stride), rest @ ..] => (0..*count).for_each(|n| walk(bytes, rest, at + n * stride, size, each)),
    }
}

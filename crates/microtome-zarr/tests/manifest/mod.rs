//! What the tests on a corpus share: its tables, scenes read whole, and sums in another order of axes.
#![allow(clippy::print_stderr, reason = "a test may")]
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

#[path = "../../../../tests/tests/manifest/table.rs"]
mod table;

use std::path::PathBuf;

use microtome_array::{Axis, Pixels};
use microtome_io::{Place, ReadError, Reader, read_region};
use sha2::{Digest, Sha256};

pub(crate) use table::{Row, table};

/// The folder that `MICROTOME_CORPUS` names; says loudly that the test is skipped where it is not set.
pub(crate) fn corpus() -> Option<PathBuf> {
    let found = std::env::var_os("MICROTOME_CORPUS").map(PathBuf::from);
    if found.is_none() {
        eprintln!("SKIPPED: MICROTOME_CORPUS is not set, nothing was checked");
    }
    found
}

/// All pixels of a scene at a level.
pub(crate) fn whole(reader: &dyn Reader, at: Place) -> Result<Pixels, ReadError> {
    let (_, level) = reader.level(at)?;
    read_region(reader, at, &level.shape.region())
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
    let order: Vec<(usize, usize)> = axes.iter().map(|a| (dims[a.index()], strides[a.index()])).collect();
    let mut hash = Sha256::new();
    walk(pixels.as_ref().bytes(), &order, 0, size, &mut hash);
    format!("{:x}", hash.finalize())
}

fn walk(bytes: &[u8], order: &[(usize, usize)], at: usize, size: usize, hash: &mut Sha256) {
    match order {
        [] => hash.update(&bytes[at..at + size]),
        [(count, stride)] if *stride == size => hash.update(&bytes[at..at + count * size]),
        [(count, stride), rest @ ..] => (0..*count).for_each(|n| walk(bytes, rest, at + n * stride, size, hash)),
    }
}

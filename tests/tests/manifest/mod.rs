//! The manifest of the sample corpus: real files with independent ground truth, named by `MICROTOME_CORPUS`.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of this module")]

mod table;

use std::path::PathBuf;

use microtome::{Axis, Shape};

pub(crate) use table::{Row, table};

/// The folder of the corpus; says loudly that a test is skipped where there is none.
pub fn corpus() -> Option<PathBuf> {
    let found = std::env::var_os("MICROTOME_CORPUS").map(PathBuf::from);
    if found.is_none() {
        eprintln!("SKIPPED: MICROTOME_CORPUS is not set, nothing was checked");
    }
    found
}

/// The rows of a manifest.
pub fn rows(path: PathBuf) -> Vec<Row> {
    table(&std::fs::read_to_string(path).unwrap())
}

/// Why a row is outside what is read: a compression that no kept library decodes, or `None`.
pub fn out_of_scope(row: &Row) -> Option<&str> {
    let codec = row["compression"].as_str();
    (row["kind"] == "tiff" && codec == "JPEGXR").then_some(codec)
}

/// Whether decoders may differ by some counts, so that sums of pixels say nothing.
pub fn is_lossy(row: &Row) -> bool {
    row["hash_exact"].starts_with("no")
}

/// Extents of a shape in the order of a manifest's letters, axes of length 1 dropped; I and Q are any of T, C, Z.
pub fn extents(letters: &str, shape: &Shape) -> Vec<u64> {
    let mut left =
        [Axis::T, Axis::Z, Axis::C].into_iter().filter(|a| !letters.contains(a.letter()) && shape.get(*a) > 1);
    let named: Vec<Axis> = letters.chars().filter_map(|c| Axis::parse(c).ok().or_else(|| left.next())).collect();
    let axes = if letters.is_empty() { Axis::ALL.to_vec() } else { named };
    axes.into_iter().map(|a| shape.get(a)).filter(|&n| n > 1).collect()
}

/// The shape column, axes of length 1 dropped.
pub fn expected_extents(row: &Row) -> Vec<u64> {
    row["shape"].split('x').map(|n| n.parse().unwrap()).filter(|&n| n > 1).collect()
}

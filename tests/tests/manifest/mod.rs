//! The manifest of the sample corpus: real files with independent ground truth, named by `MICROTOME_CORPUS`.
#![allow(dead_code, reason = "each test file uses a part of this module")]

use std::collections::HashMap;
use std::path::PathBuf;

use microtome::{Axis, Shape};

/// A line of the manifest by the names of its columns.
pub type Row = HashMap<String, String>;

/// The folder of the corpus; says loudly that a test is skipped where there is none.
pub fn corpus() -> Option<PathBuf> {
    let found = std::env::var_os("MICROTOME_CORPUS").map(PathBuf::from);
    if found.is_none() {
        eprintln!("SKIPPED: MICROTOME_CORPUS is not set, nothing was checked");
    }
    found
}

/// The rows of a table with a line of names, comma separated, quoted where needed.
pub fn rows(path: PathBuf) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(cells);
    let names = lines.next().unwrap();
    lines.map(|row| names.iter().cloned().zip(row).collect()).collect()
}

fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

/// Why a row is outside what is read: its compression, or `None`.
pub fn out_of_scope(row: &Row) -> Option<&str> {
    let read = ["NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "ZSTD", "PACKBITS"];
    let codec = row["compression"].as_str();
    (row["kind"] == "tiff" && !read.contains(&codec)).then_some(codec)
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

//! Good images with one thing broken: whatever byte or number of a file is changed, opening and reading end in pixels or
//! a typed error, soon, and never in a panic.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod manifest;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use manifest::whole;
use microtome_io::{Limits, Place, Reader};

/// Values that break arithmetic, and words in the wrong place.
const POISON: [&str; 16] = [
    "0",
    "-1",
    "1",
    "3",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "1e308",
    "null",
    "\"x\"",
    "[]",
    "{}",
    "true",
];

/// What a read of one level may be at most, so that an enlarged array costs little.
const MOST_BYTES: u64 = 4 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy(&from, &to) } else { assert!(fs::copy(&from, &to).is_ok()) }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Opens and reads all levels that are not large; how it ends does not matter, that it ends does.
fn survive(folder: &Path, what: &str) {
    let start = Instant::now();
    let limits = Limits { tile_bytes: 8 << 20, ..Limits::default() };
    if let Ok(reader) = microtome_zarr::open(folder, &limits) {
        for (scene, info) in reader.info().scenes.iter().enumerate() {
            for (level, description) in info.levels.iter().enumerate() {
                if description.shape.bytes(info.dtype) <= MOST_BYTES {
                    drop(whole(&reader, Place { scene, level }));
                }
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", start.elapsed());
}

/// Each number, word, list and object of a JSON text, as ranges of the text.
fn values(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for (at, _) in text.match_indices([':', ',', '[']) {
        let start = at + 1 + bytes[at + 1..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let mut tail = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde_json::Value>();
        if matches!(tail.next(), Some(Ok(_))) {
            found.push(start..start + tail.byte_offset());
        }
    }
    found
}

#[test]
fn every_value_of_the_metadata_may_be_anything() {
    for name in ["ome-zarr-0.4.zarr", "ome-zarr-0.5-sharded.zarr"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture(name), folder.path());
        let mut all = Vec::new();
        files(folder.path(), &mut all);
        for path in all {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            if serde_json::from_str::<serde_json::Value>(&text).is_err() {
                continue;
            }
            for range in values(&text) {
                for poison in POISON {
                    let changed = format!("{}{poison}{}", &text[..range.start], &text[range.end..]);
                    fs::write(&path, &changed).unwrap();
                    survive(folder.path(), &format!("{}: {poison} at {range:?}", path.display()));
                }
            }
            fs::write(&path, &text).unwrap();
        }
    }
}

#[test]
fn every_file_may_be_cut_emptied_or_flipped() {
    for name in ["ome-zarr-0.4.zarr", "ome-zarr-0.5-sharded.zarr"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture(name), folder.path());
        let mut all = Vec::new();
        files(folder.path(), &mut all);
        all.sort();
        let is_metadata = |path: &PathBuf| path.to_string_lossy().contains("/.z") || path.ends_with("zarr.json");
        let (metadata, chunks): (Vec<_>, Vec<_>) = all.iter().partition(|path| is_metadata(path));
        // Chunks are alike: the first few tell.
        for path in metadata.into_iter().chain(chunks.into_iter().take(2)) {
            let bytes = fs::read(path).unwrap();
            let step = bytes.len() / 150 + 1;
            for at in (0..bytes.len()).step_by(step) {
                fs::write(path, &bytes[..at]).unwrap();
                survive(folder.path(), &format!("{} cut at {at}", path.display()));
                for flip in [0x01, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    fs::write(path, &changed).unwrap();
                    survive(folder.path(), &format!("{} flipped at {at}", path.display()));
                }
            }
            fs::write(path, &bytes).unwrap();
        }
    }
}

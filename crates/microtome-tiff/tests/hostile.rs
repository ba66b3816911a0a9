//! Files made to hurt a reader: each must give a typed error or pixels, quickly, and never a panic.
//!
//! `MICROTOME_CORPUS` names a folder with `hostile/MANIFEST.csv` (columns `path`, `kind`, `expected`).
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::{Duration, Instant};

use microtome_io::{Limits, Reader};
use support::{folder, read_all, table};

/// Scenes larger than this are not read: what is asked here is how a reader fails, not how much it reads.
const MOST_BYTES: u64 = 256 << 20;

#[test]
fn hostile_files_give_an_error_or_pixels_in_time() {
    let Some(corpus) = folder("MICROTOME_CORPUS") else { return };
    let corpus = corpus.join("hostile");
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.csv")).unwrap();
    let mut failures = Vec::new();
    let mut count = 0;
    for row in table(&manifest).iter().filter(|r| r["kind"] == "tiff") {
        let start = Instant::now();
        let outcome = open_and_read(&corpus.join(&row["path"]));
        let seconds = start.elapsed();
        eprintln!("{:50} {:8} {:6.0?} {outcome:?}", row["path"], row["expected"], seconds);
        let wrong = match (row["expected"].as_str(), &outcome) {
            ("error", Ok(_)) | ("valid", Err(_)) => true,
            _ => seconds > Duration::from_secs(10),
        };
        if wrong {
            failures.push(format!("{} ({}): {outcome:?} in {seconds:?}", row["path"], row["expected"]));
        }
        count += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count > 30, "the corpus has more than {count} hostile TIFF files");
}

/// Scenes and warnings, or the first error.
fn open_and_read(path: &std::path::Path) -> Result<(usize, Vec<String>), String> {
    let reader = microtome_tiff::open(path, &Limits::default()).map_err(|e| format!("open: {e}"))?;
    for (n, scene) in reader.info().scenes.iter().enumerate() {
        if scene.shape().bytes(scene.dtype) <= MOST_BYTES {
            read_all(&reader, n).map_err(|e| format!("read: {e}"))?;
        }
    }
    Ok((reader.info().scenes.len(), reader.info().warnings.clone()))
}

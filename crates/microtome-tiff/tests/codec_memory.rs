//! What a decoder takes is no more than it declares: a picture of 2500 × 2500 pixels with each codec, measured as the
//! memory of the process.
//!
//! `MICROTOME_PYTHON` names a Python with tifffile, imagecodecs and Pillow, which write the pictures.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use microtome_tiff::bare::Strip;
use support::folder;

/// Bytes that a process takes and gives back as it likes.
const SLACK: u64 = 4 << 20;

/// A line of what the system says about this process, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Bytes by which the process grew at most while `work` ran, or `None` where the system does not tell.
fn growth<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = status("VmRSS:");
    let done = work();
    (done, reset.then(|| status("VmHWM:").saturating_sub(before)))
}

#[test]
fn decoders_take_no_more_than_they_declare() {
    let Some(python) = folder("MICROTOME_PYTHON") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/write_codecs.py");
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new(python).arg(script).arg(dir.path()).status().unwrap().success(), "write_codecs.py failed");
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|path| path.to_str().unwrap().ends_with(".large.tif"));
    // What is given back stays with the process, and would hide what a smaller one takes after it.
    names.sort_by_key(|path| (Strip::first_of(path).unwrap().0.work_bytes(), path.clone()));
    assert!(names.len() >= 20, "there are only {} pictures", names.len());
    for path in names {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (strip, encoded) = Strip::first_of(&path).unwrap();
        let (pixels, grown) = growth(|| strip.decode(&encoded, 1 << 30));
        let pixels = pixels.unwrap_or_else(|why| panic!("{name} does not decode: {why}"));
        assert_eq!(pixels.len() as u64, strip.bytes(), "{name}");
        let Some(grown) = grown else {
            eprintln!("SKIPPED: the system does not measure the largest memory anew");
            return;
        };
        let declared = strip.bytes() + strip.work_bytes();
        println!("{name:26} took {:4} MiB of {:4} declared", grown >> 20, declared >> 20);
        assert!(grown <= declared + SLACK, "{name} took {grown} bytes and declares {declared}");
    }
}

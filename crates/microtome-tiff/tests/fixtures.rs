//! The sample images of the repository: description and pixels as `fixtures/expected.json` has them, and the contract of
//! every reader.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::{Path, PathBuf};

use microtome_array::Axis;
use microtome_io::{Limits, Reader, contract};
use serde_json::{Value, json};
use support::{read_all, sha256};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

#[test]
fn samples_are_described_and_read_as_they_were_made() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for (name, expected) in
        expected.as_object().unwrap().iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|e| e == "tif"))
    {
        let reader = microtome_tiff::open(&fixtures().join(name), &Limits::default()).unwrap();
        let info = reader.info();
        let scene = &info.scenes[0];
        assert_eq!(info.warnings, [""; 0], "{name}");
        assert_eq!(json!(info.format), expected["format"], "{name}");
        assert_eq!(json!(scene.shape().axes()), expected["axes"], "{name}");
        assert_eq!(json!(scene.shape().present()), expected["shape"], "{name}");
        assert_eq!(json!(scene.dtype), expected["dtype"], "{name}");
        assert_eq!(json!(scene.channels), expected["channels"], "{name}");
        assert_eq!(json!(scene.pixel_size), expected["pixel_size"], "{name}");
        assert_eq!(json!(scene.time_increment), expected["time_increment"], "{name}");
        assert_eq!(json!(sha256(&read_all(&reader, 0).unwrap(), &Axis::ALL)), expected["sha256"], "{name}");
        contract::reader(&reader, 3);
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn a_source_is_the_same_when_opened_again_and_another_one_is_not() {
    let open = |name: &str| microtome_tiff::open(&fixtures().join(name), &Limits::default()).unwrap().source();
    assert_eq!(open("cells.ome.tif"), open("cells.ome.tif"));
    assert_ne!(open("cells.ome.tif").digest, open("imagej.tif").digest);
}

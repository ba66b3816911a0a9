//! Small valid files, cut and changed at random: an error or pixels, never a panic, never long.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use microtome_io::{Limits, ReadError, Reader};
use proptest::prelude::*;
use support::read_all;

const SAMPLES: [&str; 5] = ["plain.tif", "cells.ome.tif", "tiled-big.tif", "imagej.tif", "rgb.tif"];

fn sample(n: usize) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(SAMPLES[n])).unwrap()
}

/// Limits under which even a file that lies about its size costs little.
fn limits() -> Limits {
    Limits { plane_pixels: 1 << 22, tile_bytes: 1 << 24, pages: 1 << 12, ..Limits::default() }
}

fn open_and_read(bytes: &[u8]) -> Result<(), ReadError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutated.tif");
    std::fs::write(&path, bytes).unwrap();
    let reader = microtome_tiff::open(&path, &limits())?;
    for (n, scene) in reader.info().scenes.iter().enumerate() {
        if scene.shape().bytes(scene.dtype) < 1 << 26 {
            read_all(&reader, n)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_give_an_error_or_pixels(
        which in 0..SAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample(which);
        let len = bytes.len();
        for (at, value, near) in changes {
            // Headers lie at both ends: change them more often than pixels.
            let place = if near { at.index(len.min(600)) } else { len - 1 - at.index(len.min(3000)) };
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(len));
        }
        let start = Instant::now();
        let _ = open_and_read(&bytes);
        prop_assert!(start.elapsed() < Duration::from_secs(5));
    }
}

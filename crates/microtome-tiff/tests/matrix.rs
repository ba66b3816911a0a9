//! Variants of TIFF written by tifffile and imagecodecs when the test runs: pixel type, byte order, compression,
//! predictor, strips and tiles, samples together and apart; faxes by libtiff. `MICROTOME_PYTHON` names a Python with
//! these packages. Lossless variants are equal bit by bit, lossy ones within some counts of imagecodecs' decoders.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::Path;
use std::process::Command;

use microtome_io::{Limits, Reader, contract};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use support::{axes_of, folder, largest_difference, read_all, sha256};

#[derive(Deserialize)]
struct Entry {
    file: String,
    axes: String,
    shape: Vec<u64>,
    dtype: String,
    sha256: String,
    /// Counts by which decoders of a lossy codec may differ, and the file of the pixels that another one finds.
    #[serde(default)]
    tolerance: u64,
    #[serde(default)]
    raw: String,
    /// The sum of the colours that values stand for.
    palette: Option<String>,
}

#[test]
fn every_variant_of_the_matrix_reads_as_it_was_written() {
    let Some(python) = folder("MICROTOME_PYTHON") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/write_matrix.py");
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(python).arg(script).arg(dir.path()).status().unwrap();
    assert!(status.success(), "write_matrix.py failed: {status}");
    let manifest = std::fs::read(dir.path().join("manifest.json")).unwrap();
    let entries: Vec<Entry> = serde_json::from_slice(&manifest).unwrap();
    let failures: Vec<String> = entries
        .iter()
        .filter_map(|entry| check(dir.path(), entry).err().map(|why| format!("{}: {why}", entry.file)))
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), entries.len(), failures.join("\n"));
    assert!(entries.len() >= 500, "the matrix has more than {} variants", entries.len());
}

fn check(dir: &Path, entry: &Entry) -> Result<(), String> {
    let reader = microtome_tiff::open(&dir.join(&entry.file), &Limits::default()).map_err(|e| e.to_string())?;
    let scene = &reader.info().scenes[0];
    // The pages carry no metadata, so that nothing says that they are Z: I is the axis that pages are along.
    let axes = axes_of(&entry.axes.replace('Z', "I"), &scene.shape());
    let found: Vec<u64> = axes.iter().map(|&a| scene.shape().get(a)).collect();
    if found != entry.shape || scene.dtype.name() != entry.dtype || reader.info().scenes.len() != 1 {
        return Err(format!("is {found:?} {}, expected {:?} {}", scene.dtype, entry.shape, entry.dtype));
    }
    let colours: Vec<u8> = scene.palette.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    let found = (!colours.is_empty()).then(|| format!("{:x}", Sha256::digest(&colours)));
    if found != entry.palette {
        return Err(format!("has {} colours of others", scene.palette.len()));
    }
    let pixels = read_all(&reader, 0).map_err(|e| e.to_string())?;
    if entry.tolerance > 0 {
        let raw = std::fs::read(dir.join(&entry.raw)).map_err(|e| e.to_string())?;
        let difference = largest_difference(&pixels, &axes, &raw)?;
        if difference > entry.tolerance {
            return Err(format!("differs by {difference}, more than {}", entry.tolerance));
        }
    } else if sha256(&pixels, &axes) != entry.sha256 {
        return Err(format!("pixels differ ({})", scene.levels[0].storage.codec));
    }
    contract::reader(&reader, 5);
    Ok(())
}

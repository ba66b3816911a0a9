//! Real files with independent ground truth: shape, type, channels, pixel sizes and pixels of every TIFF of a corpus.
//!
//! `MICROTOME_CORPUS` names a folder with a `MANIFEST.csv` (a row per series; columns as the corpus explains them).
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use microtome_array::{Axis, PerAxis, Pixels, Region};
use microtome_io::{Io, Limits, Place, ReadError, Reader, SceneInfo};
use support::{axes_of, folder, largest_difference, read_all, sha256, table};

type Row = HashMap<String, String>;

/// Compressions that no kept library decodes; rows with one must be described, and refused when they are read.
const REFUSED: [&str; 1] = ["JPEGXR"];

/// Counts by which decoders of lossy codecs may differ, as the corpus states.
const TOLERANCE: u64 = 3;

#[test]
fn real_files_have_the_shape_the_names_and_the_pixels_others_find() {
    let Some(corpus) = folder("MICROTOME_CORPUS") else { return };
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.csv")).unwrap();
    let mut failures = Vec::new();
    let (mut read, mut refused) = (0, 0);
    for row in table(&manifest).iter().filter(|r| r["kind"] == "tiff") {
        let name = format!("{} series {}", row["path"], row["series"]);
        match check(&corpus.join(&row["path"]), row) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    eprintln!("{read} series read, {refused} refused by codec");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(read >= 66, "the corpus has more than {read} series that are read");
}

/// Whether the series was read (else rightly refused), or what is wrong.
fn check(path: &Path, row: &Row) -> Result<bool, String> {
    let reader = microtome_tiff::open(path, &Limits::default()).map_err(|e| format!("does not open: {e}"))?;
    let number: usize = row["series"].parse().unwrap();
    let scene = reader.info().scenes.get(number).ok_or("no such scene")?;
    equal("dtype", scene.dtype.name(), &row["dtype"])?;
    let shape = scene.shape();
    let axes = axes_of(&row["axes"], &shape);
    let found: Vec<u64> = axes.iter().map(|&a| shape.get(a)).collect();
    let expected: Vec<u64> = row["shape"].split('x').map(|n| n.parse().unwrap()).collect();
    let long = |v: &[u64]| v.iter().copied().filter(|&n| n > 1).collect::<Vec<_>>();
    equal("shape", format!("{:?}", long(&found)), format!("{:?}", long(&expected)))?;
    equal("pixels", shape.pixels(), expected.iter().product::<u64>())?;
    equal("levels", scene.levels.len(), &row["levels"])?;
    names_and_sizes(scene, row)?;
    let pixels = read_all(&reader, number);
    if !REFUSED.contains(&row["compression"].as_str()) {
        let pixels = pixels.map_err(|e| format!("does not read: {e}"))?;
        through_maps(path, number, &pixels)?;
        if row["hash_exact"] == "yes" {
            equal("pixel_sha256", sha256(&pixels, &axes), &row["pixel_sha256"])?;
        } else {
            nearly_equal(&pixels, &axes, path, row)?;
        }
        return Ok(true);
    }
    match pixels {
        Err(ReadError::Unsupported { .. }) => Ok(false),
        other => Err(format!("{} is not refused but {other:?}", row["compression"])),
    }
}

/// Compares pixels with those that maps give, all at once and in parts that begin and end anywhere.
fn through_maps(path: &Path, scene: usize, expected: &Pixels) -> Result<(), String> {
    let limits = Limits { io: Io::Mmap, ..Limits::default() };
    let reader = microtome_tiff::open(path, &limits).map_err(|e| e.to_string())?;
    let whole = read_all(&reader, scene).map_err(|e| e.to_string())?;
    equal("pixels through maps", whole.as_ref().bytes() == expected.as_ref().bytes(), true)?;
    let by_reads = microtome_tiff::open(path, &Limits::default()).map_err(|e| e.to_string())?;
    let [t, c, z, y, x, s] = expected.as_ref().shape().extents();
    let (start, end) = (PerAxis([0, 0, z / 2, y / 3, x / 5, 0]), PerAxis([t, c, z, y - y / 7, x - x / 3, s]));
    let part = Region::new(start, end).map_err(|e| e.to_string())?;
    let at = Place { scene, level: 0 };
    let read = |reader| microtome_io::read_region(reader, at, &part).map_err(|e: ReadError| e.to_string());
    let (found, expected) = (read(&reader)?, read(&by_reads)?);
    equal("a part through maps", found.as_ref().bytes() == expected.as_ref().bytes(), true)
}

/// Compares the pixels of a lossy codec with those that tifffile finds; without a Python, their mean with the manifest's.
fn nearly_equal(pixels: &Pixels, axes: &[Axis], path: &Path, row: &Row) -> Result<(), String> {
    let mean: f64 = row["mean"].parse().unwrap();
    let bytes = pixels.as_ref().bytes();
    let found = bytes.iter().map(|&b| u64::from(b)).sum::<u64>() as f64 / bytes.len() as f64;
    if (found - mean).abs() > 0.5 {
        return Err(format!("the mean is {found}, expected {mean}"));
    }
    let Some(python) = folder("MICROTOME_PYTHON") else { return Ok(()) };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/read_raw.py");
    let output = Command::new(python).arg(script).arg(path).arg(&row["series"]).output().unwrap();
    assert!(output.status.success(), "read_raw.py failed: {}", String::from_utf8_lossy(&output.stderr));
    let difference = largest_difference(pixels, axes, &output.stdout)?;
    let right = difference <= TOLERANCE;
    if right { Ok(()) } else { Err(format!("differs by {difference} from what tifffile reads")) }
}

fn names_and_sizes(scene: &SceneInfo, row: &Row) -> Result<(), String> {
    let kinds: Vec<&str> = row["flags"].split('|').collect();
    let with_companion = row["path"].starts_with("ometiff/multifile/");
    if with_companion || !(kinds.contains(&"ome") || kinds.contains(&"imagej")) {
        return Ok(());
    }
    let (channels, sizes) = if row["aics_channels"].is_empty() {
        (&row["bioio_channels"], &row["bioio_pps_zyx"])
    } else {
        (&row["aics_channels"], &row["aics_pps_zyx_um"])
    };
    let unnamed = |name: &str| if name.starts_with("Channel:") { String::new() } else { name.to_owned() };
    let expected: Vec<String> = channels.split('|').map(unnamed).collect();
    let found: Vec<String> = scene.channels.iter().map(|c| c.name.clone()).collect();
    equal("channels", format!("{found:?}"), format!("{expected:?}"))?;
    for (axis, expected) in [Axis::Z, Axis::Y, Axis::X].into_iter().zip(sizes.split('|')) {
        let size = &scene.pixel_size;
        let found = [(Axis::Z, size.z), (Axis::Y, size.y), (Axis::X, size.x)].iter().find(|s| s.0 == axis).unwrap().1;
        let expected: Option<f64> = expected.parse().ok();
        let same = match (found, expected) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs() && size.unit.as_deref() == Some("micrometer"),
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Err(format!("pixel size {axis} is {found:?} {:?}, expected {expected:?}", size.unit));
        }
    }
    Ok(())
}

fn equal(what: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Result<(), String> {
    let (found, expected) = (found.to_string(), expected.to_string());
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, expected {expected}")) }
}

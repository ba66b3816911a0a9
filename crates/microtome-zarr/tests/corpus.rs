//! Real folders with independent ground truth: order, identity and kind of scenes, shape, levels and pixels of every Zarr
//! of a corpus, read whole and region by region.
//!
//! `MICROTOME_CORPUS` names a folder with a `MANIFEST.csv` (a row per series; columns as the corpus explains them).
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

mod manifest;

use std::fmt::Display;
use std::path::Path;

use manifest::{Row, corpus, sha256, table, whole};
use microtome_array::Axis;
use microtome_io::{Limits, Place, Reader, contract};
use microtome_zarr::ZarrReader;

/// Levels larger than this are compared whole, not region by region.
const MOST_BYTES: u64 = 8 << 20;

#[test]
fn scenes_come_in_order_with_the_pixels_others_find() {
    let Some(corpus) = corpus() else { return };
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.csv")).unwrap();
    let rows: Vec<Row> = table(&manifest).into_iter().filter(|r| r["path"].starts_with("zarr/")).collect();
    let mut failures = Vec::new();
    let mut read = 0;
    for row in &rows {
        read += 1;
        if let Err(why) = check(&corpus.join(&row["path"]), row) {
            failures.push(format!("{} series {}: {why}", row["path"], row["series"]));
        }
    }
    eprintln!("{read} series read");
    for row in rows.iter().filter(|row| row["series"] == "0") {
        let count = rows.iter().filter(|other| other["path"] == row["path"]).count();
        let reader = microtome_zarr::open(&corpus.join(&row["path"]), &Limits::default()).unwrap();
        if let Err(why) = whole_image(&reader, row, count) {
            failures.push(format!("{}: {why}", row["path"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(read >= 28, "the corpus has more than {read} series");
}

fn check(path: &Path, row: &Row) -> Result<(), String> {
    let reader = microtome_zarr::open(path, &Limits::default()).map_err(|e| format!("does not open: {e}"))?;
    let number: usize = row["series"].parse().unwrap();
    let scene = reader.info().scenes.get(number).ok_or("no such scene")?;
    equal("dtype", scene.dtype.name(), &row["dtype"])?;
    equal("levels", scene.levels.len(), &row["levels"])?;
    let id = row["series_name"].rsplit_once('/').map_or("", |(group, _)| group);
    let plain = row["flags"].contains("plain");
    equal("id", &scene.id, if plain { &row["series_name"] } else { id })?;
    let label = row["series_name"].starts_with("labels/");
    equal("kind", format!("{:?}", scene.kind), if label { "Label" } else { "Image" })?;
    let expected: Vec<u64> = row["shape"].split('x').map(|n| n.parse().unwrap()).collect();
    let axes = axes_of(&row["axes"], expected.len(), *expected.last().unwrap());
    let shape = scene.shape();
    let found: Vec<u64> = axes.iter().map(|&a| shape.get(a)).collect();
    equal("shape", format!("{found:?}"), format!("{expected:?}"))?;
    equal("pixels", shape.pixels(), expected.iter().product::<u64>())?;
    let pixels = whole(&reader, Place { scene: number, level: 0 }).map_err(|e| format!("does not read: {e}"))?;
    equal("pixel_sha256", sha256(&pixels, &axes), &row["pixel_sha256"])?;
    if number == 0 && reader.info().scenes.iter().all(|s| s.shape().bytes(s.dtype) <= MOST_BYTES) {
        contract::reader(&reader, 17);
    }
    Ok(())
}

/// What is the same for all series of a path: how many there are, the format, the names of fields, what is missing.
fn whole_image(reader: &ZarrReader, row: &Row, count: usize) -> Result<(), String> {
    let info = reader.info();
    equal("the number of scenes", info.scenes.len(), count)?;
    let format = row["flags"].strip_prefix("ome-zarr ").map_or("Zarr".to_owned(), |v| format!("OME-Zarr {v}"));
    equal("the format", &info.format, format)?;
    if row["format_notes"].contains("HCS") {
        for scene in &info.scenes {
            equal("the name of a field", &scene.name, &scene.id)?;
        }
    }
    equal("what was odd", info.warnings.join("; "), "")?;
    equal("files that are missing", info.missing_files.len(), 0)
}

/// The axes a row names; those of an array without names by position.
fn axes_of(letters: &str, rank: usize, last: u64) -> Vec<Axis> {
    let implicit = match rank {
        3 if last == 3 => "YXS",
        5 => "TCZYX",
        _ => &"TZCYX"[5 - rank..],
    };
    let letters = if letters.is_empty() { implicit } else { letters };
    letters.chars().map(|c| Axis::parse(c).unwrap()).collect()
}

fn equal(what: &str, found: impl Display, expected: impl Display) -> Result<(), String> {
    let (found, expected) = (found.to_string(), expected.to_string());
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, expected {expected}")) }
}

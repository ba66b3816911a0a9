//! Real files that nobody here wrote: shapes, types, names, sizes and pixels as independent readers find them, and
//! hostile Zarr folders that end in an error.

mod manifest;

use std::path::Path;
use std::time::{Duration, Instant};

use manifest::{Row, corpus, expected_extents, extents, is_lossy, out_of_scope, rows};
use microtome::checksum::{AxisOrder, checksum};
use microtome::{Image, ReadError, SceneInfo};

#[test]
fn every_file_of_the_corpus_is_what_independent_readers_say() {
    let Some(corpus) = corpus() else { return };
    let rows = rows(corpus.join("MANIFEST.csv"));
    let (mut read, mut refused, mut failures) = (0, 0, Vec::new());
    for row in rows.iter().filter(|r| r["reference_status"] == "ok") {
        match check(&corpus.join(&row["path"]), row) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(why) => failures.push(format!("{} {}: {why}", row["path"], row["series_name"])),
        }
    }
    println!("{read} series read, {refused} refused by codec");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(read >= 87, "only {read} series were read");
}

fn check(path: &Path, row: &Row) -> Result<bool, String> {
    let image = Image::open(path).map_err(|e| format!("does not open: {e}"))?;
    let number = scene_number(&image, row)?;
    let scene = &image.info().scenes[number];
    equal("dtype", scene.dtype.name(), &row["dtype"])?;
    equal("shape", format!("{:?}", extents(&row["axes"], &scene.shape())), format!("{:?}", expected_extents(row)))?;
    equal("levels", scene.levels.len(), &row["levels"])?;
    names_and_sizes(scene, row)?;
    let order = AxisOrder::parse(&row["axes"]).map_err(|e| e.to_string())?;
    match (checksum(image.reader().as_ref(), number, &order), out_of_scope(row)) {
        // How near the pixels are is compared where the format is read.
        (Ok(_), None) if is_lossy(row) => Ok(true),
        (Ok(found), None) => equal("pixel_sha256", found, &row["pixel_sha256"]).map(|()| true),
        (Err(ReadError::Unsupported { .. }), Some(_)) => Ok(false),
        (found, scope) => Err(format!("{found:?} with the codec {scope:?}")),
    }
}

/// A TIFF's series are numbered; a Zarr's are named by the path of their first array.
fn scene_number(image: &Image, row: &Row) -> Result<usize, String> {
    if row["kind"] == "tiff" {
        let number = row["series"].parse().unwrap();
        return if number < image.info().scenes.len() { Ok(number) } else { Err("no such scene".to_owned()) };
    }
    let group = row["series_name"].rsplit_once('/').map_or("", |(group, _)| group);
    let is_it = |s: &SceneInfo| s.id == group || s.id == row["series_name"];
    image.info().scenes.iter().position(is_it).ok_or_else(|| {
        let ids: Vec<&str> = image.info().scenes.iter().map(|s| s.id.as_str()).collect();
        format!("no scene of it among {ids:?}")
    })
}

fn names_and_sizes(scene: &SceneInfo, row: &Row) -> Result<(), String> {
    let kinds: Vec<&str> = row["flags"].split('|').collect();
    let has_metadata = kinds.contains(&"ome") || kinds.contains(&"imagej") || row["flags"].starts_with("ome-zarr");
    if !has_metadata || row["path"].starts_with("ometiff/multifile/") {
        return Ok(());
    }
    let (channels, sizes) = if row["aics_channels"].is_empty() {
        (&row["bioio_channels"], &row["bioio_pps_zyx"])
    } else {
        (&row["aics_channels"], &row["aics_pps_zyx_um"])
    };
    if channels.is_empty() {
        return Ok(());
    }
    let unnamed = |name: &str| if name.starts_with("Channel:") { String::new() } else { name.to_owned() };
    let expected: Vec<String> = channels.split('|').map(unnamed).collect();
    let found: Vec<String> = scene.channels.iter().map(|c| c.name.clone()).collect();
    equal("channels", format!("{found:?}"), format!("{expected:?}"))?;
    let size = &scene.pixel_size;
    for (axis, found, expected) in
        sizes.split('|').zip([('z', size.z), ('y', size.y), ('x', size.x)]).map(|(e, (a, f))| (a, f, e))
    {
        let expected: Option<f64> = expected.parse().ok();
        let same = match (found, expected) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs(),
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Err(format!("pixel size {axis} is {found:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

fn equal(what: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Result<(), String> {
    let (found, expected) = (found.to_string(), expected.to_string());
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, expected {expected}")) }
}

#[test]
fn hostile_zarr_folders_end_in_an_error_or_pixels_in_time() {
    let Some(corpus) = corpus() else { return };
    let corpus = corpus.join("hostile");
    let rows = rows(corpus.join("MANIFEST.csv"));
    let mut failures = Vec::new();
    let mut count = 0;
    for row in rows.iter().filter(|r| r["kind"] == "zarr") {
        let start = Instant::now();
        let outcome = open_and_read(&corpus.join(&row["path"]));
        let seconds = start.elapsed();
        println!("{:45} {:8} {seconds:6.0?} {outcome:?}", row["path"], row["expected"]);
        let wrong = matches!((row["expected"].as_str(), &outcome), ("error", Ok(_)) | ("valid", Err(_)));
        if wrong || seconds > Duration::from_secs(10) {
            failures.push(format!("{} ({}): {outcome:?} in {seconds:?}", row["path"], row["expected"]));
        }
        count += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 12, "only {count} hostile folders were tried");
}

fn open_and_read(path: &Path) -> Result<usize, String> {
    let image = Image::open(path).map_err(|e| format!("open: {e}"))?;
    for scene in 0..image.info().scenes.len() {
        if image.info().scenes[scene].spec(0).is_some_and(|s| s.bytes() <= 256 << 20) {
            checksum(image.reader().as_ref(), scene, &AxisOrder::default()).map_err(|e| format!("read: {e}"))?;
        }
    }
    Ok(image.info().scenes.len())
}

//! Layouts of makers of microscopes and slide scanners, written when the test runs by tifffile or of bytes by Python, and
//! compared with what tifffile reads of them. `MICROTOME_PYTHON` names a Python with tifffile and Pillow.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use microtome_array::{Axis, Pixels};
use microtome_io::{Limits, Place, ReadError, Reader, SceneInfo, contract, read_region};
use microtome_tiff::{TiffReader, open};
use serde::Deserialize;
use support::{axes_of, folder, largest_difference};

#[derive(Deserialize)]
struct Entry {
    file: String,
    tolerance: u64,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    name: String,
    dtype: String,
    levels: Vec<Level>,
}

#[derive(Deserialize)]
struct Level {
    axes: String,
    shape: Vec<u64>,
    raw: String,
}

/// The folder of what the script writes; `None` where there is no Python.
static WRITTEN: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(|| write(&[]));

fn write(arguments: &[&str]) -> Option<tempfile::TempDir> {
    let python = folder("MICROTOME_PYTHON")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/write_makers.py");
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(python).arg(script).arg(dir.path()).args(arguments).status().unwrap();
    assert!(status.success(), "write_makers.py failed: {status}");
    Some(dir)
}

fn written(name: &str) -> Option<PathBuf> {
    WRITTEN.as_ref().map(|dir| dir.path().join(name))
}

fn opened(path: &Path) -> TiffReader {
    open(path, &Limits::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read(reader: &TiffReader, scene: usize, level: usize) -> Result<Pixels, ReadError> {
    read_region(reader, Place { scene, level }, &reader.info().scenes[scene].levels[level].shape.region())
}

fn names(reader: &TiffReader) -> Vec<&str> {
    reader.info().scenes.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn every_layout_has_the_scenes_levels_axes_and_pixels_that_tifffile_finds() {
    let Some(manifest) = written("manifest.json") else { return };
    let entries: Vec<Entry> = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let failures: Vec<String> = entries
        .iter()
        .filter_map(|entry| check(manifest.parent().unwrap(), entry).err().map(|why| format!("{}: {why}", entry.file)))
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), entries.len(), failures.join("\n"));
    assert!(entries.len() >= 5, "{} layouts", entries.len());
}

fn check(dir: &Path, entry: &Entry) -> Result<(), String> {
    let reader = opened(&dir.join(&entry.file));
    let info = reader.info();
    if info.scenes.len() != entry.series.len() || !info.warnings.is_empty() {
        return Err(format!("{} scenes, expected {}; {:?}", info.scenes.len(), entry.series.len(), info.warnings));
    }
    for (n, (scene, series)) in info.scenes.iter().zip(&entry.series).enumerate() {
        let (found, expected) = (&scene.name, &series.name);
        if found != expected || scene.dtype.name() != series.dtype || scene.levels.len() != series.levels.len() {
            let levels = scene.levels.len();
            return Err(format!("scene {n} is {found:?} {} with {levels} levels, expected {expected:?}", scene.dtype));
        }
        for (k, expected) in series.levels.iter().enumerate() {
            level(dir, &reader, (n, k), expected, entry.tolerance).map_err(|e| format!("scene {n} level {k}: {e}"))?;
        }
    }
    contract::reader(&reader, 3);
    Ok(())
}

fn level(dir: &Path, reader: &TiffReader, (n, k): (usize, usize), expected: &Level, most: u64) -> Result<(), String> {
    let scene: &SceneInfo = &reader.info().scenes[n];
    let axes = axes_of(&expected.axes, &scene.levels[k].shape);
    let long = |v: &[u64]| v.iter().copied().filter(|&n| n > 1).collect::<Vec<_>>();
    let found: Vec<u64> = axes.iter().map(|&a| scene.levels[k].shape.get(a)).collect();
    if long(&found) != long(&expected.shape) {
        return Err(format!("is {found:?} {axes:?}, expected {:?} {}", expected.shape, expected.axes));
    }
    let pixels = read(reader, n, k).map_err(|e| e.to_string())?;
    let difference = largest_difference(&pixels, &axes, &std::fs::read(dir.join(&expected.raw)).unwrap())?;
    if difference <= most { Ok(()) } else { Err(format!("differs by {difference}")) }
}

#[test]
fn a_hyperstack_of_more_than_4_gib_behind_one_page_is_read_to_its_last_plane() {
    let Some(dir) = write(&["big"]) else { return };
    let reader = opened(&dir.path().join("big.tif"));
    let shape = reader.info().scenes[0].shape();
    assert_eq!(shape.extents(), [3, 2, 350, 1024, 1024, 1]);
    assert!(reader.info().bytes > 1 << 32 && reader.info().warnings.is_empty(), "{:?}", reader.info());
    let ramp: Vec<u64> = (0..1024 * 1024).map(|n| (n / 1024 * 173 + n % 1024 * 51) % 251).collect();
    for (t, z, c, holds) in [(0, 0, 0, true), (2, 345, 1, true), (2, 349, 1, true), (2, 348, 1, false)] {
        let region = shape.region().with(Axis::T, t, t + 1).with(Axis::C, c, c + 1).with(Axis::Z, z, z + 1);
        let pixels = read_region(&reader, Place::default(), &region).unwrap();
        let (values, _) = pixels.as_ref().bytes().as_chunks::<2>();
        let expected = |n: usize| if holds { ramp[n] + t + c } else { 0 };
        let same = values.iter().enumerate().all(|(n, v)| u64::from(u16::from_le_bytes(*v)) == expected(n));
        assert!(same, "plane t={t} c={c} z={z} begins with {:?}", &values[..4]);
    }
}

#[test]
fn tables_of_colours_of_imagej_are_the_colours_of_channels() {
    let Some(path) = written("colours.tif") else { return };
    let reader = opened(&path);
    let colors: Vec<_> = reader.info().scenes[0].channels.iter().map(|c| c.color.as_deref()).collect();
    assert_eq!(colors, [Some("FF007F"), Some("00FF00")]);
}

#[test]
fn a_slide_of_aperio_states_its_pixel_size_and_names_its_pictures() {
    let Some(path) = written("slide.svs") else { return };
    let reader = opened(&path);
    assert_eq!(
        (reader.info().format.as_str(), names(&reader)),
        ("Aperio SVS", vec!["Baseline", "Thumbnail", "Label", "Macro"])
    );
    let size = &reader.info().scenes[0].pixel_size;
    assert_eq!((size.z, size.y, size.x, size.unit.as_deref()), (None, Some(0.252), Some(0.252), Some("micrometer")));
    assert_eq!(reader.info().scenes[0].levels[2].downsample, [1.0, 1.0, 1.0, 4.0, 4.0, 1.0]);
    assert!(reader.info().extras.iter().any(|e| e == "the magnification of the objective (40)"));
}

#[test]
fn a_slide_of_hamamatsu_is_cut_at_restart_markers_wherever_it_lies() {
    for name in ["slide.ndpi", "far.ndpi"] {
        let Some(path) = written(name) else { return };
        let reader = opened(&path);
        assert_eq!(
            (reader.info().format.as_str(), names(&reader)),
            ("Hamamatsu NDPI", vec!["Baseline", "Macro", "Map"])
        );
        let scene = &reader.info().scenes[0];
        let tile = scene.levels[0].storage.tile;
        assert_eq!((tile.get(Axis::Y), tile.get(Axis::X), scene.pixel_size.x), (8, 160, Some(1.0)));
        assert_eq!(reader.info().bytes > 1 << 32, name == "far.ndpi");
    }
}

#[test]
fn a_stack_of_zeiss_has_channels_with_names_and_colours_sizes_and_times() {
    let Some(path) = written("stack.lsm") else { return };
    let reader = opened(&path);
    let scene = &reader.info().scenes[0];
    assert_eq!((reader.info().format.as_str(), scene.shape().extents()), ("Zeiss LSM", [3, 2, 4, 12, 16, 1]));
    let channels: Vec<_> = scene.channels.iter().map(|c| (c.name.as_str(), c.color.as_deref())).collect();
    assert_eq!(channels, [("Ch1-T1", Some("FF0010")), ("Ch2", Some("00FF00"))]);
    let size = &scene.pixel_size;
    let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
    assert!(near(size.z, 1.5) && near(size.y, 0.5) && near(size.x, 0.25), "{size:?}");
    let increment = scene.time_increment.as_ref().unwrap();
    assert_eq!((increment.value, increment.unit.as_str()), (2.5, "second"));
}

#[test]
fn positions_of_zeiss_are_scenes() {
    let Some(dir) = write(&["big"]) else { return };
    let reader = opened(&dir.path().join("positions.lsm"));
    assert_eq!(names(&reader), ["position 0", "position 1"]);
    for n in 0..2 {
        assert_eq!(reader.info().scenes[n].shape().extents(), [2, 2, 3, 12, 16, 1]);
        // What write_makers.py puts into the first pixel of a position.
        let first = read(&reader, n, 0).unwrap().as_ref().bytes()[0];
        assert_eq!(usize::from(first), n * (37 * 36 + 11 * 6 + 3) % 251);
    }
}

#[test]
fn a_file_of_zeiss_that_was_cut_off_is_shown_as_far_as_it_goes() {
    let Some(path) = written("stack.lsm") else { return };
    let mut bytes = std::fs::read(&path).unwrap();
    // The link of the second page ends the chain: one page of twelve is left, with its thumbnail.
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let link = |at: usize| at + 2 + 12 * usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()));
    let end = link(word(link(word(4))));
    bytes[end..end + 4].fill(0);
    let path = path.with_file_name("cut.lsm");
    std::fs::write(&path, bytes).unwrap();
    let reader = opened(&path);
    assert_eq!(reader.info().scenes[0].shape().extents(), [1, 2, 1, 12, 16, 1]);
    assert!(reader.info().warnings[0].contains("the image is cut to"), "{:?}", reader.info().warnings);
}

#[test]
fn a_stack_of_metamorph_has_a_name_sizes_and_times() {
    let expected = [("slices.stk", Some(2.0), None), ("frames.stk", None, Some(250.0)), ("waves.stk", None, None)];
    for (name, z, ms) in expected {
        let Some(path) = written(name) else { return };
        let reader = opened(&path);
        let scene = &reader.info().scenes[0];
        assert_eq!((reader.info().format.as_str(), scene.name.as_str()), ("MetaMorph STK", "Cy5 stack"));
        let size = &scene.pixel_size;
        assert_eq!((size.z, size.y, size.x, size.unit.as_deref()), (z, Some(0.65), Some(0.65), Some("micrometer")));
        assert_eq!(scene.time_increment.as_ref().map(|t| t.value), ms);
    }
}

#[test]
fn a_stack_of_metamorph_that_was_cut_off_is_shown_as_far_as_it_goes() {
    let Some(path) = written("slices.stk") else { return };
    let bytes = std::fs::read(&path).unwrap();
    let path = path.with_file_name("cut.stk");
    let planes = bytes.len() - 20 * 30 * 2;
    std::fs::write(&path, &bytes[..planes]).unwrap();
    let reader = opened(&path);
    assert_eq!(reader.info().scenes[0].shape().extents()[3..], [20, 30, 1]);
    assert!(!reader.info().warnings.is_empty());
}

#[test]
fn an_image_of_fluoview_has_the_steps_and_the_name_of_its_header() {
    let Some(path) = written("fluoview.tif") else { return };
    let reader = opened(&path);
    let scene = &reader.info().scenes[0];
    assert_eq!((reader.info().format.as_str(), scene.shape().extents()), ("Olympus Fluoview", [3, 2, 4, 10, 12, 1]));
    let size = &scene.pixel_size;
    assert_eq!((size.z, size.y, size.x, scene.name.as_str()), (Some(1.5), Some(0.25), Some(0.25), "cells"));
    let increment = scene.time_increment.as_ref().unwrap();
    assert_eq!((increment.value, increment.unit.as_str()), (0.5, "second"));
}

#[test]
fn frames_and_slices_of_scanimage_come_from_its_settings() {
    let Some(path) = written("scanimage.tif") else { return };
    let reader = opened(&path);
    let scene = &reader.info().scenes[0];
    assert_eq!((reader.info().format.as_str(), scene.shape().extents()), ("ScanImage TIFF", [3, 2, 2, 10, 12, 1]));
    let names: Vec<_> = scene.channels.iter().map(|c| c.name.as_str()).collect();
    assert_eq!((names, scene.pixel_size.z), (vec!["red", "far"], Some(2.5)));
    assert_eq!(scene.time_increment.as_ref().map(|t| t.value), Some(0.1));
}

#[test]
fn volumes_of_scanimage_are_frames() {
    let Some(dir) = write(&["big"]) else { return };
    let scene = &opened(&dir.path().join("volumes.tif")).info().scenes[0].clone();
    // tifffile takes all slices of all volumes as one stack, of 6.
    assert_eq!((scene.shape().extents(), scene.pixel_size.z), ([3, 2, 2, 10, 12, 1], Some(2.5)));
    assert_eq!(scene.time_increment.as_ref().map(|t| t.value), Some(0.5));
}

#[test]
fn a_damaged_file_of_a_maker_is_an_error_or_shown_in_part() {
    let Some(manifest) = written("manifest.json") else { return };
    let entries: Vec<Entry> = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let (mut opened, mut refused) = (0, 0);
    for entry in entries.iter().filter(|entry| !entry.file.starts_with("far")) {
        let whole = std::fs::read(manifest.with_file_name(&entry.file)).unwrap();
        let path = manifest.with_file_name(format!("damaged-{}", entry.file));
        let trials = if std::env::var_os("MICROTOME_DEEP").is_some() { 2000 } else { 40 };
        for n in 0..trials {
            let mut bytes = whole.clone();
            for _ in 0..=random(3) {
                // Most of the damage goes to the tag tables, which lie at the beginning or the end.
                let reach = if n % 3 == 0 { bytes.len() } else { bytes.len().min(1500) };
                let at = if n % 2 == 0 { random(reach) } else { bytes.len() - 1 - random(reach) };
                bytes[at] = [0, 1, 255, random(256) as u8][random(4)];
            }
            if n % 10 == 9 {
                bytes.truncate(random(bytes.len()));
            }
            std::fs::write(&path, &bytes).unwrap();
            let Ok(reader) = open(&path, &Limits::default()) else {
                refused += 1;
                continue;
            };
            opened += 1;
            for (scene, info) in reader.info().scenes.iter().enumerate().take(8) {
                for level in 0..info.levels.len() {
                    // A size that was damaged may be anything: what would be large is not asked for.
                    if info.levels[level].shape.bytes(info.dtype) < 1 << 22 {
                        drop(read(&reader, scene, level));
                    }
                }
            }
        }
    }
    assert!(opened > 120 && refused > 10, "{opened} opened, {refused} refused");
}

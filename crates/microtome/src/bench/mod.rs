//! Measures this machine on an image, and says what bounds each step: memory, reading files, decoding, arithmetic, encoding.
//!
//! *Invariant:* of the image nothing is written; outputs lie in a folder of their own that is removed. Each step stands beside a
//! limit that was measured in the same call, so that their ratio holds on a busy machine too.

mod limits;

use std::path::{Path, PathBuf};
use std::time::Instant;

use microtome_array::ArraySpec;
use microtome_array::{Axis, BufferPool, ChunkDims, Pixels, Region, Shape};
use microtome_exec::{RunError, RunOptions};
use microtome_graph::LazyArray;
use microtome_io::{Durability, ReadContext, ReadError, StorageInfo, WriteError};
use microtome_ops::Projection;
use serde::Serialize;

use crate::{CalibrationLimits, Compute, Forecaster, Scene, StoreOptions};

/// How an image is measured.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Threads and memory.
    pub run: RunOptions,
    /// Bytes of pixels that each step works on at most; one plane at least.
    pub bytes: u64,
    /// Runs of each step, of which the median counts.
    pub repeats: u32,
    /// Where outputs are written for a while.
    pub folder: PathBuf,
}

/// What bounds a step at least.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchLimit {
    /// In words.
    pub what: String,
    /// Seconds that it takes for as much.
    pub seconds: f64,
}

/// A step that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchStep {
    /// A word for it: `memory`, `write`, `sync`, `files`, `pixels`, `maximum`, `convert`.
    pub name: &'static str,
    /// What was done.
    pub what: String,
    /// Bytes it was done to: of files, or of pixels.
    pub bytes: u64,
    /// Seconds it took, the median.
    pub seconds: f64,
    /// What it takes at least; `None` of the machine's own limits.
    pub limit: Option<BenchLimit>,
    /// What bounds it, and what would help.
    pub bound: String,
}

impl BenchStep {
    /// How many times as long as its limit it takes.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.seconds / self.limit.as_ref()?.seconds.max(1e-9))
    }
}

/// What was found of a machine and an image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// The part of the image that was worked on, T C Z Y X S.
    pub shape: Shape,
    /// Bytes of its pixels.
    pub bytes: u64,
    /// Threads that did it.
    pub threads: usize,
    /// The steps, the machine's own limits first.
    pub steps: Vec<BenchStep>,
}

/// Measures the machine and a scene. Takes about eight times `repeats` passes over `bytes`.
///
/// # Errors
/// [`RunError`] if the image cannot be read, or nothing can be written into the folder.
///
/// # Examples
/// ```
/// use microtome::{BenchOptions, Image, RunOptions, bench};
/// # let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
/// # let folder = tempfile::tempdir()?;
/// let image = Image::open(fixtures.join("cells.ome.tif"))?;
/// let (run, folder) = (RunOptions::default(), folder.path().to_owned());
/// let report = bench(&image.scene(0)?, &BenchOptions { run, bytes: 1 << 20, repeats: 1, folder })?;
/// let pixels = report.steps.iter().find(|step| step.name == "pixels").unwrap();
/// assert!(pixels.bytes == report.bytes && pixels.bytes <= 1 << 20 && pixels.limit.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bench(scene: &Scene, options: &BenchOptions) -> Result<BenchReport, RunError> {
    let bench = Bench::new(scene, options)?;
    let mut steps = bench.machine()?;
    let files = bench.files()?;
    let pixels = bench.pixels(&files)?;
    let maximum = bench.maximum(&pixels)?;
    let convert = bench.convert(&pixels, &steps)?;
    steps.extend([files, pixels, maximum, convert]);
    let bytes = bench.array.spec().bytes();
    Ok(BenchReport { shape: bench.array.shape(), bytes, threads: options.run.threads, steps })
}

/// Bytes that memory and disk are tried with.
const TRIED: usize = 128 << 20;

struct Bench<'a> {
    scene: &'a Scene,
    options: &'a BenchOptions,
    array: LazyArray,
    region: Region,
}

impl<'a> Bench<'a> {
    fn new(scene: &'a Scene, options: &'a BenchOptions) -> Result<Bench<'a>, RunError> {
        let region = part(&scene.info().shape(), scene.info().dtype.size() as u64, options.bytes);
        let array = scene.region(Some(region), &ChunkDims::default())?;
        Ok(Bench { scene, options, array, region })
    }

    fn os(&self, error: std::io::Error) -> RunError {
        WriteError::os(&self.options.folder, "measure in", error).into()
    }

    /// The median of several turns, after one that warms what there is to warm.
    fn median(&self, mut once: impl FnMut() -> Result<f64, RunError>) -> Result<f64, RunError> {
        once()?;
        let mut took = (0..self.options.repeats.max(1)).map(|_| once()).collect::<Result<Vec<f64>, _>>()?;
        took.sort_by(f64::total_cmp);
        Ok(took[took.len() / 2])
    }

    fn machine(&self) -> Result<Vec<BenchStep>, RunError> {
        let threads = self.options.run.threads.max(1);
        let step = |name, what: &str, seconds, bound: &str| BenchStep {
            name,
            what: what.to_owned(),
            bytes: TRIED as u64,
            seconds,
            limit: None,
            bound: bound.to_owned(),
        };
        let mut buffers = limits::Buffers::new(TRIED);
        let copied = self.median(|| Ok(buffers.copy(threads)))?;
        let path = self.options.folder.join("written");
        let mut synced = Vec::new();
        let written = self.median(|| {
            let (written, sync) = limits::write(&path, TRIED).map_err(|error| self.os(error))?;
            synced.push(sync);
            Ok(written)
        })?;
        std::fs::remove_file(&path).map_err(|error| self.os(error))?;
        synced.sort_by(f64::total_cmp);
        let sync = synced[synced.len() / 2];
        Ok(vec![
            step(
                "memory",
                "copying from memory to memory",
                copied,
                "the bandwidth of memory: what touches each byte once takes as long at least",
            ),
            step("write", "giving bytes to the system, on one thread", written, "copying into the page cache"),
            step(
                "sync",
                "waiting until they are on the disk",
                sync,
                "the disk; --durability none does not wait for it",
            ),
        ])
    }

    /// The files of the image, as far as they are its part's size.
    fn files(&self) -> Result<BenchStep, RunError> {
        let reader = self.scene.reader();
        let files = limits::files_of(&reader.info().path, &reader.info().files, self.options.bytes);
        let threads = self.options.run.threads.max(1);
        let mut bytes = 0;
        let seconds = self.median(|| {
            let (read, seconds) = limits::read(&files, self.options.bytes, threads).map_err(|error| self.os(error))?;
            bytes = read;
            Ok(seconds)
        })?;
        let bound = "the page cache, where the file was read a moment ago; the first time, the disk".to_owned();
        Ok(BenchStep { name: "files", what: "reading the stored bytes".to_owned(), bytes, seconds, limit: None, bound })
    }

    /// Every plane into memory that is used again.
    fn pixels(&self, files: &BenchStep) -> Result<BenchStep, RunError> {
        let mut fetched = 0;
        let seconds = self.median(|| {
            let start = Instant::now();
            fetched = self.read_planes()?;
            Ok(start.elapsed().as_secs_f64())
        })?;
        let storage = &self.scene.info().levels[self.scene.place().level].storage;
        let least = files.seconds * fetched as f64 / files.bytes.max(1) as f64;
        let limit = BenchLimit { what: "reading its stored bytes".to_owned(), seconds: least };
        let bound = match storage.codec.as_str() {
            "none" | "" => "copying out of the page cache".to_owned(),
            codec if seconds > 1.3 * least => format!("decoding ({codec}), on all threads"),
            _ => "reading the files".to_owned(),
        };
        let what = format!("reading planes, {}", storage_words(storage));
        let bytes = self.array.spec().bytes();
        Ok(BenchStep { name: "pixels", what, bytes, seconds, limit: Some(limit), bound })
    }

    fn read_planes(&self) -> Result<u64, ReadError> {
        let reader = self.scene.reader();
        let (at, dtype) = (self.scene.place(), self.array.dtype());
        let planes = planes(&self.region);
        let pool = BufferPool::new(u64::MAX);
        let spec = ArraySpec { shape: planes[0].shape(), dtype };
        limits::on_threads(
            self.options.run.threads,
            &planes,
            || Pixels::zeroed(spec),
            |pixels, plane| {
                let count = reader.read(at, plane, &mut pixels.as_mut(), &ReadContext { pool: &pool })?;
                Ok(count.fetched)
            },
        )
    }

    /// The maximum along the longest of Z, T and C.
    fn maximum(&self, pixels: &BenchStep) -> Result<BenchStep, RunError> {
        let shape = self.array.shape();
        let axis = [Axis::Z, Axis::T, Axis::C].into_iter().max_by_key(|&axis| (shape.get(axis), axis == Axis::Z));
        let axis = axis.unwrap_or(Axis::Z);
        let projected = self.array.project(axis, Projection::Max)?;
        let seconds = self.median(|| {
            let start = Instant::now();
            projected.compute(&self.options.run)?;
            Ok(start.elapsed().as_secs_f64())
        })?;
        let limit = BenchLimit { what: "reading its pixels".to_owned(), seconds: pixels.seconds };
        let bound = if seconds < 1.3 * pixels.seconds {
            "reading pixels"
        } else {
            "arithmetic, and fresh memory for the result"
        };
        let what = format!("maximum along {}, into memory", axis.to_string().to_lowercase());
        let bytes = self.array.spec().bytes();
        Ok(BenchStep { name: "maximum", what, bytes, seconds, limit: Some(limit), bound: bound.to_owned() })
    }

    /// A conversion to OME-Zarr as `convert` does it without options.
    fn convert(&self, pixels: &BenchStep, machine: &[BenchStep]) -> Result<BenchStep, RunError> {
        let path = self.options.folder.join("converted.ome.zarr");
        // A store runs once.
        let store = || self.array.store(&path, StoreOptions::default());
        let mut stored = 0;
        let seconds = self.median(|| {
            remove(&path).map_err(|error| self.os(error))?;
            let report = store()?.run(&self.options.run)?;
            stored = report.bytes_stored;
            Ok(report.seconds)
        })?;
        remove(&path).map_err(|error| self.os(error))?;
        let rate = |name: &str| {
            machine.iter().find(|step| step.name == name).map_or(0.0, |step| step.seconds / step.bytes as f64)
        };
        let least = pixels.seconds + rate("write") * stored as f64 / self.options.run.threads.max(1) as f64;
        let limit = BenchLimit { what: "reading its pixels and writing as many bytes".to_owned(), seconds: least };
        let mut forecaster = Forecaster::remembering(&self.options.folder.join("rates"));
        let stores = [store()?];
        forecaster.calibrate(&stores, &self.options.run, &CalibrationLimits::default());
        let parts = forecaster.forecast(&stores, &self.options.run)?.map(|forecast| forecast.parts).unwrap_or_default();
        let most = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("", |(part, _)| part);
        let bytes = self.array.spec().bytes();
        let what = "to OME-Zarr with levels, as `convert` does it".to_owned();
        let bound = bound_of(most, self.options.run.durability);
        Ok(BenchStep { name: "convert", what, bytes, seconds, limit: Some(limit), bound })
    }
}

/// What bounds a conversion that spends most on a part of its work, and what would help.
fn bound_of(part: &str, durability: Durability) -> String {
    let words = match part {
        "read" => "reading and decoding pixels",
        "compute" => "making the levels; --levels 1 makes none",
        "encode" => "compressing; --compression blosc-lz4 is faster and --compression none writes more",
        "files" => "making files; larger --shard-shape make fewer",
        "settle" if durability != Durability::None => "bringing it to the disk; --durability none does not wait for it",
        "start" => "beginning and ending an output: the image is small",
        _ => "nothing that could be measured apart",
    };
    words.to_owned()
}

fn storage_words(storage: &StorageInfo) -> String {
    let kind = format!("{:?}", storage.kind).to_lowercase();
    format!(
        "{kind}, {}",
        if storage.codec.is_empty() || storage.codec == "none" { "not compressed" } else { &storage.codec }
    )
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A part of an image of about so many bytes: planes stay whole, T and C become short before Z does.
fn part(shape: &Shape, pixel: u64, bytes: u64) -> Region {
    let mut region = shape.region();
    for axis in [Axis::T, Axis::C, Axis::Z] {
        let all = region.shape().pixels().saturating_mul(pixel).max(1);
        if all > bytes {
            let fits = (u128::from(region.len(axis)) * u128::from(bytes) / u128::from(all)) as u64;
            region = region.with(axis, 0, fits.max(1));
        }
    }
    region
}

/// The planes of a region.
fn planes(region: &Region) -> Vec<Region> {
    let cut = |region: Region, axis: Axis| {
        (region.start(axis)..region.end(axis)).map(move |at| region.with(axis, at, at + 1)).collect::<Vec<_>>()
    };
    let all = vec![*region];
    [Axis::T, Axis::C, Axis::Z]
        .into_iter()
        .fold(all, |all, axis| all.into_iter().flat_map(|region| cut(region, axis)).collect())
}

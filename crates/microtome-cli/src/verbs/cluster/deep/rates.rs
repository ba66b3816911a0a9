//! How fast each worker reads, decodes and writes images, one after the other, so that none is slowed by another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use microtome::{
    Axis, ChunkDims, Compression, Compute, Fusing, GraphError, Handler, Image, Levels, Plan, Projection, RunError,
    StoreOptions, SyntheticReader, ZarrOptions,
};
use serde::{Deserialize, Serialize};

use super::super::probe::{ahead, wait_within};
use super::super::report::Fault;
use super::sample::{Samples, large};
use super::{Ended, came, options};

/// Memory in bytes that a worker uses for pixels at most.
const MEMORY: u64 = 48 << 20;
/// How long a worker may take.
const LONGEST: Duration = Duration::from_mins(2);

/// What a worker did, on one thread, in bytes of pixels a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rates {
    /// Of an image that is not compressed.
    pub(crate) read: f64,
    /// Of one that is.
    pub(crate) decode: f64,
    /// Onto the disk, not compressed.
    pub(crate) write: f64,
    /// Most bytes of pixels and scratch at once, of [`MEMORY`].
    pub(crate) memory: u64,
}

/// A worker by its address, and what it did, or why not.
pub(crate) type OfWorker = (String, Result<Rates, String>);

/// Reads, decodes and writes, on a worker.
#[microtome::function]
fn work(raw: PathBuf, packed: PathBuf, folder: PathBuf, number: u64) -> Result<Rates, String> {
    rates(&raw, &packed, &folder.join(format!("written-{number}.ome.zarr"))).map_err(|error| error.to_string())
}

fn rates(raw: &Path, packed: &Path, out: &Path) -> Result<Rates, RunError> {
    let (read, of_read) = folded(raw)?;
    let (decode, of_decode) = folded(packed)?;
    let (write, of_write) = written(out)?;
    Ok(Rates { read, decode, write, memory: of_read.max(of_decode).max(of_write) })
}

/// Reads an image plane by plane into one; bytes a second, and of memory.
fn folded(path: &Path) -> Result<(f64, u64), RunError> {
    let start = Instant::now();
    let array = Image::open(path)?.scene(0)?.array(&ChunkDims::default())?;
    let bytes = array.shape().bytes(array.dtype()) as f64;
    let plan = Plan::compute(&array.project(Axis::Z, Projection::Max)?, Fusing::Full);
    let (_, report) = plan.collect(&options(MEMORY))?;
    Ok((bytes / start.elapsed().as_secs_f64(), report.peak_memory))
}

/// Stores pixels as they are, and brings them to the disk.
fn written(out: &Path) -> Result<(f64, u64), RunError> {
    let image = Image::of(Arc::new(SyntheticReader::new(large().map_err(GraphError::from)?)));
    let array = image.scene(0)?.array(&ChunkDims::default())?;
    let zarr = ZarrOptions { compression: Compression::None, ..ZarrOptions::default() };
    let start = Instant::now();
    let report = array
        .store(out, StoreOptions { zarr, levels: Levels::Count(1), ..StoreOptions::default() })?
        .run(&options(MEMORY))?;
    Ok((report.bytes_written as f64 / start.elapsed().as_secs_f64(), report.peak_memory))
}

/// Measures the workers one by one.
pub(super) fn of_each(handler: &Handler, workers: &[String], samples: &Samples) -> Result<Vec<OfWorker>, Ended> {
    let mut all = Vec::new();
    for (number, worker) in (0..).zip(workers) {
        let (raw, packed, folder) = samples.there();
        let handler = handler.with_options(ahead(vec![worker.clone()]));
        let answer = handler.submit(work, (raw, packed, folder, number));
        all.push((worker.clone(), came(wait_within(LONGEST, answer, Instant::now() + LONGEST))?));
    }
    Ok(all)
}

/// Workers that could not do it.
pub(super) fn faults(rates: &[OfWorker]) -> Vec<Fault> {
    let failed = rates.iter().filter_map(|(worker, rates)| Some((worker, rates.as_ref().err()?)));
    let todo = "what it says has the reason; its log says more";
    failed.map(|(worker, why)| Fault::new("cannot work", why, todo).of(worker)).collect()
}

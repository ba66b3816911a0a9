//! An image that is opened and read many times over the cluster: what predecessors measured a cluster by.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use microtome::{Axis, ChunkDims, Compute, Handler, Image, OnCluster, RunError, TaskErrorKind, path_on_workers};
use serde::{Deserialize, Serialize};

use super::super::probe::SchedulerLost;
use super::super::report::Fault;
use super::{Ended, me, options};
use crate::args::DeepArgs;
use crate::error::CliError;

/// How often an image is read unless it is said.
const ITERATIONS: u64 = 10_000;
/// Pixels along Y and X that are read of a plane at most.
const MOST: u64 = 2048;
/// Reasons that are told.
const MOST_REASONS: usize = 3;

/// The middle plane of an image, once opened and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plane {
    worker: String,
    pub(super) seconds: f64,
    bytes: u64,
    hash: u64,
}

/// Opens an image and reads the middle plane of its first channel.
#[microtome::function]
pub(super) fn read_plane(path: PathBuf) -> Result<Plane, String> {
    plane(&path).map_err(|error| error.to_string())
}

fn plane(path: &Path) -> Result<Plane, RunError> {
    let start = Instant::now();
    let scene = Image::open(path)?.scene(0)?;
    let whole = scene.info().levels[0].shape;
    let mut part = whole.region();
    for axis in Axis::ALL {
        let extent = whole.get(axis);
        let (from, to) = match axis {
            Axis::Z => (extent / 2, extent / 2 + 1),
            Axis::T | Axis::C => (0, 1),
            Axis::Y | Axis::X => (0, extent.min(MOST)),
            Axis::S => (0, extent),
        };
        part = part.with(axis, from, to);
    }
    let pixels = scene.region(Some(part), &ChunkDims::default())?.compute(&options(u64::MAX))?;
    let bytes = pixels.as_ref().bytes();
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    let (bytes, hash) = (bytes.len() as u64, hasher.finish());
    Ok(Plane { worker: me(), seconds: start.elapsed().as_secs_f64(), bytes, hash })
}

/// What came of reading an image many times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) image: PathBuf,
    /// Whether it was made for the check.
    pub(crate) is_own: bool,
    pub(super) image_there: PathBuf,
    pub(crate) iterations: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    pub(crate) items_per_second: f64,
    /// The share of the threads' time in which they read.
    pub(crate) useful: f64,
    /// Seconds of one iteration on a worker.
    pub(crate) seconds_each: f64,
    /// Seconds of one iteration here.
    pub(crate) seconds_here: f64,
    pub(crate) batches: u64,
    /// Iterations and their seconds, by worker.
    pub(crate) workers: BTreeMap<String, (u64, f64)>,
    pub(super) reasons: BTreeSet<(String, String)>,
}

impl Reading {
    /// Reads an image here once, and then over the cluster.
    ///
    /// # Errors
    /// What is wrong with it here; the loss of the scheduler.
    pub(super) fn of(handler: &Handler, (image, args): (&Path, &DeepArgs), threads: usize) -> Result<Reading, Ended> {
        let here = plane(image).map_err(CliError::from)?;
        let on_cluster = OnCluster { path_map: args.path_map.clone(), ..OnCluster::default() };
        let there = path_on_workers(image, &on_cluster);
        let mut reading = Reading {
            image: image.to_owned(),
            is_own: args.image.is_none(),
            image_there: there.clone(),
            iterations: args.iterations.unwrap_or(ITERATIONS),
            seconds_here: here.seconds,
            ..Reading::default()
        };
        let start = Instant::now();
        let paths = (0..reading.iterations).map(|_| there.clone());
        let mut map = handler.batched_map(read_plane, paths).as_completed();
        for (_, result) in map.by_ref() {
            match result {
                Ok(plane) => reading.take(&plane, &here),
                Err(error) if matches!(error.kind(), TaskErrorKind::SchedulerLost { .. }) => {
                    return Err(SchedulerLost.into());
                }
                Err(error) => {
                    let worker = error.worker().unwrap_or_default().to_owned();
                    reading.fail(worker, error.kind().to_string());
                }
            }
        }
        reading.batches = map.stats().batches;
        reading.end(start.elapsed().as_secs_f64(), threads);
        Ok(reading)
    }

    fn take(&mut self, plane: &Plane, here: &Plane) {
        let (items, seconds) = self.workers.entry(plane.worker.clone()).or_default();
        *items += 1;
        *seconds += plane.seconds;
        if (plane.hash, plane.bytes) != (here.hash, here.bytes) {
            self.fail(
                plane.worker.clone(),
                format!("it reads other pixels of {} than this machine", self.image_there.display()),
            );
        }
    }

    fn fail(&mut self, worker: String, why: String) {
        self.failed += 1;
        if self.reasons.len() < MOST_REASONS {
            self.reasons.insert((worker, why));
        }
    }

    fn end(&mut self, seconds: f64, threads: usize) {
        let (items, busy) = self.workers.values().fold((0, 0.0), |(n, t), (items, seconds)| (n + items, t + seconds));
        self.seconds = seconds;
        self.items_per_second = items as f64 / seconds.max(1e-9);
        self.useful = busy / (seconds * threads.max(1) as f64).max(1e-9);
        self.seconds_each = if items == 0 { 0.0 } else { busy / items as f64 };
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        let here = self.image.display();
        let todo = format!("see that it reads the same file: mount the storage there, or use --path-map {here}=PATH");
        let fault = |(worker, why): &(String, String)| {
            let fault = Fault::new("cannot read", why, &todo);
            if worker.is_empty() { fault } else { fault.of(worker) }
        };
        self.reasons.iter().map(fault).collect()
    }
}

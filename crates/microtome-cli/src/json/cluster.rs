//! `cluster` as JSON.

use microtome::handler::Versions;
use microtome::{LocalCluster, LocalClusterOptions};
use serde::Serialize;

use super::image::text;
use crate::verbs::{Deep, Fault, OfWorker, Reading, Report, Tried, Visited, WorkerReport};

/// A cluster that was started here.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterLocalJson<'a> {
    address: &'a str,
    dashboard: Option<&'a str>,
    workers: usize,
    /// Of all workers.
    threads: usize,
    scheduler_file: Option<String>,
}

impl<'a> ClusterLocalJson<'a> {
    pub(crate) fn new(cluster: &'a LocalCluster, options: &LocalClusterOptions) -> ClusterLocalJson<'a> {
        let workers = cluster.workers().len();
        ClusterLocalJson {
            address: cluster.address(),
            dashboard: cluster.dashboard(),
            workers,
            threads: workers * options.threads_each,
            scheduler_file: options.scheduler_file.as_deref().map(text),
        }
    }
}

/// A cluster as it was found.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterCheckJson<'a> {
    address: &'a str,
    dashboard: Option<&'a str>,
    versions: &'a Versions,
    workers: Vec<WorkerJson<'a>>,
    items_per_second: Option<f64>,
    faults: Vec<FaultJson<'a>>,
    notes: &'a [String],
    deep: Option<DeepJson<'a>>,
}

#[derive(Debug, Serialize)]
struct WorkerJson<'a> {
    address: &'a str,
    host: Option<&'a str>,
    threads: usize,
    memory: Option<u64>,
    distributed: Option<&'a str>,
    python: Option<&'a str>,
    microtome: Option<&'a str>,
    round_trip_seconds: Option<f64>,
    bytes_per_second: Option<f64>,
    fault: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct FaultJson<'a> {
    worker: Option<&'a str>,
    what: &'a str,
    todo: &'a str,
}

impl<'a> ClusterCheckJson<'a> {
    pub(crate) fn new(report: &'a Report) -> ClusterCheckJson<'a> {
        ClusterCheckJson {
            address: &report.address,
            dashboard: report.dashboard.as_deref(),
            versions: &report.versions,
            workers: report.workers.iter().map(worker).collect(),
            items_per_second: report.items_per_second,
            faults: report.faults.iter().map(fault).collect(),
            notes: &report.notes,
            deep: report.deep.as_ref().map(deep),
        }
    }
}

fn worker(worker: &WorkerReport) -> WorkerJson<'_> {
    let facts = &worker.facts;
    WorkerJson {
        address: &worker.address,
        host: known(&facts.host),
        threads: facts.threads,
        memory: facts.memory,
        distributed: known(&facts.distributed),
        python: known(&facts.python),
        microtome: facts.version.as_deref(),
        round_trip_seconds: worker.round_trip,
        bytes_per_second: worker.bytes_per_second,
        fault: worker.fault.as_ref().map(|fault| fault.what.as_str()),
    }
}

fn fault(fault: &Fault) -> FaultJson<'_> {
    FaultJson { worker: fault.worker.as_deref(), what: &fault.what, todo: &fault.todo }
}

/// What a worker that did not answer has not said.
fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// What a deep check found.
#[derive(Debug, Serialize)]
struct DeepJson<'a> {
    shared: Vec<SharedJson<'a>>,
    reading: Option<ReadingJson<'a>>,
    rates: Vec<RatesJson<'a>>,
    batch_sizes: Vec<BatchSizeJson>,
    advice: &'a [String],
}

/// A folder and a worker.
#[derive(Debug, Serialize)]
struct SharedJson<'a> {
    path: String,
    path_on_worker: String,
    worker: &'a str,
    /// Whether it reads what was written here.
    reads: bool,
    /// Whether what it writes is read here.
    writes: bool,
}

/// An image that was read many times.
#[derive(Debug, Serialize)]
struct ReadingJson<'a> {
    /// Null where it was made for the check.
    image: Option<String>,
    iterations: u64,
    failed: u64,
    batches: u64,
    seconds: f64,
    items_per_second: f64,
    /// The share of the threads' time in which they read.
    useful_share: f64,
    seconds_each: f64,
    seconds_here: f64,
    workers: Vec<ReaderJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ReaderJson<'a> {
    worker: &'a str,
    iterations: u64,
    seconds: f64,
}

/// Bytes of pixels a second on one thread of a worker, and bytes of memory at the peak.
#[derive(Debug, Serialize)]
struct RatesJson<'a> {
    worker: &'a str,
    read_bytes_per_second: Option<f64>,
    decode_bytes_per_second: Option<f64>,
    write_bytes_per_second: Option<f64>,
    peak_memory: Option<u64>,
}

#[derive(Debug, Serialize)]
struct BatchSizeJson {
    batch_size: u64,
    items: u64,
    seconds: f64,
    items_per_second: f64,
    useful_share: f64,
}

fn deep(deep: &Deep) -> DeepJson<'_> {
    DeepJson {
        shared: deep.shared.iter().map(shared).collect(),
        reading: deep.reading.as_ref().map(reading),
        rates: deep.rates.iter().map(rates).collect(),
        batch_sizes: deep.sizes.iter().map(batch_size).collect(),
        advice: &deep.advice,
    }
}

fn shared(visited: &Visited) -> SharedJson<'_> {
    SharedJson {
        path: text(&visited.path),
        path_on_worker: text(&visited.path_there),
        worker: &visited.worker,
        reads: visited.reads,
        writes: visited.writes,
    }
}

fn rates((worker, rates): &OfWorker) -> RatesJson<'_> {
    let known = rates.as_ref().ok();
    RatesJson {
        worker,
        read_bytes_per_second: known.map(|rates| rates.read),
        decode_bytes_per_second: known.map(|rates| rates.decode),
        write_bytes_per_second: known.map(|rates| rates.write),
        peak_memory: known.map(|rates| rates.memory),
    }
}

fn reading(reading: &Reading) -> ReadingJson<'_> {
    let workers = reading.workers.iter();
    ReadingJson {
        image: (!reading.is_own).then(|| text(&reading.image)),
        iterations: reading.iterations,
        failed: reading.failed,
        batches: reading.batches,
        seconds: reading.seconds,
        items_per_second: reading.items_per_second,
        useful_share: reading.useful,
        seconds_each: reading.seconds_each,
        seconds_here: reading.seconds_here,
        workers: workers
            .map(|(worker, (iterations, seconds))| ReaderJson { worker, iterations: *iterations, seconds: *seconds })
            .collect(),
    }
}

fn batch_size(tried: &Tried) -> BatchSizeJson {
    BatchSizeJson {
        batch_size: tried.batch_size,
        items: tried.items,
        seconds: tried.seconds,
        items_per_second: tried.items_per_second,
        useful_share: tried.useful,
    }
}

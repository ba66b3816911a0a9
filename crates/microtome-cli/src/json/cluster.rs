//! `cluster` as JSON.

use microtome::handler::Versions;
use microtome::{LocalCluster, LocalClusterOptions};
use serde::Serialize;

use super::image::text;
use crate::verbs::{Fault, Report, WorkerReport};

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

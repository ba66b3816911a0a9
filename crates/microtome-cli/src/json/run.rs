//! A run (`convert`, `project`) as JSON.

use std::collections::BTreeSet;

use microtome::{BadPlane, Estimate, Forecast, Loss, RunReport};
use serde::Serialize;

use super::image::text;
use crate::verbs::Job;

/// What a run did.
#[derive(Debug, Serialize)]
pub(crate) struct RunJson {
    tasks: RunTasks,
    batches: u64,
    units: RunUnits,
    bytes_read: u64,
    bytes_written: u64,
    /// Bytes taken from storage, as stored.
    bytes_fetched: u64,
    /// Bytes put into storage.
    bytes_stored: u64,
    /// Bytes of pixels stored for a while between two passes.
    intermediate_bytes: u64,
    peak_memory: u64,
    projected_peak: u64,
    seconds: f64,
    /// Null where it was not known beforehand.
    seconds_forecast: Option<f64>,
    /// What planning said, by the names of what happened.
    forecast: Planned,
    output: String,
    plan_hash: String,
    /// What of the input the output does not hold.
    not_kept: Vec<Loss>,
    /// Planes that could not be read and were left out.
    quarantine: Vec<BadPlane>,
}

/// What planning said of the whole output; a run that goes on from an earlier one does less.
#[derive(Debug, Serialize)]
struct Planned {
    tasks: u64,
    units: u64,
    bytes_read: u64,
    bytes_written: u64,
    intermediate_bytes: u64,
    peak_memory: u64,
    seconds: Option<f64>,
    seconds_low: Option<f64>,
    seconds_high: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct RunTasks {
    pub(super) planned: u64,
    pub(super) run: u64,
    pub(super) failed: u64,
    pub(super) quarantined: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct RunUnits {
    pub(super) planned: u64,
    pub(super) written: u64,
    pub(super) resumed: u64,
}

/// Tasks that failed and were gone on without.
fn failed(report: &RunReport) -> u64 {
    let tasks: BTreeSet<_> = report.quarantine.iter().filter_map(|plane| plane.task.as_ref()).collect();
    tasks.len() as u64
}

impl RunJson {
    pub(crate) fn new(
        job: &Job,
        (estimate, time): (&Estimate, Option<&Forecast>),
        report: &RunReport,
        losses: Vec<Loss>,
    ) -> RunJson {
        RunJson {
            tasks: RunTasks {
                planned: report.tasks_planned,
                run: report.tasks_run,
                failed: failed(report),
                quarantined: report.tasks_quarantined,
            },
            batches: report.batches,
            units: RunUnits {
                planned: report.units_planned,
                written: report.units_written,
                resumed: report.units_resumed,
            },
            bytes_read: report.bytes_read,
            bytes_written: report.bytes_written,
            bytes_fetched: report.bytes_fetched,
            bytes_stored: report.bytes_stored,
            intermediate_bytes: report.intermediate_bytes,
            peak_memory: report.peak_memory,
            projected_peak: report.projected_peak,
            seconds: report.seconds,
            seconds_forecast: time.map(|time| time.seconds),
            forecast: Planned {
                tasks: estimate.fused,
                units: estimate.units,
                bytes_read: estimate.bytes_read,
                bytes_written: estimate.bytes_written,
                intermediate_bytes: estimate.intermediate_bytes,
                peak_memory: report.projected_peak,
                seconds: time.map(|time| time.seconds),
                seconds_low: time.map(|time| time.low),
                seconds_high: time.map(|time| time.high),
            },
            output: text(job.path()),
            plan_hash: job.plan_hash(),
            not_kept: losses,
            quarantine: report.quarantine.clone(),
        }
    }
}

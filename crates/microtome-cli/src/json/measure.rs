//! A measurement as JSON, in the words of a run.

use std::path::Path;

use microtome::{MeasureReport, Repeated, Unmeasured};
use serde::Serialize;

use super::image::text;
use super::run::{RunTasks, RunUnits};

/// What a measurement did.
#[derive(Debug, Serialize)]
pub(crate) struct MeasureJson {
    /// Calls: a small file, or some planes of a large one.
    tasks: RunTasks,
    batches: u64,
    /// Rows of the table.
    units: RunUnits,
    rows: u64,
    /// Images that gave rows.
    images: u64,
    bytes_read: u64,
    bytes_written: u64,
    /// Bytes taken from storage, as stored.
    bytes_fetched: u64,
    peak_memory: u64,
    projected_peak: u64,
    seconds: f64,
    seconds_forecast: Option<f64>,
    output: String,
    /// Inputs that an earlier one brought along.
    repeated: Vec<Repeated>,
    /// Images and planes that could not be read and are not in the table.
    quarantine: Vec<Unmeasured>,
}

impl MeasureJson {
    pub(crate) fn new(table: &Path, report: &MeasureReport) -> MeasureJson {
        let left_out = report.quarantine.len() as u64;
        MeasureJson {
            tasks: RunTasks { planned: report.parts, run: report.parts, failed: report.failed, quarantined: left_out },
            batches: report.parts,
            units: RunUnits { planned: report.rows + left_out, written: report.rows, resumed: 0 },
            rows: report.rows,
            images: report.images,
            bytes_read: report.bytes_read,
            bytes_written: report.bytes_written,
            bytes_fetched: report.bytes_fetched,
            peak_memory: report.peak_memory,
            projected_peak: report.memory,
            seconds: report.seconds,
            seconds_forecast: None,
            output: text(table),
            repeated: report.repeated.clone(),
            quarantine: report.quarantine.clone(),
        }
    }
}

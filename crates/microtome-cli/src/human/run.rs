//! A run (`convert`, `project`) for people: what was written and what it took.

use std::fmt::Write as _;

use microtome::{Estimate, Forecast, RunReport};

use super::number::{bytes, count, duration, things};
use super::shape::lettered;
use super::table::{Align, Table};
use crate::verbs::Job;

/// What a run did, beside what was forecast, within a memory budget.
pub(crate) fn run(
    job: &Job,
    (estimate, time): (&Estimate, Option<&Forecast>),
    report: &RunReport,
    budget: u64,
) -> String {
    let path = job.path().display();
    if report.tasks_planned == 0 && report.units_resumed == report.units_planned {
        let left_out = left_out(report);
        let finished =
            format!("{path} was finished by an earlier run of the same plan{left_out}; there was nothing to do\n");
        return finished + &planes(report);
    }
    let images = match job.stores().len() {
        1 => String::new(),
        several => format!("{}, the first ", things(several as u64, "image")),
    };
    let shape = format!("{images}{}, {}", lettered(&job.array.shape()), job.array.dtype());
    let rows = table((estimate, time), report, budget).to_string();
    let rows: String = rows.lines().flat_map(|row| ["  ", row, "\n"]).collect();
    format!("{path} is written{}: {shape}\n{rows}{}", left_out(report), planes(report))
}

fn left_out(report: &RunReport) -> String {
    match report.quarantine.len() {
        0 => String::new(),
        planes => format!(" but for {}", things(planes as u64, "plane")),
    }
}

/// What was left out, a line a plane.
fn planes(report: &RunReport) -> String {
    let mut out = String::new();
    for plane in &report.quarantine {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  left out t={} c={} z={}: {}", plane.t, plane.c, plane.z, plane.reason);
    }
    out
}

fn table((estimate, time): (&Estimate, Option<&Forecast>), report: &RunReport, budget: u64) -> Table<3> {
    let resumed = match report.units_resumed {
        0 => String::new(),
        resumed => format!("; {} that an earlier run had finished", things(resumed, "write unit")),
    };
    let fetched = format!("{} of pixels from {}", bytes(report.bytes_read), bytes(report.bytes_fetched));
    let stored =
        format!("{} of pixels as {}{}", bytes(report.bytes_written), bytes(report.bytes_stored), ratio(report));
    let rate = report.bytes_read as f64 / report.seconds.max(1e-6);
    let peak = format!("{} at the peak; {} allowed", bytes(report.peak_memory), bytes(budget));
    let row = |name: &str, forecast: String, fact: String| [name.to_owned(), forecast, fact];
    let mut rows = vec![
        row("", "forecast".to_owned(), "done".to_owned()),
        row(
            "tasks",
            count(estimate.fused),
            format!("{} for {} in the graph", count(report.tasks_run), count(estimate.tasks)),
        ),
        row("units", count(estimate.units), format!("{}{resumed}", things(report.units_written, "write unit"))),
        row("read", bytes(estimate.bytes_read), fetched),
        row("written", bytes(estimate.bytes_written), stored),
        row("memory", bytes(report.projected_peak), peak),
        row(
            "time",
            time.map_or_else(String::new, |time| duration(time.seconds)),
            format!("{}{}, {} a second", duration(report.seconds), off(time, report.seconds), bytes(rate as u64)),
        ),
    ];
    if estimate.intermediate_bytes > 0 {
        let stored = format!("{} stored for a while and read back", bytes(report.intermediate_bytes));
        rows.insert(4, row("between", bytes(estimate.intermediate_bytes), stored));
    }
    Table { columns: [Align::Left, Align::Right, Align::Left], rows }
}

/// How far off the forecast of time was.
fn off(time: Option<&Forecast>, seconds: f64) -> String {
    let Some(time) = time else { return String::new() };
    let percent = (seconds / time.seconds.max(1e-9) - 1.0) * 100.0;
    match percent.round() {
        0.0 => " as forecast".to_owned(),
        more if more > 0.0 => format!(" ({more:.0} % longer)"),
        less => format!(" ({:.0} % shorter)", -less),
    }
}

fn ratio(report: &RunReport) -> String {
    let ratio = report.bytes_written as f64 / report.bytes_stored.max(1) as f64;
    if report.bytes_stored == 0 { String::new() } else { format!(" ({ratio:.1} : 1)") }
}

//! A run (`convert`, `project`) for people: what was written and what it took.

use std::fmt::Write as _;

use microtome::{Estimate, RunReport};

use super::number::{bytes, count, duration, things};
use super::shape::lettered;
use crate::verbs::Job;

/// What a run did, within a memory budget.
pub(crate) fn run(job: &Job, estimate: &Estimate, report: &RunReport, budget: u64) -> String {
    if report.tasks_planned == 0 && report.units_resumed == report.units_planned {
        let path = job.store.path().display();
        return format!("{path} was finished by an earlier run of the same plan; there was nothing to do\n");
    }
    let left_out = match report.quarantine.len() {
        0 => String::new(),
        planes => format!(" but for {}", things(planes as u64, "plane")),
    };
    let mut out = format!("{} is written{left_out}\n", job.store.path().display());
    let mut line = |name: &str, text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<8} {text}");
    };
    line("shape", format!("{}, {}", lettered(&job.array.shape()), job.array.dtype()));
    let stored = format!("{} of pixels stored as {}", bytes(report.bytes_written), bytes(report.bytes_stored));
    line("written", format!("{stored}{} in {}", ratio(report), things(report.units_written, "write unit")));
    if report.units_resumed > 0 {
        line("resumed", format!("{} that an earlier run had finished", things(report.units_resumed, "write unit")));
    }
    let read = format!("{} of pixels from {}", bytes(report.bytes_read), bytes(report.bytes_fetched));
    line("read", read);
    let rate = report.bytes_read as f64 / report.seconds.max(1e-6);
    let tasks = format!("{} run for {} in the graph", things(report.tasks_run, "task"), count(estimate.tasks));
    line("time", format!("{}, {} a second; {tasks}", duration(report.seconds), bytes(rate as u64)));
    let (peak, projected) = (bytes(report.peak_memory), bytes(report.projected_peak));
    line("memory", format!("{peak} at the peak; {projected} were projected, {} allowed", bytes(budget)));
    for plane in &report.quarantine {
        let _ = writeln!(out, "  left out t={} c={} z={}: {}", plane.t, plane.c, plane.z, plane.reason);
    }
    out
}

fn ratio(report: &RunReport) -> String {
    let ratio = report.bytes_written as f64 / report.bytes_stored.max(1) as f64;
    if report.bytes_stored == 0 { String::new() } else { format!(" ({ratio:.1} : 1)") }
}

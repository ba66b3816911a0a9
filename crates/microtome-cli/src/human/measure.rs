//! A measurement for people: the table, what it took, and what is not in it.

use std::fmt::Write as _;
use std::path::Path;

use microtome::MeasureReport;

use super::number::{bytes, duration, things};
use super::table::{Align, Table};

/// What a measurement did.
pub(crate) fn measured(table: &Path, report: &MeasureReport) -> String {
    let (rows, images) = (things(report.rows, "row"), things(report.images, "image"));
    let mut out = format!("{} is written: {rows} of {images}\n", table.display());
    for row in facts(report).to_string().lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {row}");
    }
    for repeated in &report.repeated {
        let _ = writeln!(out, "  not again  {}: it is part of {}", repeated.path, repeated.with);
    }
    for bad in &report.quarantine {
        let _ = writeln!(out, "  left out  {bad}");
    }
    out
}

fn facts(report: &MeasureReport) -> Table<2> {
    let rate = report.bytes_read as f64 / report.seconds.max(1e-6);
    let row = |name: &str, fact: String| [name.to_owned(), fact];
    let rows = vec![
        row("read", format!("{} of pixels from {}", bytes(report.bytes_read), bytes(report.bytes_fetched))),
        row("memory", format!("{} at the peak; {} allowed", bytes(report.peak_memory), bytes(report.memory))),
        row("time", format!("{}, {} a second", duration(report.seconds), bytes(rate as u64))),
    ];
    Table { columns: [Align::Left, Align::Left], rows }
}

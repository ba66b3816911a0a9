//! A measured machine for people.

use std::fmt::Write as _;

use microtome::BenchReport;

use super::number::{bytes, duration, things};
use super::shape::lettered;
use super::table::{Align, Table};

/// What each step took, beside its limit, and what bounds it.
pub(crate) fn bench(of: &str, report: &BenchReport) -> String {
    let part = format!("{}, {} of pixels", lettered(&report.shape), bytes(report.bytes));
    let threads = things(report.threads as u64, "thread");
    let mut rows = vec![["step", "what", "time", "a second", "× limit"].map(str::to_owned)];
    for step in &report.steps {
        let rate = bytes((step.bytes as f64 / step.seconds.max(1e-9)) as u64);
        let ratio = step.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        rows.push([step.name.to_owned(), step.what.clone(), duration(step.seconds), rate, ratio]);
    }
    let columns = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Right];
    let mut out = format!("{of}: {part}; {threads}\n\n{}\n", Table { columns, rows });
    for step in &report.steps {
        let limit = step.limit.as_ref().map_or_else(String::new, |limit| {
            format!("; its limit, {}, takes {}", limit.what, duration(limit.seconds))
        });
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<8} is bound by {}{limit}", step.name, step.bound);
    }
    out
}

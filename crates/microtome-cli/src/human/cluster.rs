//! `cluster` for people.

use std::fmt::Write as _;

use microtome::{LocalCluster, LocalClusterOptions};

use super::cluster_deep as deep;
use super::number::{bytes, count, things};
use super::table::{Align, Table};
use crate::verbs::{Fault, Report, WorkerReport};

/// Workers that are named where several have the same fault.
const MOST_NAMED: usize = 3;

/// A cluster that was started here: the address alone on its line, then, unless nobody wants to know, what to do with it.
pub(crate) fn local(cluster: &LocalCluster, options: &LocalClusterOptions, quiet: bool) -> String {
    let address = cluster.address();
    let mut out = format!("{address}\n");
    if quiet {
        return out;
    }
    let workers = things(cluster.workers().len() as u64, "worker");
    let threads = things(options.threads_each as u64, "thread");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{workers} of {threads} on this machine; Ctrl-C ends the cluster");
    if let Some(link) = cluster.dashboard() {
        let _ = writeln!(out, "dashboard  {link}");
    }
    if let Some(path) = &options.scheduler_file {
        let _ = writeln!(out, "found by   --scheduler-file {}", path.display());
    }
    let _ = writeln!(out, "try next   microtome cluster check --address {address}");
    out
}

/// A cluster as it was found: a row a worker, then what is wrong and what to do.
pub(crate) fn check(report: &Report) -> String {
    let mut out = title(report);
    if !report.workers.is_empty() {
        let _ = writeln!(out, "\n{}", table(&report.workers));
    }
    if let Some(items) = report.items_per_second {
        let _ = writeln!(out, "{} trivial items a second over the whole cluster", count(three_digits(items)));
    }
    if let Some(found) = &report.deep {
        out += &deep::deep(found);
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if report.faults.is_empty() {
        let _ = writeln!(out, "all is well");
    }
    for (what, fault) in merged(&report.faults) {
        let _ = writeln!(out, "wrong: {what}\n       → {}", fault.todo);
    }
    out
}

fn title(report: &Report) -> String {
    let workers = things(report.workers.len() as u64, "worker");
    let threads = report.workers.iter().map(|worker| worker.facts.threads as u64).sum();
    let version = &report.versions.scheduler;
    let mut out = format!("{}: {workers}, {}, distributed {version}\n", report.address, things(threads, "thread"));
    if let Some(link) = &report.dashboard {
        let _ = writeln!(out, "dashboard  {link}");
    }
    out
}

fn table(workers: &[WorkerReport]) -> Table<7> {
    use Align::{Left, Right};
    let head = ["worker", "host", "threads", "memory", "round trip", "results", "verdict"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(workers.iter().map(row));
    Table { columns: [Left, Left, Right, Right, Right, Right, Left], rows }
}

fn row(worker: &WorkerReport) -> [String; 7] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let host = Some(worker.facts.host.clone()).filter(|host| !host.is_empty());
    [
        worker.address.clone(),
        or_dash(host),
        worker.facts.threads.to_string(),
        or_dash(worker.facts.memory.map(bytes)),
        or_dash(worker.round_trip.map(|seconds| format!("{:.1} ms", seconds * 1000.0))),
        or_dash(worker.bytes_per_second.map(|rate| format!("{}/s", bytes(rate as u64)))),
        worker.fault.as_ref().map_or("ok", |fault| &fault.word).to_owned(),
    ]
}

/// Faults with where they are; the same fault of several workers is told once.
fn merged(faults: &[Fault]) -> Vec<(String, &Fault)> {
    let mut kinds: Vec<(&Fault, Vec<&str>)> = Vec::new();
    for fault in faults {
        let worker = fault.worker.as_deref();
        match kinds.iter_mut().find(|(kind, _)| (&kind.what, &kind.todo) == (&fault.what, &fault.todo)) {
            Some((_, workers)) => workers.extend(worker),
            None => kinds.push((fault, worker.into_iter().collect())),
        }
    }
    kinds.into_iter().map(|(fault, workers)| (told(fault, &workers), fault)).collect()
}

fn told(fault: &Fault, workers: &[&str]) -> String {
    if workers.is_empty() {
        return fault.what.clone();
    }
    let named = workers[..workers.len().min(MOST_NAMED)].join(", ");
    match workers.len().saturating_sub(MOST_NAMED) {
        0 => format!("{named}: {}", fault.what),
        more => format!("{named} and {more} more: {}", fault.what),
    }
}

/// The number with three digits that mean something.
fn three_digits(value: f64) -> u64 {
    let unit = 10_f64.powi((value.max(1.0).log10().floor() as i32 - 2).max(0));
    ((value / unit).round() * unit) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_three_digits() {
        assert_eq!([0.0, 7.4, 83_149.0, 1_234_567.0].map(three_digits), [0, 7, 83_100, 1_230_000]);
    }

    #[test]
    fn the_same_fault_of_many_workers_is_told_once() {
        let fault = |worker: usize, what: &str| Fault {
            worker: Some(format!("w{worker}")),
            word: String::new(),
            what: what.to_owned(),
            todo: "restart it".to_owned(),
        };
        let faults = [fault(0, "old"), fault(1, "old"), fault(2, "dead"), fault(3, "old"), fault(4, "old")];
        let told: Vec<String> = merged(&faults).into_iter().map(|(what, _)| what).collect();
        assert_eq!(told, ["w0, w1, w3 and 1 more: old", "w2: dead"]);
    }
}

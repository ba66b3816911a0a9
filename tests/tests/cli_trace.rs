//! `--trace`: what a run did on which thread, as a file that trace viewers open.

mod cli;

use std::collections::{BTreeMap, BTreeSet};

use cli::Bench;
use serde_json::Value;

fn trace(bench: &Bench, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.path(name)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn spans(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["ph"] == "X").collect()
}

fn number(event: &Value, key: &str) -> f64 {
    event[key].as_f64().unwrap_or_else(|| panic!("{key} of {event}"))
}

/// Microseconds that a thread spent in spans: those that lie in no other.
fn busy(spans: &[&Value]) -> f64 {
    let mut sorted: Vec<(f64, f64)> =
        spans.iter().map(|s| (number(s, "ts"), number(s, "ts") + number(s, "dur"))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let (mut end, mut sum) = (f64::MIN, 0.0);
    for (from, to) in sorted {
        if from >= end {
            sum += to - from;
            end = to;
        } else {
            // Spans of a thread nest; nanoseconds are lost in rounding.
            assert!(to <= end + 0.01, "a span ends after the one around it");
        }
    }
    sum
}

#[test]
fn a_trace_tells_what_each_thread_did_when() {
    let Some(bench) = Bench::new() else { return };
    let run = bench.json("project fixtures/cells.ome.tif mip.zarr --axis z --threads 2 --trace run.json");
    let events = trace(&bench, "run.json");
    let spans = spans(&events);
    let of = |kind: &str| spans.iter().filter(|span| span["cat"] == kind).count() as u64;
    assert_eq!(of("task"), run["tasks"]["run"].as_u64().unwrap(), "every task of a small run is told of");
    assert_eq!(of("read"), 48, "a plane at a time");
    for kind in ["op", "write", "settle"] {
        assert!(of(kind) >= 1, "no {kind} in {events:?}");
    }
    let names: BTreeSet<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    for name in ["write", "read", "project", "encode", "store", "fsync and journal", "publish"] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    assert!(spans.iter().any(|span| span["args"]["chunk"] == "1.2.0.0.0"), "tasks say which chunk");
    let named: BTreeSet<u64> =
        events.iter().filter(|e| e["name"] == "thread_name").map(|e| e["tid"].as_u64().unwrap()).collect();
    let mut threads: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for span in &spans {
        assert!(number(span, "dur") >= 0.0 && number(span, "ts") >= 0.0, "{span}");
        threads.entry(span["tid"].as_u64().unwrap()).or_default().push(span);
    }
    let first = spans.iter().map(|s| number(s, "ts")).fold(f64::MAX, f64::min);
    let last = spans.iter().map(|s| number(s, "ts") + number(s, "dur")).fold(0.0, f64::max);
    for (thread, spans) in &threads {
        assert!(named.contains(thread), "{thread} has no name");
        let busy = busy(spans);
        assert!(busy <= last - first + 0.01, "thread {thread} was busy for {busy} of {} µs", last - first);
    }
    let end = events.last().unwrap();
    assert_eq!((end["args"]["events"].as_u64(), end["args"]["left_out"].as_u64()), (Some(spans.len() as u64), Some(0)));
}

#[test]
fn a_trace_changes_no_byte_and_can_be_of_a_run_that_fails() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/imagej.tif a.zarr");
    bench.text("convert fixtures/imagej.tif b.zarr --trace b.json");
    assert_eq!(cli::tree(&bench.path("a.zarr")), cli::tree(&bench.path("b.zarr")));
    let ran = bench.run(&["convert", "fixtures/imagej.tif", "a.zarr", "--trace", "c.json"]);
    assert_eq!(ran.code, 5, "it exists");
    assert_eq!(spans(&trace(&bench, "c.json")).len(), 0);
    let ran = bench.run(&["convert", "fixtures/imagej.tif", "d.zarr", "--trace", "no/such/folder.json"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("no/such/folder.json") && !bench.path("d.zarr").exists(), "{}", ran.stderr);
}

//! What a task costs when it does nothing: `cargo xtask bench tasks [--runs N]`.
//!
//! - `tasks-fused-…`: read and write of a chunk run as one task, as the executor runs them.
//! - `tasks-kept-…`: every chunk that is read is kept for two writes; all three run as tasks, with an edge for each write.
//! - `tasks-dask`: 1e5 tasks beside dask's threaded scheduler, both on two threads.
//!
//! Counted is all from the lazy array to the report: planning, lowering, admission, scheduling, release. Memory is the most
//! that was resident, above what was before. Each line checks that as many tasks ran as it says.

mod nowhere;
#[path = "../usage/mod.rs"]
mod usage;

use std::process::Command;
use std::sync::Arc;

use microtome::prelude::*;
use microtome::{ArraySpec, Plan, RunReport, SyntheticReader};
use nowhere::Nowhere;
use usage::{Usage, median};

const THREADS: usize = 2;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runs = args.iter().position(|a| a == "--runs").and_then(|i| args.get(i + 1)?.parse().ok()).unwrap_or(3);
    let filter = args.iter().find(|a| !a.starts_with("--") && a.parse::<usize>().is_err());
    let wanted = |name: &str| filter.is_none_or(|f| name.contains(f.as_str()));
    println!(
        "{:<17} {:>9} {:>12} {:>12} {:>6} {:>9}",
        "no-op tasks", "wall s", "CPU ns/task", "a graph task", "busy", "memory"
    );
    for (count, name) in [(1_000_000, "1e6"), (10_000_000, "1e7"), (100_000_000, "1e8")] {
        for kind in [Kind::Fused, Kind::Kept] {
            let name = format!("tasks-{}-{name}", kind.name());
            if wanted(&name) {
                line(&name, kind, count, runs);
            }
        }
    }
    if wanted("tasks-dask") {
        beside_dask(100_000, runs);
    }
}

/// Two graphs of two layers.
#[derive(Clone, Copy)]
enum Kind {
    Fused,
    Kept,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Fused => "fused",
            Kind::Kept => "kept",
        }
    }

    /// Runs so many tasks, or a few less where they are not a multiple of a group's.
    fn run(self, tasks: u64) -> RunReport {
        let (units, tile) = match self {
            Kind::Fused => (tasks, 1),
            Kind::Kept => (tasks / 3 * 2, 2), // two writes to a read
        };
        let shape = Shape::new([units.div_ceil(20), 10, 1, 1, 2, 1]).unwrap();
        let tile = Shape::new([1, 1, 1, 1, tile, 1]).unwrap();
        let spec = ArraySpec { shape, dtype: PixelType::U8 };
        let reader = Arc::new(SyntheticReader::untouched(spec).tiled(tile));
        let array = Image::of(reader).scene(0).unwrap().array(&ChunkDims::Shape(tile)).unwrap();
        let sink = Nowhere::new(spec);
        let options = RunOptions { threads: THREADS, ..RunOptions::default() };
        let report = Plan::store(&array, &sink).run(&options).unwrap();
        let expected = match self {
            Kind::Fused => shape.pixels(),
            Kind::Kept => shape.pixels() / 2 * 3,
        };
        assert_eq!(report.tasks_run, expected);
        assert!(report.tasks_run.abs_diff(tasks) < 60, "about as many as asked for");
        report
    }
}

fn line(name: &str, kind: Kind, tasks: u64, runs: usize) {
    kind.run(tasks.min(1_000_000)); // a warm-up
    let before = resident("VmRSS:");
    forget_peak();
    let taken: Vec<_> = (0..runs).map(|_| usage::of(|| drop(kind.run(tasks)))).collect();
    let memory = (resident("VmHWM:") - before).max(0.0);
    let (wall, cpu) = (median(taken.iter().map(|t| t.wall)), median(taken.iter().map(|t| t.cpu)));
    let each = cpu / tasks as f64 * 1e9;
    // A fused task is two nodes of the graph.
    let node = match kind {
        Kind::Fused => each / 2.0,
        Kind::Kept => each,
    };
    let busy = cpu / (wall * THREADS as f64) * 100.0;
    println!("{name:<17} {wall:>9.3} {each:>12.0} {node:>12.0} {busy:>5.0}% {memory:>5.1} MiB");
}

fn beside_dask(tasks: u64, runs: usize) {
    let Some((dask, version)) = dask_threads(tasks) else {
        println!("tasks-dask: SKIPPED, no Python with dask; run `cargo xtask bench`, or name one in MICROTOME_PYTHON");
        return;
    };
    println!("tasks-dask: {tasks} tasks of two layers; dask {version}: {:.2} s, CPU {:.2} s", dask.wall, dask.cpu);
    for kind in [Kind::Fused, Kind::Kept] {
        // Read and write of a chunk are one fused task here, and two in dask's graph.
        let count = match kind {
            Kind::Fused => tasks / 2,
            Kind::Kept => tasks,
        };
        kind.run(count); // a warm-up
        let taken: Vec<_> = (0..runs.max(5)).map(|_| usage::of(|| drop(kind.run(count)))).collect();
        let (wall, cpu) = (median(taken.iter().map(|t| t.wall)), median(taken.iter().map(|t| t.cpu)));
        let (name, times, cpu_times) = (kind.name(), dask.wall / wall, dask.cpu / cpu);
        println!(
            "tasks-dask, {name}: ours {wall:.4} s, CPU {cpu:.4} s: {times:.0} × less time, {cpu_times:.0} × less CPU"
        );
    }
}

/// What dask takes, and which one it is; `None` where there is none.
fn dask_threads(tasks: u64) -> Option<(Usage, String)> {
    let python = std::env::var("MICROTOME_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scheduling/dask_threads.py");
    let output = Command::new(python).args([script, &tasks.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [wall, cpu, version] = words[..] else { return None };
    Some((Usage { wall: wall.parse().ok()?, cpu: cpu.parse().ok()? }, version.to_owned()))
}

/// A line of what the system says of this process, in MiB.
fn resident(line: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Lets the peak of resident memory begin anew.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

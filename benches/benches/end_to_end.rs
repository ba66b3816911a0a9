//! End to end, each workload beside its physical limit in the same run: `cargo xtask bench [FILTER] [--runs N]`.
//!
//! Limit and workload take turns, so that both see the same machine; medians and their ratio are printed, of wall time and
//! of processor time, which is the surer one where the machine does something else, too. Every workload checks its result
//! once. Data is generated below `target/bench-data` (about 2.8 GB) and kept.

mod data;
mod limits;
mod usage;
mod workloads;

use usage::median;

/// One side of a comparison: sets itself up outside the clock, then does its work once.
pub(crate) type Work = Box<dyn FnMut()>;

/// A workload with its limit.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    /// What the limit is, and the amount of work for a rate.
    pub(crate) limit_name: &'static str,
    pub(crate) amount: f64,
    /// The same of the limit, where it does another amount: the ratio is of one unit of work.
    pub(crate) limit_amount: f64,
    pub(crate) unit: &'static str,
    pub(crate) limit: Work,
    pub(crate) ours: Work,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runs = value_of(&args, "--runs").and_then(|n| n.parse().ok()).unwrap_or(5);
    let filter = args.iter().find(|a| !a.starts_with("--") && a.parse::<usize>().is_err());
    println!(
        "{:<34} {:>10} {:>10} {:>7} {:>7}  {:>14}  limit",
        "workload", "ours s", "limit s", "ratio", "CPU", "rate"
    );
    for make in workloads::ALL {
        if filter.is_none_or(|f| make.0.contains(f.as_str())) {
            compare((make.1)(), runs);
        }
    }
}

fn compare(mut bench: Bench, runs: usize) {
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    (bench.limit)();
    (bench.ours)(); // the first run of each is a warm-up
    for _ in 0..runs {
        limit.push(usage::of(&mut bench.limit));
        ours.push(usage::of(&mut bench.ours));
    }
    let wall = |taken: &[usage::Usage]| median(taken.iter().map(|t| t.wall));
    let cpu = |taken: &[usage::Usage]| median(taken.iter().map(|t| t.cpu));
    let more = bench.amount / bench.limit_amount;
    println!(
        "{:<34} {:>10.4} {:>10.4} {:>7.2} {:>7.2}  {:>14}  {}",
        bench.name,
        wall(&ours),
        wall(&limit),
        wall(&ours) / wall(&limit) / more,
        cpu(&ours) / cpu(&limit) / more,
        format!("{:.3} {}", bench.amount / wall(&ours), bench.unit),
        bench.limit_name
    );
}

fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a String> {
    args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1))
}

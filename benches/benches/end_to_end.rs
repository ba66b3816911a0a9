//! End to end, each workload beside its physical limit in the same run: `cargo xtask bench [FILTER] [--runs N]`.
//!
//! Limit and workload take turns, so that both see the same machine; medians and their ratio are printed, and every
//! workload checks its result once. Data is generated below `target/bench-data` (about 1.5 GB) and kept.

mod data;
mod limits;
mod workloads;

use std::time::Instant;

/// One side of a comparison: sets itself up outside the clock, then does its work once.
pub(crate) type Work = Box<dyn FnMut()>;

/// A workload with its limit.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    /// What the limit is, and the amount of work for a rate.
    pub(crate) limit_name: &'static str,
    pub(crate) amount: f64,
    pub(crate) unit: &'static str,
    pub(crate) limit: Work,
    pub(crate) ours: Work,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runs = value_of(&args, "--runs").and_then(|n| n.parse().ok()).unwrap_or(5);
    let filter = args.iter().find(|a| !a.starts_with("--") && a.parse::<usize>().is_err());
    println!("{:<34} {:>10} {:>10} {:>7}  {:>14}  limit", "workload", "ours s", "limit s", "ratio", "rate");
    for make in workloads::ALL {
        if filter.is_some_and(|f| !make.0.contains(f.as_str())) {
            continue;
        }
        let mut bench = (make.1)();
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        (bench.limit)();
        (bench.ours)(); // the first run of each is a warm-up
        for _ in 0..runs {
            limit.push(seconds(&mut bench.limit));
            ours.push(seconds(&mut bench.ours));
        }
        let (ours, limit) = (median(ours), median(limit));
        let rate = format!("{:.3} {}", bench.amount / ours, bench.unit);
        println!(
            "{:<34} {ours:>10.4} {limit:>10.4} {:>7.2}  {rate:>14}  {}",
            bench.name,
            ours / limit,
            bench.limit_name
        );
    }
}

fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a String> {
    args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1))
}

fn seconds(work: &mut Work) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! The handler beside what it is measured against, in the same run: `cargo xtask bench handler [FILTER] [--runs N]`.
//!
//! - `threads`: `batched_map` over a lazy iterator beside a hand-written rayon pipeline that likewise yields a `Result` per
//!   item, in order, to one consumer.
//! - `cluster`: the same function on a scheduler and two workers, beside plain `client.map` at its best setting
//!   (`worker-saturation: inf`) on the same cluster; then items of 1 µs, 100 µs and 10 ms, with the share of worker time
//!   that is useful, the most batches out, and what the scheduler's memory grew by.
//!
//! The program is what the workers run, too.

mod cluster;
#[path = "../../../crates/microtome-handler/tests/dask/mod.rs"]
mod dask;
mod pipeline;

use std::time::Instant;

use microtome::handler::Handler;

/// Adds one: the least that a function can do.
#[microtome::function]
fn add_one(x: u64) -> u64 {
    x + 1
}

/// Keeps a core busy for so many microseconds.
#[microtome::function]
fn busy(microseconds: u64) -> u64 {
    let start = Instant::now();
    while (start.elapsed().as_micros() as u64) < microseconds {
        std::hint::spin_loop();
    }
    microseconds
}

/// Waits for so many microseconds without keeping a core: workers, client and scheduler share two cores here.
#[microtome::function]
fn wait(microseconds: u64) -> u64 {
    std::thread::sleep(std::time::Duration::from_micros(microseconds));
    microseconds
}

fn main() {
    microtome::init();
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)?.parse::<u64>().ok());
    let runs = value("--runs").unwrap_or(5) as usize;
    let filter = args.iter().find(|a| !a.starts_with("--") && a.parse::<u64>().is_err());
    let wanted = |name: &str| filter.is_none_or(|f| name.contains(f.as_str()));
    if wanted("threads") {
        threads(value("--items").unwrap_or(100_000_000), runs);
    }
    if wanted("cluster") {
        cluster::run(value("--items").unwrap_or(10_000_000));
    }
}

fn threads(items: u64, runs: usize) {
    let handler = Handler::new(None).expect("threads");
    let (mut ours, mut hand, mut order) = (Vec::new(), Vec::new(), 0);
    for run in 0..=runs {
        let start = Instant::now();
        let sum = handler.batched_map(add_one, 0..items).fold(0_u64, |sum, r| sum + r.expect("a result"));
        let took = start.elapsed().as_secs_f64();
        assert_eq!(sum, items * (items + 1) / 2);
        let start = Instant::now();
        let sum =
            pipeline::run(0..items, |x| Ok::<u64, String>(x + 1)).fold(0_u64, |sum, r| sum + r.expect("a result"));
        let by_hand = start.elapsed().as_secs_f64();
        assert_eq!(sum, items * (items + 1) / 2);
        order += u64::from(took < by_hand);
        // The first run is a warm-up.
        if run > 0 {
            ours.push(took);
            hand.push(by_hand);
        }
    }
    let (ours, hand) = (median(ours), median(hand));
    println!(
        "threads: {items} items, medians of {runs}: ours {ours:.3} s ({:.1} M items/s), by hand {hand:.3} s, ratio {:.2} (ours first in {order})",
        items as f64 / ours / 1e6,
        ours / hand
    );
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

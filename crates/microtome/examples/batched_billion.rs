//! A billion items in input order and flat memory: every result is checked, and so is their sum.
//!
//! ```console
//! $ cargo run --release -p microtome --example batched_billion
//! $ cargo run --release -p microtome --example batched_billion -- 1e6 cluster.json
//! ```
//!
//! The first argument is the number of items (`1_000_000`, `1e6`), the second the address of a Dask scheduler or the path
//! of its file; without it the items run on the threads of this machine.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Instant;

use microtome::Handler;

#[microtome::function]
fn add_one(x: u64) -> u64 {
    x + 1
}

fn main() -> Result<(), Box<dyn Error>> {
    microtome::init();
    let mut words = std::env::args().skip(1);
    let items = words.next().map_or(Ok(1_000_000_000), |text| count(&text))?;
    let handler = Handler::new(words.next().as_deref())?;

    let start = Instant::now();
    let mut map = handler.batched_map(add_one, 0..items);
    let mut results = 0;
    let mut sum = 0_u128;
    for result in map.by_ref() {
        let result = result?;
        results += 1;
        if result != results {
            return Err(format!("{result} stands at the place of {results}").into());
        }
        sum += u128::from(result);
    }
    let seconds = start.elapsed().as_secs_f64();
    let expected = u128::from(items) * (u128::from(items) + 1) / 2;
    if sum != expected {
        return Err(format!("the results add up to {sum}, expected {expected}").into());
    }

    let stats = map.stats();
    println!("{:<16}{results}, each at its place", "items");
    println!("{:<16}{sum}, as expected", "sum");
    println!("{:<16}{seconds:.2}", "seconds");
    println!("{:<16}{:.0}", "items/s", items as f64 / seconds);
    println!("{:<16}{}", "batches", stats.batches);
    println!("{:<16}{} at most, the window is {}", "in flight", stats.most_in_flight, stats.window);
    match peak_memory() {
        Some(bytes) => println!("{:<16}{:.1} MB", "peak memory", bytes as f64 / 1e6),
        None => println!("{:<16}not known here", "peak memory"),
    }
    Ok(())
}

/// Reads a count: `1000`, `1_000`, `1e3`.
fn count(text: &str) -> Result<u64, String> {
    let (digits, zeros) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let number = || {
        let digits: u64 = digits.replace('_', "").parse().ok()?;
        digits.checked_mul(10_u64.checked_pow(zeros.parse().ok()?)?)
    };
    number().ok_or_else(|| format!("`{text}` is no count: write 1_000_000 or 1e6"))
}

/// The most memory that this process ever had, in bytes, where the system says it.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

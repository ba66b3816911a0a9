//! Adds one to any number of numbers on a Dask cluster, in flat memory here, on the workers and at the scheduler.
//!
//! ```console
//! $ microtome cluster local --workers 2 --scheduler-file cluster.json &
//! $ cargo run --release -p microtome --example batched_dask -- cluster.json 1000000
//! 1000000 results in order, the last is 1000000
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use microtome::Handler;

#[microtome::function]
fn add_one(x: u64) -> u64 {
    x + 1
}

fn main() -> Result<(), Box<dyn Error>> {
    microtome::init();
    let mut words = std::env::args().skip(1);
    let address = words.next().ok_or("usage: batched_dask ADDRESS [ITEMS]")?;
    let items: u64 = words.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let handler = Handler::new(Some(&address))?;
    let mut results = 0;
    let mut last = 0;
    for result in handler.batched_map(add_one, 0..items) {
        results += 1;
        last = result?;
        assert_eq!(last, results, "results come in the order of their items");
    }
    assert_eq!(results, items);
    println!("{results} results in order, the last is {last}");
    Ok(())
}

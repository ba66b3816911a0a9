//! Adds one to any number of numbers on the threads of this machine, in flat memory.
//!
//! ```console
//! $ cargo run --release -p microtome --example batched_threads -- 1000000
//! 1000000 results in order, the last is 1000000
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use microtome::Handler;

fn main() -> Result<(), Box<dyn Error>> {
    microtome::init();
    let items: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let handler = Handler::local();
    let mut results = 0;
    let mut last = 0;
    for result in handler.batched_map(|x: u64| x + 1, 0..items) {
        results += 1;
        last = result?;
        assert_eq!(last, results, "results come in the order of their items");
    }
    assert_eq!(results, items);
    println!("{results} results in order, the last is {last}");
    Ok(())
}

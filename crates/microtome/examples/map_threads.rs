//! Adds one to three numbers on the threads of this machine.
//!
//! ```console
//! $ cargo run --release -p microtome --example map_threads
//! [2, 3, 4]
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use microtome::Handler;

fn main() -> Result<(), Box<dyn Error>> {
    microtome::init();
    let handler = Handler::local();
    let futures = handler.map(|x: u64| x + 1, [1, 2, 3]);
    let results = handler.try_gather(futures)?;
    assert_eq!(results, [2, 3, 4]);
    println!("{results:?}");
    Ok(())
}

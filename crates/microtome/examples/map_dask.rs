//! Adds one to three numbers on a Dask cluster. A closure cannot travel; a function can, by its name.
//!
//! ```console
//! $ microtome cluster local --workers 2 --scheduler-file cluster.json &
//! $ cargo run --release -p microtome --example map_dask -- cluster.json
//! [2, 3, 4]
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
    let address = std::env::args().nth(1).ok_or("usage: map_dask ADDRESS (or the path of a scheduler file)")?;
    let handler = Handler::new(Some(&address))?;
    let futures = handler.map(add_one, [1, 2, 3]);
    let results = handler.try_gather(futures)?;
    assert_eq!(results, [2, 3, 4]);
    println!("{results:?}");
    Ok(())
}

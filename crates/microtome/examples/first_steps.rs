//! The first program of docs/handlers.md: the same lines on threads and on a Dask cluster.
//!
//! ```console
//! $ cargo run --release -p microtome --example first_steps
//! $ cargo run --release -p microtome --example first_steps -- cluster.json
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use microtome::Handler;

/// Steps of the Collatz walk from `n` down to 1.
#[microtome::function]
fn collatz(n: u64) -> Result<u32, String> {
    if n == 0 {
        return Err("the walk from 0 never ends".to_owned());
    }
    let next = |n: &u64| (*n != 1).then(|| if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 });
    Ok(std::iter::successors(Some(n), next).skip(1).fold(0, |steps, _| steps + 1))
}

fn main() -> Result<(), Box<dyn Error>> {
    microtome::init(); // first: on a worker the program goes no further
    let address = std::env::args().nth(1); // none: threads
    let handler = Handler::new(address.as_deref())?;

    // A few items: a future each, results in input order.
    let futures = handler.map(collatz, [6, 27, 0]);
    for result in handler.gather(futures) {
        match result {
            Ok(steps) => println!("{steps} steps"),
            Err(error) => println!("error: {}", error.kind()),
        }
    }

    // Many items: a stream of results, still in input order.
    let mut longest = (0, 0);
    for (n, result) in (1..).zip(handler.batched_map(collatz, 1..1_000_000)) {
        longest = longest.max((result?, n));
    }
    println!("below a million, the walk from {} is the longest: {} steps", longest.1, longest.0);
    Ok(())
}

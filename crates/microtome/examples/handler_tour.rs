//! What a handler can do besides the first steps: the other snippets of docs/handlers.md, on threads or on a Dask cluster.
//!
//! ```console
//! $ cargo run --release -p microtome --example handler_tour
//! $ cargo run --release -p microtome --example handler_tour -- cluster.json
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use microtome::handler::log;
use microtome::{Handler, HandlerEvent, LocalHandler, TaskError, zip};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Cell {
    name: String,
    area: f64,
}

#[microtome::function]
fn weigh(cell: Cell, density: f64) -> f64 {
    log(&format!("weighing {}", cell.name));
    cell.area * density
}

#[microtome::function]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[microtome::function]
fn root(x: f64) -> Result<f64, String> {
    if x < 0.0 { Err(format!("{x} has no root")) } else { Ok(x.sqrt()) }
}

#[microtome::function]
fn nap(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

fn own_types(handler: &Handler) -> Result<(), TaskError> {
    let cells = ["a", "b"].map(|name| Cell { name: name.to_owned(), area: 12.5 });
    let futures = handler.map(weigh, cells.into_iter().map(|cell| (cell, 2.0)));
    assert_eq!(handler.try_gather(futures)?, [25.0, 25.0]);
    Ok(())
}

fn several_iterables(handler: &Handler) -> Result<(), TaskError> {
    let futures = handler.map(add, zip(([1, 2, 3], [10, 20, 30])));
    assert_eq!(handler.try_gather(futures)?, [11, 22, 33]);

    let futures = handler.map(add, zip((0.., [10, 20])).shortest());
    assert_eq!(handler.try_gather(futures)?, [10, 21]);

    let futures = handler.map(add, (0..3).map(|x| (x, 100))); // the second is the same for all
    assert_eq!(handler.try_gather(futures)?, [100, 101, 102]);
    Ok(())
}

fn failures(handler: &Handler) {
    let futures = handler.map(root, [4.0, -1.0, 9.0]);
    for result in handler.gather(futures) {
        match result {
            Ok(value) => println!("{value}"),
            Err(error) => println!("{error}"),
        }
    }

    let strict = handler.batched_map(root, [4.0, -1.0, 9.0]).strict();
    assert_eq!(strict.count(), 2); // 2, and the error
}

fn streams(handler: &Handler) -> Result<(), TaskError> {
    // As they come, with their places.
    let futures = handler.map(nap, [300, 0]);
    for (place, milliseconds) in handler.as_completed(futures) {
        println!("{place}: {} ms", milliseconds?);
    }

    // Twenty at a time, at most three batches out.
    let pairs = (0..100).map(|x| (x, 1));
    let sum = handler.batched_map(add, pairs).batch_size(20).window(3).sum::<Result<u64, TaskError>>()?;
    assert_eq!(sum, 5050);
    Ok(())
}

fn listening(address: Option<&str>) -> Result<Handler, Box<dyn Error>> {
    let mut builder = Handler::builder().on_event(|event| match event {
        HandlerEvent::Log { line, .. } => println!("{line}"),
        HandlerEvent::Retried { items, why, .. } => println!("{items} items again: {why}"),
        _ => {}
    });
    if let Some(address) = address {
        builder = builder.address(address).insecure(true); // plain text: on a network that you trust
    }
    Ok(builder.build()?)
}

fn closures() -> Result<(), TaskError> {
    let handler: LocalHandler = Handler::local();
    let factor = 3;
    let futures = handler.map(move |x: u64| x * factor, [1, 2, 3]);
    assert_eq!(handler.try_gather(futures)?, [3, 6, 9]);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    microtome::init();
    let address = std::env::args().nth(1);
    let handler = listening(address.as_deref())?;
    own_types(&handler)?;
    several_iterables(&handler)?;
    failures(&handler);
    streams(&handler)?;
    closures()?;
    Ok(())
}

//! What goes wrong on a cluster, done to real processes: workers, children, drivers, schedulers and clients are killed,
//! programs are missing, addresses wrong. What must hold is written as sets: every item has one outcome, in its own place;
//! it ran at least once; nothing hangs, and nothing is left behind.
//!
//! A program of its own, because workers start it again in worker mode; started as `client …` it is a user's program that
//! can be killed.

#![expect(unreachable_pub, reason = "a program has no interface")]
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a program of tests")]

mod children;
mod clients;
mod connecting;
#[path = "../dask/mod.rs"]
mod dask;
mod drivers;
mod encryption;
mod events;
mod functions;
mod limits;
mod predecessor;
mod programs;
mod schedulers;
mod stage;
mod workers;

use std::sync::Arc;

use libtest_mimic::Arguments;

use self::stage::Stage;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, address] = words.as_slice()
        && first == clients::WITHOUT_INIT
    {
        return clients::without_init(address);
    }
    microtome_handler::init();
    if words.first().is_some_and(|word| word == clients::CLIENT) {
        return clients::client(&words[1..]);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(stage::AT_A_TIME);
    let stage = dask::python().map(|python| Arc::new(Stage::new(python)));
    let mut trials = connecting::without_python();
    if let Some(stage) = &stage {
        // Long ones first; what runs alone last.
        let files = [
            connecting::trials,
            workers::trials,
            events::trials,
            children::trials,
            schedulers::trials,
            drivers::trials,
            clients::trials,
            programs::trials,
            encryption::trials,
            limits::trials,
            predecessor::trials,
        ];
        trials.extend(files.iter().flat_map(|file| file(stage)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(stage) = stage {
        stage.end();
    }
    conclusion.exit();
}

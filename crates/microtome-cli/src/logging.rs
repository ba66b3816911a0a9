//! The log on standard error, and what is said of a panic.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output::{one_line, say};
use crate::trace::{Runs, Trace};

/// Starts the log, and the trace of a run if there is one.
pub(crate) fn start(level: LevelFilter, trace: Option<Trace>) {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .with_filter(level);
    tracing_subscriber::registry().with(log).with(trace.map(|trace| trace.with_filter(Runs))).init();
}

/// Says of a panic what and where on one line. Threads that run tasks report theirs as an error of the run.
pub(crate) fn explain_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("panic");
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        if std::thread::current().name() == Some("main") {
            say(&format!("error: {}{place}; this is a bug of microtome, please report it", one_line(message)));
        } else {
            tracing::error!("panic{place}: {message}");
        }
    }));
}

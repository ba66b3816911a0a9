//! The log on standard error, and what is said of a panic.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;

use crate::output::{one_line, say};

/// Starts the log.
pub(crate) fn start(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
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

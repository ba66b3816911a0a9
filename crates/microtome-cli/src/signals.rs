//! Requests to stop, from the terminal or from another program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::exit;

/// Makes a file that grows over its limit an error of the write, where it would end the program.
pub(crate) fn survive_file_limit() {
    // Where that cannot be done, a limit ends the program as it always did; nothing is published then either.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Calls `tell` with the number of the first signal that asks this program to stop, on a thread of its own. The second ends
/// it at once, for whoever has no patience with what is done about the first.
pub(crate) fn on_first(tell: impl FnOnce(i32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut signals = signals.forever();
        if let Some(first) = signals.next() {
            tell(first);
        }
        if let Some(second) = signals.next() {
            std::process::exit(exit::of_signal(second).into());
        }
    })?;
    Ok(())
}

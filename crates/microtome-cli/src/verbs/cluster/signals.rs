//! Requests to stop, from the terminal or from another program.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit;

/// Calls `tell` with the number of the first signal that asks this program to stop, on a thread of its own. The second ends
/// it at once, for whoever has no patience with what is done about the first.
pub(super) fn on_first(tell: impl FnOnce(i32) + Send + 'static) -> io::Result<()> {
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

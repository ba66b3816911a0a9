//! What a running item may say: lines for its log, and which item it is.
//!
//! *Invariant:* an item's place and its listener are set around each call by whoever runs it, here or on a worker, and
//! nowhere else.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    static ITEM: Cell<u64> = const { Cell::new(u64::MAX) };
    static LISTENER: RefCell<Option<Arc<dyn Listener>>> = const { RefCell::new(None) };
}

/// Takes the lines that items say.
pub(crate) trait Listener: Send + Sync {
    /// A line of an item.
    fn line(&self, item: u64, line: &str);
}

/// The place of the item that this thread is working on, from 0, among all items of its `map` or `batched_map`; `None`
/// outside a task.
pub fn current_item() -> Option<u64> {
    Some(ITEM.get()).filter(|item| *item != u64::MAX)
}

/// Adds a line to the log of the item that this thread is working on: it reaches the program that started the work as
/// [`Event::Log`](crate::Event::Log), from a thread here or from a worker on the other side of the network. Outside a
/// task, or with nobody listening, it goes to `tracing` at level info.
///
/// # Examples
/// ```
/// use std::sync::{Arc, Mutex};
/// use microtome_handler::{Event, Handler, log};
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let seen = Arc::clone(&lines);
/// let handler = Handler::builder()
///     .on_event(move |event| {
///         if let Event::Log { item, line, .. } = event {
///             seen.lock().unwrap().push((*item, line.clone()));
///         }
///     })
///     .local()?;
/// let futures = handler.map(|x: u32| log(&format!("seen {x}")), [7]);
/// handler.try_gather(futures)?;
/// assert_eq!(*lines.lock().unwrap(), [(Some(0), "seen 7".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn log(line: &str) {
    let listener = LISTENER.with_borrow(Clone::clone);
    match (listener, current_item()) {
        (Some(listener), Some(item)) => listener.line(item, line),
        (_, item) => tracing::info!(?item, "{line}"),
    }
}

/// Sets the item that this thread works on.
pub(crate) fn set_item(item: u64) {
    ITEM.set(item);
}

/// This thread works on items; ends when dropped.
#[derive(Debug)]
pub(crate) struct Working;

impl Working {
    pub(crate) fn start(listener: Option<Arc<dyn Listener>>) -> Working {
        LISTENER.set(listener);
        Working
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        ITEM.set(u64::MAX);
        LISTENER.set(None);
    }
}

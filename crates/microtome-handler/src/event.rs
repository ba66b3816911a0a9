//! What a handler tells while work goes on.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something that happened. Told on a thread of the handler: be quick, and do not wait for the handler's own results.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A batch of items is done.
    Batch {
        /// The function's name; empty for a closure.
        function: String,
        /// The first item's place.
        first: u64,
        /// How many items.
        items: u64,
        /// Seconds its items took, one after the other.
        seconds: f64,
        /// Where: the worker's address, or `threads`.
        worker: String,
    },
    /// A batch is under way (a few times a second at most).
    Progress {
        /// The function's name.
        function: String,
        /// The first item's place.
        first: u64,
        /// Items of the batch that are done.
        done: u64,
        /// Items of the batch.
        items: u64,
        /// The worker's address.
        worker: String,
    },
    /// A line: an item said it with [`log`](crate::log()), or the process that runs a batch wrote it to standard error.
    Log {
        /// The item's place; `None` for standard error of a process.
        item: Option<u64>,
        /// Where: the worker's address, or `threads`.
        worker: String,
        /// The line.
        line: String,
    },
    /// Items are tried again after a fault that is not theirs.
    Retried {
        /// The function's name.
        function: String,
        /// The first item's place.
        first: u64,
        /// How many items.
        items: u64,
        /// The fault.
        why: String,
    },
    /// Workers came or went.
    Workers {
        /// Workers now.
        workers: usize,
        /// Their threads in all.
        threads: usize,
    },
    /// Something that will not stop the work and should be known.
    Warning {
        /// What, and what to do.
        message: String,
    },
    /// The scheduler is gone; everything in flight is lost.
    SchedulerLost {
        /// Its address.
        address: String,
    },
}

type Listener = dyn Fn(&Event) + Send + Sync;

/// Who is told of events: nobody, or a function.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Option<Arc<Listener>>);

impl Listeners {
    pub(crate) fn new(listener: impl Fn(&Event) + Send + Sync + 'static) -> Listeners {
        Listeners(Some(Arc::new(listener)))
    }

    /// Tells an event; it is made only if somebody listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = &self.0 {
            let event = event();
            // A listener's panic is its own: the threads that tell have work to do.
            if catch_unwind(AssertUnwindSafe(|| listener(&event))).is_err() {
                tracing::error!("a listener panicked at {event:?}");
            }
        }
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_heard() { "Listeners(1)" } else { "Listeners(0)" })
    }
}

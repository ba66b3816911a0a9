//! What a run has done so far: counted where it happens, read from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use microtome_io::ReadCount;

/// Counters of a run, shared by its threads.
#[derive(Debug, Default)]
pub struct Counters {
    tasks: AtomicU64,
    units: AtomicU64,
    units_planned: AtomicU64,
    decoded: AtomicU64,
    fetched: AtomicU64,
    written: AtomicU64,
    stored: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Fused tasks that have run.
    pub tasks: u64,
    /// Write units finished.
    pub units: u64,
    /// Write units planned.
    pub units_planned: u64,
    /// Bytes of pixels decoded from sources.
    pub bytes_read: u64,
    /// Bytes taken from storage.
    pub bytes_fetched: u64,
    /// Bytes of pixels given to the sink.
    pub bytes_written: u64,
    /// Bytes put into storage.
    pub bytes_stored: u64,
}

impl Counters {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            tasks: get(&self.tasks),
            units: get(&self.units),
            units_planned: get(&self.units_planned),
            bytes_read: get(&self.decoded),
            bytes_fetched: get(&self.fetched),
            bytes_written: get(&self.written),
            bytes_stored: get(&self.stored),
        }
    }

    pub(crate) fn planned(&self, units: u64) {
        self.units_planned.store(units, Ordering::Relaxed);
    }

    /// Adds what a window did; called once a unit or a window, so that threads do not contend for a task.
    pub(crate) fn add(&self, tally: &Tally) {
        let add = |counter: &AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.tasks, tally.tasks);
        add(&self.units, tally.units);
        add(&self.decoded, tally.read.decoded);
        add(&self.fetched, tally.read.fetched);
        add(&self.written, tally.written);
        add(&self.stored, tally.stored);
    }
}

/// What one thread has counted and not yet added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) tasks: u64,
    pub(crate) units: u64,
    pub(crate) read: ReadCount,
    pub(crate) written: u64,
    pub(crate) stored: u64,
}

//! What a run has done so far: counted where it happens, read from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use microtome_array::BufferPool;
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
    /// What lends the memory of the pass that runs.
    pool: Mutex<Option<BufferPool>>,
    ceiling: AtomicU64,
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
    /// Bytes of pixels and scratch held now.
    pub bytes_held: u64,
    /// What planning said these would be at most.
    pub bytes_ceiling: u64,
}

impl Counters {
    /// The counters now.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, ChunkDims, PixelType, Shape};
    /// use microtome_exec::{Plan, RunOptions};
    /// use microtome_graph::{Fusing, LazyArray, Selection};
    /// use microtome_io::SyntheticReader;
    ///
    /// let spec = ArraySpec { shape: Shape::new([1, 1, 3, 64, 64, 1])?, dtype: PixelType::U8 };
    /// let image = Arc::new(SyntheticReader::new(spec));
    /// let array = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let options = RunOptions::default();
    /// let (_, report) = Plan::compute(&array, Fusing::Full).collect(&options)?;
    /// let counted = options.counters.snapshot(); // may be asked for by another thread while it runs
    /// assert_eq!((counted.units, counted.bytes_held), (3, 0));
    /// assert_eq!(counted.bytes_ceiling, report.projected_peak);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_held = pool.as_ref().map_or(0, |pool| pool.stats().lent);
        Snapshot {
            tasks: get(&self.tasks),
            units: get(&self.units),
            units_planned: get(&self.units_planned),
            bytes_read: get(&self.decoded),
            bytes_fetched: get(&self.fetched),
            bytes_written: get(&self.written),
            bytes_stored: get(&self.stored),
            bytes_held,
            bytes_ceiling: get(&self.ceiling),
        }
    }

    /// Says what lends the memory of what runs now, and how much it was planned to lend at most.
    pub(crate) fn holds(&self, pool: &BufferPool, ceiling: u64) {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = Some(pool.clone());
        self.ceiling.store(ceiling, Ordering::Relaxed);
    }

    /// Says that it has ended: nothing is held, and the pool's idle buffers can go.
    pub(crate) fn holds_nothing(&self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).take();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_what_the_pool_has_lent() {
        let (counters, pool) = (Counters::default(), BufferPool::new(1 << 30));
        counters.holds(&pool, 4 << 20);
        let buffer = pool.take(1 << 20);
        let now = counters.snapshot();
        assert_eq!((now.bytes_held, now.bytes_ceiling), (1 << 20, 4 << 20));
        drop(buffer);
        assert_eq!(counters.snapshot().bytes_held, 0);
        counters.holds_nothing();
        assert_eq!(counters.snapshot().bytes_ceiling, 4 << 20, "the forecast stays");
    }
}

//! The keeper: takes the receipts of finished write units, settles the units in batches beside the computing, and records
//! them in the journal.
//!
//! *Invariant:* a unit is recorded only after it was settled, and only while the sources are what they were; the first
//! error is the last word: nothing is settled or recorded after it. What waits to be settled is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use microtome_io::{Durability, Output, Receipt, StoredUnit, WriteError};

use crate::error::RunError;
use crate::journal::{Entry, Journal};
use crate::trace;
use crate::watch::Watch;

/// Bytes that make a batch; what comes while one is settled makes the next, so batches grow where the disk is slow.
const BATCH_BYTES: u64 = 16 << 20;
/// Units that make a batch.
const BATCH_UNITS: usize = 64;
/// How long a unit waits for others.
const BATCH_TIME: Duration = Duration::from_millis(250);
/// Bytes that may wait to be settled before computing waits too.
const MOST_BYTES: u64 = 256 << 20;
/// Units that may wait to be settled. Each keeps a file open: with as many inputs as are held open it is within the 256 that
/// the strictest systems allow.
const MOST_UNITS: usize = 112;

/// Where the executor tells that write units are finished.
pub(crate) trait Record: Sync {
    /// Whether a unit, by its position in C order, was finished by an earlier run.
    fn is_finished(&self, array: usize, unit: u64) -> bool;

    /// Whether an earlier run finished some units.
    fn is_resuming(&self) -> bool;

    /// Takes the receipt of a unit; waits while too much is not settled. A unit that is not whole, because something in
    /// it could not be read, is stored and not recorded: a run that goes on tries it again, and lists again what is bad.
    ///
    /// # Errors
    /// Any, once the keeper has failed: the keeper tells the reason itself.
    fn finished(&self, array: usize, receipt: &Receipt) -> Result<(), RunError>;

    /// What is known of a unit that is settled.
    fn stored(&self, array: usize, unit: u64) -> StoredUnit {
        let _ = (array, unit);
        StoredUnit::default()
    }

    /// Waits until every unit that was handed over is settled: what must come before an array is read back.
    ///
    /// # Errors
    /// As [`finished`](Record::finished).
    fn flush(&self) -> Result<(), RunError>;
}

/// Keeps what a run finishes.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    output: &'a dyn Output,
    watch: &'a Watch,
    durability: Durability,
    /// Units of each array that an earlier run finished.
    resumed: Vec<Vec<bool>>,
    /// How many those are.
    resumed_units: u64,
    state: Mutex<State>,
    /// Told when there is something to settle, or nothing more to come.
    work: Condvar,
    /// Told when there is room for more.
    room: Condvar,
    /// Held while a batch is settled.
    journal: Mutex<Option<Journal>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(usize, Receipt)>,
    waiting_bytes: u64,
    /// When the first of those came.
    since: Option<Instant>,
    /// Units and bytes that wait or are being settled.
    unsettled: (usize, u64),
    settled: u64,
    units: Vec<Vec<StoredUnit>>,
    ending: bool,
    /// Threads that wait in [`Record::flush`].
    flushing: usize,
    failure: Option<RunError>,
    has_failed: bool,
}

impl<'a> Keeper<'a> {
    /// A keeper of an output, some of whose units are there already. Without a journal nothing is kept: the output is gone
    /// with the process.
    pub(crate) fn new(
        output: &'a dyn Output,
        watch: &'a Watch,
        durability: Durability,
        journal: Option<Journal>,
        entries: &[Entry],
    ) -> Keeper<'a> {
        let counts = |n: usize| output.array(n).spec().units.count() as usize;
        let arrays = if journal.is_some() { output.arrays() } else { 0 };
        let mut units: Vec<_> = (0..arrays).map(|n| vec![StoredUnit::default(); counts(n)]).collect();
        let mut resumed: Vec<Vec<bool>> = vec![Vec::new(); arrays];
        for entry in entries {
            let (array, unit) = (entry.array as usize, entry.unit as usize);
            resumed[array].resize(counts(array), false);
            resumed[array][unit] = true;
            units[array][unit] = StoredUnit { stored_bytes: entry.stored_bytes, crc32c: entry.crc32c };
        }
        let state = Mutex::new(State { units, ..State::default() });
        let resumed_units = resumed.iter().flatten().filter(|finished| **finished).count() as u64;
        let (work, room, journal) = (Condvar::new(), Condvar::new(), Mutex::new(journal));
        Keeper { output, watch, durability, resumed, resumed_units, state, work, room, journal }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles batches until [`end`](Keeper::end) was called and all is settled. Runs on a thread of its own.
    pub(crate) fn work(&self) {
        while let Some(batch) = self.next_batch() {
            let settled = catch_unwind(AssertUnwindSafe(|| self.settle(&batch))).unwrap_or_else(|_| {
                let (task, message) = ("settle".to_owned(), "while units were settled".to_owned());
                Err(RunError::Panic { task, message })
            });
            self.after(&batch, settled);
        }
    }

    /// Waits for a batch; `None` at the end.
    fn next_batch(&self) -> Option<Vec<(usize, Receipt)>> {
        let mut state = self.state();
        loop {
            let age = state.since.map_or(Duration::ZERO, |since| since.elapsed());
            let large = state.waiting_bytes >= BATCH_BYTES || state.waiting.len() >= BATCH_UNITS;
            let urged = state.ending || state.flushing > 0;
            if !state.waiting.is_empty() && (large || urged || age >= BATCH_TIME) {
                state.waiting_bytes = 0;
                state.since = None;
                return Some(std::mem::take(&mut state.waiting));
            }
            if state.ending || state.has_failed {
                return None;
            }
            let patience = if state.since.is_some() { BATCH_TIME.saturating_sub(age) } else { BATCH_TIME * 240 };
            let waited = self.work.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Settles and records; nothing after an error.
    fn settle(&self, batch: &[(usize, Receipt)]) -> Result<(), RunError> {
        if self.state().has_failed {
            return Ok(());
        }
        self.watch.glance()?;
        let _settling = trace::span("settle", "fsync and journal", true);
        self.output.settle(batch)?;
        let entries: Vec<Entry> = batch.iter().map(|(array, receipt)| self.entry(*array, receipt)).collect();
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = entries.iter().zip(batch).filter(|(_, (_, receipt))| receipt.whole);
        let whole: Vec<Entry> = whole.map(|(entry, _)| *entry).collect();
        if let Some(journal) = journal.as_mut() {
            journal.append(&whole)?;
        }
        let mut state = self.state();
        state.settled += whole.len() as u64;
        for entry in &entries {
            state.units[entry.array as usize][entry.unit as usize] =
                StoredUnit { stored_bytes: entry.stored_bytes, crc32c: entry.crc32c };
        }
        Ok(())
    }

    fn after(&self, batch: &[(usize, Receipt)], settled: Result<(), RunError>) {
        let mut state = self.state();
        let (units, bytes) = state.unsettled;
        let done: u64 = batch.iter().map(|(_, receipt)| receipt.stored_bytes).sum();
        state.unsettled = (units - batch.len(), bytes - done);
        if let Err(error) = settled {
            state.has_failed = true;
            state.failure.get_or_insert(error);
        }
        drop(state);
        self.room.notify_all();
    }

    fn entry(&self, array: usize, receipt: &Receipt) -> Entry {
        Entry {
            array: array as u32,
            unit: self.output.array(array).spec().units.linear(&receipt.unit),
            pixel_bytes: receipt.pixel_bytes,
            stored_bytes: receipt.stored_bytes,
            crc32c: receipt.crc32c,
        }
    }

    /// Says that no more units come: what waits is settled, and [`work`](Keeper::work) returns.
    pub(crate) fn end(&self) {
        self.state().ending = true;
        self.work.notify_all();
    }

    /// Units that were settled, with those of an earlier run.
    pub(crate) fn kept(&self) -> u64 {
        self.state().settled + self.resumed()
    }

    /// Units of an earlier run.
    pub(crate) fn resumed(&self) -> u64 {
        self.resumed_units
    }

    /// What the keeper failed at, or all units of the output.
    pub(crate) fn into_units(self) -> Result<Vec<Vec<StoredUnit>>, RunError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failure.map_or(Ok(state.units), Err)
    }

    /// What the keeper failed at, if it did.
    pub(crate) fn failure(&self) -> Option<RunError> {
        self.state().failure.take()
    }
}

impl Record for Keeper<'_> {
    fn is_resuming(&self) -> bool {
        self.resumed_units > 0
    }

    fn is_finished(&self, array: usize, unit: u64) -> bool {
        self.resumed.get(array).and_then(|units| units.get(unit as usize)).copied().unwrap_or(false)
    }

    fn stored(&self, array: usize, unit: u64) -> StoredUnit {
        let state = self.state();
        state.units.get(array).and_then(|units| units.get(unit as usize)).copied().unwrap_or_default()
    }

    fn finished(&self, array: usize, receipt: &Receipt) -> Result<(), RunError> {
        if self.resumed.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        while !state.has_failed && (state.unsettled.0 >= MOST_UNITS || state.unsettled.1 >= MOST_BYTES) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.has_failed {
            return Err(stopped(self.output));
        }
        state.unsettled = (state.unsettled.0 + 1, state.unsettled.1 + receipt.stored_bytes);
        if self.durability == Durability::Unit {
            drop(state);
            let batch = [(array, receipt.clone())];
            let settled = self.settle(&batch);
            let failed = settled.is_err();
            self.after(&batch, settled);
            return if failed { Err(stopped(self.output)) } else { Ok(()) };
        }
        state.waiting.push((array, receipt.clone()));
        state.waiting_bytes += receipt.stored_bytes;
        state.since.get_or_insert_with(Instant::now);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    fn flush(&self) -> Result<(), RunError> {
        let mut state = self.state();
        state.flushing += 1;
        self.work.notify_all();
        while !state.has_failed && state.unsettled.0 > 0 {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.flushing -= 1;
        if state.has_failed { Err(stopped(self.output)) } else { Ok(()) }
    }
}

/// Ends the run of whoever hands a unit to a keeper that has failed; the keeper's own error is what is told.
fn stopped(output: &dyn Output) -> RunError {
    let why = "an earlier write unit could not be settled".to_owned();
    RunError::Write(WriteError::Encode { path: output.path().to_owned(), what: "a write unit".to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use microtome_array::{ArraySpec, PixelType, Shape};
    use microtome_io::{Check, Completion, MemorySink, Prepare, ReadError, Reader, Sink, Standing};

    use crate::journal::{Header, parse};

    /// A sink of units of one pixel, as an output that counts and refuses.
    #[derive(Debug)]
    struct Counting {
        sink: MemorySink,
        journal: PathBuf,
        settled: AtomicUsize,
        /// Settles so many units, then fails once and would not fail again.
        most: usize,
        failed: AtomicUsize,
    }

    impl Counting {
        fn new(folder: &Path, units: u64, most: usize) -> Counting {
            let array = ArraySpec { shape: Shape::new([1, 1, 1, 1, units, 1]).unwrap(), dtype: PixelType::U8 };
            let sink = MemorySink::new(array, Shape::new([1; 6]).unwrap()).unwrap();
            let (settled, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Counting { sink, journal: folder.join("journal"), settled, most, failed }
        }

        fn receipt(&self, unit: u64, stored_bytes: u64) -> Receipt {
            let unit = self.sink.spec().units.index(unit);
            Receipt { unit, pixel_bytes: 1, stored_bytes, crc32c: 7, whole: true }
        }

        fn recorded(&self) -> Vec<u64> {
            let found = parse(&std::fs::read(&self.journal).unwrap()).unwrap();
            assert!(!found.torn);
            found.entries.iter().map(|entry| entry.unit).collect()
        }
    }

    impl Output for Counting {
        fn path(&self) -> &Path {
            &self.journal
        }
        fn arrays(&self) -> usize {
            1
        }
        fn array(&self, _n: usize) -> &dyn Sink {
            &self.sink
        }
        fn parameters(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
        fn look(&self, _plan: &str, _resume: bool) -> Result<Standing, WriteError> {
            Ok(Standing::Fresh)
        }
        fn journal(&self, _plan: &str) -> Option<PathBuf> {
            Some(self.journal.clone())
        }
        fn prepare(&self, _how: &Prepare<'_>) -> Result<Standing, WriteError> {
            Ok(Standing::Fresh)
        }
        fn settle(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError> {
            let settled = self.settled.fetch_add(units.len(), Ordering::SeqCst) + units.len();
            if settled > self.most && self.failed.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err(WriteError::os(&self.journal, "bring to the disk", std::io::Error::from_raw_os_error(28)));
            }
            Ok(())
        }
        fn check(&self, _array: usize, _receipt: &Receipt, _how: Check) -> Result<bool, WriteError> {
            Ok(true)
        }
        fn reopen(&self, _array: usize) -> Result<Arc<dyn Reader>, ReadError> {
            self.sink.reopen(0)
        }
        fn finish(&self, _completion: &Completion<'_>) -> Result<(), WriteError> {
            Ok(())
        }
        fn quarantine(&self) -> Result<Option<String>, WriteError> {
            Ok(None)
        }
        fn abandon(&self) {}
    }

    /// Runs `work` beside a keeper of an output; gives what the keeper failed at.
    fn keep(output: &Counting, durability: Durability, work: impl FnOnce(&Keeper<'_>) + Send) -> Option<RunError> {
        let header = Header::new("abc", Vec::new(), vec![output.sink.spec().units.count()]);
        let journal = Journal::create(&output.journal, &header, &[], false).unwrap();
        let watch = Watch::none();
        let keeper = Keeper::new(output, &watch, durability, Some(journal), &[]);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| keeper.work());
            work(&keeper);
            keeper.end();
            thread.join().unwrap();
        });
        keeper.failure()
    }

    #[test]
    fn what_is_handed_over_is_settled_then_recorded_whatever_the_durability() {
        for durability in [Durability::Batch, Durability::Unit, Durability::None] {
            let folder = tempfile::tempdir().unwrap();
            let output = Counting::new(folder.path(), 1000, usize::MAX);
            let failure = keep(&output, durability, |keeper| {
                for unit in 0..1000 {
                    keeper.finished(0, &output.receipt(unit, 3)).unwrap();
                }
            });
            assert!(failure.is_none());
            assert_eq!(output.recorded(), (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_waits_is_bounded_by_units_and_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let output = Counting::new(folder.path(), 2000, usize::MAX);
        for bytes in [1, MOST_BYTES / 3, MOST_BYTES * 2] {
            output.settled.store(0, Ordering::SeqCst);
            keep(&output, Durability::Batch, |keeper| {
                for unit in 0..2000 {
                    keeper.finished(0, &output.receipt(unit, bytes)).unwrap();
                    let waiting = unit as usize + 1 - output.settled.load(Ordering::SeqCst).min(unit as usize + 1);
                    assert!(waiting <= MOST_UNITS, "{waiting} units wait");
                    assert!(waiting as u64 * bytes <= MOST_BYTES + bytes, "{waiting} units of {bytes} bytes wait");
                }
            });
        }
    }

    #[test]
    fn the_first_error_is_the_last_word() {
        for durability in [Durability::Batch, Durability::Unit] {
            let folder = tempfile::tempdir().unwrap();
            let output = Counting::new(folder.path(), 5000, 300);
            let failure = keep(&output, durability, |keeper| {
                let handed = (0..5000).take_while(|unit| keeper.finished(0, &output.receipt(*unit, 3)).is_ok()).count();
                assert!(handed < 1000, "units are refused after the error, not after {handed}");
                assert!(keeper.flush().is_err());
            });
            assert!(failure.unwrap().to_string().contains("No space left on device"));
            assert_eq!(output.failed.load(Ordering::SeqCst), 1, "nothing is settled after the error");
            let recorded = output.recorded();
            assert!(recorded.len() <= 300, "{} units are recorded", recorded.len());
            assert_eq!(recorded, (0..recorded.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn flushing_waits_for_all_that_was_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let output = Counting::new(folder.path(), 10, usize::MAX);
        keep(&output, Durability::Batch, |keeper| {
            for unit in 0..10 {
                keeper.finished(0, &output.receipt(unit, 3)).unwrap();
                keeper.flush().unwrap();
                assert_eq!(output.settled.load(Ordering::SeqCst) as u64, unit + 1);
                assert_eq!(keeper.kept(), unit + 1);
            }
        });
    }
}

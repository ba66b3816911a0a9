//! Storing a plan's result so that it can be stopped anywhere and gone on with: lock, journal, keeper, publishing.
//!
//! *Invariant:* nothing of the output's place is touched before its lock is held and everything that could refuse the run
//! was asked; nothing is published from sources that changed.

use std::path::Path;
use std::thread;
use std::time::Instant;

use microtome_array::ChunkGrid;
use microtome_graph::Stage;
use microtome_io::{Check, Completion, Durability, Output, Prepare, ReadError, Receipt, Standing, WriteError};

use crate::error::RunError;
use crate::journal::{Entry, Found, Header, Journal, parse};
use crate::keeper::{Keeper, Record};
use crate::lock::Lock;
use crate::options::{Resume, RunOptions};
use crate::report::RunReport;
use crate::trace;
use crate::watch::Watch;

/// An output that is locked and may be written.
#[derive(Debug)]
pub(crate) struct Storing<'a> {
    output: &'a dyn Output,
    plan: &'a str,
    options: &'a RunOptions,
    watch: Watch,
    standing: Standing,
    _lock: Option<Lock>,
}

impl<'a> Storing<'a> {
    /// Locks an output and looks at what stands in its place. Nothing else is touched.
    pub(crate) fn begin(
        output: &'a dyn Output,
        plan: &'a str,
        stage: &Stage,
        options: &'a RunOptions,
    ) -> Result<Storing<'a>, RunError> {
        let lock = output.journal(plan).map(|_| Lock::take(output.desk())).transpose()?;
        let standing = output.look(plan, options.resume != Resume::No)?;
        Ok(Storing { output, plan, options, watch: Watch::of(stage), standing, _lock: lock })
    }

    /// What is reported where the output is finished already: also what is missing in it.
    pub(crate) fn finished(&self) -> Result<Option<RunReport>, RunError> {
        if self.standing != Standing::Finished {
            return Ok(None);
        }
        self.output.prepare(&self.how())?;
        let units = (0..self.output.arrays()).map(|n| self.units(n).count()).sum();
        let unknown = || {
            let why = "the list of what is missing in it is not understood; --overwrite makes it anew".to_owned();
            WriteError::Journal { path: self.output.path().to_owned(), why }
        };
        let missing = self.output.quarantine()?.map(|text| RunReport::of_missing(&text).ok_or_else(unknown));
        let report = missing.transpose()?.unwrap_or_default();
        Ok(Some(RunReport { units_planned: units, units_resumed: units, ..report }))
    }

    /// Says so if the pixels would not fit the free space as they are: compressed they may.
    pub(crate) fn mind_space(&self, bytes: u64) {
        let folder = microtome_io::disk::parent(self.output.desk());
        let Some(free) = free_bytes(folder) else { return };
        let is_here = self.output.desk() == self.output.path();
        if free < bytes && is_here && self.output.journal(self.plan).is_some() {
            let folder = folder.display();
            tracing::warn!(
                "{free} bytes are free in {folder}, and {bytes} bytes of pixels are to be compressed into it"
            );
        }
    }

    /// Stores what `work` hands to the record, and publishes it.
    pub(crate) fn run(
        self,
        work: impl FnOnce(&dyn Record, u64) -> Result<RunReport, RunError>,
    ) -> Result<RunReport, RunError> {
        let start = Instant::now();
        let entries = self.found_entries()?;
        let begun = self.output.prepare(&self.how()).map_err(RunError::from).and_then(|_| self.journal(entries));
        let (journal, entries) = begun.inspect_err(|_| {
            if self.standing == Standing::Fresh {
                self.output.abandon();
            }
        })?;
        let keeper = Keeper::new(self.output, &self.watch, self.options.durability, journal, &entries);
        let worked = kept(&keeper, work);
        let finished = worked.and_then(|report| self.watch.look().map(|()| report).map_err(RunError::from));
        let (kept, resumed) = (keeper.kept(), keeper.resumed());
        let report = match (keeper.failure(), finished) {
            (None, Ok(report)) => report,
            (Some(error), _) | (None, Err(error)) => return Err(self.ended(error, kept)),
        };
        let units = keeper.into_units()?;
        let _publishing = trace::span("settle", "publish", true);
        let quarantine = report.missing();
        let completion = Completion { plan: self.plan, units: &units, quarantine: quarantine.as_deref() };
        match self.output.finish(&completion) {
            Ok(()) => Ok(RunReport { units_resumed: resumed, seconds: start.elapsed().as_secs_f64(), ..report }),
            Err(error) => Err(self.ended(error.into(), kept)),
        }
    }

    fn how(&self) -> Prepare<'a> {
        let resume = self.standing != Standing::Fresh;
        Prepare { plan: self.plan, resume, durability: self.options.durability }
    }

    fn units(&self, array: usize) -> ChunkGrid {
        self.output.array(array).spec().units
    }

    /// What the journal of an unfinished output says, or why it is not gone on with. Nothing is changed.
    fn found_entries(&self) -> Result<Vec<Entry>, RunError> {
        let (Standing::Unfinished, Some(path)) = (self.standing, self.output.journal(self.plan)) else {
            return Ok(Vec::new());
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(WriteError::os(&path, "read", e).into()),
        };
        match parse(&bytes) {
            Some(found) => {
                self.check_header(&path, &found)?;
                Ok(found.entries)
            }
            None if self.options.resume == Resume::Verify => Ok(Vec::new()),
            None => Err(damaged(&path, "its header is damaged")),
        }
    }

    fn check_header(&self, path: &Path, found: &Found) -> Result<(), RunError> {
        let units: Vec<u64> = (0..self.output.arrays()).map(|n| self.units(n).count()).collect();
        if found.header.plan != self.plan || found.header.units != units {
            return Err(WriteError::Unfinished { path: path.to_owned(), same_plan: false }.into());
        }
        let (then, now) = (&found.header.sources, self.watch.sources());
        let differs = then.iter().zip(&now).find(|(then, now)| then.stamp != now.stamp || then.digest != now.digest);
        if let Some((_, now)) = differs {
            let name = now.uri.as_deref().unwrap_or("a source");
            let why = format!("{name} is another file than it was begun with, or was changed; --overwrite starts anew");
            return Err(WriteError::Journal { path: path.to_owned(), why }.into());
        }
        match found.damaged {
            Some(at) if self.options.resume != Resume::Verify => {
                Err(damaged(path, &format!("its record at byte {at} is damaged")))
            }
            _ => Ok(()),
        }
    }

    /// The journal to go on with: of those units that are still there as they were recorded.
    fn journal(&self, entries: Vec<Entry>) -> Result<(Option<Journal>, Vec<Entry>), RunError> {
        let Some(path) = self.output.journal(self.plan) else { return Ok((None, Vec::new())) };
        let how = if self.options.resume == Resume::Verify { Check::Bytes } else { Check::Length };
        let mut right = Vec::with_capacity(entries.len());
        for entry in last_of_each(entries) {
            if self.output.check(entry.array as usize, &self.receipt(&entry), how)? {
                right.push(entry);
            }
        }
        let units = (0..self.output.arrays()).map(|n| self.units(n).count()).collect();
        let header = Header::new(self.plan, self.watch.sources(), units);
        let sync = self.options.durability != Durability::None;
        Ok((Some(Journal::create(&path, &header, &right, sync)?), right))
    }

    fn receipt(&self, entry: &Entry) -> Receipt {
        Receipt {
            unit: self.units(entry.array as usize).index(entry.unit),
            pixel_bytes: entry.pixel_bytes,
            stored_bytes: entry.stored_bytes,
            crc32c: entry.crc32c,
            whole: true,
        }
    }

    /// The error to tell at the end of a run that did not publish: what is left stays if it can be gone on with.
    fn ended(&self, error: RunError, kept: u64) -> RunError {
        let error = match (self.watch.look(), error) {
            (_, error @ RunError::Read(ReadError::Changed { .. })) => error,
            // What was read may be damaged because it was being replaced.
            (Err(changed @ ReadError::Changed { .. }), _) => changed.into(),
            (_, error) => error,
        };
        if kept == 0 || matches!(error, RunError::Read(ReadError::Changed { .. })) || self.is_memory() {
            self.output.abandon();
            return error;
        }
        let total = (0..self.output.arrays()).map(|n| self.units(n).count()).sum();
        RunError::Kept { error: Box::new(error), kept, total }
    }

    fn is_memory(&self) -> bool {
        self.output.journal(self.plan).is_none()
    }
}

/// Bytes that may still be written in a folder, where that can be told.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Works with a keeper on a thread of its own; all that was handed to it is settled when this returns.
fn kept<T>(keeper: &Keeper<'_>, work: impl FnOnce(&dyn Record, u64) -> Result<T, RunError>) -> Result<T, RunError> {
    /// Lets the keeper's thread go, also if the work panics.
    struct End<'k, 'a>(&'k Keeper<'a>);
    impl Drop for End<'_, '_> {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("microtome-keeper".to_owned());
        let started = thread.spawn_scoped(scope, || keeper.work());
        started.map_err(|e| RunError::Threads { threads: 1, why: e.to_string() })?;
        let _end = End(keeper);
        let worked = work(keeper, keeper.resumed())?;
        keeper.flush().map(|()| worked)
    })
}

/// Of several records of a unit the last, in the order of units.
fn last_of_each(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.reverse();
    entries.sort_by_key(|entry| (entry.array, entry.unit));
    entries.dedup_by_key(|entry| (entry.array, entry.unit));
    entries
}

fn damaged(path: &Path, what: &str) -> RunError {
    let why = format!("{what}; --resume=verify keeps what proves to be right, --overwrite starts anew");
    WriteError::Journal { path: path.to_owned(), why }.into()
}

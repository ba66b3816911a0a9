//! An output that several processes write at a time, on storage that all of them see: one has prepared it and will finish it,
//! the others join it.
//!
//! *Invariant:* what a process writes has the process's mark in its name until it is whole; a unit counts when the process that
//! finishes the output has found it as its receipt says. Whoever comes late finds no folder and makes none.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use microtome_io::disk;
use microtome_io::{Check, Durability, Receipt, WriteError};

use super::building::{Site, at_once};
use super::level::ZarrLevel;
use super::member::Member;
use super::{ZarrOutput, publish};

/// How long a unit is waited for: file systems of several machines show what another has written after a while.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOKS: Duration = Duration::from_millis(20);
/// Units in a bucket that are looked at together.
const LOOKS_AT_ONCE: usize = 16;

/// A name that no other process has.
fn mark() -> String {
    format!(".{:016x}", RandomState::new().build_hasher().finish())
}

impl ZarrOutput {
    /// The place that another process has prepared.
    pub(super) fn joined_site(&self, plan: &str) -> Result<Site, WriteError> {
        let site = match (&self.member, &self.away) {
            (Some(member), _) => Site::Inside(Member { dir: member.folder().to_owned() }),
            (None, Some(spool)) => Site::Away(spool.join(plan)?),
            (None, None) => Site::Own(self.place.joined(plan)?),
        };
        patiently(|| Ok(is_folder(site.dir())))?.then_some(()).ok_or_else(|| gone(site.dir()))?;
        Ok(site)
    }

    pub(super) fn join_as(&self, plan: &str, durability: Durability) -> Result<(), WriteError> {
        let site = self.joined_site(plan)?;
        if !self.building.begin(site, durability) {
            return Err(self.misused("it is prepared twice"));
        }
        self.building.mark_as(mark());
        Ok(())
    }

    /// Takes units that others have settled.
    pub(super) fn adopt_from_others(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        // Asking a bucket takes its time, however little is asked.
        let looks = if self.away.is_some() { LOOKS_AT_ONCE } else { 1 };
        at_once(units, looks, |(n, receipt)| {
            let level = self.levels.get(*n).ok_or_else(|| self.misused("there is no such array"))?;
            level.await_unit(receipt, Check::Length)?;
            self.building.adopt(*n, receipt.unit);
            Ok(())
        })
    }

    /// Removes what processes left that have joined it and were killed.
    pub(super) fn sweep_after_others(&self, site: &Site) -> Result<(), WriteError> {
        if self.building.has_adopted() { publish::sweep(site.dir()) } else { Ok(()) }
    }
}

impl ZarrLevel {
    /// Waits until a unit is there as its receipt says.
    fn await_unit(&self, receipt: &Receipt, how: Check) -> Result<(), WriteError> {
        if patiently(|| self.check(receipt, how))? {
            return Ok(());
        }
        let path = self.readable()?.join(self.layout.key(&receipt.unit));
        let found = match self.building.site() {
            Some(Site::Away(_)) => "something else".to_owned(),
            _ => disk::found(&path).ok().flatten().map_or("nothing".to_owned(), |file| format!("{} bytes", file.len())),
        };
        let why = format!("there is {found}, and {} bytes were written", receipt.stored_bytes);
        Err(WriteError::Missing { path, why })
    }
}

/// Looks until it is so, or patience ends.
fn patiently(mut look: impl FnMut() -> Result<bool, WriteError>) -> Result<bool, WriteError> {
    let start = Instant::now();
    let mut wait = LOOKS;
    loop {
        if look()? {
            return Ok(true);
        }
        if start.elapsed() >= PATIENCE {
            return Ok(false);
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_secs(1));
    }
}

fn is_folder(path: &Path) -> bool {
    disk::found(path).ok().flatten().is_some_and(|found| found.is_dir())
}

/// The folder of an output is not there: it was never seen here, or the run is over.
pub(super) fn gone(folder: &Path) -> WriteError {
    let why = "there is no folder of this name".to_owned();
    WriteError::Missing { path: folder.to_owned(), why }
}

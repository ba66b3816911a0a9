//! What the levels of an output share while it is built: its partial folder, and the files of units that are whole and have
//! not got their place yet.
//!
//! *Invariant:* a file keeps its handle from its first byte until it has its place, so that no error of the disk is lost in
//! between; a unit whose bytes could not be brought to the disk never gets its place.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use microtome_array::ChunkIndex;
use microtome_io::{Durability, WriteError, on_threads};

use super::join::gone;
use super::member::Member;
use super::publish::Partial;
use super::spool::Spool;
use microtome_io::disk::sync_folder;

/// Files or folders that are brought to the disk at a time.
const SYNCS_AT_ONCE: usize = 8;
/// Files that are put into a bucket at a time, a part of each in memory.
pub(super) const PUTS_AT_ONCE: usize = 4;
/// Folders known to be on the disk that are remembered, at most.
const MOST_FOLDERS: usize = 4096;

/// A file with all its bytes, under a name that is not its last.
#[derive(Debug)]
pub(super) struct WholeFile {
    pub(super) temporary: PathBuf,
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// Where an output is built.
#[derive(Debug)]
pub(super) enum Site {
    /// In a partial folder of its own.
    Own(Partial),
    /// In its place among several images that appear together.
    Inside(Member),
    /// In a bucket.
    Away(Spool),
}

impl Site {
    pub(super) fn dir(&self) -> &Path {
        match self {
            Site::Own(partial) => partial.dir(),
            Site::Inside(member) => member.folder(),
            Site::Away(spool) => spool.dir(),
        }
    }
}

/// An output on its way, shared by its levels.
#[derive(Debug, Default)]
pub(super) struct Building {
    begun: OnceLock<(Site, Durability)>,
    whole: Mutex<HashMap<(usize, ChunkIndex), WholeFile>>,
    folders: Mutex<HashSet<PathBuf>>,
    /// What the names of this process's temporary files bear, where others write too; such a process makes no folder anew.
    mark: OnceLock<String>,
    /// Units that others have settled and this process has not.
    adopted: Mutex<HashSet<(usize, ChunkIndex)>>,
    has_adopted: AtomicBool,
}

/// Brings files or folders to the disk, several at a time: what waits for a disk together waits once.
pub(super) fn at_once<T: Sync>(
    items: &[T],
    most: usize,
    sync: impl Fn(&T) -> Result<(), WriteError> + Sync,
) -> Result<(), WriteError> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync(item)?;
        }
        Ok(())
    };
    on_threads(items.len().clamp(1, most), work)
}

impl Building {
    /// Takes the place; false if there is one already.
    pub(super) fn begin(&self, site: Site, durability: Durability) -> bool {
        self.begun.set((site, durability)).is_ok()
    }

    pub(super) fn site(&self) -> Option<&Site> {
        self.begun.get().map(|(site, _)| site)
    }

    /// Says that others write too.
    pub(super) fn mark_as(&self, mark: String) {
        self.mark.get_or_init(|| mark);
    }

    /// What the name of a temporary file bears.
    ///
    /// # Errors
    /// If others write too, and the place is gone: the run is over.
    pub(super) fn mark(&self) -> Result<&str, WriteError> {
        let (Some(mark), Some(site)) = (self.mark.get(), self.site()) else { return Ok("") };
        if site.dir().is_dir() { Ok(mark) } else { Err(gone(site.dir())) }
    }

    fn adopted(&self) -> MutexGuard<'_, HashSet<(usize, ChunkIndex)>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a unit that another process has settled.
    pub(super) fn adopt(&self, level: usize, unit: ChunkIndex) {
        self.has_adopted.store(true, Ordering::Relaxed);
        self.adopted().insert((level, unit));
    }

    /// Whether a unit is to be settled that another process has settled.
    pub(super) fn was_adopted(&self, level: usize, unit: ChunkIndex) -> bool {
        self.adopted().remove(&(level, unit))
    }

    /// Whether other processes have written.
    pub(super) fn has_adopted(&self) -> bool {
        self.has_adopted.load(Ordering::Relaxed)
    }

    /// Whether anything is waited for.
    pub(super) fn syncs(&self) -> bool {
        self.begun.get().is_some_and(|(_, durability)| *durability != Durability::None)
    }

    fn whole(&self) -> MutexGuard<'_, HashMap<(usize, ChunkIndex), WholeFile>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a file until its unit is settled.
    pub(super) fn keep(&self, level: usize, unit: ChunkIndex, file: WholeFile) {
        self.whole().insert((level, unit), file);
    }

    /// The file of a unit, if the unit has one.
    pub(super) fn take(&self, level: usize, unit: ChunkIndex) -> Option<WholeFile> {
        self.whole().remove(&(level, unit))
    }

    /// Gives files their places: bytes to the disk, then the names, then the folders.
    pub(super) fn place(&self, files: &[WholeFile]) -> Result<(), WriteError> {
        if let Some(Site::Away(spool)) = self.site() {
            if !files.is_empty() {
                spool.still_made()?;
            }
            return at_once(files, PUTS_AT_ONCE, |file| spool.put(file));
        }
        if self.syncs() {
            at_once(files, SYNCS_AT_ONCE, |file| {
                file.file.sync_all().map_err(|e| WriteError::os(&file.temporary, "bring to the disk", e))
            })?;
        }
        let mut folders: Vec<&Path> = Vec::new();
        for file in files {
            std::fs::rename(&file.temporary, &file.path).map_err(|e| WriteError::os(&file.path, "finish", e))?;
            folders.extend(file.path.parent());
        }
        folders.sort_unstable();
        folders.dedup();
        if self.syncs() { self.sync_folders(&folders) } else { Ok(()) }
    }

    /// Brings folders to the disk, and the folders above them that are not known to be there.
    fn sync_folders(&self, folders: &[&Path]) -> Result<(), WriteError> {
        let Some(site) = self.site() else { return Ok(()) };
        let mut known = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > MOST_FOLDERS {
            known.clear();
        }
        let mut all: BTreeSet<&Path> = folders.iter().copied().collect();
        for folder in folders {
            let mut below = *folder;
            while known.insert(below.to_owned()) && below != site.dir() {
                let Some(above) = below.parent() else { break };
                all.insert(above);
                below = above;
            }
        }
        let all: Vec<&Path> = all.into_iter().collect();
        at_once(&all, SYNCS_AT_ONCE, |folder| sync_folder(folder))
    }
}

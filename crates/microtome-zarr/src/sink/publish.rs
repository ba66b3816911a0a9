//! The place of an output of its own: its partial folder, what else may stand there, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; what is replaced is removed last; only what is
//! a Zarr, a file or an empty folder is ever replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use microtome_io::beside::{self, JOURNAL, entries, short, sibling};
use microtome_io::disk::{self, parent, remove, rename, sync_folder};
use microtome_io::{Standing, WriteError, standing};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::complete;
use super::file::is_temporary;

/// How the name of a lock ends; that of the first of several images lies beside the partial folder.
const LOCK: &str = ".lock";
/// How often a folder is tried to be removed in which others write, and how long is waited between.
const REMOVALS: u32 = 20;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(50);

/// Where an output is to stand, and whether what is there may be replaced.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) out: PathBuf,
    pub(super) overwrite: bool,
}

/// An output on its way.
#[derive(Debug)]
pub(super) struct Partial {
    out: PathBuf,
    dir: PathBuf,
    journal: PathBuf,
    aside: PathBuf,
    overwrite: bool,
}

impl Place {
    /// What an output of a plan begins with here. Nothing is changed.
    pub(super) fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        let ours = beside::partial(&self.out, plan)?;
        let there = resume.then(|| complete::any_plan(&self.out)).flatten();
        if standing::is_finished(&self.out, there.as_deref(), plan, self.overwrite)? {
            return Ok(Standing::Finished);
        }
        check_place(&self.out, self.overwrite)?;
        let unfinished = unfinished(&self.out)?.into_iter().map(|path| {
            let same_plan = path == ours && !is_replaced(&path, plan);
            (path, same_plan)
        });
        standing::of(unfinished, resume, self.overwrite)
    }

    /// The partial folder of an output of a plan, as another process has made it.
    pub(super) fn joined(&self, plan: &str) -> Result<Partial, WriteError> {
        Ok(Partial {
            out: self.out.clone(),
            dir: beside::partial(&self.out, plan)?,
            journal: self.journal(plan)?,
            aside: sibling(&self.out, &format!(".replaced-{}", short(plan)))?,
            overwrite: self.overwrite,
        })
    }

    /// Makes the partial folder, or takes up the one that is there.
    pub(super) fn begin(&self, plan: &str, begun: Standing) -> Result<(Partial, Standing), WriteError> {
        let partial = self.joined(plan)?;
        let keeps = begun == Standing::Unfinished;
        let ours: [&Path; 2] = [&partial.dir, &partial.journal];
        standing::clear(&self.out, if keeps { &ours } else { &[] })?;
        if keeps {
            sweep(&partial.dir)?;
        } else {
            fs::create_dir(&partial.dir).map_err(|e| WriteError::os(&partial.dir, "create", e))?;
        }
        Ok((partial, begun))
    }

    /// Removes what a run left that was killed after its output had its name.
    pub(super) fn clear(&self, plan: &str) -> Result<(), WriteError> {
        for suffix in [".partial-", ".replaced-"] {
            remove(&sibling(&self.out, &format!("{suffix}{}", short(plan)))?)?;
        }
        remove(&self.journal(plan)?)
    }

    /// Where the journal of an output of a plan lies.
    pub(super) fn journal(&self, plan: &str) -> Result<PathBuf, WriteError> {
        beside::journal(&self.out, plan)
    }
}

impl Partial {
    /// The partial folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the folder its name, and removes what stood there and the journal.
    pub(super) fn publish(&self, sync: bool) -> Result<(), WriteError> {
        if sync {
            sync_folder(&self.dir)?;
        }
        check_place(&self.out, self.overwrite)?;
        if fs::symlink_metadata(&self.out).is_ok() {
            remove(&self.aside)?;
            self.replace()?;
        } else {
            rename(&self.dir, &self.out)?;
        }
        if sync {
            sync_folder(parent(&self.out))?;
        }
        remove(&self.journal)?;
        remove(&self.aside)
    }

    /// Puts the new output in the place of the old one, in one step where the file system can.
    fn replace(&self) -> Result<(), WriteError> {
        match renameat_with(CWD, &self.dir, CWD, &self.out, RenameFlags::EXCHANGE) {
            Ok(()) => return rename(&self.dir, &self.aside),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => {}
            Err(e) => return Err(WriteError::os(&self.out, "replace", e.into())),
        }
        rename(&self.out, &self.aside)?;
        rename(&self.dir, &self.out).inspect_err(|_| {
            // The first error is the one to tell; what was there stays beside its name if this fails too.
            let _ = rename(&self.aside, &self.out);
        })
    }

    /// Removes the partial folder and its journal as far as possible; with others who write too, in several tries, since one of
    /// them may put a file into a folder just when that is removed.
    pub(super) fn abandon(&self, with_others: bool) {
        let tries = if with_others { REMOVALS } else { 1 };
        for path in [&self.dir, &self.journal] {
            let mut removed = remove(path);
            for _ in 1..tries {
                if removed.is_ok() {
                    break;
                }
                std::thread::sleep(BETWEEN_REMOVALS);
                removed = remove(path);
            }
            if let Err(error) = removed {
                tracing::warn!(%error, "an unfinished output could not be removed");
            }
        }
    }
}

/// Refuses an output that is there, unless it may be replaced and is something we may remove.
fn check_place(out: &Path, overwrite: bool) -> Result<(), WriteError> {
    let found = disk::found(out).map_err(|e| WriteError::os(out, "look at", e))?;
    let Some(found) = found else { return Ok(()) };
    if !overwrite {
        return Err(WriteError::Exists { path: out.to_owned() });
    }
    let empty = || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if found.is_dir() && !is_itself_zarr(out) && !empty() {
        let why = "it is a folder that is no Zarr, and all it holds would be removed".to_owned();
        return Err(WriteError::NotReplaced { path: out.to_owned(), why });
    }
    Ok(())
}

/// Whether a folder is a Zarr by its own files. Stricter than [`is_zarr`](crate::is_zarr), which also opens folders that
/// only hold one: what can be read is more than what may be removed.
fn is_itself_zarr(folder: &Path) -> bool {
    crate::MARKS.iter().any(|mark| folder.join(mark).is_file())
}

/// Whether a partial folder holds an output that was being replaced when its run was killed, and not what replaces it.
fn is_replaced(partial: &Path, plan: &str) -> bool {
    let ours = complete::collection(partial).map(|record| record.plan).or_else(|| complete::plan(partial));
    is_itself_zarr(partial) && ours.as_deref() != Some(plan)
}

/// Every unfinished output of this name, in order.
fn unfinished(out: &Path) -> Result<Vec<PathBuf>, WriteError> {
    let found = entries(out)?.into_iter();
    // A journal is one also while it is written, under the name `….journal.new`.
    let beside = |suffix: &str| suffix.contains(JOURNAL) || suffix.ends_with(LOCK);
    Ok(found.filter(|(_, suffix)| !beside(suffix)).map(|(path, _)| path).collect())
}

/// Removes the files that were being written when a partial folder was left.
pub(super) fn sweep(dir: &Path) -> Result<(), WriteError> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| WriteError::os(&folder, "list", e))? {
            let entry = entry.map_err(|e| WriteError::os(&folder, "list", e))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if is_temporary(&entry.file_name()) {
                remove(&entry.path())?;
            }
        }
    }
    Ok(())
}

//! The place of an output: the folder in which it is built, what else may stand there, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; only a file is ever replaced, in one step.

use std::fs;
use std::path::{Path, PathBuf};

use microtome_io::beside::{self, JOURNAL, entries};
use microtome_io::disk::{found, parent, remove, rename, sync_folder};
use microtome_io::{Standing, WriteError};

use super::complete;

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
    overwrite: bool,
}

impl Place {
    /// What an output of a plan begins with here. Nothing is changed.
    pub(super) fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        let ours = beside::partial(&self.out, plan)?;
        if resume {
            match complete::plan(&self.out) {
                Some(found) if found == plan => return Ok(Standing::Finished),
                Some(_) if !self.overwrite => return Err(WriteError::OtherPlan { path: self.out.clone() }),
                _ => {}
            }
        }
        check_place(&self.out, self.overwrite)?;
        let mut standing = Standing::Fresh;
        // A journal is one also while it is written, under the name `….journal.new`.
        for (path, _) in entries(&self.out)?.into_iter().filter(|(_, suffix)| !suffix.contains(JOURNAL)) {
            let same_plan = path == ours;
            if same_plan && resume {
                standing = Standing::Unfinished;
            } else if !self.overwrite {
                return Err(WriteError::Unfinished { path, same_plan });
            }
        }
        Ok(standing)
    }

    /// Makes the partial folder, or takes up the one that is there.
    pub(super) fn begin(&self, plan: &str, standing: Standing) -> Result<Partial, WriteError> {
        let (dir, journal) = (beside::partial(&self.out, plan)?, self.journal(plan)?);
        let partial = Partial { out: self.out.clone(), dir, journal, overwrite: self.overwrite };
        let keeps = standing == Standing::Unfinished;
        for (left, _) in entries(&self.out)? {
            if !(keeps && (left == partial.dir || left == partial.journal)) {
                remove(&left)?;
            }
        }
        if !keeps {
            fs::create_dir(&partial.dir).map_err(|e| WriteError::os(&partial.dir, "create", e))?;
        }
        Ok(partial)
    }

    /// Removes what a run left that was killed after its output had its name.
    pub(super) fn clear(&self, plan: &str) -> Result<(), WriteError> {
        remove(&beside::partial(&self.out, plan)?)?;
        remove(&self.journal(plan)?)
    }

    /// Where the journal of an output of a plan lies.
    pub(super) fn journal(&self, plan: &str) -> Result<PathBuf, WriteError> {
        beside::journal(&self.out, plan)
    }
}

impl Partial {
    /// The file of a level.
    pub(super) fn level(&self, number: usize) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// Brings the names of the folder and of what is in it to the disk.
    pub(super) fn sync(&self) -> Result<(), WriteError> {
        sync_folder(&self.dir)?;
        sync_folder(parent(&self.out))
    }

    /// Gives the file of the full resolution, which is the whole output by now, its name; removes the rest.
    pub(super) fn publish(&self, sync: bool) -> Result<(), WriteError> {
        check_place(&self.out, self.overwrite)?;
        let whole = self.level(0);
        rename(&whole, &self.out)?;
        if sync {
            sync_folder(parent(&self.out))?;
        }
        remove(&self.dir)?;
        remove(&self.journal)
    }

    /// Removes the partial folder and its journal as far as possible: of two errors the first is told where there is a place
    /// for it, and a later run clears up.
    pub(super) fn abandon(&self) {
        let _ = remove(&self.dir);
        let _ = remove(&self.journal);
    }
}

/// Refuses an output that is there, unless it may be replaced and is a file.
fn check_place(out: &Path, overwrite: bool) -> Result<(), WriteError> {
    let found = found(out).map_err(|e| WriteError::os(out, "look at", e))?;
    let Some(found) = found else { return Ok(()) };
    if !overwrite {
        return Err(WriteError::Exists { path: out.to_owned() });
    }
    if found.is_dir() {
        let why = "it is a folder, and all it holds would be removed".to_owned();
        return Err(WriteError::NotReplaced { path: out.to_owned(), why });
    }
    Ok(())
}

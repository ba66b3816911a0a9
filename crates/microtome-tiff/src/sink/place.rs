//! The place of an output: the folder in which it is built, what else may stand there, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; only a file is ever replaced, in one step.

use std::fs;
use std::path::{Path, PathBuf};

use microtome_io::disk::{parent, remove, rename, sync_folder};
use microtome_io::{Standing, WriteError, beside, standing};

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
        let there = resume.then(|| complete::plan(&self.out)).flatten();
        if standing::is_finished(&self.out, there.as_deref(), plan, self.overwrite)? {
            return Ok(Standing::Finished);
        }
        standing::check_file(&self.out, self.overwrite)?;
        standing::of(standing::unfinished(&self.out, &ours)?, resume, self.overwrite)
    }

    /// The partial folder of an output of a plan.
    pub(super) fn partial(&self, plan: &str) -> Result<PathBuf, WriteError> {
        beside::partial(&self.out, plan)
    }

    /// Makes the partial folder, or takes up the one that is there.
    pub(super) fn begin(&self, plan: &str, begun: Standing) -> Result<Partial, WriteError> {
        let (dir, journal) = (beside::partial(&self.out, plan)?, self.journal(plan)?);
        let partial = Partial { out: self.out.clone(), dir, journal, overwrite: self.overwrite };
        let keeps = begun == Standing::Unfinished;
        let ours: [&Path; 2] = [&partial.dir, &partial.journal];
        standing::clear(&self.out, if keeps { &ours } else { &[] })?;
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

    /// The folder in which it is built.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the file of the first level, which is the whole output by now, its name; removes the rest.
    pub(super) fn publish(&self, whole: &Path, sync: bool) -> Result<(), WriteError> {
        standing::check_file(&self.out, self.overwrite)?;
        rename(whole, &self.out)?;
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

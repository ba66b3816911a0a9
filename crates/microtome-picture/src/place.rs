//! The place of a PNG: the file in which it is built, what else may stand there, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; only a file is ever replaced, in one step.

use std::path::{Path, PathBuf};

use microtome_io::beside::{self, JOURNAL, entries};
use microtome_io::disk::{found, parent, remove, rename, sync_folder};
use microtome_io::{Standing, WriteError};

use crate::record;

/// Where an output is to stand, and whether what is there may be replaced.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) out: PathBuf,
    pub(crate) overwrite: bool,
}

/// An output on its way.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) file: PathBuf,
    journal: PathBuf,
}

impl Place {
    /// What an output of a plan begins with here. Nothing is changed.
    pub(crate) fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        if resume {
            match record::read(&self.out) {
                Some(found) if found.plan == plan => return Ok(Standing::Finished),
                Some(_) if !self.overwrite => return Err(WriteError::OtherPlan { path: self.out.clone() }),
                _ => {}
            }
        }
        self.check()?;
        let ours = beside::partial(&self.out, plan)?;
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

    /// Clears what is left of other plans, and of this one unless it is gone on with.
    pub(crate) fn begin(&self, plan: &str, standing: Standing) -> Result<Partial, WriteError> {
        let partial = self.partial(plan)?;
        let keeps = standing == Standing::Unfinished;
        for (left, _) in entries(&self.out)? {
            if !(keeps && (left == partial.file || left == partial.journal)) {
                remove(&left)?;
            }
        }
        Ok(partial)
    }

    /// What an output of a plan is built in.
    pub(crate) fn partial(&self, plan: &str) -> Result<Partial, WriteError> {
        Ok(Partial { file: beside::partial(&self.out, plan)?, journal: beside::journal(&self.out, plan)? })
    }

    /// Gives what is whole by now its name.
    pub(crate) fn publish(&self, partial: &Partial, sync: bool) -> Result<(), WriteError> {
        self.check()?;
        rename(&partial.file, &self.out)?;
        if sync {
            sync_folder(parent(&self.out))?;
        }
        remove(&partial.journal)
    }

    /// Refuses an output that is there, unless it may be replaced and is a file.
    fn check(&self) -> Result<(), WriteError> {
        let there = found(&self.out).map_err(|e| WriteError::os(&self.out, "look at", e))?;
        let Some(there) = there else { return Ok(()) };
        if !self.overwrite {
            return Err(WriteError::Exists { path: self.out.clone() });
        }
        if there.is_dir() {
            let why = "it is a folder, and all it holds would be removed".to_owned();
            return Err(WriteError::NotReplaced { path: self.out.clone(), why });
        }
        Ok(())
    }
}

impl Partial {
    /// Removes it as far as possible: of two errors the first is told where there is a place for it, and a later run clears up.
    pub(crate) fn remove(&self) -> Result<(), WriteError> {
        remove(&self.file).and(remove(&self.journal))
    }
}

/// The path of a file, without a slash at the end, which would name a folder.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.components().as_path().to_owned()
}

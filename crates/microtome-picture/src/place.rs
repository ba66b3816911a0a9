//! The place of a PNG: the file in which it is built, what else may stand there, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; only a file is ever replaced, in one step.

use std::path::{Path, PathBuf};

use microtome_io::disk::{parent, remove, rename, sync_folder};
use microtome_io::{Standing, WriteError, beside, standing};

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
        let there = resume.then(|| record::read(&self.out)).flatten().map(|record| record.plan);
        if standing::is_finished(&self.out, there.as_deref(), plan, self.overwrite)? {
            return Ok(Standing::Finished);
        }
        standing::check_file(&self.out, self.overwrite)?;
        let ours = beside::partial(&self.out, plan)?;
        standing::of(standing::unfinished(&self.out, &ours)?, resume, self.overwrite)
    }

    /// Clears what is left of other plans, and of this one unless it is gone on with.
    pub(crate) fn begin(&self, plan: &str, begun: Standing) -> Result<Partial, WriteError> {
        let partial = self.partial(plan)?;
        let ours: [&Path; 2] = [&partial.file, &partial.journal];
        standing::clear(&self.out, if begun == Standing::Unfinished { &ours } else { &[] })?;
        Ok(partial)
    }

    /// What an output of a plan is built in.
    pub(crate) fn partial(&self, plan: &str) -> Result<Partial, WriteError> {
        Ok(Partial { file: beside::partial(&self.out, plan)?, journal: beside::journal(&self.out, plan)? })
    }

    /// Gives what is whole by now its name.
    pub(crate) fn publish(&self, partial: &Partial, sync: bool) -> Result<(), WriteError> {
        standing::check_file(&self.out, self.overwrite)?;
        rename(&partial.file, &self.out)?;
        if sync {
            sync_folder(parent(&self.out))?;
        }
        remove(&partial.journal)
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

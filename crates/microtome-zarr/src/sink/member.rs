//! The place of an image among several that appear together: a folder inside a partial folder.
//!
//! *Invariant:* its completion record is its last document, so a run that goes on knows a finished image by one small file;
//! nothing that belongs to another image is touched.

use std::fs;
use std::path::{Path, PathBuf};

use microtome_io::{Standing, WriteError};

use super::{complete, publish};
use microtome_io::disk;

/// The journal of its units, while it is unfinished.
const JOURNAL: &str = "journal";
/// Its own files; its levels are folders whose names are numbers.
const OWN: [&str; 5] = [".microtome/complete.json", ".microtome/quarantine.json", "zarr.json", ".zattrs", ".zgroup"];

/// The folder of an image.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) dir: PathBuf,
}

impl Member {
    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join(complete::FOLDER).join(JOURNAL)
    }

    pub(super) fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        if resume && complete::plan(&self.dir).as_deref() == Some(plan) {
            return Ok(Standing::Finished);
        }
        let journal = self.journal();
        let found = disk::found(&journal).map_err(|e| WriteError::os(&journal, "look at", e))?;
        Ok(if resume && found.is_some() { Standing::Unfinished } else { Standing::Fresh })
    }

    /// Makes its folder ready.
    pub(super) fn begin(&self, standing: Standing) -> Result<(), WriteError> {
        if standing == Standing::Unfinished {
            return publish::sweep(&self.dir);
        }
        self.wipe()?;
        let records = self.dir.join(complete::FOLDER);
        fs::create_dir_all(&records).map_err(|e| WriteError::os(&records, "create", e))
    }

    /// Removes all that is its own.
    pub(super) fn wipe(&self) -> Result<(), WriteError> {
        for name in OWN {
            disk::remove(&self.dir.join(name))?;
        }
        disk::remove(&self.journal())?;
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                disk::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Ends it, once its record is written.
    pub(super) fn end(&self, sync: bool) -> Result<(), WriteError> {
        if sync {
            disk::sync_folder(&self.dir)?;
        }
        disk::remove(&self.journal())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.dir
    }
}

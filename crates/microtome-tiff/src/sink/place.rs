//! The place of an output: the folder in which it is built, what else may stand there, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; only a file is ever replaced, in one step.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use microtome_io::{Standing, WriteError};

use super::complete;

/// Length of the plan hash in the name of a partial output.
const HASH: usize = 12;
/// How the name of a journal ends, behind that of its partial output.
const JOURNAL: &str = ".journal";

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
        let ours = self.partial(plan)?;
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
        let (dir, journal) = (self.partial(plan)?, self.journal(plan)?);
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
        remove(&self.partial(plan)?)?;
        remove(&self.journal(plan)?)
    }

    fn partial(&self, plan: &str) -> Result<PathBuf, WriteError> {
        sibling(&self.out, &format!(".partial-{}", short(plan)))
    }

    /// Where the journal of an output of a plan lies.
    pub(super) fn journal(&self, plan: &str) -> Result<PathBuf, WriteError> {
        sibling(&self.out, &format!(".partial-{}{JOURNAL}", short(plan)))
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
        fs::rename(&whole, &self.out)
            .map_err(|e| WriteError::os(&self.out, format!("rename {} to", whole.display()), e))?;
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

fn short(plan: &str) -> String {
    plan.chars().filter(char::is_ascii_alphanumeric).take(HASH).collect()
}

/// The folder a path lies in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name(out: &Path) -> Result<OsString, WriteError> {
    let why = || "it names no file; give a name such as image.ome.tif".to_owned();
    let name = out.file_name().ok_or_else(|| WriteError::Unsupported { path: out.to_owned(), why: why() })?;
    Ok(name.to_owned())
}

fn sibling(out: &Path, suffix: &str) -> Result<PathBuf, WriteError> {
    let mut name = name(out)?;
    name.push(suffix);
    Ok(parent(out).join(name))
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

/// What stands beside an output under its name and `.partial-`, with what follows there.
fn entries(out: &Path) -> Result<Vec<(PathBuf, String)>, WriteError> {
    let folder = parent(out);
    let mut prefix = name(out)?.into_encoded_bytes();
    prefix.extend_from_slice(b".partial-");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| WriteError::os(folder, "list", e))? {
        let entry = entry.map_err(|e| WriteError::os(folder, "list", e))?;
        if let Some(suffix) = entry.file_name().as_encoded_bytes().strip_prefix(&*prefix) {
            found.push((entry.path(), String::from_utf8_lossy(suffix).into_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn sync_folder(dir: &Path) -> Result<(), WriteError> {
    let folder = File::open(dir).map_err(|e| WriteError::os(dir, "open", e))?;
    folder.sync_all().map_err(|e| WriteError::os(dir, "bring to the disk", e))
}

/// Removes a file or a folder with all it holds, if it is there.
fn remove(path: &Path) -> Result<(), WriteError> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if !is_absent(&e) => Err(WriteError::os(path, "remove", e)),
        _ => Ok(()),
    }
}

/// What stands at a path; links are not followed.
fn found(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

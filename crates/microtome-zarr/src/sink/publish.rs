//! The partial folder beside the output, and the rename that publishes it.
//!
//! *Invariant:* nothing stands under the output's name until all of it does; what is replaced is moved aside first and
//! removed last; only what is a Zarr, a file or an empty folder is ever replaced.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use microtome_io::WriteError;

/// Length of the plan hash in the name of a partial output.
const HASH: usize = 12;

/// An output on its way.
#[derive(Debug)]
pub(super) struct Partial {
    out: PathBuf,
    dir: PathBuf,
    aside: PathBuf,
    overwrite: bool,
}

impl Partial {
    /// Makes the folder `OUT.partial-<plan hash>`.
    pub(super) fn create(out: &Path, plan_hash: &str, overwrite: bool) -> Result<Partial, WriteError> {
        let short: String = plan_hash.chars().filter(char::is_ascii_alphanumeric).take(HASH).collect();
        let dir = sibling(out, &format!(".partial-{short}"))?;
        let aside = sibling(out, &format!(".replaced-{short}"))?;
        check_output(out, overwrite)?;
        for unfinished in unfinished(out)? {
            remove(&unfinished)?;
        }
        fs::create_dir(&dir).map_err(|e| WriteError::os(&dir, "create", e))?;
        Ok(Partial { out: out.to_owned(), dir, aside, overwrite })
    }

    /// The partial folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Brings everything to the disk and gives it its name.
    pub(super) fn publish(&self) -> Result<(), WriteError> {
        sync(&self.dir)?;
        check_place(&self.out, self.overwrite)?;
        let replaces = fs::symlink_metadata(&self.out).is_ok();
        if replaces {
            rename(&self.out, &self.aside)?;
        }
        if let Err(error) = rename(&self.dir, &self.out) {
            if replaces {
                rename(&self.aside, &self.out)?;
            }
            return Err(error);
        }
        sync_folder(parent(&self.out))?;
        if replaces { remove(&self.aside) } else { Ok(()) }
    }

    /// Removes the partial folder as far as possible.
    pub(super) fn abandon(&self) {
        if let Err(error) = remove(&self.dir) {
            tracing::warn!(%error, "an unfinished output could not be removed");
        }
    }
}

/// The folder a path lies in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name(out: &Path) -> Result<OsString, WriteError> {
    let why = || "it names no file; give a name such as image.ome.zarr".to_owned();
    let name = out.file_name().ok_or_else(|| WriteError::Unsupported { path: out.to_owned(), why: why() })?;
    Ok(name.to_owned())
}

fn sibling(out: &Path, suffix: &str) -> Result<PathBuf, WriteError> {
    let mut name = name(out)?;
    name.push(suffix);
    Ok(parent(out).join(name))
}

/// Refuses what stands in the way of an output: one that is there, an unfinished one, a folder that is not there.
/// Nothing is changed.
///
/// # Errors
/// [`WriteError`] naming it.
pub fn check_output(out: &Path, overwrite: bool) -> Result<(), WriteError> {
    check_place(out, overwrite)?;
    match unfinished(out)?.into_iter().next() {
        Some(path) if !overwrite => Err(WriteError::Unfinished { path }),
        _ => Ok(()),
    }
}

/// Refuses an output that is there, unless it may be replaced and is something we may remove.
fn check_place(out: &Path, overwrite: bool) -> Result<(), WriteError> {
    let found = match fs::symlink_metadata(out) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(WriteError::os(out, "look at", e)),
        Ok(found) => found,
    };
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

/// Every unfinished output of this name, in order.
fn unfinished(out: &Path) -> Result<Vec<PathBuf>, WriteError> {
    let folder = parent(out);
    let mut prefix = name(out)?.into_encoded_bytes();
    prefix.extend_from_slice(b".partial-");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| WriteError::os(folder, "list", e))? {
        let entry = entry.map_err(|e| WriteError::os(folder, "list", e))?;
        if entry.file_name().as_encoded_bytes().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn rename(from: &Path, to: &Path) -> Result<(), WriteError> {
    fs::rename(from, to).map_err(|e| WriteError::os(to, format!("rename {} to", from.display()), e))
}

fn remove(path: &Path) -> Result<(), WriteError> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(WriteError::os(path, "remove", e)),
        _ => Ok(()),
    }
}

/// Brings every file below a folder to the disk: one call for the file system, where there is one.
fn sync(dir: &Path) -> Result<(), WriteError> {
    let folder = fs::File::open(dir).map_err(|e| WriteError::os(dir, "open", e))?;
    rustix::fs::syncfs(&folder).map_err(|e| WriteError::os(dir, "bring to the disk", e.into()))
}

fn sync_folder(dir: &Path) -> Result<(), WriteError> {
    let folder = fs::File::open(dir).map_err(|e| WriteError::os(dir, "open", e))?;
    folder.sync_all().map_err(|e| WriteError::os(dir, "bring to the disk", e))
}

//! What lies beside an output while it is built: its partial folder and the journal, under names made of the output's own and the
//! hash of its plan.
//!
//! *Invariant:* the names of two outputs, or of two plans of one, never meet.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::WriteError;
use crate::disk::parent;

/// Length of the plan hash in the name of a partial output.
const HASH: usize = 12;
/// How the name of a journal ends, behind that of its partial output.
pub const JOURNAL: &str = ".journal";
/// How the name of what is built begins, behind that of the output.
const PARTIAL: &str = ".partial-";

/// The beginning of a plan's hash, as it stands in names.
pub fn short(plan: &str) -> String {
    plan.chars().filter(char::is_ascii_alphanumeric).take(HASH).collect()
}

/// The last part of an output's path.
///
/// # Errors
/// [`WriteError::Unsupported`] for a path that has none, as `..`.
pub fn name(out: &Path) -> Result<OsString, WriteError> {
    let why = || "it names no file; give a name such as image.ome.zarr or image.ome.tif".to_owned();
    let name = out.file_name().ok_or_else(|| WriteError::Unsupported { path: out.to_owned(), why: why() })?;
    Ok(name.to_owned())
}

/// What lies beside an output under its name and a suffix.
///
/// # Errors
/// [`WriteError::Unsupported`] for a path that names no file, as `..`.
///
/// # Examples
/// ```
/// use std::path::Path;
/// let lock = microtome_io::beside::sibling(Path::new("a/b.zarr"), ".lock")?;
/// assert_eq!(lock, Path::new("a/b.zarr.lock"));
/// # Ok::<(), microtome_io::WriteError>(())
/// ```
pub fn sibling(out: &Path, suffix: &str) -> Result<PathBuf, WriteError> {
    let mut name = name(out)?;
    name.push(suffix);
    Ok(parent(out).join(name))
}

/// The partial folder of an output of a plan.
///
/// # Errors
/// As [`sibling`].
pub fn partial(out: &Path, plan: &str) -> Result<PathBuf, WriteError> {
    sibling(out, &format!("{PARTIAL}{}", short(plan)))
}

/// The journal of an output of a plan.
///
/// # Errors
/// As [`sibling`].
pub fn journal(out: &Path, plan: &str) -> Result<PathBuf, WriteError> {
    sibling(out, &format!("{PARTIAL}{}{JOURNAL}", short(plan)))
}

/// What stands beside an output under its name and `.partial-`, whatever the plan, each with what follows there; in order.
///
/// # Errors
/// [`WriteError::Os`] if the folder cannot be listed.
pub fn entries(out: &Path) -> Result<Vec<(PathBuf, String)>, WriteError> {
    let folder = parent(out);
    let mut prefix = name(out)?.into_encoded_bytes();
    prefix.extend_from_slice(PARTIAL.as_bytes());
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

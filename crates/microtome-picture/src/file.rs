//! A file that appears under its name when it is whole.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use microtome_io::WriteError;
use microtome_io::disk::parent;
use tempfile::{NamedTempFile, TempPath};

/// A file beside `path` that is removed unless it gets that name.
pub(crate) fn beside(path: &Path) -> Result<NamedTempFile, WriteError> {
    NamedTempFile::with_prefix_in(".microtome-png-", parent(path))
        .map_err(|e| WriteError::os(path, "create a file for", e))
}

/// Gives a whole file its name, readable for all.
pub(crate) fn name(file: TempPath, path: &Path, overwrite: bool) -> Result<(), WriteError> {
    std::fs::set_permissions(&file, Permissions::from_mode(0o644))
        .map_err(|e| WriteError::os(path, "open to readers", e))?;
    let named = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    named.map_err(|e| match e.error.kind() {
        ErrorKind::AlreadyExists => WriteError::Exists { path: path.to_owned() },
        _ => WriteError::os(path, "give its name to", e.error),
    })
}

//! Where inputs lie while a target runs: files in memory where the system has such a folder.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A new folder.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::with_prefix_in("microtome-fuzz-", memory) } else { tempfile::tempdir() };
    made.unwrap_or_else(|error| panic!("no folder for inputs: {error}"))
}

/// Writes a file of a folder.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

//! Folders on this machine for an output in a bucket: the one beside which lock and journal lie, and, where another process
//! keeps those, one of this process's own for units on their way.
//!
//! *Invariant:* a folder of a process is seen as such by its lock, which ends with the process however that ends; those whose
//! lock nobody holds are removed by who comes next.

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use microtome_io::WriteError;

const PREFIX: &str = "microtome-units-";
const LOCK: &str = "lock";

/// The name for an output on this machine: in the folder of the user's state, by the URL's last name and hash.
pub(super) fn of_user(url: &Path) -> Result<PathBuf, String> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")));
    let nowhere = || "there is no folder for its journal on this machine; set XDG_STATE_HOME or HOME".to_owned();
    let folder = state.ok_or_else(nowhere)?.join("microtome");
    let refused =
        |e| format!("its journal would lie in {}: {e}; set XDG_STATE_HOME to another folder", folder.display());
    fs::create_dir_all(&folder).map_err(refused)?;
    let name = url.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hash = crate::short_hash(url.to_string_lossy().as_bytes());
    Ok(folder.join(format!("{name}-{hash}.zarr")))
}

/// A folder of this process for units on their way into a bucket.
#[derive(Debug)]
pub(super) struct OwnFolder {
    path: PathBuf,
    _lock: File,
}

impl OwnFolder {
    /// Makes one in the folder for temporary files, and removes those of processes that are gone.
    pub(super) fn make() -> Result<OwnFolder, WriteError> {
        OwnFolder::make_in(&std::env::temp_dir())
    }

    fn make_in(temporary: &Path) -> Result<OwnFolder, WriteError> {
        let number = RandomState::new().build_hasher().finish();
        let path = temporary.join(format!("{PREFIX}{number:016x}"));
        let os = |e| WriteError::os(&path, "create", e);
        DirBuilder::new().mode(0o700).create(&path).map_err(os)?;
        let lock = File::create_new(path.join(LOCK)).map_err(os)?;
        lock.lock().map_err(os)?;
        sweep(temporary, &path);
        Ok(OwnFolder { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // Best effort: who comes next removes it too.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes folders of this user's processes that are gone. What cannot be removed stays.
fn sweep(temporary: &Path, own: &Path) {
    let user = |path: &Path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir).map(|found| found.uid());
    let Ok(entries) = fs::read_dir(temporary) else { return };
    for entry in entries.map_while(Result::ok) {
        let path = entry.path();
        let is_one = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_one || path == own || user(&path).is_none() || user(&path) != user(own) {
            continue;
        }
        // One without a lock is being made.
        let left = File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if left {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_left_is_removed_and_what_one_uses_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let used = OwnFolder::make_in(temporary.path()).unwrap();
        let left = temporary.path().join(format!("{PREFIX}0123"));
        let made = temporary.path().join(format!("{PREFIX}4567"));
        fs::create_dir_all(left.join("0/c")).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::create_dir(&made).unwrap();
        let next = OwnFolder::make_in(temporary.path()).unwrap();
        assert_eq!((left.exists(), made.exists(), used.path().exists()), (false, true, true));
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }
}

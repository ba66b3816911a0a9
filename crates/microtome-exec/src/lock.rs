//! The lock of an output: a file `OUT.lock` beside it, whatever the plan.
//!
//! The kernel's lock on the file is what keeps runs apart: it goes with the process that holds it, however that ends. What
//! is written in the file is for people, and for file systems on which other machines do not see the kernel's lock.
//!
//! *Invariant:* there are never two holders: whoever has the kernel's lock looks whether the file that it locked is still
//! the one under the name, and only a holder removes that name.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use microtome_io::WriteError;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// How often a file that was removed in between is tried again.
const TRIES: u32 = 1000;
/// How long it is waited for a holder to have written who it is.
const INTRODUCTION: Duration = Duration::from_millis(10);

/// The right to write an output; given back when dropped.
#[derive(Debug)]
#[must_use = "dropping the lock gives the output free"]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    boot: String,
}

impl Holder {
    fn here() -> Holder {
        let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        Holder {
            pid: std::process::id(),
            host: read("/proc/sys/kernel/hostname"),
            boot: read("/proc/sys/kernel/random/boot_id"),
        }
    }

    /// Who a lock file names; `None` if it has not been written whole.
    fn named(mut file: &File) -> Option<Holder> {
        let mut text = String::new();
        file.rewind().ok()?;
        file.take(4096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Whether it ran where the kernel's lock would tell that it still runs, or not since this machine started.
    fn is_judged_here(&self, here: &Holder) -> bool {
        self.boot == here.boot || self.host == here.host
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

impl Lock {
    /// Takes the lock of an output, or says at once who has it. A lock that a killed run left is taken over.
    ///
    /// # Errors
    /// [`WriteError::Locked`], or if the lock's file cannot be made.
    pub fn take(out: &Path) -> Result<Lock, WriteError> {
        let path = path_of(out)?;
        for _ in 0..TRIES {
            let (file, is_new) = open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let holder = introduction(&file);
                    return Err(WriteError::Locked { path: out.to_owned(), holder });
                }
                // No locks on this file system: whoever made the file has it.
                Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK | Errno::INVAL) if is_new => {}
                Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK | Errno::INVAL) => {
                    return Err(elsewhere(out, &path, introduction(&file)));
                }
                Err(e) => return Err(WriteError::os(&path, "lock", e.into())),
            }
            if is_under(&file, &path) {
                return introduced(path, file, out);
            }
            // The holder before us removed the name between our opening and our locking: another file counts now.
        }
        Err(WriteError::Locked { path: out.to_owned(), holder: "or by several that come and go".to_owned() })
    }
}

/// Whether an open file is the one that stands under a name.
fn is_under(file: &File, path: &Path) -> bool {
    let identity = |m: std::fs::Metadata| (m.dev(), m.ino());
    let named = std::fs::symlink_metadata(path).map(identity);
    matches!((file.metadata().map(identity), named), (Ok(ours), Ok(named)) if ours == named)
}

/// A lock that says who holds it, unless it was left by a run on another machine.
fn introduced(path: PathBuf, mut file: File, out: &Path) -> Result<Lock, WriteError> {
    let here = Holder::here();
    if let Some(before) = Holder::named(&file).filter(|before| !before.is_judged_here(&here)) {
        return Err(elsewhere(out, &path, before.to_string()));
    }
    let text = serde_json::to_string(&here).unwrap_or_default();
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    let lock = Lock { path, file };
    match written {
        Ok(()) => Ok(lock),
        Err(e) => Err(WriteError::os(&lock.path, "write", e)),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The name goes before the kernel's lock does, so that nobody removes the name of a later holder.
        if is_under(&self.file, &self.path)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// `OUT.lock`.
fn path_of(out: &Path) -> Result<PathBuf, WriteError> {
    let mut name = microtome_io::beside::name(out)?;
    name.push(".lock");
    Ok(out.with_file_name(name))
}

/// Opens the file, making it if it is not there; links are not followed.
fn open(path: &Path) -> Result<(File, bool), WriteError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.clone().create_new(true).open(path) {
        Ok(file) => return Ok((file, true)),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(WriteError::os(path, "create", e)),
    }
    let opened = options.create(true).truncate(false).open(path);
    opened.map(|file| (file, false)).map_err(|e| WriteError::os(path, "open", e))
}

/// Who holds a lock, as far as the file says it by now.
fn introduction(file: &File) -> String {
    let named = Holder::named(file).or_else(|| {
        std::thread::sleep(INTRODUCTION);
        Holder::named(file)
    });
    named.map_or_else(|| "which has only just begun".to_owned(), |holder| holder.to_string())
}

fn elsewhere(out: &Path, lock: &Path, holder: String) -> WriteError {
    WriteError::LockedElsewhere { path: out.to_owned(), lock: lock.to_owned(), holder }
}

#[cfg(test)]
mod racing;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_second_is_told_who_has_it_and_the_file_goes_with_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.zarr");
        let lock = Lock::take(&out).unwrap();
        let refused = Lock::take(&out).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(Lock::take(&out).unwrap());
    }

    #[test]
    fn a_lock_that_was_left_is_taken_over_if_it_can_be_judged_here() {
        let folder = tempfile::tempdir().unwrap();
        let (out, path) = (folder.path().join("out.zarr"), folder.path().join("out.zarr.lock"));
        let here = Holder::here();
        let dead = Holder { pid: 4_000_000, ..here.clone() };
        let rebooted = Holder { boot: "another".to_owned(), ..here.clone() };
        let renamed = Holder { host: "another".to_owned(), ..here };
        for left in [&dead, &rebooted, &renamed] {
            std::fs::write(&path, serde_json::to_string(left).unwrap()).unwrap();
            drop(Lock::take(&out).unwrap());
        }
        for cut in ["", "{\"pid\": 1", "not ours"] {
            std::fs::write(&path, cut).unwrap();
            drop(Lock::take(&out).unwrap());
        }
        let far = Holder { host: "far".to_owned(), boot: "away".to_owned(), pid: 7 };
        std::fs::write(&path, serde_json::to_string(&far).unwrap()).unwrap();
        let refused = Lock::take(&out).unwrap_err().to_string();
        assert!(refused.contains("process 7 on far") && refused.contains("out.zarr.lock"), "{refused}");
        assert!(path.exists(), "the lock of another machine is left alone");
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "mine").unwrap();
        std::os::unix::fs::symlink("mine", folder.path().join("out.zarr.lock")).unwrap();
        assert!(matches!(Lock::take(&folder.path().join("out.zarr")), Err(WriteError::Os { .. })));
        assert_eq!(std::fs::read_to_string(folder.path().join("mine")).unwrap(), "mine");
    }

    #[test]
    fn there_are_never_two_holders() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.zarr");
        let (threads, rounds) = (8, 300);
        let (holders, taken, start) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(threads));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..rounds {
                        let Ok(lock) = Lock::take(&out) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "one holder");
                        taken.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        assert!(!folder.path().join("out.zarr.lock").exists());
    }
}

//! The files that are open: a bounded number, whatever the number of files of an image and of images of a program.
//!
//! *Invariant:* at most [`MOST`] files are held open, beside those that a read is using at this moment.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Most files that are held open: a quarter of what the strictest systems allow, so that outputs and logs have theirs.
pub(crate) const MOST: usize = 64;

/// The files that are held open, the one opened first in front.
static OPEN: Mutex<VecDeque<Weak<Descriptor>>> = Mutex::new(VecDeque::new());

/// A file that is opened when it is used, and closed when others are used more.
#[derive(Debug, Default)]
pub(crate) struct Descriptor {
    held: Mutex<Option<Arc<File>>>,
    /// Whether it was used since others were last looked through for one to close.
    used: AtomicBool,
}

impl Descriptor {
    /// The file, opened by `open` where it is not open. Threads that come at once may each open it; all but one close it soon.
    pub(crate) fn get<E>(self: &Arc<Self>, open: impl FnOnce() -> Result<File, E>) -> Result<Arc<File>, E> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(file) = &*lock(&self.held) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open()?);
        if lock(&self.held).replace(Arc::clone(&file)).is_none() {
            hold(self);
        }
        Ok(file)
    }
}

/// Opens a file; where too many are open, after closing those that nobody is reading from.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    const TOO_MANY: [i32; 2] = [23, 24]; // ENFILE, EMFILE
    match File::open(path) {
        Err(error) if error.raw_os_error().is_some_and(|code| TOO_MANY.contains(&code)) => {
            let held = std::mem::take(&mut *lock(&OPEN));
            held.iter().filter_map(Weak::upgrade).for_each(|other| drop(lock(&other.held).take()));
            File::open(path)
        }
        result => result,
    }
}

/// Counts a file among those that are open, and closes another one if they are too many.
fn hold(new: &Arc<Descriptor>) {
    let mut open = lock(&OPEN);
    // Each is passed over once at most, so that this ends.
    for _ in 0..2 * MOST {
        if open.len() < MOST {
            break;
        }
        let Some(other) = open.pop_front() else { break };
        let Some(other) = other.upgrade() else { continue };
        if other.used.swap(false, Ordering::Relaxed) {
            open.push_back(Arc::downgrade(&other));
        } else {
            lock(&other.held).take();
        }
    }
    open.push_back(Arc::downgrade(new));
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_opened_again_when_others_had_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x").unwrap();
        let all: Vec<Arc<Descriptor>> = (0..3 * MOST).map(|_| Arc::default()).collect();
        let is_open = |descriptor: &Arc<Descriptor>| lock(&descriptor.held).is_some();
        for descriptor in &all {
            descriptor.get(|| open(&path)).unwrap();
            let count = all.iter().filter(|d| is_open(d)).count();
            assert!(count <= MOST, "{count}");
        }
        assert!(!is_open(&all[0]) && is_open(&all[3 * MOST - 1]));
        let mut opened = 0;
        for descriptor in [&all[0], &all[0], &all[3 * MOST - 1]] {
            let file = descriptor.get(|| {
                opened += 1;
                open(&path)
            });
            file.unwrap();
        }
        assert_eq!(opened, 1);
    }
}

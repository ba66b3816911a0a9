//! Physical limits: the same bytes moved by the plainest loops there are.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What is read and written at once.
const BLOCK: usize = 1 << 20;
/// Files of a Zarr that are looked at at most.
const MOST_FILES: usize = 100_000;

/// Does something for each item on threads, each with a state of its own; the sum of what it gives.
pub(super) fn on_threads<T: Sync, S, E: Send>(
    threads: usize,
    items: &[T],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<u64, E> + Sync,
) -> Result<u64, E> {
    let (next, sum, failed) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(None));
    let run = || {
        let mut state = state();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(&mut state, item) {
                Ok(count) => drop(sum.fetch_add(count, Ordering::Relaxed)),
                Err(error) => return *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(run))));
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(sum.into_inner()), Err)
}

/// Two buffers whose pages were touched.
pub(super) struct Buffers {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Buffers {
    pub(super) fn new(bytes: usize) -> Buffers {
        Buffers { from: vec![1; bytes], to: vec![2; bytes] }
    }

    /// Seconds of copying one to the other on threads.
    pub(super) fn copy(&mut self, threads: usize) -> f64 {
        let each = self.from.len().div_ceil(threads.max(1)).max(1);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (from, to) in self.from.chunks(each).zip(self.to.chunks_mut(each)) {
                scope.spawn(|| to.copy_from_slice(from));
            }
        });
        start.elapsed().as_secs_f64()
    }
}

/// Seconds of writing a file, and of bringing it to the disk.
pub(super) fn write(path: &Path, bytes: usize) -> std::io::Result<(f64, f64)> {
    let block = vec![0x5a; BLOCK];
    let mut file = File::create(path)?;
    let start = Instant::now();
    for _ in 0..bytes / BLOCK {
        file.write_all(&block)?;
    }
    let written = start.elapsed().as_secs_f64();
    file.sync_data()?;
    Ok((written, start.elapsed().as_secs_f64() - written))
}

/// The files of an image: those that it names, or of a folder those in it, until they hold enough bytes.
pub(super) fn files_of(path: &Path, named: &[PathBuf], bytes: u64) -> Vec<PathBuf> {
    if !path.is_dir() {
        return if named.is_empty() { vec![path.to_owned()] } else { named.to_vec() };
    }
    let (mut folders, mut files, mut found) = (vec![path.to_owned()], Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(of) if of.is_dir() => folders.push(entry.path()),
                Ok(of) if of.is_file() && found < bytes && files.len() < MOST_FILES => {
                    found += of.len();
                    files.push(entry.path());
                }
                _ => {}
            }
        }
        if found >= bytes {
            break;
        }
    }
    files
}

/// Reads files on threads, so many bytes at most, into memory that is used again: bytes and seconds.
pub(super) fn read(files: &[PathBuf], bytes: u64, threads: usize) -> std::io::Result<(u64, f64)> {
    let mut blocks = Vec::new();
    let mut left = bytes;
    for path in files {
        let size = std::fs::metadata(path)?.len().min(left);
        let starts = (0..size).step_by(BLOCK);
        blocks.extend(starts.map(|at| (path, at, (size - at).min(BLOCK as u64) as usize)));
        left -= size;
        if left == 0 {
            break;
        }
    }
    let start = Instant::now();
    // Opened for each block: a Zarr has more files than may be open at once.
    let read = on_threads(
        threads,
        &blocks,
        || vec![0; BLOCK],
        |buffer, (path, at, len)| File::open(path)?.read_exact_at(&mut buffer[..*len], *at).map(|()| *len as u64),
    )?;
    Ok((read, start.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_an_error_is_told() {
        let items: Vec<u64> = (1..=100).collect();
        assert_eq!(on_threads(3, &items, || 0, |_, &item| Ok::<_, ()>(item)), Ok(5050));
        let failed = on_threads(3, &items, || 0, |_, &item| if item == 7 { Err(item) } else { Ok(0) });
        assert_eq!(failed, Err(7));
    }

    #[test]
    fn files_are_read_up_to_the_bytes_that_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("0")).unwrap();
        for n in 0..4 {
            std::fs::write(folder.path().join(format!("0/{n}")), vec![0; 3000]).unwrap();
        }
        let files = files_of(folder.path(), &[], 7000);
        assert_eq!(files.len(), 3);
        assert_eq!(read(&files, 7000, 2).unwrap().0, 7000);
        assert_eq!(read(&files, 100_000, 2).unwrap().0, 9000);
    }
}

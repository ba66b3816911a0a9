//! One file on disk: its size when opened, reads at an offset, and whether it is still the same.
//!
//! *Invariant:* a file that shrinks while it is read gives an error, not a signal: it is read by `pread`, or through a map
//! whose pages are looked after (`mapped`).

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use microtome_io::ReadError;

use crate::descriptors::{self, Descriptor};
use crate::mapped::{self, View};

/// A regular file to read: closed when others are read more, and opened again when it is read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    path: PathBuf,
    descriptor: Arc<Descriptor>,
    size: u64,
    modified: u64,
    identity: Identity,
    /// Whether it lies on this machine.
    local: OnceLock<bool>,
}

/// What tells a file from another one under the same name: device, inode, and when it was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Identity {
    /// The time of the last change of the inode is left out: a backup that makes a hard link changes it.
    fn of(metadata: &std::fs::Metadata) -> Identity {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Identity { device: metadata.dev(), inode: metadata.ino(), modified }
    }
}

impl SourceFile {
    /// Opens a regular file; folders, pipes and devices are refused before they are opened.
    pub(crate) fn open(path: &Path) -> Result<SourceFile, ReadError> {
        let (file, metadata) = open_regular(path)?;
        let modified = u64::try_from(metadata.mtime()).unwrap_or(0);
        let identity = Identity::of(&metadata);
        let descriptor = Arc::<Descriptor>::default();
        descriptor.get(|| Ok::<_, ReadError>(file))?;
        Ok(SourceFile {
            path: path.to_owned(),
            descriptor,
            size: metadata.len(),
            modified,
            identity,
            local: OnceLock::new(),
        })
    }

    /// The file itself, which is opened again if it was closed meanwhile.
    fn file(&self) -> Result<Arc<File>, ReadError> {
        self.descriptor.get(|| {
            let (file, metadata) = match open_regular(&self.path) {
                Err(ReadError::NotFound { .. } | ReadError::NotAnImage { .. }) => {
                    return Err(self.changed("it is gone"));
                }
                result => result?,
            };
            self.compare(&metadata)?;
            Ok(file)
        })
    }

    fn changed(&self, why: impl Into<String>) -> ReadError {
        ReadError::Changed { path: self.path.clone(), why: why.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode: what two names of one file have in common.
    pub(crate) fn inode(&self) -> (u64, u64) {
        (self.identity.device, self.identity.inode)
    }

    /// Size in bytes when opened.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Size in bytes and modification time in whole seconds when opened.
    pub(crate) fn stamp(&self) -> (u64, u64) {
        (self.size, self.modified)
    }

    /// Fills `out` from `offset`; the caller has checked that the file was long enough when opened.
    pub(crate) fn read_exact(&self, out: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.file()?.read_exact_at(out, offset).map_err(|e| {
            if let Err(changed) = self.check_unchanged() {
                return changed;
            }
            ReadError::os(&self.path, format!("read {} bytes at offset {offset} of", out.len()), e)
        })
    }

    /// Fills `out` from `offset` through a map, or by `pread` where it cannot be mapped.
    pub(crate) fn read_exact_mapped(&self, out: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let len = out.len();
        if self.with_map(offset, len, true, |view| view.copy(0, out))? { Ok(()) } else { self.read_exact(out, offset) }
    }

    /// Maps `len` bytes from `offset` on and lets `read` copy out of them; `all` says that it will copy everything. Gives whether
    /// what was copied is to be used: not if the file cannot be mapped, or one of its pages cannot be read.
    pub(crate) fn with_map(
        &self,
        offset: u64,
        len: usize,
        all: bool,
        read: impl FnOnce(&View<'_>),
    ) -> Result<bool, ReadError> {
        let file = self.file()?;
        if !*self.local.get_or_init(|| mapped::is_local(&file)) {
            return Ok(false);
        }
        match mapped::with(&file, (offset, len), all, read) {
            // What lies behind a new end, but on the same page, reads as zeros without a signal.
            mapped::Read::Whole => self.check_unchanged().map(|()| true),
            // Gone with the end of the file; or else `pread` says what is wrong with the page.
            mapped::Read::Spoiled => self.unchanged().map(|()| false),
            mapped::Read::NotMapped => Ok(false),
        }
    }

    /// Whether the file under the name is still this one, with the size and time it had when opened.
    pub(crate) fn unchanged(&self) -> Result<(), ReadError> {
        match std::fs::metadata(&self.path) {
            Ok(now) => self.compare(&now),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(self.changed("it is gone")),
            Err(e) => Err(ReadError::os(&self.path, "stat", e)),
        }
    }

    fn compare(&self, now: &std::fs::Metadata) -> Result<(), ReadError> {
        self.compare_size(now.len())?;
        match Identity::of(now) {
            same if same == self.identity => Ok(()),
            Identity { modified, .. } if modified != self.identity.modified => {
                Err(self.changed("it was written to since it was opened"))
            }
            _ => Err(self.changed("another file has its name")),
        }
    }

    /// Checks the size, so that a file that shrank or grew since it was opened is not taken for a damaged one.
    pub(crate) fn check_unchanged(&self) -> Result<(), ReadError> {
        let size = self.file()?.metadata().map_err(|e| ReadError::os(&self.path, "stat", e))?.len();
        self.compare_size(size)
    }

    fn compare_size(&self, size: u64) -> Result<(), ReadError> {
        if size == self.size {
            return Ok(());
        }
        Err(self.changed(format!("it had {} bytes when opened and has {size} now", self.size)))
    }
}

/// Opens a regular file; anything else, as a pipe, is not opened at all.
fn open_regular(path: &Path) -> Result<(File, std::fs::Metadata), ReadError> {
    let os = |action: &str, e| ReadError::os(path, action, e);
    let kind = std::fs::metadata(path).map_err(|e| os("open", e))?;
    if !kind.is_file() {
        let why = "it is no regular file; give the path of a TIFF file".to_owned();
        return Err(ReadError::NotAnImage { path: path.to_owned(), why });
    }
    let file = descriptors::open(path).map_err(|e| os("open", e))?;
    let metadata = file.metadata().map_err(|e| os("stat", e))?;
    Ok((file, metadata))
}

/// A window on a file for small reads that mostly go forward, as a walk over page headers does.
///
/// It grows while reads follow each other and shrinks when they jump, so that headers between large pixel data do not
/// drag the pixels in.
pub(crate) struct Window<'a> {
    file: &'a SourceFile,
    bytes: Vec<u8>,
    start: u64,
    next_len: usize,
    /// Where the last read that was asked for ended.
    last: u64,
}

/// Enough for the tags of most pages and the values beside them.
const LEAST: usize = 512;
/// A gap that costs less to read over than a read of its own.
const GAP: u64 = 4 << 10;
const MOST: usize = 256 << 10;

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a SourceFile) -> Window<'a> {
        Window { file, bytes: Vec::new(), start: 0, next_len: 4 << 10, last: 0 }
    }

    pub(crate) fn file(&self) -> &'a SourceFile {
        self.file
    }

    /// The bytes from `offset`, exactly `len` of them. `len` is bounded by the caller.
    pub(crate) fn get(&mut self, offset: u64, len: usize, what: &str) -> Result<&[u8], ReadError> {
        let end = offset.checked_add(len as u64).filter(|&e| e <= self.file.size);
        let Some(end) = end else {
            return Err(ReadError::Truncated {
                path: self.file.path.clone(),
                what: what.to_owned(),
                location: String::new(),
                offset,
                length: len as u64,
                file_bytes: self.file.size,
            });
        };
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            self.load(offset, len)?;
        }
        self.last = end;
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..at + len])
    }

    fn load(&mut self, offset: u64, len: usize) -> Result<(), ReadError> {
        let follows = offset >= self.start && offset <= self.last.saturating_add(GAP);
        self.next_len = if follows { (self.next_len * 2).min(MOST) } else { LEAST };
        let left = self.file.size - offset;
        let want = (self.next_len.max(len) as u64).min(left) as usize;
        self.bytes.resize(want, 0);
        self.start = offset;
        let read = self.file.read_exact(&mut self.bytes, offset);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, SourceFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        let file = SourceFile::open(&path).unwrap();
        (dir, file)
    }

    #[test]
    fn a_window_gives_the_bytes_of_the_file_in_any_order() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n * 7 % 251) as u8).collect();
        let (_dir, file) = file(&bytes);
        let mut window = Window::new(&file);
        for (offset, len) in [(0, 8), (90_000, 10_000), (8, 4000), (4008, 4000), (8008, 9000), (3, 0), (99_999, 1)] {
            let found = window.get(offset, len, "x").unwrap();
            assert_eq!(found, &bytes[offset as usize..offset as usize + len]);
        }
        assert!(matches!(window.get(99_999, 2, "x"), Err(ReadError::Truncated { .. })));
        assert!(matches!(window.get(u64::MAX, 2, "x"), Err(ReadError::Truncated { .. })));
    }

    #[test]
    fn a_file_that_shrank_is_reported_as_changed() {
        let (dir, file) = file(&[1; 100]);
        std::fs::write(dir.path().join("f"), [1; 50]).unwrap();
        assert!(matches!(file.read_exact(&mut [0; 80], 0), Err(ReadError::Changed { .. })));
    }

    #[test]
    fn a_file_is_unchanged_until_its_size_its_time_or_its_name_changes() {
        type Change = fn(&Path);
        let changed = |change: Change| {
            let (dir, file) = file(&[1; 100]);
            file.unchanged().unwrap();
            change(&dir.path().join("f"));
            file.unchanged()
        };
        // Another name for the same file, as a backup may make.
        assert!(changed(|path| std::fs::hard_link(path, path.with_extension("link")).unwrap()).is_ok());
        let modified: Change = |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        let replaced: Change = |path| {
            std::fs::copy(path, path.with_extension("new")).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        };
        let changes: [(Change, &str); 4] = [
            (|path| std::fs::write(path, [1; 101]).unwrap(), "100 bytes when opened and has 101 now"),
            (modified, "written to"),
            (replaced, "changed while"),
            (|path| std::fs::remove_file(path).unwrap(), "gone"),
        ];
        for (change, why) in changes {
            let error = changed(change).unwrap_err();
            assert!(matches!(error, ReadError::Changed { .. }) && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_file_that_was_closed_is_opened_again_if_it_is_the_same() {
        let (dir, first) = file(&[7; 100]);
        let path = dir.path().join("f");
        let crowd = || {
            let (_dir, other) = file(&[0]);
            let others: Vec<SourceFile> =
                (0..2 * descriptors::MOST).map(|_| SourceFile::open(other.path()).unwrap()).collect();
            for other in &others {
                other.read_exact(&mut [0], 0).unwrap();
            }
        };
        crowd();
        let mut found = [0; 2];
        first.read_exact(&mut found, 98).unwrap();
        assert_eq!(found, [7, 7]);
        crowd();
        std::fs::write(path.with_extension("new"), [8; 100]).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        let error = first.read_exact(&mut found, 98).unwrap_err();
        assert!(matches!(error, ReadError::Changed { .. }), "{error}");
        assert_eq!(found, [7, 7]);
        std::fs::remove_file(&path).unwrap();
        let error = first.read_exact(&mut found, 98).unwrap_err().to_string();
        assert!(error.contains("it is gone"), "{error}");
    }

    #[test]
    fn a_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(SourceFile::open(dir.path()), Err(ReadError::NotAnImage { .. })));
    }
}

//! Files beneath an image's own folder, and nothing else.
//!
//! *Invariant:* every file is opened by the kernel relative to the folder's handle and refused if its path leads out of
//! it (`..`, absolute, a link). Only regular files are read, and metadata only up to a limit.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use microtome_io::{Limits, ReadError};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use serde_json::Value;

/// Most bytes of one metadata document: far above any that is honest.
const MOST_METADATA: u64 = 16 << 20;

/// The folder of an image.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    handle: OwnedFd,
    limits: Limits,
}

/// What tells a metadata document from another one under the same name. Inode numbers do not: some network file systems
/// give a file another one when it has not been open for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Identity {
        Identity { bytes: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// A file beneath the root, opened.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
}

/// A JSON document as it was found.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) bytes: Vec<u8>,
    pub(super) identity: Identity,
}

impl Root {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Root, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| ReadError::os(path, "open", e.into()))?;
        Ok(Root { path: path.to_owned(), handle, limits: *limits })
    }

    /// A path below the root, for messages.
    pub(super) fn at(&self, relative: &str) -> PathBuf {
        if relative.is_empty() { self.path.clone() } else { self.path.join(relative) }
    }

    /// A file; `None` if there is none of that name.
    pub(super) fn file(&self, relative: &str) -> Result<Option<Stored>, ReadError> {
        let path = self.at(relative);
        let file = match self.open_beneath(relative) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::XDEV | Errno::LOOP) => {
                let why = "its path leads out of the image's own folder, which is not followed".to_owned();
                return Err(ReadError::NotAnImage { path, why });
            }
            Err(error) => return Err(ReadError::os(&path, "open", error.into())),
        };
        let metadata = file.metadata().map_err(|e| ReadError::os(&path, "look at", e))?;
        if metadata.is_dir() {
            return Ok(None);
        }
        if !metadata.is_file() {
            let why = "it is no regular file".to_owned();
            return Err(ReadError::NotAnImage { path, why });
        }
        Ok(Some(Stored { path, file, bytes: metadata.len() }))
    }

    /// Opens a path that must not leave the folder. Where the kernel cannot promise that in one call (before Linux 5.6,
    /// in some sandboxes), folder by folder, without following any link.
    fn open_beneath(&self, relative: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.handle, relative, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => {}
            known => return known,
        }
        let (folders, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        let mut at = self.handle.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        for folder in folders.split('/').filter(|part| !part.is_empty()).chain([name]) {
            if folder == ".." {
                return Err(Errno::XDEV);
            }
            at = openat(&at, folder, flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(at)
    }

    /// A text of metadata; `None` if there is none.
    pub(super) fn text(&self, relative: &str) -> Result<Option<String>, ReadError> {
        let Some(stored) = self.file(relative)? else { return Ok(None) };
        let bytes = stored.all(self.limits.metadata_bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether a document is still the one that was read.
    pub(super) fn unchanged(&self, relative: &str, identity: Identity) -> Result<(), ReadError> {
        let path = self.at(relative);
        let changed = |why: &str| Err(ReadError::Changed { path: path.clone(), why: why.to_owned() });
        match std::fs::metadata(&path) {
            Ok(now) if Identity::of(&now) == identity => Ok(()),
            Ok(_) => changed("another document has its name, or it was written to"),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => changed("it is gone"),
            Err(e) => Err(ReadError::os(&path, "look at", e)),
        }
    }

    /// A JSON document; `None` if there is none. Its bytes are given too, to be hashed.
    pub(super) fn json(&self, relative: &str) -> Result<Option<Document>, ReadError> {
        let Some(stored) = self.file(relative)? else { return Ok(None) };
        let metadata = stored.file.metadata().map_err(|e| ReadError::os(&stored.path, "look at", e))?;
        let bytes = stored.all(MOST_METADATA.min(self.limits.metadata_bytes))?;
        // serde_json stops at a nesting of 128 by itself.
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| ReadError::Corrupt {
            path: stored.path.clone(),
            what: "the metadata".to_owned(),
            location: String::new(),
            why: format!("is no valid JSON: {e}"),
        })?;
        let (found, limit) = (depth(&value), self.limits.metadata_depth);
        if found > limit {
            let what = "the nesting of the metadata".to_owned();
            let (found, limit) = (u64::from(found), u64::from(limit));
            return Err(ReadError::OverLimit { path: stored.path, what, location: String::new(), found, limit });
        }
        Ok(Some(Document { value, bytes, identity: Identity::of(&metadata) }))
    }

    /// The names of the folders in a folder, sorted; links are passed over.
    pub(super) fn folders(&self, relative: &str) -> Result<Vec<String>, ReadError> {
        let path = self.at(relative);
        let entries = std::fs::read_dir(&path).map_err(|e| ReadError::os(&path, "list", e))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| ReadError::os(&path, "list", e))?;
            let folder = entry.file_type().is_ok_and(|t| t.is_dir());
            if let (true, Some(name)) = (folder, entry.file_name().to_str()) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// How deep lists and objects lie in each other.
fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

impl Stored {
    /// All bytes of a metadata document.
    fn all(&self, limit: u64) -> Result<Vec<u8>, ReadError> {
        if self.bytes > limit {
            let (path, what, found) = (self.path.clone(), "the size of the metadata in bytes".to_owned(), self.bytes);
            return Err(ReadError::OverLimit { path, what, location: String::new(), found, limit });
        }
        let mut bytes = Vec::new();
        (&self.file).take(limit).read_to_end(&mut bytes).map_err(|e| ReadError::os(&self.path, "read", e))?;
        Ok(bytes)
    }

    /// Fills `out` from an offset.
    pub(super) fn read_at(&self, out: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.file.read_exact_at(out, offset).map_err(|e| {
            if e.kind() == std::io::ErrorKind::UnexpectedEof {
                return ReadError::Changed {
                    path: self.path.clone(),
                    why: format!("it had {} bytes before", self.bytes),
                };
            }
            ReadError::os(&self.path, format!("read {} bytes at offset {offset} of", out.len()), e)
        })
    }
}

/// Joins two relative paths; an empty one is the folder itself.
pub(super) fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

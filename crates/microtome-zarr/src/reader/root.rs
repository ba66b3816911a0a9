//! Files beneath an image's own folder, and nothing else.
//!
//! *Invariant:* every file is opened by the kernel relative to the folder's handle and refused if its path leads out of
//! it (`..`, absolute, a link). Only regular files are read, and metadata only up to a limit.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use microtome_io::{Limits, ReadError};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
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

/// A file beneath the root, opened.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
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
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = match openat2(&self.handle, relative, flags, Mode::empty(), resolve) {
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

    /// A JSON document; `None` if there is none. Its bytes are given too, to be hashed.
    pub(super) fn json(&self, relative: &str) -> Result<Option<(Value, Vec<u8>)>, ReadError> {
        let Some(stored) = self.file(relative)? else { return Ok(None) };
        let limit = MOST_METADATA.min(self.limits.metadata_bytes);
        if stored.bytes > limit {
            let what = "the metadata in bytes".to_owned();
            return Err(ReadError::OverLimit {
                path: stored.path,
                what,
                location: String::new(),
                found: stored.bytes,
                limit,
            });
        }
        let mut bytes = Vec::new();
        stored.file.take(limit).read_to_end(&mut bytes).map_err(|e| ReadError::os(&stored.path, "read", e))?;
        // serde_json stops at a nesting of 128 by itself.
        let value = serde_json::from_slice(&bytes).map_err(|e| ReadError::Corrupt {
            path: stored.path.clone(),
            what: "the metadata".to_owned(),
            location: String::new(),
            why: format!("is no valid JSON: {e}"),
        })?;
        Ok(Some((value, bytes)))
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

impl Stored {
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

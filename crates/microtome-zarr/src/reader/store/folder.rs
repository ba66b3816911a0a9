//! A folder of the file system, and nothing outside it.
//!
//! *Invariant:* every file is opened by the kernel relative to the folder's handle and refused if its path leads out of
//! it (`..`, absolute, a link). Only regular files are read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_io::ReadError;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::{Identity, Source, Store, Stored};

/// The folder of an image.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Folder, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| ReadError::os(path, "open", e.into()))?;
        Ok(Folder { path: path.to_owned(), handle })
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
}

impl Store for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, key: &str, _most: u64) -> Result<Option<Stored>, ReadError> {
        let path = self.at(key);
        let file = match self.open_beneath(key) {
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
        let (bytes, identity) = (metadata.len(), Identity::of(&metadata));
        Ok(Some(Stored { path, bytes, identity, source: Source::File { file: Arc::new(file), start: 0 } }))
    }

    /// Sorted; links are passed over.
    fn folders(&self, key: &str) -> Result<Vec<String>, ReadError> {
        let path = self.at(key);
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

    fn identity(&self, key: &str) -> Result<Identity, ReadError> {
        let path = self.at(key);
        let metadata = std::fs::metadata(&path).map_err(|e| ReadError::os(&path, "look at", e))?;
        Ok(Identity::of(&metadata))
    }
}

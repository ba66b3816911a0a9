//! Where the files of an image lie: a folder, a ZIP archive of one, or objects behind a URL.
//!
//! *Invariant:* nothing outside of the folder, archive or URL is read, and metadata only up to a limit.

mod folder;
mod json;
mod remote;
mod zip;
mod zip_directory;

use std::fmt::Debug;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_io::{Limits, ReadError};
use serde_json::Value;

pub(super) use crate::join;
use crate::remote::{Address, Answer, Distant, Facts, Got, Part, Want, connect, is_url};
use folder::Folder;
use remote::Remote;
use zip::Zip;

/// Most bytes of one metadata document: far above any that is honest.
const MOST_METADATA: u64 = 16 << 20;

/// Files by the names they have below the image.
pub(super) trait Store: Debug + Send + Sync {
    /// Where it is.
    fn path(&self) -> &Path;

    /// A file; `None` if there is none of that name. One that cannot be read in parts is held in memory, if it has at
    /// most `most` bytes.
    fn file(&self, key: &str, most: u64) -> Result<Option<Stored>, ReadError>;

    /// The names of the folders in a folder, sorted.
    fn folders(&self, key: &str) -> Result<Vec<String>, ReadError>;

    /// What tells the file of a name from another one under the same name.
    fn identity(&self, key: &str) -> Result<Identity, ReadError>;

    /// Whether there is a file of that name.
    fn holds(&self, key: &str) -> Result<bool, ReadError> {
        Ok(self.file(key, MOST_METADATA)?.is_some())
    }

    /// The objects, where files are objects behind a URL.
    fn distant(&self) -> Option<&dyn Distant> {
        None
    }

    /// Most bytes that [`file`](Store::file) holds of a file that is no metadata.
    fn most_held(&self) -> u64 {
        0
    }

    /// Size and modification time in seconds of what is one file.
    fn stamp(&self) -> Option<(u64, u64)> {
        None
    }

    /// A path below the image, for messages.
    fn at(&self, key: &str) -> PathBuf {
        if key.is_empty() { self.path().to_owned() } else { self.path().join(key) }
    }
}

/// What tells a metadata document from another one under the same name. Inode numbers do not: some network file systems
/// give a file another one when it has not been open for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity(Facts);

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Identity {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Identity(Facts { bytes: metadata.len(), modified, tag: None })
    }
}

/// A file of the image, opened.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    identity: Identity,
    source: Source,
}

/// Where the bytes of a file are.
#[derive(Debug)]
enum Source {
    /// In a file, from an offset.
    File { file: Arc<File>, start: u64 },
    /// Here.
    Memory(Vec<u8>),
}

/// A JSON document as it was found.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) bytes: Vec<u8>,
    pub(super) identity: Identity,
}

/// The image's folder, wherever it lies.
#[derive(Debug)]
pub(super) struct Root {
    store: Box<dyn Store>,
    limits: Limits,
}

impl Root {
    /// Opens a folder, an archive of one, or a URL.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Root, ReadError> {
        if is_url(path) {
            let store = Box::new(Remote::new(connect(&Address::parse(path)?)?));
            return Ok(Root { store, limits: limits.clone() });
        }
        let is_folder = std::fs::metadata(path).map_err(|e| ReadError::os(path, "open", e))?.is_dir();
        let store: Box<dyn Store> =
            if is_folder { Box::new(Folder::open(path)?) } else { Box::new(Zip::open(path, limits)?) };
        Ok(Root { store, limits: limits.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        self.store.path()
    }

    /// A path below the image, for messages.
    pub(super) fn at(&self, key: &str) -> PathBuf {
        self.store.at(key)
    }

    /// A file of pixels; `None` if there is none of that name.
    pub(super) fn file(&self, key: &str) -> Result<Option<Stored>, ReadError> {
        self.store.file(key, self.limits.tile_bytes)
    }

    /// Whether there is a file of that name.
    pub(super) fn holds(&self, key: &str) -> Result<bool, ReadError> {
        self.store.holds(key)
    }

    /// The objects, where files are objects behind a URL.
    pub(super) fn distant(&self) -> Option<&dyn Distant> {
        self.store.distant()
    }

    /// The names of the folders in a folder, sorted.
    pub(super) fn folders(&self, key: &str) -> Result<Vec<String>, ReadError> {
        self.store.folders(key)
    }

    /// Most bytes that an opened file holds beside what is read from it.
    pub(super) fn most_held(&self) -> u64 {
        self.store.most_held()
    }

    /// Size and modification time in seconds of what is one file.
    pub(super) fn stamp(&self) -> Option<(u64, u64)> {
        self.store.stamp()
    }

    /// A text of metadata; `None` if there is none.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ReadError> {
        let limit = self.limits.metadata_bytes;
        let Some(stored) = self.store.file(key, limit)? else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&stored.all(limit)?).into_owned()))
    }

    /// Whether documents are still those that were read.
    pub(super) fn unchanged(&self, documents: &[(String, Identity)]) -> Result<(), ReadError> {
        let Some(distant) = self.distant() else {
            return documents.iter().try_for_each(|(key, then)| self.same(key, then, self.store.identity(key)));
        };
        let found = distant.look(documents.iter().map(|(key, _)| key.clone()).collect());
        documents.iter().zip(found).try_for_each(|((key, then), now)| {
            let gone = || ReadError::NotFound { path: self.at(key) };
            self.same(key, then, now.and_then(|now| now.map(Identity).ok_or_else(gone)))
        })
    }

    fn same(&self, key: &str, then: &Identity, now: Result<Identity, ReadError>) -> Result<(), ReadError> {
        let changed = |why: &str| Err(ReadError::Changed { path: self.at(key), why: why.to_owned() });
        match now {
            Ok(now) if now == *then => Ok(()),
            Ok(_) => changed("another document has its name, or it was written to"),
            Err(ReadError::NotFound { .. }) => changed("it is gone"),
            Err(e) => Err(e),
        }
    }

    fn most_document(&self) -> u64 {
        MOST_METADATA.min(self.limits.metadata_bytes)
    }

    /// A JSON document; `None` if there is none. Its bytes are given too, to be hashed.
    pub(super) fn json(&self, key: &str) -> Result<Option<Document>, ReadError> {
        let limit = self.most_document();
        let Some(stored) = self.store.file(key, limit)? else { return Ok(None) };
        let bytes = stored.all(limit)?;
        self.document(key, bytes, stored.identity).map(Some)
    }

    fn document(&self, key: &str, bytes: Vec<u8>, identity: Identity) -> Result<Document, ReadError> {
        let parsed = json::parse(&bytes, self.limits.metadata_depth);
        let value = parsed.map_err(|problem| problem.at(&self.at(key)))?;
        Ok(Document { value, bytes, identity })
    }

    /// JSON documents behind a URL, all asked for together; an answer each.
    pub(super) fn documents(&self, distant: &dyn Distant, keys: &[String]) -> Vec<Answer<Document>> {
        let most = self.most_document();
        let want = |key: &String| Want { key: key.clone(), part: Part::Whole, most, tag: None };
        let answers = distant.fetch(keys.iter().map(want).collect());
        let document = |(key, answer): (&String, Answer<Got>)| match answer? {
            Some(Got { bytes, facts }) => self.document(key, bytes, Identity(facts)).map(Some),
            None => Ok(None),
        };
        keys.iter().zip(answers).map(document).collect()
    }

    /// What a document says of the nodes below it, by its consolidated metadata: that key of it whole.
    pub(super) fn consolidated(&self, key: &str, bytes: &[u8], member: &str) -> Result<Value, ReadError> {
        let parsed = json::parse_keeping(bytes, self.limits.metadata_depth, "consolidated_metadata");
        let mut value = parsed.map_err(|problem| problem.at(&self.at(key)))?;
        Ok(value.pointer_mut(member).map(Value::take).unwrap_or_default())
    }
}

impl Stored {
    /// All bytes of a metadata document.
    fn all(&self, limit: u64) -> Result<Vec<u8>, ReadError> {
        if self.bytes > limit {
            return Err(over(&self.path, "the size of the metadata in bytes", self.bytes, limit));
        }
        let mut bytes = vec![0; self.bytes as usize];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Bytes that are held in memory beside what is read.
    pub(super) fn held(&self) -> u64 {
        match &self.source {
            Source::File { .. } => 0,
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `out` from an offset.
    pub(super) fn read_at(&self, out: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let short =
            || ReadError::Changed { path: self.path.clone(), why: format!("it had {} bytes before", self.bytes) };
        let within = offset.checked_add(out.len() as u64).is_some_and(|end| end <= self.bytes);
        match &self.source {
            _ if !within => Err(short()),
            Source::Memory(bytes) => {
                out.copy_from_slice(&bytes[offset as usize..][..out.len()]);
                Ok(())
            }
            Source::File { file, start } => file.read_exact_at(out, start + offset).map_err(|e| {
                if e.kind() == std::io::ErrorKind::UnexpectedEof {
                    return short();
                }
                ReadError::os(&self.path, format!("read {} bytes at offset {offset} of", out.len()), e)
            }),
        }
    }
}

fn over(path: &Path, what: &str, found: u64, limit: u64) -> ReadError {
    ReadError::OverLimit { path: path.to_owned(), what: what.to_owned(), location: String::new(), found, limit }
}

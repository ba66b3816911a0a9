//! Objects behind a URL, as a reader asks for them: whole or in parts, many at once, never one round trip after another.
//!
//! *Invariant:* no more bytes of an object are taken than were asked for, whatever a server says; what waits for a network
//! waits on a runtime of its own and never longer than its time.

mod address;
#[cfg(feature = "remote")]
mod bucket;
#[cfg(feature = "remote")]
mod client;
#[cfg(feature = "remote")]
mod objects;
#[cfg(feature = "remote")]
mod trouble;

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use microtome_io::{ReadError, WriteError};

pub(crate) use address::Address;
pub use address::{checked_url, is_url};

/// A part of an object that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// Its name below the image.
    pub(crate) key: String,
    pub(crate) part: Part,
    /// Most bytes that are taken.
    pub(crate) most: u64,
    /// What the object must still be, where it was seen before.
    pub(crate) tag: Option<Arc<str>>,
}

/// Which bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Bytes(Range<u64>),
    /// So many at its end.
    Last(u64),
}

/// What an answer says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Of the whole object.
    pub(crate) bytes: u64,
    pub(crate) modified: (i64, i64),
    /// Its `ETag`.
    pub(crate) tag: Option<Arc<str>>,
}

/// A part of an object.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) bytes: Vec<u8>,
    pub(crate) facts: Facts,
}

/// An answer: `None` where there is no such object.
pub(crate) type Answer<T> = Result<Option<T>, ReadError>;

/// Where the objects of an image lie, away from here.
pub(crate) trait Distant: Debug + Send + Sync {
    /// The URL of the image.
    fn url(&self) -> &Path;

    /// Parts of objects, all asked for together; an answer each.
    fn fetch(&self, wants: Vec<Want>) -> Vec<Answer<Got>>;

    /// What objects are, without their bytes; an answer each.
    fn look(&self, keys: Vec<String>) -> Vec<Answer<Facts>>;

    /// The names of the folders in a folder, sorted, where that can be asked.
    fn folders(&self, key: &str) -> Result<Vec<String>, ReadError>;
}

/// Bytes of a part of a larger object: what is held while it is put. S3 takes no smaller ones.
pub(crate) const PART: u64 = 8 << 20;

/// Where objects are written, away from here.
pub(crate) trait Bucket: Debug + Send + Sync {
    /// The URL of the output.
    fn url(&self) -> &Path;

    /// Puts the bytes of a file under a key, in the place of what is there.
    fn put(&self, key: &str, from: &Path) -> Result<(), WriteError>;

    /// Puts bytes under a key; false, and nothing is done, where there is such an object.
    fn create(&self, key: &str, bytes: Vec<u8>) -> Result<bool, WriteError>;

    /// The keys of all objects below the URL, so many at most.
    fn list(&self, most: usize) -> Result<Vec<String>, WriteError>;

    /// The bytes of an object of so many at most; `None` if there is none.
    fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, WriteError>;

    /// The length of an object; `None` if there is none.
    fn bytes(&self, key: &str) -> Result<Option<u64>, WriteError>;

    /// The CRC-32C of an object of so many bytes.
    fn crc32c(&self, key: &str, bytes: u64) -> Result<u32, WriteError>;

    /// Removes objects one after the other; what is not there is no error.
    fn delete(&self, keys: &[String]) -> Result<(), WriteError>;
}

/// Gets ready to write objects below a URL; nothing is asked yet.
#[cfg(feature = "remote")]
pub(crate) fn connect_to_write(address: &Address) -> Result<Arc<dyn Bucket>, WriteError> {
    Ok(Arc::new(objects::Objects::to_write(address)?))
}

/// Refuses: this build knows no networks.
#[cfg(not(feature = "remote"))]
pub(crate) fn connect_to_write(address: &Address) -> Result<Arc<dyn Bucket>, WriteError> {
    let why = "this build knows no networks: build microtome with the cargo feature `remote`".to_owned();
    Err(WriteError::Unsupported { path: address.url.clone(), why })
}

/// Gets ready to ask for objects below a URL; nothing is asked yet.
#[cfg(feature = "remote")]
pub(crate) fn connect(address: &Address) -> Result<Arc<dyn Distant>, ReadError> {
    Ok(Arc::new(objects::Objects::new(address)?))
}

/// Refuses: this build knows no networks.
#[cfg(not(feature = "remote"))]
pub(crate) fn connect(address: &Address) -> Result<Arc<dyn Distant>, ReadError> {
    let what = format!("reading from {}://", address.scheme.name());
    let hint = "build microtome with the cargo feature `remote`, or copy the image here".to_owned();
    Err(ReadError::Unsupported { path: address.url.clone(), what, location: String::new(), hint })
}

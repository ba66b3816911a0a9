//! Objects behind a URL as files of an image.
//!
//! Pixels are not read through this: they are fetched many at once, see `fetch.rs`.

use std::path::Path;
use std::sync::Arc;

use microtome_io::ReadError;

use super::{Distant, Got, Identity, Part, Source, Store, Stored, Want};

/// The objects of an image.
#[derive(Debug)]
pub(super) struct Remote(Arc<dyn Distant>);

impl Remote {
    pub(super) fn new(objects: Arc<dyn Distant>) -> Remote {
        Remote(objects)
    }
}

impl Store for Remote {
    fn path(&self) -> &Path {
        self.0.url()
    }

    fn file(&self, key: &str, most: u64) -> Result<Option<Stored>, ReadError> {
        let want = Want { key: key.to_owned(), part: Part::Whole, most, tag: None };
        let got = self.0.fetch(vec![want]).pop().transpose()?.flatten();
        Ok(got.map(|Got { bytes, facts }| Stored {
            path: self.at(key),
            bytes: bytes.len() as u64,
            identity: Identity(facts),
            source: Source::Memory(bytes),
        }))
    }

    fn folders(&self, key: &str) -> Result<Vec<String>, ReadError> {
        self.0.folders(key)
    }

    fn identity(&self, key: &str) -> Result<Identity, ReadError> {
        let found = self.0.look(vec![key.to_owned()]).pop().transpose()?.flatten();
        found.map(Identity).ok_or_else(|| ReadError::NotFound { path: self.at(key) })
    }

    fn holds(&self, key: &str) -> Result<bool, ReadError> {
        Ok(self.0.look(vec![key.to_owned()]).pop().transpose()?.flatten().is_some())
    }

    fn distant(&self) -> Option<&dyn Distant> {
        Some(self.0.as_ref())
    }
}

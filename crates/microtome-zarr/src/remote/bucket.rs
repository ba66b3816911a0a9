//! Writing objects below a URL of a bucket.
//!
//! *Invariant:* an object is there whole or not at all; of a file that is put no more than a part is in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use futures_util::TryStreamExt;
use microtome_io::{ReadError, WriteError};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::address::{Address, Scheme};
use super::client::SEEN;
use super::objects::{Objects, seen};
use super::{Bucket, Distant, PART, Part, Want, trouble};

/// Most bytes of an object that is read back to be looked at, a piece at a time.
const PIECE: u64 = 8 << 20;

impl Objects {
    /// Gets ready to write below a URL.
    pub(super) fn to_write(address: &Address) -> Result<Objects, WriteError> {
        if matches!(address.scheme, Scheme::Http | Scheme::Https) {
            let why = "nothing is written over http; give s3:// or gs://, or a path here".to_owned();
            return Err(WriteError::Unsupported { path: address.url.clone(), why });
        }
        Objects::new(address).map_err(|error| as_write(error, "write"))
    }

    /// Waits for something that is done to an object.
    fn done<T: Send + 'static>(
        &self,
        action: &'static str,
        key: &str,
        act: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, WriteError> {
        let waited = self.wait(SEEN.scope(std::cell::RefCell::default(), async move { (act.await, seen()) }));
        let (done, seen) = waited.map_err(|error| as_write(error, action))?;
        done.map_err(|error| {
            let (why, hint) = trouble::words(self.scheme(), &seen, &error);
            WriteError::Remote { path: self.at(key), action, why, hint }
        })
    }

    fn put_whole(&self, key: &str, bytes: Vec<u8>, mode: PutMode) -> Result<bool, WriteError> {
        let (store, name) = (self.store(), self.name(key)?);
        let put = async move {
            match store.put_opts(&name, PutPayload::from(bytes), PutOptions::from(mode)).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.done("write", key, put)
    }

    /// Puts a file in parts, one after the other.
    fn put_parts(&self, key: &str, mut first: Vec<u8>, mut rest: File, from: &Path) -> Result<(), WriteError> {
        let (store, name) = (self.store(), self.name(key)?);
        let mut upload = self.done("begin to write", key, async move { store.put_multipart(&name).await })?;
        let mut parts = || -> Result<(), WriteError> {
            while !first.is_empty() {
                let part = upload.put_part(PutPayload::from(std::mem::take(&mut first)));
                self.done("write a part of", key, part)?;
                first = next_part(&mut rest).map_err(|e| WriteError::os(from, "read", e))?;
            }
            Ok(())
        };
        let put = parts();
        let name = key.to_owned();
        match put {
            Ok(()) => self.done("finish", &name, async move { upload.complete().await.map(drop) }),
            Err(error) => {
                // Best effort: what is left of it is no object, and costs until the bucket's rules remove it.
                let _ = self.done("abort", &name, async move { upload.abort().await });
                Err(error)
            }
        }
    }

    fn name(&self, key: &str) -> Result<object_store::path::Path, WriteError> {
        self.key(key).map_err(|error| as_write(error, "name"))
    }
}

/// The next bytes of a file, a part at most; none at its end.
fn next_part(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PART as usize);
    file.take(PART).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error of asking, where it was asked for the sake of writing.
fn as_write(error: ReadError, action: &'static str) -> WriteError {
    match error {
        ReadError::Remote { path, why, hint } => WriteError::Remote { path, action, why, hint },
        other => {
            let path = other.path().to_owned();
            WriteError::Unsupported { path, why: other.to_string() }
        }
    }
}

impl Bucket for Objects {
    fn url(&self) -> &Path {
        Distant::url(self)
    }

    fn put(&self, key: &str, from: &Path) -> Result<(), WriteError> {
        let os = |e| WriteError::os(from, "read", e);
        let mut file = File::open(from).map_err(os)?;
        let first = next_part(&mut file).map_err(os)?;
        if (first.len() as u64) < PART {
            return self.put_whole(key, first, PutMode::Overwrite).map(drop);
        }
        self.put_parts(key, first, file, from)
    }

    fn create(&self, key: &str, bytes: Vec<u8>) -> Result<bool, WriteError> {
        self.put_whole(key, bytes, PutMode::Create)
    }

    fn list(&self, most: usize) -> Result<Vec<String>, WriteError> {
        let (store, prefix) = (self.store(), self.name("")?);
        let parts = prefix.parts().count();
        let list = async move {
            let mut names = Vec::new();
            let mut found = store.list(Some(&prefix));
            while let Some(object) = found.try_next().await? {
                let below: Vec<String> =
                    object.location.parts().skip(parts).map(|part| part.as_ref().to_owned()).collect();
                names.push(below.join("/"));
                if names.len() == most {
                    break;
                }
            }
            Ok(names)
        };
        self.done("list", "", list)
    }

    fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, WriteError> {
        let want = Want { key: key.to_owned(), part: Part::Whole, most, tag: None };
        let got = self.fetch(vec![want]).pop().transpose().map_err(|error| as_write(error, "read"))?;
        Ok(got.flatten().map(|got| got.bytes))
    }

    fn bytes(&self, key: &str) -> Result<Option<u64>, WriteError> {
        let found = self.look(vec![key.to_owned()]).pop().transpose().map_err(|error| as_write(error, "look at"))?;
        Ok(found.flatten().map(|facts| facts.bytes))
    }

    fn crc32c(&self, key: &str, bytes: u64) -> Result<u32, WriteError> {
        let (mut sum, mut at) = (0, 0);
        while at < bytes {
            let end = (at + PIECE).min(bytes);
            let want = Want { key: key.to_owned(), part: Part::Bytes(at..end), most: PIECE, tag: None };
            let got = self.fetch(vec![want]).pop().transpose().map_err(|error| as_write(error, "read"))?;
            let Some(got) = got.flatten() else { return Ok(0) };
            sum = crc32c::crc32c_append(sum, &got.bytes);
            at = end;
        }
        Ok(sum)
    }

    fn delete(&self, keys: &[String]) -> Result<(), WriteError> {
        for key in keys {
            let (store, name) = (self.store(), self.name(key)?);
            let delete = async move {
                match store.delete(&name).await {
                    Err(object_store::Error::NotFound { .. }) => Ok(()),
                    done => done,
                }
            };
            self.done("remove", key, delete)?;
        }
        Ok(())
    }
}

//! A ZIP archive of a folder (`.zip`, `.ozx`), whose files are stored as they are or deflated.
//!
//! Stored files are read in parts, like files of a folder. A deflated one is decoded whole when it is opened, into as
//! many bytes as the directory says: no more than a limit, and no more than deflate can make of the encoded ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_io::{Limits, ReadError};

use super::zip_directory::{End, Entry, LONGEST_END, MOST_DIRECTORY, Place, end, end64, entries};
use super::{Identity, Source, Store, Stored, join, over};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Bytes of a local record before its name.
const LOCAL: u64 = 30;
/// Deflate makes at most 1032 bytes of one.
const MOST_RATIO: u64 = 1032;

/// An opened archive.
#[derive(Debug)]
pub(super) struct Zip {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    identity: Identity,
    entries: BTreeMap<String, Entry>,
    /// The folder in the archive that is the image: the only one there is, or none.
    prefix: String,
    most_held: u64,
}

impl Zip {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Zip, ReadError> {
        let os = |action: &'static str| move |e| ReadError::os(path, action, e);
        let file = File::open(path).map_err(os("open"))?;
        let metadata = file.metadata().map_err(os("look at"))?;
        let bytes = metadata.len();
        let read = |at: u64, len: u64| -> Result<Vec<u8>, ReadError> {
            let mut out = vec![0; len as usize];
            file.read_exact_at(&mut out, at).map_err(os("read"))?;
            Ok(out)
        };
        let tail = LONGEST_END.min(bytes);
        let found = end(&read(bytes - tail, tail)?);
        let place = match found.ok_or_else(|| corrupt(path, "it has no end of a directory"))? {
            End::Directory(place) => place,
            End::Zip64 { at } if at.checked_add(56).is_some_and(|end| end <= bytes) => {
                let record = read(at, 56)?;
                let place = record.first_chunk().and_then(end64);
                place.ok_or_else(|| corrupt(path, "its record of ZIP64 is damaged"))?
            }
            End::Zip64 { .. } => return Err(corrupt(path, "its record of ZIP64 lies behind its end")),
        };
        let Place { at, bytes: len, entries: count } = place;
        if len > MOST_DIRECTORY.min(limits.total_tag_bytes) {
            return Err(over(path, "the size of the directory of the archive in bytes", len, MOST_DIRECTORY));
        }
        if at.checked_add(len).is_none_or(|end| end > bytes) {
            return Err(corrupt(path, "its directory lies behind its end"));
        }
        let entries = entries(&read(at, len)?, count).ok_or_else(|| corrupt(path, "its directory is damaged"))?;
        let held = entries.iter().filter(|(name, e)| e.method == DEFLATED && !is_metadata(name));
        let most_held = held.map(|(_, e)| e.decoded.saturating_add(e.encoded)).max().unwrap_or(0);
        let most_held = most_held.min(2 * limits.tile_bytes);
        let (identity, prefix) = (Identity::of(&metadata), only_folder(&entries));
        let file = Arc::new(file);
        Ok(Zip { path: path.to_owned(), file, bytes, identity, entries, prefix, most_held })
    }

    /// Where the bytes of a file begin.
    fn start(&self, path: &Path, entry: &Entry) -> Result<u64, ReadError> {
        let damaged = || corrupt(path, "its record in the archive is damaged");
        let inside = |at: u64| Some(at).filter(|end| *end <= self.bytes);
        entry.local.checked_add(LOCAL).and_then(inside).ok_or_else(damaged)?;
        let mut record = [0; LOCAL as usize];
        self.file.read_exact_at(&mut record, entry.local).map_err(|e| ReadError::os(path, "read", e))?;
        if !record.starts_with(b"PK\x03\x04") {
            return Err(damaged());
        }
        let lengths = [26, 28].map(|at| u64::from(u16::from_le_bytes([record[at], record[at + 1]])));
        let start = entry.local + LOCAL + lengths[0] + lengths[1];
        start.checked_add(entry.encoded).and_then(inside).ok_or_else(damaged)?;
        Ok(start)
    }

    fn inflate(&self, path: &Path, entry: &Entry, start: u64, most: u64) -> Result<Vec<u8>, ReadError> {
        for (what, found, limit) in [
            ("the size of a deflated file in bytes", entry.decoded, most),
            ("the size of a deflated file in bytes", entry.encoded, most.saturating_add(most / 8 + 1024)),
            ("the size of a deflated file by its directory", entry.decoded, entry.encoded.saturating_mul(MOST_RATIO)),
        ] {
            if found > limit {
                return Err(over(path, what, found, limit));
            }
        }
        let mut encoded = vec![0; entry.encoded as usize];
        self.file.read_exact_at(&mut encoded, start).map_err(|e| ReadError::os(path, "read", e))?;
        let mut out = vec![0; entry.decoded as usize];
        match libdeflater::Decompressor::new().deflate_decompress(&encoded, &mut out) {
            Ok(len) if len == out.len() => Ok(out),
            Ok(len) => Err(corrupt(path, &format!("it inflates to {len} bytes, expected {}", out.len()))),
            Err(libdeflater::DecompressionError::InsufficientSpace) => {
                Err(corrupt(path, &format!("it inflates to more than the {} bytes expected", out.len())))
            }
            Err(libdeflater::DecompressionError::BadData) => Err(corrupt(path, "its deflate data are damaged")),
        }
    }
}

impl Store for Zip {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, key: &str, most: u64) -> Result<Option<Stored>, ReadError> {
        let Some(entry) = self.entries.get(&join(&self.prefix, key)) else { return Ok(None) };
        let path = self.at(key);
        let start = self.start(&path, entry)?;
        let source = match entry.method {
            _ if entry.is_encrypted => return Err(unsupported(path, "an encrypted file".to_owned())),
            STORED if entry.encoded == entry.decoded => Source::File { file: Arc::clone(&self.file), start },
            STORED => return Err(corrupt(&path, "it is stored as it is, and has another length encoded than decoded")),
            DEFLATED => Source::Memory(self.inflate(&path, entry, start, most)?),
            other => return Err(unsupported(path, format!("the ZIP compression {other}"))),
        };
        Ok(Some(Stored { path, bytes: entry.decoded, identity: self.identity.clone(), source }))
    }

    fn folders(&self, key: &str) -> Result<Vec<String>, ReadError> {
        let folder = join(&self.prefix, key);
        let before = if folder.is_empty() { folder } else { folder + "/" };
        let mut names: Vec<String> = Vec::new();
        let mut from = before.clone();
        // From each folder straight to the first name behind it.
        while let Some((name, _)) = self.entries.range(from.clone()..).next() {
            let Some(rest) = name.strip_prefix(&before) else { break };
            from = match rest.split_once('/') {
                Some((folder, _)) => {
                    names.push(folder.to_owned());
                    format!("{before}{folder}0")
                }
                None => format!("{name}\0"),
            };
        }
        names.sort();
        Ok(names)
    }

    fn identity(&self, _key: &str) -> Result<Identity, ReadError> {
        let metadata = std::fs::metadata(&self.path).map_err(|e| ReadError::os(&self.path, "look at", e))?;
        Ok(Identity::of(&metadata))
    }

    fn most_held(&self) -> u64 {
        self.most_held
    }

    fn stamp(&self) -> Option<(u64, u64)> {
        let metadata = self.file.metadata().ok()?;
        Some((self.bytes, u64::try_from(metadata.mtime()).unwrap_or(0)))
    }
}

fn is_metadata(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    crate::MARKS.contains(&file) || Path::new(file).extension().is_some_and(|e| e == "xml")
}

/// The one folder `*.zarr` that all files lie in, if the image is not at the top.
fn only_folder(entries: &BTreeMap<String, Entry>) -> String {
    let is_top = crate::MARKS.iter().any(|mark| entries.contains_key(*mark));
    let folder = entries.keys().next().and_then(|name| name.split_once('/')).map(|(folder, _)| folder);
    match folder {
        Some(folder) if !is_top && crate::is_named_zarr(folder) => {
            let before = format!("{folder}/");
            let marked = crate::MARKS.iter().any(|mark| entries.contains_key(&format!("{before}{mark}")));
            let alone = entries.keys().all(|name| name.starts_with(&before));
            if marked && alone { folder.to_owned() } else { String::new() }
        }
        _ => String::new(),
    }
}

fn corrupt(path: &Path, why: &str) -> ReadError {
    let what = "the archive".to_owned();
    ReadError::Corrupt { path: path.to_owned(), what, location: String::new(), why: why.to_owned() }
}

fn unsupported(path: PathBuf, what: String) -> ReadError {
    let hint = "pack the folder with files that are stored or deflated".to_owned();
    ReadError::Unsupported { path, what, location: String::new(), hint }
}

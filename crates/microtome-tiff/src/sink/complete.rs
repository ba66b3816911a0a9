//! The record by which a finished output is known, in private tags of its first page: its plan, length and checksum of every
//! tile, and the list of what is missing in it.
//!
//! *Invariant:* nothing in it comes from a clock, a host, a user or a path: equal plans give equal records.

use std::path::Path;

use microtome_io::{Completion, ReadError, StoredUnit, WriteError};
use serde::{Deserialize, Serialize};

use super::ifd::RECORD;
use crate::file::{SourceFile, Window};
use crate::header::Header;

/// Version of the record's form.
const FORMAT: u32 = 1;
/// Most bytes of a record that is read.
const MOST_BYTES: u64 = 256 << 20;
/// Most entries of a first page that are looked through.
const MOST_ENTRIES: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    plan: String,
    /// Length and CRC-32C of the other tag.
    units: (u64, u32),
    quarantine: Option<Listed>,
}

/// The list of what is missing, with its CRC-32C.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    crc32c: u32,
    text: String,
}

/// The values of the two tags: the record, and the tiles.
pub(super) fn tags(completion: &Completion<'_>) -> (Vec<u8>, Vec<u8>) {
    let mut units = Vec::with_capacity(8 * completion.units.iter().map(Vec::len).sum::<usize>());
    for StoredUnit { stored_bytes, crc32c } in completion.units.iter().flatten() {
        // A tile has at most 1 GiB before it is compressed.
        units.extend((*stored_bytes as u32).to_le_bytes());
        units.extend(crc32c.to_le_bytes());
    }
    let listed = |text: &str| Listed { crc32c: crc32c::crc32c(text.as_bytes()), text: text.to_owned() };
    let record = Record {
        format: FORMAT,
        plan: completion.plan.to_owned(),
        units: (units.len() as u64, crc32c::crc32c(&units)),
        quarantine: completion.quarantine.map(listed),
    };
    (serde_json::to_vec(&record).unwrap_or_default(), units)
}

/// The record of a file; `None` if it has none that is understood.
fn record(path: &Path) -> Option<Record> {
    let bytes = read(path).ok().flatten()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    (record.format == FORMAT).then_some(record)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    let file = SourceFile::open(path)?;
    let mut window = Window::new(&file);
    let header = Header::read(&mut window)?;
    let count = header.entry_count(&mut window, header.first)?.min(MOST_ENTRIES);
    let table = header.first.saturating_add(header.count_size());
    let ifd = window.get(table, header.ifd_bytes(count) as usize, "the tag table")?.to_vec();
    let found = (0..count).map(|n| header.entry(&ifd, n)).find(|entry| entry.tag == RECORD);
    let Some(entry) = found.filter(|e| e.type_size() == Some(1) && e.count <= MOST_BYTES) else { return Ok(None) };
    let bytes = window.get(entry.offset(&header), entry.count as usize, "the record")?;
    Ok(Some(bytes.to_vec()))
}

/// The plan of a finished output; `None` if it has no record that is understood.
pub(super) fn plan(path: &Path) -> Option<String> {
    Some(record(path)?.plan)
}

/// The list of what is missing in a finished output; `None` if nothing is.
pub(super) fn quarantine(path: &Path) -> Result<Option<String>, WriteError> {
    let Some(Listed { crc32c, text }) = record(path).and_then(|record| record.quarantine) else { return Ok(None) };
    if crc32c::crc32c(text.as_bytes()) == crc32c {
        return Ok(Some(text));
    }
    let why = "the list of what is missing in it is damaged; --overwrite makes it anew".to_owned();
    Err(WriteError::Journal { path: path.to_owned(), why })
}

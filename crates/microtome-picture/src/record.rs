//! The record by which a finished PNG is known: a private chunk before the last one, with its plan, length and checksum of
//! all before it, and the list of what is missing in it.
//!
//! *Invariant:* nothing in it comes from a clock, a host, a user or a path; a program that changes pixels drops it, as the
//! last letter of the chunk's name asks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use microtome_io::{Completion, StoredUnit};
use serde::{Deserialize, Serialize};

/// The chunk's name: ancillary, private, not to be copied where pixels changed.
pub(crate) const NAME: [u8; 4] = *b"mtRC";
/// The last chunk of every PNG.
pub(crate) const END: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";
/// Version of the record's form.
const FORMAT: u32 = 1;
/// Most bytes of a record: one plane has a short list.
const MOST_BYTES: u64 = 1 << 20;

/// What a finished PNG says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub(crate) plan: String,
    /// Bytes before the chunk.
    pub(crate) bytes: u64,
    /// Their CRC-32C.
    pub(crate) crc32c: u32,
    /// The list of what is missing.
    pub(crate) quarantine: Option<String>,
}

/// What stands at the end of a file where a record would.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record, the offset of its chunk, and whether nothing but the last chunk follows.
    Whole { record: Record, at: u64, ends: bool },
    /// Something that was one: the offset of its chunk.
    Damaged { at: u64 },
    /// None.
    Nothing,
}

/// What follows the plane in a finished file: the record and the last chunk.
pub(crate) fn tail(completion: &Completion<'_>) -> Vec<u8> {
    let plane = completion.units.first().and_then(|units| units.first());
    let StoredUnit { stored_bytes, crc32c } = plane.copied().unwrap_or_default();
    let quarantine = completion.quarantine.map(str::to_owned);
    let record = Record { format: FORMAT, plan: completion.plan.to_owned(), bytes: stored_bytes, crc32c, quarantine };
    let body = serde_json::to_vec(&record).unwrap_or_default();
    let named = [&NAME[..], &body].concat();
    let length = (body.len() as u32).to_be_bytes();
    [&length[..], &named, &crc32fast::hash(&named).to_be_bytes(), &END].concat()
}

/// Looks for the record at the end of a file, whatever stands before it.
pub(crate) fn find(file: &File) -> io::Result<Found> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(MOST_BYTES);
    let mut end = vec![0; (size - start) as usize];
    file.read_exact_at(&mut end, start)?;
    let Some(name) = end.windows(NAME.len()).rposition(|window| window == NAME) else { return Ok(Found::Nothing) };
    let at = (start + name as u64).saturating_sub(4);
    let chunk = name.checked_sub(4).and_then(|length| parse(&end[length..]));
    Ok(chunk.map_or(Found::Damaged { at }, |(record, after)| Found::Whole { record, at, ends: after == END }))
}

/// A record and what follows its chunk.
fn parse(chunk: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = chunk.split_first_chunk()?;
    let (named, rest) = rest.split_at_checked(NAME.len() + u32::from_be_bytes(*length) as usize)?;
    let (sum, after) = rest.split_first_chunk()?;
    let record: Record = serde_json::from_slice(named.get(NAME.len()..)?).ok()?;
    (crc32fast::hash(named) == u32::from_be_bytes(*sum) && record.format == FORMAT).then_some((record, after))
}

/// The record of a file; `None` if it has none that is understood, or there is no file.
pub(crate) fn read(path: &Path) -> Option<Record> {
    match find(&File::open(path).ok()?).ok()? {
        Found::Whole { record, .. } => Some(record),
        Found::Damaged { .. } | Found::Nothing => None,
    }
}

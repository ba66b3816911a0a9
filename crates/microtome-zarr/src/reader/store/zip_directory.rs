//! The directory at the end of a ZIP archive. Source: PKWARE's APPNOTE 6.3.10, with ZIP64.
//!
//! *Invariant:* every number is checked against the length of the archive before anything is read or allocated by it.

use std::collections::BTreeMap;

/// Most bytes of the directory: about a million files.
pub(super) const MOST_DIRECTORY: u64 = 64 << 20;
/// Longest end of an archive: the last record with its comment, and ZIP64's pointer before it.
pub(super) const LONGEST_END: u64 = END + 0xffff + LOCATOR;

const END: u64 = 22;
const LOCATOR: u64 = 20;
const END64: usize = 56;
const HEADER: usize = 46;

/// A file of the archive, by its central record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of the local record, which is followed by the bytes.
    pub(super) local: u64,
    pub(super) encoded: u64,
    pub(super) decoded: u64,
    pub(super) method: u16,
    pub(super) is_encrypted: bool,
}

/// Where the directory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// What the end of an archive says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Directory(Place),
    /// A record of ZIP64 at this offset has the place.
    Zip64 {
        at: u64,
    },
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Finds the last record in the last bytes of an archive.
pub(super) fn end(tail: &[u8]) -> Option<End> {
    let last = tail.len().checked_sub(END as usize)?;
    let at = (0..=last).rev().find(|&at| {
        tail[at..].starts_with(b"PK\x05\x06")
            && u16_at(tail, at + 20).is_some_and(|comment| at + END as usize + usize::from(comment) == tail.len())
    })?;
    let disks = [u16_at(tail, at + 4)?, u16_at(tail, at + 6)?];
    let place = Place {
        at: u64::from(u32_at(tail, at + 16)?),
        bytes: u64::from(u32_at(tail, at + 12)?),
        entries: u64::from(u16_at(tail, at + 10)?),
    };
    let locator = at.checked_sub(LOCATOR as usize).filter(|&l| tail[l..].starts_with(b"PK\x06\x07"));
    match locator {
        Some(locator) => Some(End::Zip64 { at: u64_at(tail, locator + 8)? }),
        None => (disks == [0, 0]).then_some(End::Directory(place)),
    }
}

/// The place by the record of ZIP64.
pub(super) fn end64(record: &[u8; END64]) -> Option<Place> {
    if !record.starts_with(b"PK\x06\x06") || u32_at(record, 16)? != 0 || u32_at(record, 20)? != 0 {
        return None;
    }
    Some(Place { entries: u64_at(record, 32)?, bytes: u64_at(record, 40)?, at: u64_at(record, 48)? })
}

/// All files by their names; of two of one name the last. Folders, and names that no file of an image has (absolute,
/// with `..`), are passed over.
pub(super) fn entries(mut directory: &[u8], count: u64) -> Option<BTreeMap<String, Entry>> {
    let mut all = BTreeMap::new();
    for _ in 0..count {
        let record = directory.first_chunk::<HEADER>().filter(|r| r.starts_with(b"PK\x01\x02"))?;
        let [name, extra, comment] = [28, 30, 32].map(|at| u16::from_le_bytes([record[at], record[at + 1]]) as usize);
        let name_bytes = directory.get(HEADER..HEADER + name)?;
        let extra_bytes = directory.get(HEADER + name..HEADER + name + extra)?;
        let entry = entry(record, extra_bytes)?;
        directory = directory.get(HEADER + name + extra + comment..)?;
        let text = String::from_utf8_lossy(name_bytes);
        let plain = text.split('/').all(|part| !matches!(part, "" | "." | "..")) && !text.contains(['\\', '\0']);
        if plain {
            all.insert(text.into_owned(), entry);
        }
    }
    Some(all)
}

fn entry(record: &[u8; HEADER], extra: &[u8]) -> Option<Entry> {
    let mut wide = Wide { fields: zip64(extra) };
    let decoded = wide.or(u32_at(record, 24)?)?;
    let encoded = wide.or(u32_at(record, 20)?)?;
    let local = wide.or(u32_at(record, 42)?)?;
    let is_encrypted = u16_at(record, 8)? & 1 != 0;
    Some(Entry { local, encoded, decoded, method: u16_at(record, 10)?, is_encrypted })
}

/// The extra field of ZIP64, or nothing.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(body) = extra.get(4..4 + usize::from(len)) else { return &[] };
        if id == 1 {
            return body;
        }
        extra = &extra[4 + body.len()..];
    }
    &[]
}

/// Numbers that did not fit into a record, in their order.
struct Wide<'a> {
    fields: &'a [u8],
}

impl Wide<'_> {
    fn or(&mut self, narrow: u32) -> Option<u64> {
        if narrow != u32::MAX {
            return Some(u64::from(narrow));
        }
        let wide = u64_at(self.fields, 0)?;
        self.fields = &self.fields[8..];
        Some(wide)
    }
}

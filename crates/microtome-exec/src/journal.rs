//! The journal of an unfinished output: which write units are settled, by record.
//!
//! A record is `length | CRC-32C | payload`, little-endian; the checksum covers length and payload. The first is the
//! header, JSON; all others are units, of one length. The header is written with the file, which gets its name when it is
//! whole; records of units are put at its end.
//!
//! *Invariant:* whatever happened to the bytes, a unit is given back only as it was recorded: any prefix of a journal gives
//! a prefix of its units, and damage costs units or is said, but invents none.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use microtome_io::{SourceSpec, WriteError};
use serde::{Deserialize, Serialize};

/// Version of the journal's form.
const FORMAT: u32 = 1;
/// Bytes before a payload.
const FRAME: usize = 8;
/// Bytes of the payload of a unit's record.
const ENTRY: usize = 32;
/// Bytes of a unit's record.
const RECORD: usize = FRAME + ENTRY;

/// What a journal is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Version of the journal's form.
    format: u32,
    /// Hash of the plan.
    pub(crate) plan: String,
    /// The sources as they were when the output was begun.
    pub(crate) sources: Vec<SourceSpec>,
    /// Write units of each array.
    pub(crate) units: Vec<u64>,
}

impl Header {
    pub(crate) fn new(plan: &str, sources: Vec<SourceSpec>, units: Vec<u64>) -> Header {
        Header { format: FORMAT, plan: plan.to_owned(), sources, units }
    }
}

/// A settled unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) array: u32,
    /// Position of the unit in C order.
    pub(crate) unit: u64,
    pub(crate) pixel_bytes: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) crc32c: u32,
}

impl Entry {
    fn payload(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        let numbers = [self.unit, self.pixel_bytes, self.stored_bytes];
        out[..4].copy_from_slice(&self.array.to_le_bytes());
        for (n, number) in numbers.iter().enumerate() {
            out[4 + 8 * n..12 + 8 * n].copy_from_slice(&number.to_le_bytes());
        }
        out[28..32].copy_from_slice(&self.crc32c.to_le_bytes());
        out
    }

    fn parse(payload: &[u8]) -> Option<Entry> {
        let word = |at: usize| Some(u32::from_le_bytes(payload.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(payload.get(at..at + 8)?.try_into().ok()?));
        Some(Entry {
            array: word(0)?,
            unit: long(4)?,
            pixel_bytes: long(12)?,
            stored_bytes: long(20)?,
            crc32c: word(28)?,
        })
    }
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) header: Header,
    /// The records that are whole, in the order in which they were written.
    pub(crate) entries: Vec<Entry>,
    /// Offset of the first record that is not, if whole ones follow it: no torn end, but damage.
    pub(crate) damaged: Option<u64>,
    /// Whether bytes at the end are no whole record.
    pub(crate) torn: bool,
}

fn record(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len), payload);
    [&len[..], &crc.to_le_bytes(), payload].concat()
}

/// The payload of the record at the start of `bytes`, if it is whole.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..u32::from_le_bytes(*len) as usize)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(len), payload);
    (u32::from_le_bytes(*crc) == expected).then_some(payload)
}

/// Reads a journal's bytes; `None` if its header is not whole, so that nothing in it can be relied on.
pub(crate) fn parse(bytes: &[u8]) -> Option<Found> {
    let first = payload(bytes)?;
    let header: Header = serde_json::from_slice(first).ok()?;
    if header.format != FORMAT {
        return None;
    }
    let start = FRAME + first.len();
    let mut found = Found { header, entries: Vec::new(), damaged: None, torn: false };
    let mut bad = None;
    for (n, bytes) in bytes[start..].chunks(RECORD).enumerate() {
        let entry = payload(bytes).filter(|p| p.len() == ENTRY).and_then(Entry::parse);
        let known = |e: &Entry| found.header.units.get(e.array as usize).is_some_and(|&units| e.unit < units);
        match entry.filter(known) {
            Some(entry) => {
                found.damaged = found.damaged.or(bad);
                found.entries.push(entry);
            }
            None => bad = bad.or(Some((start + n * RECORD) as u64)),
        }
    }
    found.torn = bad.is_some();
    Some(found)
}

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    sync: bool,
}

impl Journal {
    /// Writes a journal whole, in the place of one that may be there, to be gone on with.
    pub(crate) fn create(path: &Path, header: &Header, entries: &[Entry], sync: bool) -> Result<Journal, WriteError> {
        let mut bytes = record(serde_json::to_string(header).unwrap_or_default().as_bytes());
        bytes.reserve(entries.len() * RECORD);
        bytes.extend(entries.iter().flat_map(|entry| record(&entry.payload())));
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let written = OpenOptions::new().write(true).create(true).truncate(true).open(&new).and_then(|mut file| {
            file.write_all(&bytes)?;
            if sync {
                file.sync_all()?;
            }
            std::fs::rename(&new, path)?;
            Ok(file)
        });
        let file = written.map_err(|e| {
            // The first error is the one to tell; a run that goes on writes the file anew.
            let _ = std::fs::remove_file(&new);
            WriteError::os(path, "write", e)
        })?;
        if sync {
            sync_folder_of(path)?;
        }
        Ok(Journal { path: path.to_owned(), file, sync })
    }

    /// Puts units at the end, and waits for the disk.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), WriteError> {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| record(&entry.payload())).collect();
        let written = self.file.write_all(&bytes);
        let synced = written.and_then(|()| if self.sync { self.file.sync_data() } else { Ok(()) });
        synced.map_err(|e| WriteError::os(&self.path, "write", e))
    }
}

fn sync_folder_of(path: &Path) -> Result<(), WriteError> {
    let folder = microtome_io::disk::parent(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|e| WriteError::os(folder, "bring to the disk", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        let source = SourceSpec { uri: Some("in.tif".to_owned()), stamp: Some((7, 8)), digest: "d1".to_owned() };
        Header::new("0123456789abcdef", vec![source], vec![40, 1000])
    }

    fn entry(n: u64) -> Entry {
        let (pixel_bytes, stored_bytes) = (n * 3, n * 2);
        Entry {
            array: (n % 2) as u32,
            unit: n % 40,
            pixel_bytes,
            stored_bytes,
            crc32c: (n as u32).wrapping_mul(77_777),
        }
    }

    fn bytes(entries: &[Entry]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (before, after) = entries.split_at(entries.len() / 2);
        let mut journal = Journal::create(&path, &header(), before, true).unwrap();
        for batch in after.chunks(3) {
            journal.append(batch).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the journal is left");
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn what_was_written_is_found() {
        let entries: Vec<Entry> = (0..9).map(entry).collect();
        let found = parse(&bytes(&entries)).unwrap();
        assert_eq!(found, Found { header: header(), entries, damaged: None, torn: false });
    }

    #[test]
    fn every_cut_gives_a_prefix() {
        let entries: Vec<Entry> = (0..5).map(entry).collect();
        let whole = bytes(&entries);
        let start = whole.len() - entries.len() * RECORD;
        for cut in 0..whole.len() {
            match parse(&whole[..cut]) {
                None => assert!(cut < start),
                Some(found) => {
                    assert_eq!(found.entries, entries[..(cut - start) / RECORD]);
                    assert_eq!((found.torn, found.damaged), (!(cut - start).is_multiple_of(RECORD), None));
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_costs_its_record_and_is_said_unless_it_is_the_last() {
        let entries: Vec<Entry> = (0..5).map(entry).collect();
        let whole = bytes(&entries);
        let start = whole.len() - entries.len() * RECORD;
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Some(found) = parse(&flipped) else {
                assert!(bit / 8 < start, "only damage of the header costs all");
                continue;
            };
            let hit = (bit / 8 - start) / RECORD;
            let rest: Vec<Entry> = entries.iter().enumerate().filter(|(n, _)| *n != hit).map(|(_, e)| *e).collect();
            assert_eq!(found.entries, rest);
            let said = (hit + 1 < entries.len()).then_some((start + hit * RECORD) as u64);
            assert_eq!((found.damaged, found.torn), (said, true));
        }
    }

    #[test]
    fn an_end_of_zeros_is_torn_and_records_of_units_that_there_are_not_are_damage() {
        let entries: Vec<Entry> = (0..3).map(entry).collect();
        let whole = bytes(&entries);
        let found = parse(&[&whole[..], &[0; 100]].concat()).unwrap();
        assert_eq!((found.entries, found.damaged, found.torn), (entries.clone(), None, true));
        let foreign = Entry { array: 2, ..entry(1) };
        let bytes = [&whole[..], &record(&foreign.payload()), &record(&entry(1).payload())].concat();
        assert_eq!(parse(&bytes).unwrap().damaged, Some(whole.len() as u64));
    }

    /// A unit that the header knows, of any sizes.
    fn any_entry() -> impl Strategy<Value = Entry> {
        (0u32..2, 0u64..40, any::<(u64, u64, u32)>()).prop_map(|(array, unit, (pixel_bytes, stored_bytes, crc32c))| {
            Entry { array, unit, pixel_bytes, stored_bytes, crc32c }
        })
    }

    proptest! {
        #[test]
        fn any_prefix_gives_a_prefix_of_the_records(
            entries in proptest::collection::vec(any_entry(), 0..60), cut in any::<proptest::sample::Index>(),
        ) {
            let mut whole = record(serde_json::to_string(&header()).unwrap().as_bytes());
            let start = whole.len();
            whole.extend(entries.iter().flat_map(|entry| record(&entry.payload())));
            let cut = cut.index(whole.len() + 1);
            match parse(&whole[..cut]) {
                None => prop_assert!(cut < start, "only a header that is not whole costs all"),
                Some(found) => {
                    let (records, rest) = ((cut - start) / RECORD, (cut - start) % RECORD);
                    prop_assert_eq!(&found.entries, &entries[..records]);
                    prop_assert_eq!((found.torn, found.damaged), (rest > 0, None));
                }
            }
        }

        #[test]
        fn whatever_the_bytes_only_recorded_units_are_found(
            noise in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..400, keep in 0usize..400,
        ) {
            let entries: Vec<Entry> = (0..6).map(entry).collect();
            let whole = bytes(&entries);
            let at = at.min(whole.len());
            let mixed = [&whole[..at], &noise, &whole[whole.len() - keep.min(whole.len())..]].concat();
            if let Some(found) = parse(&mixed) {
                prop_assert_eq!(found.header, header());
                prop_assert!(found.entries.iter().all(|e| entries.contains(e)));
            }
            prop_assert_eq!(parse(&noise), None);
        }
    }
}

//! The record by which a finished output is known, in private tags of its first page: its plan, length and checksum of every
//! tile, checksums of all else in the file, and the list of what is missing in it.
//!
//! *Invariant:* nothing in it comes from a clock, a host, a user or a path: equal plans give equal records; its length does not
//! depend on the checksums in it.

use std::io::{self, Write};
use std::path::Path;

use microtome_io::{ReadError, StoredUnit, WriteError};
use serde::{Deserialize, Serialize};

use super::ifd::{RECORD, UNITS};
use crate::file::{SourceFile, Window};
use crate::header::Header;
use crate::index::Segment;

/// Version of the record's form.
const FORMAT: u32 = 1;
/// Most bytes of a record that is read.
const MOST_BYTES: u64 = 256 << 20;
/// Most entries of a first page that are looked through.
const MOST_ENTRIES: u64 = 4096;
/// Bytes of a tile in the list of tiles.
pub(super) const TILE_BYTES: u64 = 8;
/// The tag of the OME-XML.
const DESCRIPTION: u16 = 270;
/// What stands before [`Record::behind`] in the record.
const BEHIND: &[u8] = b"\"behind\":\"";

/// What a finished output says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    pub(super) plan: String,
    /// Tiles of each level along t, c, z, y, x; level after level of one image after another.
    pub(super) levels: Vec<[u64; 5]>,
    /// Length and CRC-32C of the other tag.
    pub(super) units: (u64, u32),
    /// CRC-32C of the OME-XML with the zero that ends it.
    pub(super) xml: u32,
    /// Length of all behind the last tile and its CRC-32C, in 16 and 8 hexadecimal digits, taken with these digits as 0.
    behind: String,
    /// What is missing in the one image.
    pub(super) quarantine: Option<Listed>,
    /// The images, where there may be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) images: Vec<OfImage>,
}

/// What is said of one image of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfImage {
    /// The plan of the image alone.
    pub(super) plan: String,
    /// How many levels are its own.
    pub(super) levels: usize,
    pub(super) quarantine: Option<Listed>,
}

/// The list of what is missing, with its CRC-32C.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    crc32c: u32,
    text: String,
}

impl Listed {
    pub(super) fn new(text: &str) -> Listed {
        Listed { crc32c: crc32c::crc32c(text.as_bytes()), text: text.to_owned() }
    }

    /// The list, unless it is damaged; `path` is what an error names.
    pub(super) fn checked(self, path: &Path) -> Result<String, WriteError> {
        if crc32c::crc32c(self.text.as_bytes()) == self.crc32c {
            return Ok(self.text);
        }
        let why = "the list of what is missing in it is damaged; --overwrite makes it anew".to_owned();
        Err(WriteError::Journal { path: path.to_owned(), why })
    }
}

/// Length and CRC-32C of what was written into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
}

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The list of tiles: length and checksum of each.
pub(super) fn units(units: &[Vec<StoredUnit>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(TILE_BYTES as usize * units.iter().map(Vec::len).sum::<usize>());
    for StoredUnit { stored_bytes, crc32c } in units.iter().flatten() {
        // A tile has at most 1 GiB before it is compressed.
        out.extend((*stored_bytes as u32).to_le_bytes());
        out.extend(crc32c.to_le_bytes());
    }
    out
}

impl Record {
    /// The record of an output of a plan, its sum of what stands behind the tiles not known yet: of one image, with what is
    /// missing in it, or of several.
    pub(super) fn new(
        plan: &str,
        levels: Vec<[u64; 5]>,
        (units, xml): (&[u8], &[u8]),
        (quarantine, images): (Option<Listed>, Vec<OfImage>),
    ) -> Record {
        Record {
            format: FORMAT,
            plan: plan.to_owned(),
            levels,
            units: (units.len() as u64, crc32c::crc32c(units)),
            xml: crc32c::crc32c(xml),
            behind: written(Sum::default()),
            quarantine,
            images,
        }
    }

    /// Whether something is missing in it.
    pub(super) fn has_quarantine(&self) -> bool {
        self.quarantine.is_some() || self.images.iter().any(|image| image.quarantine.is_some())
    }

    /// How many levels each image has.
    pub(super) fn levels_of_images(&self) -> Vec<usize> {
        if self.images.is_empty() { vec![self.levels.len()] } else { self.images.iter().map(|i| i.levels).collect() }
    }

    /// The same with the sum of what stands behind the tiles.
    pub(super) fn sealed(self, behind: Sum) -> Record {
        Record { behind: written(behind), ..self }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What stands behind the tiles; `None` if it is not understood.
    pub(super) fn behind(&self) -> Option<Sum> {
        let (bytes, crc32c) = self.behind.split_at_checked(16)?;
        let sum = Sum { bytes: u64::from_str_radix(bytes, 16).ok()?, crc32c: u32::from_str_radix(crc32c, 16).ok()? };
        // A sign or a capital letter is none of ours.
        (written(sum) == self.behind).then_some(sum)
    }
}

fn written(sum: Sum) -> String {
    format!("{:016x}{:08x}", sum.bytes, sum.crc32c)
}

/// A record in a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) record: Record,
    /// Bytes before the first tile.
    pub(super) start: Vec<u8>,
    /// Where the digits of [`Record::behind`] lie.
    pub(super) digits: Segment,
    /// Where the list of tiles lies.
    pub(super) units: Option<Segment>,
    /// Where the OME-XML lies.
    pub(super) xml: Option<Segment>,
}

/// Looks for the record of a file; `None` if it has none.
///
/// # Errors
/// [`ReadError::Corrupt`] for one that is not understood; what reading the first page says.
pub(super) fn find(file: &SourceFile) -> Result<Option<Found>, ReadError> {
    let mut window = Window::new(file);
    let header = Header::read(&mut window)?;
    let start = window.get(0, header.len(), "the header")?.to_vec();
    let count = header.entry_count(&mut window, header.first)?.min(MOST_ENTRIES);
    let table = header.first.saturating_add(header.count_size());
    let ifd = window.get(table, header.ifd_bytes(count) as usize, "the first page")?.to_vec();
    let segment = |tag: u16| {
        let (n, entry) = (0..count).map(|n| (n, header.entry(&ifd, n))).find(|(_, entry)| entry.tag == tag)?;
        let (offset, bytes) = header.value(table, n, &entry).filter(|(_, bytes)| *bytes == entry.count)?;
        Some(Segment { offset, bytes })
    };
    let Some(at) = segment(RECORD).filter(|at| at.bytes <= MOST_BYTES) else { return Ok(None) };
    let bytes = window.get(at.offset, at.bytes as usize, "the completion record")?;
    let wrong = || ReadError::Corrupt {
        path: file.path().to_owned(),
        what: format!("the completion record at offset {}", at.offset),
        location: "page 0".to_owned(),
        why: "it is not understood: it was changed, or written by another version".to_owned(),
    };
    let record: Record = serde_json::from_slice(bytes).map_err(|_| wrong())?;
    let digits = bytes.windows(BEHIND.len()).position(|window| window == BEHIND);
    let digits = digits.filter(|_| record.format == FORMAT && record.behind().is_some()).ok_or_else(wrong)?;
    let digits = Segment { offset: at.offset + (digits + BEHIND.len()) as u64, bytes: record.behind.len() as u64 };
    let (units, xml) = (segment(UNITS), segment(DESCRIPTION));
    Ok(Some(Found { record, start, digits, units, xml }))
}

/// The record of a file; `None` if it has none that is understood.
pub(super) fn record(path: &Path) -> Option<Record> {
    Some(find(&SourceFile::open(path).ok()?).ok()??.record)
}

/// The plan of a finished output; `None` if it has no record that is understood.
pub(super) fn plan(path: &Path) -> Option<String> {
    Some(record(path)?.plan)
}

/// The list of what is missing in a finished output; `None` if nothing is.
pub(super) fn quarantine(path: &Path) -> Result<Option<String>, WriteError> {
    record(path).and_then(|record| record.quarantine).map(|listed| listed.checked(path)).transpose()
}

//! A finished output looked at against its own record: every byte of the file.
//!
//! Tiles lie one behind another, so their places follow from the recorded lengths; each is compared with its checksum. What
//! stands before and behind them is compared with checksums of its own, and where what stands behind differs, the tag tables
//! are asked where each tile lies.
//!
//! *Invariant:* nothing is decoded and nothing is changed; memory does not grow with the tiles, but for what is told of them
//! and for tag tables that were changed.

mod list;
mod tables;
mod tiles;

use std::path::Path;

use microtome_io::{HowDifferent, PartDifference, ReadError, Verification};

use self::list::List;
use self::tiles::Looked;
use super::complete::{Found, Sum, find};
use super::ifd::Width;
use crate::file::SourceFile;
use crate::index::Segment;

/// Bytes read at a time.
const BLOCK: u64 = 256 << 10;

/// Looks at every byte of a finished output on some threads.
///
/// # Errors
/// [`ReadError::NotAnImage`] if it is no TIFF or has no completion record, [`ReadError::Truncated`] if it ends before its first
/// page does, [`ReadError::Corrupt`] if its record is not understood, [`ReadError::Changed`] if it changes meanwhile,
/// [`ReadError::Os`] if it cannot be read.
///
/// # Examples
/// ```
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
/// let foreign = format!("{fixtures}/cells.ome.tif");
/// let why = microtome_tiff::verify(foreign.as_ref(), 2).unwrap_err().to_string();
/// assert!(why.contains("it has no completion record"), "{why}");
/// ```
pub fn verify(output: &Path, threads: usize) -> Result<Verification, ReadError> {
    let file = SourceFile::open(output)?;
    let found = find(&file)?.ok_or_else(|| {
        let why =
            "it has no completion record (private tag 65333), as microtome writes one, or its header leads elsewhere";
        ReadError::NotAnImage { path: output.to_owned(), why: why.to_owned() }
    })?;
    let mut out = Verification { plan_hash: found.record.plan.clone(), ..Verification::default() };
    out.has_quarantine = found.record.has_quarantine();
    match List::of(&file, &found)? {
        Ok(list) => {
            let Looked { bytes, different, end } = tiles::look_at_all(&file, &list, threads)?;
            let (parts, moved) = beside(&file, &found, &list, end)?;
            let bytes = bytes + found.start.len() as u64 + file.size().saturating_sub(end);
            out = Verification { units: list.tiles, bytes, different, parts, ..out };
            out.different.extend(moved);
        }
        Err(part) => out.parts.push(part),
    }
    file.unchanged()?;
    Ok(out)
}

/// What stands beside the tiles and differs, and the tiles that the tag tables name wrong.
fn beside(
    file: &SourceFile,
    found: &Found,
    list: &List,
    end: u64,
) -> Result<(Vec<PartDifference>, Vec<microtome_io::Difference>), ReadError> {
    let mut parts = Vec::new();
    let part = |name: &str, offset: u64, how: HowDifferent| PartDifference {
        part: name.to_owned(),
        path: file.path().to_owned(),
        offset: Some(offset),
        how,
    };
    let header = Width { big: found.start.len() > 8 }.header(end.next_multiple_of(8));
    if header != found.start {
        let [expected, found] = [&header, &found.start].map(|bytes| crc32c::crc32c(bytes));
        parts.push(part("the header", 0, HowDifferent::Checksum { expected, found }));
    }
    let behind = Segment { offset: end, bytes: file.size().saturating_sub(end) };
    let (expected, is) = (found.record.behind().unwrap_or_default(), sum(file, behind, Some(found.digits))?);
    if expected == is {
        return Ok((parts, Vec::new()));
    }
    if expected.bytes != is.bytes {
        let how = HowDifferent::Length { expected: expected.bytes, found: is.bytes };
        parts.push(part("what stands behind the pixels", end, how));
        return Ok((parts, Vec::new()));
    }
    let xml = found.xml.unwrap_or(Segment { offset: end, bytes: 0 });
    let (recorded, stored) = (found.record.xml, sum(file, xml, None)?.crc32c);
    if recorded != stored {
        parts.push(part("the OME-XML", xml.offset, HowDifferent::Checksum { expected: recorded, found: stored }));
    }
    let (moved, readable) = match tables::look_at(file, list) {
        Ok(moved) => (moved, true),
        Err(error @ (ReadError::Changed { .. } | ReadError::Os { .. })) => return Err(error),
        Err(_) => (Vec::new(), false),
    };
    if !readable || recorded == stored && moved.is_empty() {
        let how = HowDifferent::Checksum { expected: expected.crc32c, found: is.crc32c };
        parts.push(part("the tag tables or the record", end, how));
    }
    Ok((parts, moved))
}

/// Length and checksum of a part of a file, as far as the file goes, some digits taken as 0.
fn sum(file: &SourceFile, part: Segment, digits: Option<Segment>) -> Result<Sum, ReadError> {
    use std::io::Write;
    let end = part.offset.saturating_add(part.bytes).min(file.size());
    let mut block = vec![0; BLOCK.min(part.bytes) as usize];
    let (mut sum, mut at) = (Sum::default(), part.offset);
    while at < end {
        let block = &mut block[..BLOCK.min(end - at) as usize];
        file.read_exact(block, at)?;
        for digit in digits.map_or(0..0, |digits| digits.offset..digits.offset + digits.bytes) {
            if let Some(byte) = digit.checked_sub(at).and_then(|n| block.get_mut(n as usize)) {
                *byte = b'0';
            }
        }
        // It takes all that it is given.
        let _ = sum.write(block);
        at += block.len() as u64;
    }
    Ok(sum)
}

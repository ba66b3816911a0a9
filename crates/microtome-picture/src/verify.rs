//! A finished PNG looked at against the record that it keeps of itself.
//!
//! *Invariant:* every byte of the file is looked at; nothing is decoded and nothing is changed.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use microtome_io::{Difference, HowDifferent, PartDifference, ReadError, Verification, disk};

use crate::record::{END, Found, find};

/// The first bytes of every PNG.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Whether bytes start as a PNG does.
///
/// # Examples
/// ```
/// assert!(microtome_picture::is_png(b"\x89PNG\r\n\x1a\n\0\0"));
/// assert!(!microtome_picture::is_png(b"II*\0"));
/// ```
pub fn is_png(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(&SIGNATURE)
}

/// Looks at all bytes of a finished PNG.
///
/// # Errors
/// [`ReadError::NotAnImage`] if it has no completion record, [`ReadError::Truncated`] if it does not end as a PNG does,
/// [`ReadError::Corrupt`] if its record is damaged, [`ReadError::Os`] if it cannot be read.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("foreign.png");
/// let picture = microtome_picture::Picture::filled(3, 2, [1, 2, 3]);
/// picture.save(&path, false)?; // a picture to look at keeps no record
/// let why = microtome_picture::verify(&path).unwrap_err().to_string();
/// assert!(why.contains("it has no completion record"), "{why}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(path: &Path) -> Result<Verification, ReadError> {
    let os = |e| ReadError::os(path, "read", e);
    let mut file = File::open(path).map_err(os)?;
    let size = file.metadata().map_err(os)?.len();
    let (record, at, ends) = match find(&file).map_err(os)? {
        Found::Whole { record, at, ends } => (record, at, ends),
        Found::Damaged { at } => {
            let what = format!("the completion record at offset {at}");
            let why = "its bytes were changed".to_owned();
            return Err(ReadError::Corrupt { path: path.to_owned(), what, location: String::new(), why });
        }
        Found::Nothing => return Err(without(&file, path, size)),
    };
    let found = disk::crc32c_of(file.by_ref().take(at)).map_err(os)?;
    let mut out = Verification { plan_hash: record.plan, units: 1, bytes: at, ..Verification::default() };
    out.has_quarantine = record.quarantine.is_some();
    let how = match record.crc32c {
        _ if at != record.bytes => Some(HowDifferent::Length { expected: record.bytes, found: at }),
        expected if expected != found => Some(HowDifferent::Checksum { expected, found }),
        _ => None,
    };
    let difference =
        |how| Difference { image: None, array: 0, unit: [0; 5], path: path.to_owned(), offset: Some(0), how };
    out.different.extend(how.map(difference));
    if !ends {
        let offset = size.saturating_sub(END.len() as u64).max(at);
        let how = HowDifferent::Unexpected;
        out.parts.push(PartDifference {
            part: "the end of the file".to_owned(),
            path: path.to_owned(),
            offset: Some(offset),
            how,
        });
    }
    Ok(out)
}

/// Why there is no record.
fn without(file: &File, path: &Path, size: u64) -> ReadError {
    let mut end = [0; END.len()];
    let offset = size.saturating_sub(END.len() as u64);
    if size < END.len() as u64 || file.read_exact_at(&mut end, offset).is_ok() && end != END {
        let (what, length) = ("the last chunk".to_owned(), END.len() as u64);
        let location = String::new();
        return ReadError::Truncated { path: path.to_owned(), what, location, offset: size, length, file_bytes: size };
    }
    let why = "it has no completion record (chunk mtRC), as microtome writes one".to_owned();
    ReadError::NotAnImage { path: path.to_owned(), why }
}

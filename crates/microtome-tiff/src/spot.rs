//! Which strip or tile of which page and plane, in words, for errors.

use std::fmt;

use microtome_io::ReadError;

use crate::file::SourceFile;
use crate::index::Segment;
use crate::page::Layout;

/// The place in a file that is being read.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(crate) file: &'a SourceFile,
    pub(crate) layout: &'a Layout,
    pub(crate) page: u32,
    /// Whether the page is one of the main chain, whose numbers people know.
    pub(crate) in_chain: bool,
    /// T, C, Z of the plane.
    pub(crate) plane: [u64; 3],
    pub(crate) number: u64,
}

impl Spot<'_> {
    /// `strip 4` or `tile 17`.
    fn what(&self) -> String {
        let kind = if self.layout.is_tiled() { "tile" } else { "strip" };
        format!("{kind} {}", self.number)
    }

    fn at(&self, segment: Segment) -> String {
        format!("{} at offset {} ({} bytes)", self.what(), segment.offset, segment.bytes)
    }

    /// Stored bytes that lie beyond the end of the file.
    pub(crate) fn beyond(&self, offset: u64, length: u64) -> ReadError {
        self.or_changed(ReadError::Truncated {
            path: self.file.path().to_owned(),
            what: self.what(),
            location: self.to_string(),
            offset,
            length,
            file_bytes: self.file.size(),
        })
    }

    /// Bytes that do not decode, or to too few.
    pub(crate) fn corrupt(&self, segment: Segment, why: String) -> ReadError {
        self.or_changed(ReadError::Corrupt {
            path: self.file.path().to_owned(),
            what: self.at(segment),
            location: self.to_string(),
            why,
        })
    }

    /// A strip that the page does not list.
    pub(crate) fn not_listed(&self) -> ReadError {
        let why = format!("the page lists no offset and size for it, though it has {}", self.layout.segments());
        ReadError::Corrupt { path: self.file.path().to_owned(), what: self.what(), location: self.to_string(), why }
    }

    /// A file that is not the one opened is said to have changed, not to be damaged.
    fn or_changed(&self, error: ReadError) -> ReadError {
        self.file.check_unchanged().err().unwrap_or(error)
    }
}

impl fmt::Display for Spot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [t, c, z] = self.plane;
        let apart = if self.in_chain { "" } else { " (outside the main chain)" };
        write!(f, "plane t={t} c={c} z={z}, page {}{apart}", self.page)
    }
}

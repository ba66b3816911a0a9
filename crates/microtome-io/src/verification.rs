//! What looking at a finished output against its own completion record finds.

use std::path::PathBuf;

use serde::Serialize;

/// What was looked at, and what is not as it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Hash of the plan that made the output.
    pub plan_hash: String,
    /// Write units that were looked at.
    pub units: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Whether something is missing in the output because it could not be read when it was made.
    pub has_quarantine: bool,
    /// Units that differ, in order.
    pub different: Vec<Difference>,
    /// What stands beside the pixels and differs.
    pub parts: Vec<PartDifference>,
}

impl Verification {
    /// Whether all is as it was recorded.
    pub fn is_right(&self) -> bool {
        self.different.is_empty() && self.parts.is_empty()
    }

    /// This and what was found of another image of the same output.
    #[must_use]
    pub fn and(mut self, next: Verification) -> Verification {
        self.units += next.units;
        self.bytes += next.bytes;
        self.has_quarantine |= next.has_quarantine;
        self.different.extend(next.different);
        self.parts.extend(next.parts);
        self
    }
}

/// Something beside the pixels that is not as it was recorded: a header, tag tables, metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartDifference {
    /// What it is.
    pub part: String,
    /// The file it lies in.
    pub path: PathBuf,
    /// Where in the file it begins, if it is a part of one.
    pub offset: Option<u64>,
    /// How it differs.
    #[serde(flatten)]
    pub how: HowDifferent,
}

/// A write unit that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The image of a file that has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// The array: its level of resolution.
    pub array: usize,
    /// The unit, counted in units along t, c, z, y, x.
    pub unit: [u64; 5],
    /// The file it lies in.
    pub path: PathBuf,
    /// Where in the file it lies; `None` where a unit is a file.
    pub offset: Option<u64>,
    /// How it differs.
    #[serde(flatten)]
    pub how: HowDifferent,
}

/// How a unit or another part differs from its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum HowDifferent {
    /// It is not there.
    Missing,
    /// It is there and was not: all of it was the fill value.
    Unexpected,
    /// It has another length, in bytes.
    Length {
        /// As recorded.
        expected: u64,
        /// As found.
        found: u64,
    },
    /// Its bytes differ: their CRC-32C does.
    Checksum {
        /// As recorded.
        expected: u32,
        /// As found.
        found: u32,
    },
    /// The file says that it lies elsewhere, or nowhere.
    Listed {
        /// Offset and length, as recorded.
        expected: [u64; 2],
        /// Offset and length that the file says.
        found: Option<[u64; 2]>,
    },
}

impl std::fmt::Display for HowDifferent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HowDifferent::Missing => write!(f, "it is missing"),
            HowDifferent::Unexpected => write!(f, "it is there, and nothing was stored for it"),
            HowDifferent::Length { expected, found } => write!(f, "it has {found} bytes, not {expected}"),
            HowDifferent::Checksum { expected, found } => {
                write!(f, "its bytes were changed: checksum {found:08x}, not {expected:08x}")
            }
            HowDifferent::Listed { expected: [at, long], found: Some([offset, bytes]) } => {
                write!(f, "the file says that it has {bytes} bytes at offset {offset}, not {long} at {at}")
            }
            HowDifferent::Listed { found: None, .. } => write!(f, "the file does not say where it is"),
        }
    }
}

impl std::fmt::Display for PartDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.part, self.path.display())?;
        self.offset.map_or(Ok(()), |offset| write!(f, " at offset {offset}"))?;
        write!(f, "): {}", self.how)
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [t, c, z, y, x] = self.unit;
        self.image.map_or(Ok(()), |image| write!(f, "image {image} "))?;
        write!(f, "level {} unit t={t} c={c} z={z} y={y} x={x} ({}", self.array, self.path.display())?;
        self.offset.map_or(Ok(()), |offset| write!(f, " at offset {offset}"))?;
        write!(f, "): {}", self.how)
    }
}

//! What a caller chooses about an output.

use serde::{Deserialize, Serialize};

/// How an output is stored. Defaults depend on the image alone.
///
/// # Examples
/// ```
/// use microtome_tiff::{TiffCompression, TiffOptions};
/// let options = TiffOptions { compression: TiffCompression::Zstd { level: 3 }, ..TiffOptions::default() };
/// assert_eq!((options.tile, options.overwrite), (None, false));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TiffOptions {
    /// Height and width of a tile, multiples of 16; cut to the plane, rounded up to 16. `None`: 512 × 512.
    pub tile: Option<[u64; 2]>,
    /// How tiles are compressed.
    pub compression: TiffCompression,
    /// Whether an output of this name, and an unfinished one, may be replaced.
    pub overwrite: bool,
}

/// How tiles are compressed. Integers are stored as differences along a row (predictor 2) wherever there is a compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TiffCompression {
    /// Not at all.
    None,
    /// Deflate with a zlib header, at a level from 0 to 9.
    Deflate {
        /// Effort.
        level: i32,
    },
    /// LZW as in TIFF 6.0.
    Lzw,
    /// Zstandard at a level from 1 to 22.
    Zstd {
        /// Effort.
        level: i32,
    },
}

impl Default for TiffCompression {
    /// Deflate: what every reader of TIFF takes, while Zstandard is unknown to older ones. Level 4: on 16-bit images a
    /// higher one takes more time than it saves bytes.
    fn default() -> Self {
        TiffCompression::Deflate { level: 4 }
    }
}

impl TiffCompression {
    /// The names that [`parse`](TiffCompression::parse) takes.
    pub const NAMES: [&str; 4] = ["deflate", "lzw", "zstd", "none"];

    /// The compression of a name as the command line takes it, at a level or its default one; `None` if there is none of that
    /// name, or it has no levels.
    ///
    /// # Examples
    /// ```
    /// use microtome_tiff::TiffCompression;
    /// assert_eq!(TiffCompression::parse("deflate", Some(9)), Some(TiffCompression::Deflate { level: 9 }));
    /// assert_eq!(TiffCompression::parse("lzw", Some(9)), None);
    /// ```
    pub fn parse(name: &str, level: Option<i32>) -> Option<TiffCompression> {
        match (name, level) {
            ("none", None) => Some(TiffCompression::None),
            ("lzw", None) => Some(TiffCompression::Lzw),
            ("deflate", level) => Some(TiffCompression::Deflate { level: level.unwrap_or(4) }),
            ("zstd", level) => Some(TiffCompression::Zstd { level: level.unwrap_or(3) }),
            _ => None,
        }
    }

    /// What is wrong with the level, if anything.
    pub(crate) fn complaint(self) -> Option<String> {
        let (name, level, range) = match self {
            TiffCompression::None | TiffCompression::Lzw => return None,
            TiffCompression::Deflate { level } => ("deflate", level, 0..=9),
            TiffCompression::Zstd { level } => ("zstd", level, 1..=22),
        };
        let (low, high) = (range.start(), range.end());
        (!range.contains(&level)).then(|| format!("{name} has levels {low} to {high}, not {level}"))
    }

    /// The value of the tag Compression.
    pub(crate) fn code(self) -> u16 {
        match self {
            TiffCompression::None => 1,
            TiffCompression::Lzw => 5,
            TiffCompression::Deflate { .. } => 8,
            TiffCompression::Zstd { .. } => 50000,
        }
    }
}

//! What can be wrong with a description of an array.

use crate::{Axis, PixelType};

/// A description of an array that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// A letter that is not one of T C Z Y X S.
    #[error("axis `{letter}` is unknown; axes are T, C, Z, Y, X and S")]
    UnknownAxis {
        /// The letter given.
        letter: char,
    },
    /// The same axis twice.
    #[error("axis {axis} is given twice in `{text}`")]
    DuplicateAxis {
        /// The axis.
        axis: Axis,
        /// The text it was parsed from.
        text: String,
    },
    /// More pixels than 2^56: beyond any file, and the edge of safe arithmetic.
    #[error("an array of {extents:?} (T C Z Y X S) pixels is too large: at most 2^56 pixels")]
    TooLarge {
        /// The extents, T C Z Y X S.
        extents: [u64; 6],
    },
    /// A region that ends before it starts or reaches past the array.
    #[error("region {start}..{end} of axis {axis} is outside 0..{extent}")]
    OutOfBounds {
        /// The axis.
        axis: Axis,
        /// First pixel.
        start: u64,
        /// One past the last pixel.
        end: u64,
        /// Extent of the array on this axis.
        extent: u64,
    },
    /// A chunk of extent zero.
    #[error("a chunk of extent 0 on axis {axis} holds nothing; give at least 1")]
    EmptyChunk {
        /// The axis.
        axis: Axis,
    },
    /// A byte length that does not fit a shape and a pixel type.
    #[error("{found} bytes cannot be an array of {expected} bytes")]
    Length {
        /// Bytes that shape and pixel type ask for.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
    /// Pixels read as another type than they are.
    #[error("pixels are {found}, not {expected}")]
    PixelType {
        /// The type asked for.
        expected: PixelType,
        /// The type there is.
        found: PixelType,
    },
    /// A pixel type name that is none of NumPy's.
    #[error("pixel type `{name}` is unknown; known are bool, (u)int8…64, float16…64, complex64 and complex128")]
    UnknownPixelType {
        /// The name given.
        name: String,
    },
    /// A text that does not describe a chunk.
    #[error("`{text}` is no chunk: give axis letters (YX), five or six extents (1,1,1,512,512) or a size (16MiB)")]
    ChunkText {
        /// The text given.
        text: String,
    },
}

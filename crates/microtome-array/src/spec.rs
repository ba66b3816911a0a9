//! Shape and pixel type together.

use serde::{Deserialize, Serialize};

use crate::{PixelType, Shape};

/// What an array is without its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArraySpec {
    /// Extents, T C Z Y X S.
    pub shape: Shape,
    /// Type of one pixel value.
    pub dtype: PixelType,
}

impl ArraySpec {
    /// Size of the whole array in bytes.
    pub fn bytes(&self) -> u64 {
        self.shape.bytes(self.dtype)
    }
}

//! How a PNG is written.

use serde::{Deserialize, Serialize};

/// How a plane is stored as PNG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PngOptions {
    /// Whether an output that is there is replaced.
    pub overwrite: bool,
}

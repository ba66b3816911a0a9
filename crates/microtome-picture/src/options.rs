//! How a PNG is written.

/// How a plane is stored as PNG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PngOptions {
    /// Whether an output that is there is replaced.
    pub overwrite: bool,
}

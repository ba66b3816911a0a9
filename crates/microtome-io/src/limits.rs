//! What a reader will not go beyond, so that a hostile or broken file costs little.

/// Limits of a reader, on by default. A file over a limit is refused with an error that names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels of one plane.
    pub plane_pixels: u64,
    /// Most bytes of one stored tile, strip or chunk, encoded or decoded.
    pub tile_bytes: u64,
    /// Most pages (IFDs) of one file, pages of pyramids included.
    pub pages: u64,
    /// Most bytes of the value of one tag.
    pub tag_bytes: u64,
    /// Most bytes of all tag values kept of one file.
    pub total_tag_bytes: u64,
    /// Most bytes of one metadata text (OME-XML, JSON).
    pub metadata_bytes: u64,
    /// Deepest nesting of a metadata text.
    pub metadata_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            plane_pixels: 1 << 34,
            tile_bytes: 1 << 30,
            pages: 1 << 24,
            tag_bytes: 256 << 20,
            total_tag_bytes: 1 << 30,
            metadata_bytes: 64 << 20,
            metadata_depth: 64,
        }
    }
}

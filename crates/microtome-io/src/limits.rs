//! What a reader will not go beyond, so that a hostile or broken file costs little.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Limits of a reader, on by default. A file over a limit is refused with an error that names the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels of one plane.
    pub plane_pixels: u64,
    /// Most bytes of one stored tile, strip or chunk, encoded or decoded.
    pub tile_bytes: u64,
    /// Most pages (IFDs) of one file, pages of pyramids included; and most planes of a scene.
    pub pages: u64,
    /// Most files of one image.
    pub files: u64,
    /// Most bytes of the value of one tag.
    pub tag_bytes: u64,
    /// Most bytes of all tag values kept of one file.
    pub total_tag_bytes: u64,
    /// Most bytes of one metadata text (OME-XML, JSON).
    pub metadata_bytes: u64,
    /// Deepest nesting of a metadata text.
    pub metadata_depth: u32,
    /// Folders, beside the image's own and all below it, in which files are opened that the image names.
    pub allowed_roots: Vec<PathBuf>,
    /// How bytes of files are read that hold pixels as they are.
    pub io: Io,
}

/// How bytes of local files are read that hold pixels as they are, uncompressed; all others are read by `pread`. It changes no
/// result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// By what was found to be faster.
    #[default]
    Auto,
    /// By `pread`, into buffers.
    Pread,
    /// Through memory maps, each for one stretch of at most [`MAP_BYTES`] at a time, under a guard that turns pages that cannot be
    /// read into errors. Files on file systems that are not known to lie on this machine are read by `pread`.
    Mmap,
}

/// Most bytes of a file that a read maps at a time, where a row is no longer.
pub const MAP_BYTES: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            plane_pixels: 1 << 34,
            tile_bytes: 1 << 30,
            pages: 1 << 24,
            files: 1 << 20,
            tag_bytes: 256 << 20,
            total_tag_bytes: 1 << 30,
            metadata_bytes: 64 << 20,
            metadata_depth: 64,
            allowed_roots: Vec::new(),
            io: Io::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_that_the_documentation_lists() {
        let text = include_str!("../../../docs/formats.md");
        let Limits {
            plane_pixels,
            tile_bytes,
            pages,
            files,
            tag_bytes,
            total_tag_bytes,
            metadata_bytes,
            metadata_depth,
            allowed_roots,
            io,
        } = Limits::default();
        assert!(allowed_roots.is_empty() && io == Io::Auto);
        let all = [
            ("plane_pixels", plane_pixels),
            ("tile_bytes", tile_bytes),
            ("pages", pages),
            ("files", files),
            ("tag_bytes", tag_bytes),
            ("total_tag_bytes", total_tag_bytes),
            ("metadata_bytes", metadata_bytes),
            ("metadata_depth", u64::from(metadata_depth)),
        ];
        for (name, most) in all {
            let row = format!("| `{name}` |");
            let row = text.lines().find_map(|line| line.strip_prefix(&row)).expect(name);
            let listed: String =
                row.split('|').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
            assert_eq!(listed, most.to_string(), "{name}");
        }
    }
}

//! Zarr v2 and v3, OME-Zarr 0.4 and 0.5: an image read plane by plane out of chunks and shards, and written into them.
//!
//! *Invariant:* what a chunk file may cost is decided by its array's metadata, never by the file: every decoder writes
//! into a buffer of the size that the array announces. Nothing outside the image's own folder is opened.

mod codec;
mod layout;
mod options;
mod reader;
mod sink;
mod strided;

use std::path::Path;

pub use layout::default_layout;
pub use options::{BloscCompressor, Compression, LevelSpec, NgffVersion, OmeXml, OutputMeta, ShardChoice, ZarrOptions};
pub use reader::{Member, Survey, ZarrReader, open};
pub use sink::{ZarrCollection, ZarrOutput, create, create_member};

/// Files of which a Zarr folder has at least one.
const MARKS: [&str; 4] = ["zarr.json", ".zgroup", ".zarray", ".zattrs"];

/// Whether a folder is a Zarr array or group, of version 2 or 3, or holds one.
///
/// # Examples
/// ```
/// let folder = tempfile::tempdir()?;
/// assert!(!microtome_zarr::is_zarr(folder.path()));
/// std::fs::write(folder.path().join(".zgroup"), r#"{"zarr_format": 2}"#)?;
/// assert!(microtome_zarr::is_zarr(folder.path()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn is_zarr(path: &Path) -> bool {
    let marked = |folder: &Path| MARKS.iter().any(|mark| folder.join(mark).is_file());
    let inside = || std::fs::read_dir(path).is_ok_and(|mut all| all.any(|e| e.is_ok_and(|e| marked(&e.path()))));
    marked(path) || inside()
}

//! Zarr v2 and v3, OME-Zarr 0.4 and 0.5: an image read plane by plane out of chunks and shards, and written into them.
//!
//! *Invariant:* what a chunk file may cost is decided by its array's metadata, never by the file: every decoder writes
//! into a buffer of the size that the array announces. Nothing outside the image's own folder, or below its URL, is opened.

mod codec;
mod layout;
mod omero;
mod options;
mod reader;
mod remote;
mod sink;
mod strided;
mod verify;

use std::path::Path;

use sha2::{Digest, Sha256};

pub use layout::default_layout;
pub use options::{BloscCompressor, Compression, LevelSpec, NgffVersion, OmeXml, OutputMeta, ShardChoice, ZarrOptions};
pub use reader::{Member, Survey, ZarrReader, open};
pub use remote::{checked_url, is_url};
pub use sink::{ZarrBuilding, ZarrCollection, ZarrOutput, create, create_member};
pub use verify::verify;

/// Files of which a Zarr folder has at least one.
const MARKS: [&str; 4] = ["zarr.json", ".zgroup", ".zarray", ".zattrs"];

/// Whether a folder is a Zarr array or group, of version 2 or 3, or a group without a document of its own.
///
/// A folder in which images lie side by side, each named `*.zarr`, is none: each of them is an image.
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
    is_node(path) || {
        let inside = nodes_in(path);
        !inside.is_empty() && !inside.iter().any(|name| is_named_zarr(name))
    }
}

/// The names of the images that lie side by side in a folder, sorted: Zarr folders named `*.zarr`. None for a folder that
/// is an image itself.
///
/// # Examples
/// ```
/// let folder = tempfile::tempdir()?;
/// for name in ["b.ome.zarr", "a.zarr"] {
///     std::fs::create_dir(folder.path().join(name))?;
///     std::fs::write(folder.path().join(name).join(".zgroup"), r#"{"zarr_format": 2}"#)?;
/// }
/// assert!(!microtome_zarr::is_zarr(folder.path()));
/// assert_eq!(microtome_zarr::images_in(folder.path()), ["a.zarr", "b.ome.zarr"]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn images_in(path: &Path) -> Vec<String> {
    if is_node(path) {
        return Vec::new();
    }
    let mut names = nodes_in(path);
    names.retain(|name| is_named_zarr(name));
    names.sort();
    names
}

/// Whether a file with these first bytes is a ZIP archive, which may hold a Zarr folder.
///
/// # Examples
/// ```
/// assert!(microtome_zarr::is_zip(b"PK\x03\x04\x14\0"));
/// assert!(!microtome_zarr::is_zip(b"II*\0"));
/// ```
pub fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

fn is_node(folder: &Path) -> bool {
    MARKS.iter().any(|mark| folder.join(mark).is_file())
}

fn nodes_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let nodes = entries.filter(|entry| is_node(&entry.path()));
    nodes.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn is_named_zarr(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "zarr")
}

/// The beginning of the SHA-256 of some bytes, for names.
fn short_hash(bytes: &[u8]) -> String {
    let mut hash = format!("{:x}", Sha256::digest(bytes));
    hash.truncate(12);
    hash
}

/// Joins two relative paths; an empty one is the folder itself.
fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

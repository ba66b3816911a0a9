//! A finished output against its own record.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use microtome_io::{ReadError, Verification};

/// Looks at every write unit of an output that microtome finished: whether it is there, has its length and its bytes; of a
/// file (TIFF, PNG) also at all that stands beside the pixels. On some threads; nothing is decoded.
///
/// # Errors
/// [`ReadError`] if there is nothing, no completion record, or something cannot be read.
///
/// # Examples
/// ```
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("mip.ome.zarr");
/// use microtome::prelude::*;
/// let scene = Image::open(format!("{fixtures}/cells.ome.tif"))?.scene(0)?;
/// let mip = scene.array(&ChunkDims::default())?.project(Axis::Z, Projection::Max)?;
/// mip.store(&out, ZarrOptions::default())?.run(&RunOptions::default())?;
///
/// let found = microtome::verify(&out, 2)?;
/// assert!(found.is_right() && found.units == 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(output: &Path, threads: usize) -> Result<Verification, ReadError> {
    match first_bytes(output)? {
        Some(bytes) if microtome_tiff::is_tiff(&bytes) => microtome_tiff::verify(output, threads),
        Some(bytes) if microtome_picture::is_png(&bytes) => microtome_picture::verify(output),
        _ => microtome_zarr::verify(output, threads),
    }
}

/// How a file begins; `None` for what is no file.
fn first_bytes(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut bytes));
    read.map_err(|e| ReadError::os(path, "read", e))?;
    Ok(Some(bytes))
}

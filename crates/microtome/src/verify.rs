//! A finished output against its own record.

use std::path::Path;

use microtome_io::{ReadError, Verification};

/// Looks at every write unit of an output that microtome finished: whether it is there, has its length and its bytes. Reads all
/// bytes once, on some threads; nothing is decoded.
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
    microtome_zarr::verify(output, threads)
}

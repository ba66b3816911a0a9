//! `bench`: what this machine does with an image, and what bounds it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome::{
    ArraySpec, BenchOptions, ChunkDims, Compute, Image, Levels, PixelType, Shape, StoreOptions, SyntheticReader,
    TiffCompression, bench,
};

use crate::args::{BenchArgs, Everywhere};
use crate::error::CliError;
use crate::human;
use crate::json::BenchJson;
use crate::output::Output;

/// Planes along T, C and Z of the image that is made, each of 1024 × 1024 pixels of 16 bits.
const MADE: [u64; 3] = [2, 2, 32];

pub(super) fn run(args: &BenchArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let folder = folder(args)?;
    let (path, made) = match &args.path {
        Some(path) if path.to_string_lossy().contains("://") => {
            return Err(CliError::Usage {
                message: format!(
                    "{} is a URL: how fast it is read says more of the network than of this machine",
                    path.display()
                ),
                hint: Some("give a local file, or none".to_owned()),
            });
        }
        Some(path) => (path.clone(), false),
        None => (make(folder.path(), everywhere)?, true),
    };
    let image = everywhere.open(&path)?;
    let scene = match &args.scene {
        Some(name) => image.scene_named(name)?,
        None => image.only_scene()?,
    };
    let options = BenchOptions {
        run: everywhere.run_options(),
        bytes: args.bytes,
        repeats: u32::try_from(args.repeats).unwrap_or(u32::MAX),
        folder: folder.path().to_owned(),
    };
    let report = bench(&scene, &options)?;
    let of = if made { "an image made for the purpose".to_owned() } else { path.display().to_string() };
    if everywhere.json { output.json(&BenchJson::new(&of, &report)) } else { output.text(&human::bench(&of, &report)) }
}

/// A folder that goes away with what is in it.
fn folder(args: &BenchArgs) -> Result<tempfile::TempDir, CliError> {
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let made = tempfile::Builder::new().prefix("microtome-bench-").tempdir_in(&parent);
    made.map_err(|source| CliError::File { path: parent, source })
}

/// An OME-TIFF of pixels that are a function of their place, not compressed.
fn make(folder: &Path, everywhere: &Everywhere) -> Result<PathBuf, CliError> {
    let [t, c, z] = MADE;
    let spec = ArraySpec { shape: Shape::new([t, c, z, 1024, 1024, 1])?, dtype: PixelType::U16 };
    let array = Image::of(Arc::new(SyntheticReader::new(spec))).scene(0)?.array(&ChunkDims::default())?;
    let path = folder.join("made.ome.tif");
    let mut options = StoreOptions { levels: Levels::Count(1), ..StoreOptions::default() };
    options.tiff.compression = TiffCompression::None;
    array.store(&path, options)?.run(&everywhere.run_options())?;
    Ok(path)
}

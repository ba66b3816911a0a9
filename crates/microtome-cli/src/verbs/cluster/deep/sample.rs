//! The images that workers read: noise as a camera makes it, once as it is and once compressed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome::{
    ArrayError, ArraySpec, ChunkDims, Compute, Durability, Image, Levels, MemoryReader, PixelType, Pixels, RunOptions,
    Shape, StoreOptions, SyntheticReader, TiffCompression, TiffOptions,
};

use crate::error::CliError;

/// Planes and their extent: 16 MiB of 16 bits to measure rates with, a few planes to be opened often.
const LARGE: [u64; 6] = [1, 1, 8, 1024, 1024, 1];
const SMALL: [u64; 6] = [1, 1, 3, 512, 512, 1];
const RAW: &str = "raw.ome.tif";
const PACKED: &str = "packed.ome.tif";
const SMALL_ONE: &str = "small.ome.tif";

/// Images in a folder, and where workers find it.
#[derive(Debug)]
pub(super) struct Samples {
    small: PathBuf,
    /// The folder as workers find it.
    there: PathBuf,
}

impl Samples {
    /// Makes them in a folder that workers find elsewhere.
    pub(super) fn make((here, there): (&Path, PathBuf)) -> Result<Samples, CliError> {
        let all = [
            (RAW, LARGE, TiffCompression::None),
            (PACKED, LARGE, TiffCompression::default()),
            (SMALL_ONE, SMALL, TiffCompression::default()),
        ];
        for (name, shape, compression) in all {
            let image = Image::of(Arc::new(MemoryReader::new(camera(shape)?)));
            let array = image.scene(0)?.array(&ChunkDims::default())?;
            let tiff = TiffOptions { compression, ..TiffOptions::default() };
            let options = StoreOptions { tiff, levels: Levels::Count(1), ..StoreOptions::default() };
            let run = RunOptions { durability: Durability::None, ..RunOptions::default() };
            array.store(here.join(name), options)?.run(&run)?;
        }
        Ok(Samples { small: here.join(SMALL_ONE), there })
    }

    /// The image to be opened often, as it is found here.
    pub(super) fn small(&self) -> &Path {
        &self.small
    }

    /// As workers find them: without compression, with it, and the folder of both.
    pub(super) fn there(&self) -> (PathBuf, PathBuf, PathBuf) {
        (self.there.join(RAW), self.there.join(PACKED), self.there.clone())
    }
}

/// What the large ones are.
pub(super) fn large() -> Result<ArraySpec, ArrayError> {
    Ok(ArraySpec { shape: Shape::new(LARGE)?, dtype: PixelType::U16 })
}

/// 6 bits of noise above an offset.
fn camera(shape: [u64; 6]) -> Result<Pixels, CliError> {
    let mut pixels = Pixels::zeroed(ArraySpec { shape: Shape::new(shape)?, ..large()? });
    let mut view = pixels.as_mut();
    for (at, pixel) in (0..).zip(view.slice_mut::<u16>()?) {
        *pixel = 100 + (SyntheticReader::value(at) & 0x3f) as u16;
    }
    Ok(pixels)
}

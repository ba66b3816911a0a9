//! Which levels of resolution an output gets.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis};
use microtome_graph::LazyArray;
use microtome_io::WriteError;
use microtome_ops::{Downsample, Factors, Op, Shrink};
use microtome_tiff::TiffOptions;
use microtome_zarr::{LevelSpec, ZarrOptions};

/// Levels are added until no side of a plane is longer than this many pixels.
const SMALLEST: u64 = 256;

/// Levels of resolution of an output. Each halves Y and X of the one before; a pixel is the mean of a block, and Z stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Levels {
    /// As many as it takes until a plane is at most 256 pixels wide and high; one for complex pixels.
    #[default]
    Auto,
    /// So many, the full resolution among them.
    Count(u32),
}

/// How an array is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// How each level is stored in an OME-Zarr.
    pub zarr: ZarrOptions,
    /// How each level is stored in an OME-TIFF.
    pub tiff: TiffOptions,
    /// Which levels there are.
    pub levels: Levels,
}

impl From<ZarrOptions> for StoreOptions {
    /// With levels as the image suggests.
    fn from(zarr: ZarrOptions) -> StoreOptions {
        StoreOptions { zarr, ..StoreOptions::default() }
    }
}

impl From<TiffOptions> for StoreOptions {
    /// With levels as the image suggests.
    fn from(tiff: TiffOptions) -> StoreOptions {
        StoreOptions { tiff, ..StoreOptions::default() }
    }
}

/// The levels of an output, and what makes each from the one before.
pub(crate) struct Pyramid {
    pub(crate) specs: Vec<LevelSpec>,
    pub(crate) steps: Vec<Arc<dyn Op>>,
}

impl Pyramid {
    /// The levels of an array.
    pub(crate) fn of(
        array: &LazyArray,
        levels: Levels,
        refused: impl Fn(String) -> WriteError,
    ) -> Result<Pyramid, WriteError> {
        let full = array.spec();
        let mut pyramid = Pyramid { specs: vec![LevelSpec::full(full)], steps: Vec::new() };
        let mut factors = [1u64; 6];
        let mut level = full;
        while wants_more(levels, pyramid.specs.len(), &level) {
            let halves = |axis: Axis| if level.shape.get(axis) > 1 { 2 } else { 1 };
            let factor = Factors { y: halves(Axis::Y), x: halves(Axis::X), ..Factors::default() };
            if factor == Factors::default() {
                let most = pyramid.specs.len();
                let why = format!("a plane is a single pixel after {most} levels; give --levels {most} or fewer");
                return Err(refused(why));
            }
            let step = Downsample { factor, method: Shrink::Mean };
            level = step.output(&level).map_err(|e| refused(e.to_string()))?;
            factors[Axis::Y.index()] *= factor.y;
            factors[Axis::X.index()] *= factor.x;
            pyramid.specs.push(LevelSpec::reduced(full, factors).map_err(|e| refused(e.to_string()))?);
            pyramid.steps.push(Arc::new(step));
        }
        Ok(pyramid)
    }
}

fn wants_more(levels: Levels, so_far: usize, level: &ArraySpec) -> bool {
    match levels {
        Levels::Count(count) => so_far < count as usize,
        Levels::Auto => {
            let longest = level.shape.get(Axis::Y).max(level.shape.get(Axis::X));
            longest > SMALLEST && !level.dtype.is_complex()
        }
    }
}

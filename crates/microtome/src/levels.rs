//! Which levels of resolution an output gets.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis};
use microtome_graph::LazyArray;
use microtome_io::{SceneKind, WriteError};
use microtome_ops::{Downsample, Factors, Op, Shrink};
use microtome_picture::PngOptions;
use microtome_tiff::TiffOptions;
use microtome_zarr::{LevelSpec, ZarrOptions};
use serde::{Deserialize, Serialize};

/// Levels are added until no side of a plane is longer than this many pixels.
const SMALLEST: u64 = 256;

/// Levels of resolution of an output. Each halves Y and X of the one before, and Z stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Levels {
    /// As many as it takes until a plane is at most 256 pixels wide and high; one for complex pixels.
    #[default]
    Auto,
    /// So many, the full resolution among them.
    Count(u32),
}

/// How an array is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreOptions {
    /// How each level is stored in an OME-Zarr.
    pub zarr: ZarrOptions,
    /// How each level is stored in an OME-TIFF.
    pub tiff: TiffOptions,
    /// How a plane is stored as PNG.
    pub png: PngOptions,
    /// Which levels there are; a PNG has one.
    pub levels: Levels,
    /// How a pixel of a level is made from a block of the level before. `None`: the mean; of labels, which are numbers that
    /// name objects, the most frequent value. For labels, methods that would make other numbers are refused.
    pub downsample: Option<Shrink>,
}

impl StoreOptions {
    /// The method for an image or a label, or why there is none.
    pub(crate) fn method(&self, kind: SceneKind) -> Result<Shrink, String> {
        match (kind, self.downsample) {
            (SceneKind::Image, method) => Ok(method.unwrap_or(Shrink::Mean)),
            (SceneKind::Label, None) => Ok(Shrink::Mode),
            (SceneKind::Label, Some(method)) if method.keeps_values() => Ok(method),
            (SceneKind::Label, Some(method)) => Err(format!(
                "labels are numbers that name objects, and the {} of several names is none; give --downsample mode or nearest",
                method.name()
            )),
        }
    }
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

impl From<PngOptions> for StoreOptions {
    fn from(png: PngOptions) -> StoreOptions {
        StoreOptions { png, ..StoreOptions::default() }
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
        method: Shrink,
        refused: impl Fn(String) -> WriteError,
    ) -> Result<Pyramid, WriteError> {
        let full = array.spec();
        let mut pyramid = Pyramid { specs: vec![LevelSpec::full(full)], steps: Vec::new() };
        let (mut factors, mut origin) = ([1u64; 6], [0.0; 6]);
        let mut level = full;
        while wants_more(levels, pyramid.specs.len(), &level) {
            let halves = |axis: Axis| if level.shape.get(axis) > 1 { 2 } else { 1 };
            let factor = Factors { y: halves(Axis::Y), x: halves(Axis::X), ..Factors::default() };
            if factor == Factors::default() {
                let most = pyramid.specs.len();
                let why = format!("a plane is a single pixel after {most} levels; give --levels {most} or fewer");
                return Err(refused(why));
            }
            let step = Downsample { factor, method };
            level = step.output(&level).map_err(|e| refused(e.to_string()))?;
            for axis in Axis::ALL {
                let n = axis.index();
                origin[n] += factors[n] as f64 * method.place(factor.get(axis));
                factors[n] *= factor.get(axis);
            }
            let spec = LevelSpec::reduced(full, factors).map_err(|e| refused(e.to_string()))?;
            pyramid.specs.push(LevelSpec { origin, ..spec });
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

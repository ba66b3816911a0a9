//! Makes an image smaller by whole factors: the levels of a pyramid.
//!
//! [`Downsample`] holds the rules (shapes, pixel types); the kernels lie in `downsample/`.
//!
//! *Invariant:* an output pixel depends on the pixels of its own block (and, of a Gaussian, on those around it) and their
//! places in the whole array, never on the region that is computed.

mod choose;
mod mean;
mod weighted;

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, PixelsMut, PixelsRef, Region, Shape, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::neighbourhood::{check_placement, input_region, output_region, output_shape};
use crate::number::Number;
use crate::{Body, Neighbourhood, Op, OpEntry, OpError, Placement, Reach};

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "downsample",
    summary: "make smaller by whole factors; each pixel is made from a block: mean, median, mode, nearest or gaussian",
    example: r#"{"factor": {"y": 2, "x": 2}, "method": "mean"}"#,
    build: |params| {
        let downsample: Downsample = parse(ENTRY.name, params)?;
        downsample.check_factors()?;
        Ok(Arc::new(downsample))
    },
};

/// How many input pixels become one, on each axis; 1 where not given. Samples are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// Along time.
    #[serde(default = "one", skip_serializing_if = "is_one", alias = "T")]
    pub t: u64,
    /// Along channels.
    #[serde(default = "one", skip_serializing_if = "is_one", alias = "C")]
    pub c: u64,
    /// Along depth.
    #[serde(default = "one", skip_serializing_if = "is_one", alias = "Z")]
    pub z: u64,
    /// Along rows.
    #[serde(default = "one", skip_serializing_if = "is_one", alias = "Y")]
    pub y: u64,
    /// Along columns.
    #[serde(default = "one", skip_serializing_if = "is_one", alias = "X")]
    pub x: u64,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(factor: &u64) -> bool {
    *factor == 1
}

impl Default for Factors {
    /// 1 on every axis.
    fn default() -> Factors {
        Factors { t: 1, c: 1, z: 1, y: 1, x: 1 }
    }
}

impl Factors {
    /// The factor of an axis; 1 for S.
    pub fn get(&self, axis: Axis) -> u64 {
        match axis {
            Axis::T => self.t,
            Axis::C => self.c,
            Axis::Z => self.z,
            Axis::Y => self.y,
            Axis::X => self.x,
            Axis::S => 1,
        }
    }
}

/// What becomes of a block of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Shrink {
    /// Its arithmetic mean.
    Mean,
    /// Its median: the middle value, or the mean of the two in the middle.
    Median,
    /// Its most frequent value; of several the smallest.
    Mode,
    /// Its first pixel, as `array[::2]` takes it.
    Nearest,
    /// The mean of the pixels around its middle, weighted by a Gaussian.
    Gaussian,
}

impl Shrink {
    /// All methods, by the names that users know.
    ///
    /// # Examples
    /// ```
    /// use microtome_ops::Shrink;
    /// assert_eq!(Shrink::parse("mode"), Some(Shrink::Mode));
    /// assert_eq!(Shrink::parse("lanczos"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Shrink> {
        Shrink::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Every method.
    pub const ALL: [Shrink; 5] = [Shrink::Mean, Shrink::Median, Shrink::Mode, Shrink::Nearest, Shrink::Gaussian];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Shrink::Mean => "mean",
            Shrink::Median => "median",
            Shrink::Mode => "mode",
            Shrink::Nearest => "nearest",
            Shrink::Gaussian => "gaussian",
        }
    }

    /// Whether each value is one that the block holds, so that numbers that name objects stay such numbers.
    pub fn keeps_values(self) -> bool {
        matches!(self, Shrink::Mode | Shrink::Nearest)
    }

    /// Where the pixel of a block of `factor` pixels lies: its distance from the first pixel of the block, in pixels. That
    /// is the middle of the block, also of one that the far edge cuts; of `nearest` it is the first pixel.
    ///
    /// # Examples
    /// ```
    /// use microtome_ops::Shrink;
    /// assert_eq!(Shrink::Mean.place(4), 1.5);
    /// assert_eq!(Shrink::Nearest.place(4), 0.0);
    /// ```
    pub fn place(self, factor: u64) -> f64 {
        if self == Shrink::Nearest { 0.0 } else { (factor.max(1) - 1) as f64 / 2.0 }
    }
}

/// The largest factor of a Gaussian: its weights need no budget.
const MOST_WEIGHTED: u64 = 1024;

/// Replaces each block of `factor` pixels by one pixel.
///
/// An axis of n pixels has ⌈n / factor⌉ in the result: nothing is lost, and a block that the far edge cuts is the mean of
/// the pixels that exist (as the `downsample` driver of TensorStore does). The pixel type stays.
///
/// | pixels | mean |
/// |---|---|
/// | integers | the exact quotient, rounded half to even |
/// | floats | of float64, rounded once: each row of the block is added from left to right, then its rows in the order T, C, Z, Y |
/// | bool | as of 0 and 1: true where more than half of the block is |
///
/// | method | of the block | reference |
/// |---|---|---|
/// | `mean` | see above | `numpy.mean` |
/// | `median` | the middle value; of an even number the mean of the two in the middle, rounded half to even | `numpy.median` |
/// | `mode` | the most frequent value, of several the smallest | `scipy.stats.mode` |
/// | `nearest` | the first pixel | `array[::f]` |
/// | `gaussian` | Σ w·p over the pixels p around the middle of the block, in float64, rounded once | `scipy.ndimage.correlate1d` |
///
/// The Gaussian has σ² = (f² − 1) / (8 ln 2) for a factor f (its full width at half maximum is √(f² − 1) pixels), so
/// w ∝ exp(−4 ln 2 · d² / (f² − 1)) at the distance d from the middle of the block, (f − 1) / 2 behind its first pixel; pixels count
/// up to 4 σ from there. Past an edge the edge pixel is repeated. Axes are separable; a factor is at most 1024.
///
/// A pixel lies in the middle of its block, with `nearest` at its first pixel: [`Shrink::place`]. `nearest` looks at one
/// pixel and still says that it needs its whole block: each pixel of an input takes part in some output, so that counts
/// hold and no stored chunk is skipped.
///
/// NaN is as in NumPy: one NaN among the pixels that count makes the result NaN (save for `nearest`).
///
/// # Errors
/// [`OpError::Parameter`] for a factor of 0, or of more than 1024 with `gaussian`; [`OpError::PixelType`] for complex
/// pixels.
///
/// # Complexity
/// One pass over the input, of `gaussian` about three for each axis that shrinks. Scratch: none, of `median` and `mode` a
/// block, of `gaussian` an input row of float64.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Downsample, Factors, Shrink, contract};
/// let mut plane = Pixels::zeroed(ArraySpec { shape: Shape::new([1, 1, 1, 2, 3, 1])?, dtype: PixelType::U8 });
/// plane.as_mut().bytes().copy_from_slice(&[
///     0, 1, 7,
///     2, 3, 8,
/// ]);
/// let half = Downsample { factor: Factors { y: 2, x: 2, ..Factors::default() }, method: Shrink::Mean };
/// let all = Shape::new([1, 1, 1, 1, 2, 1])?.region();
/// let small = contract::evaluate(&half, plane.as_ref(), &all, |left| left)?;
/// assert_eq!(small.as_ref().bytes(), [2, 8]); // 6/4 and 15/2 are rounded to even
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Downsample {
    /// Pixels that become one, on each axis.
    pub factor: Factors,
    /// What to make of them.
    pub method: Shrink,
}

fn complex(dtype: PixelType) -> OpError {
    OpError::PixelType { op: ENTRY.name, dtype, hint: "downsample knows bool, integer and float pixels" }
}

impl Downsample {
    fn check_factors(&self) -> Result<(), OpError> {
        let refused = |axis: Axis, expected: &'static str| {
            let found = format!("{} on axis {axis}", self.factor.get(axis));
            Err(OpError::Parameter { op: ENTRY.name, parameter: "factor", found, expected })
        };
        if let Some(axis) = Axis::ALL.into_iter().find(|&axis| self.factor.get(axis) == 0) {
            return refused(axis, "give a whole number from 1 up; 1 leaves an axis as it is");
        }
        let too_wide = |&axis: &Axis| self.method == Shrink::Gaussian && self.factor.get(axis) > MOST_WEIGHTED;
        match Axis::ALL.into_iter().find(too_wide) {
            Some(axis) => refused(axis, "a Gaussian takes factors up to 1024; downsample in steps"),
            None => Ok(()),
        }
    }

    /// Bytes that a run takes, for an input row of `row` values.
    fn scratch(&self, dtype: PixelType, row: u64) -> u64 {
        match self.method {
            Shrink::Mean | Shrink::Nearest => 0,
            Shrink::Gaussian => row.saturating_mul(size_of::<f64>() as u64),
            Shrink::Median | Shrink::Mode => {
                let block = Axis::ALL.iter().fold(1, |n: u64, &axis| n.saturating_mul(self.factor.get(axis).max(1)));
                block.saturating_mul(dtype.size() as u64)
            }
        }
    }

    fn run_on<T: Number>(&self, input: &[T], output: &mut [T], place: &Placement, pool: &BufferPool) {
        let blocks = choose::Blocks::new(self, place);
        match self.method {
            Shrink::Mean => mean::Blocks::new(self, place).run(input, output),
            Shrink::Nearest => blocks.first(input, output),
            Shrink::Median | Shrink::Mode => {
                let mut scratch = pool.take(blocks.most() * size_of::<T>());
                let block = bytemuck::cast_slice_mut(scratch.bytes_mut());
                match self.method {
                    Shrink::Median => blocks.run(input, output, block, choose::median),
                    _ => blocks.run(input, output, block, choose::mode),
                }
            }
            Shrink::Gaussian => {
                let row = place.input.len(Axis::X) * place.input.len(Axis::S);
                let mut scratch = pool.take(row as usize * size_of::<f64>());
                let sums = bytemuck::cast_slice_mut(scratch.bytes_mut());
                weighted::Rows::new(|axis| self.factor.get(axis).max(1), place, sums).run(input, output);
            }
        }
    }
}

impl Op for Downsample {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        self.check_factors()?;
        if input.dtype.is_complex() {
            return Err(complex(input.dtype));
        }
        Ok(ArraySpec { shape: output_shape(self, &input.shape)?, dtype: input.dtype })
    }

    fn input_region(&self, output: &Region, input: &ArraySpec) -> Region {
        input_region(self, output, &input.shape)
    }

    fn output_region(&self, source: &Region, input: &ArraySpec) -> Region {
        output_region(self, source, &input.shape)
    }

    fn body(&self) -> Body<'_> {
        Body::Neighbourhood(self)
    }
}

impl Neighbourhood for Downsample {
    fn reach(&self, axis: Axis) -> Reach {
        // A factor of 0 is refused by `output`, before anybody asks for regions.
        let stride = self.factor.get(axis).max(1);
        let beyond =
            if self.method == Shrink::Gaussian && stride <= MOST_WEIGHTED { weighted::beyond(stride) } else { 0 };
        Reach { stride, before: beyond, after: stride - 1 + beyond }
    }

    fn scratch_bytes(&self, input: PixelType, output: &Shape) -> u64 {
        let row = self.reach(Axis::X).span(output.get(Axis::X)).saturating_mul(output.get(Axis::S));
        match self.scratch(input, row) {
            0 => 0,
            bytes => BufferPool::charged(bytes),
        }
    }

    fn run(
        &self,
        input: PixelsRef<'_>,
        output: &mut PixelsMut<'_>,
        place: &Placement,
        pool: &BufferPool,
    ) -> Result<(), OpError> {
        check_placement(self, input, output, place)?;
        dispatch!(input.dtype(), T => {
            self.run_on(input.slice::<T>()?, output.slice_mut::<T>()?, place, pool);
            Ok(())
        }, else Err(complex(input.dtype())))
    }
}

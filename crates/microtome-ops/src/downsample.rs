//! Makes an image smaller by whole factors: the levels of a pyramid.
//!
//! [`Downsample`] holds the rules (shapes, pixel types); the kernel lies in `downsample/`.
//!
//! *Invariant:* an output pixel depends on the pixels of its own block and their places in it, never on the region that is
//! computed.

mod mean;

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, PixelsMut, PixelsRef, Region, Shape, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::neighbourhood::{check_placement, input_region, output_region, output_shape};
use crate::{Body, Neighbourhood, Op, OpEntry, OpError, Placement, Reach};

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "downsample",
    summary: "make smaller by whole factors; each pixel is the mean of a block",
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
}

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
/// NaN is as in NumPy: one NaN in a block makes its mean NaN.
///
/// # Errors
/// [`OpError::Parameter`] for a factor of 0, [`OpError::PixelType`] for complex pixels.
///
/// # Complexity
/// One pass over the input, no scratch memory.
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
        match Axis::ALL.into_iter().find(|&axis| self.factor.get(axis) == 0) {
            None => Ok(()),
            Some(axis) => {
                let found = format!("0 on axis {axis}");
                let expected = "give a whole number from 1 up; 1 leaves an axis as it is";
                Err(OpError::Parameter { op: ENTRY.name, parameter: "factor", found, expected })
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
        Reach { stride, before: 0, after: stride - 1 }
    }

    fn scratch_bytes(&self, _input: PixelType, _output: &Shape) -> u64 {
        0
    }

    fn run(
        &self,
        input: PixelsRef<'_>,
        output: &mut PixelsMut<'_>,
        place: &Placement,
        _pool: &BufferPool,
    ) -> Result<(), OpError> {
        check_placement(self, input, output, place)?;
        let blocks = mean::Blocks::new(self, place);
        dispatch!(input.dtype(), T => {
            blocks.run(input.slice::<T>()?, output.slice_mut::<T>()?);
            Ok(())
        }, else Err(complex(input.dtype())))
    }
}

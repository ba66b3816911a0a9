//! Smooths with a Gaussian.
//!
//! [`Gaussian`] holds the rules (shapes, pixel types, radii); weights and passes lie in `gaussian/`.
//!
//! *Invariant:* weights, the order of passes and the order of additions depend on the parameters alone, and a pixel past an
//! edge is found by its index in the whole array: no bit depends on the region that is computed.

mod passes;
mod weights;

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, PixelsMut, PixelsRef, Region, Shape, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::neighbourhood::{check_placement, input_region, output_region};
use crate::number::Number;
use crate::{Body, Neighbourhood, Op, OpEntry, OpError, Placement, Reach};
use passes::Passes;
pub(crate) use weights::exp_of_minus;

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "gaussian",
    summary: "smooth with a Gaussian along T, Z, Y and X",
    example: r#"{"sigma": {"y": 1.5, "x": 1.5}}"#,
    build: |params| {
        let gaussian: Gaussian = parse(ENTRY.name, params)?;
        gaussian.check()?;
        Ok(Arc::new(gaussian))
    },
};

/// The largest radius in pixels: beyond any optics, and small enough that weights need no budget.
const MOST_RADIUS: f64 = 65_536.0;

/// Where the Gaussian is cut off, in standard deviations.
const TRUNCATE: f64 = 4.0;

/// Standard deviations in pixels; 0, which leaves an axis as it is, where not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sigma {
    /// Along time.
    #[serde(default, skip_serializing_if = "is_zero", alias = "T")]
    pub t: f64,
    /// Along depth.
    #[serde(default, skip_serializing_if = "is_zero", alias = "Z")]
    pub z: f64,
    /// Along rows.
    #[serde(default, skip_serializing_if = "is_zero", alias = "Y")]
    pub y: f64,
    /// Along columns.
    #[serde(default, skip_serializing_if = "is_zero", alias = "X")]
    pub x: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(sigma: &f64) -> bool {
    *sigma == 0.0
}

impl Sigma {
    /// The standard deviation along an axis; 0 for C and S.
    pub fn get(&self, axis: Axis) -> f64 {
        match axis {
            Axis::T => self.t,
            Axis::Z => self.z,
            Axis::Y => self.y,
            Axis::X => self.x,
            Axis::C | Axis::S => 0.0,
        }
    }
}

/// Convolves with a Gaussian; the shape stays.
///
/// The result is that of `scipy.ndimage.gaussian_filter` on the pixels as float64 with its default `mode="reflect"`, then
/// rounded once to the pixel type (integers: half to even, saturating): weights exp(−k² / 2σ²) at distance k up to the
/// radius ⌊truncate · σ + ½⌋, divided by their sum; past an edge the array is mirrored about the outer face of its last
/// pixel (`d c b a | a b c d | d c b a`), again and again where the radius is longer than the axis. Axes are taken in the
/// order T, Z, Y, X, all in float64. Each sum starts with the middle pixel and goes on with pairs from the outermost
/// inwards, as SciPy's does. Equal to SciPy but for the last bits of the weights, which are computed here without the
/// system's `exp` so that they are the same on every machine. NaN spreads as far as the radius.
///
/// The pixel type stays, or is `dtype`: float32 or float64. 64-bit integers are rounded to float64 first.
///
/// # Errors
/// [`OpError::Parameter`] for a σ or `truncate` that is negative or not finite, for a radius of more than 65536 pixels,
/// and for another `dtype`; [`OpError::PixelType`] for complex pixels and for bool without `dtype`.
///
/// # Complexity
/// For each pixel one multiplication and two additions for each pixel of each radius; where both T and Z are smoothed,
/// for each pair of their taps. Scratch: 2r + 1 rows of float64 for a radius r along Y, and up to four rows more.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Gaussian, Sigma, contract};
/// let mut line = Pixels::zeroed(ArraySpec { shape: Shape::new([1, 1, 1, 1, 5, 1])?, dtype: PixelType::U8 });
/// line.as_mut().bytes().copy_from_slice(&[0, 0, 200, 0, 0]);
/// let smooth = Gaussian { sigma: Sigma { x: 0.5, ..Sigma::default() }, truncate: 4.0, dtype: None };
/// let result = contract::evaluate(&smooth, line.as_ref(), &line.spec().shape.region(), |left| left)?;
/// assert_eq!(result.as_ref().bytes(), [0, 21, 157, 21, 0]);
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Standard deviations in pixels.
    pub sigma: Sigma,
    /// Standard deviations after which the Gaussian is cut off; 4 where not given.
    #[serde(default = "truncate", skip_serializing_if = "is_default")]
    pub truncate: f64,
    /// The pixel type of the result, float32 or float64; that of the input where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<PixelType>,
}

fn truncate() -> f64 {
    TRUNCATE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_default(truncate: &f64) -> bool {
    *truncate == TRUNCATE
}

fn refused(parameter: &'static str, found: String, expected: &'static str) -> OpError {
    OpError::Parameter { op: ENTRY.name, parameter, found, expected }
}

fn complex(dtype: PixelType) -> OpError {
    OpError::PixelType { op: ENTRY.name, dtype, hint: "gaussian knows bool, integer and float pixels" }
}

impl Gaussian {
    fn check(&self) -> Result<(), OpError> {
        if !(self.truncate >= 0.0 && self.truncate.is_finite()) {
            return Err(refused("truncate", self.truncate.to_string(), "give a finite number from 0 up; 4 is usual"));
        }
        for axis in Axis::ALL {
            let sigma = self.sigma.get(axis);
            if !(sigma >= 0.0 && sigma.is_finite()) {
                let found = format!("{sigma} on axis {axis}");
                return Err(refused(
                    "sigma",
                    found,
                    "give a finite number of pixels from 0 up; 0 leaves an axis as it is",
                ));
            }
            if sigma * self.truncate > MOST_RADIUS {
                let found = format!("{sigma} on axis {axis}, truncated after {}", self.truncate);
                return Err(refused(
                    "sigma",
                    found,
                    "the two may make a radius of at most 65536 pixels; downsample first",
                ));
            }
        }
        Ok(())
    }

    /// Pixels on either side that count; 0 for parameters that `check` refuses.
    fn radius(&self, axis: Axis) -> u64 {
        let sigma = self.sigma.get(axis);
        let radius = self.truncate * sigma + 0.5;
        if radius <= MOST_RADIUS + 0.5 { radius as u64 } else { 0 }
    }

    /// The pixel type of the result.
    fn result_type(&self, input: PixelType) -> Result<PixelType, OpError> {
        match self.dtype {
            _ if input.is_complex() => Err(complex(input)),
            None if input == PixelType::Bool => {
                let hint = "give the result a type with --dtype float32 or float64";
                Err(OpError::PixelType { op: ENTRY.name, dtype: input, hint })
            }
            None => Ok(input),
            Some(dtype @ (PixelType::F32 | PixelType::F64)) => Ok(dtype),
            Some(dtype) => {
                let expected = "the result can be made float32 or float64; leave it out to keep the pixel type";
                Err(refused("dtype", dtype.to_string(), expected))
            }
        }
    }
}

fn run_to<B: Number>(passes: &mut Passes, input: PixelsRef<'_>, output: &mut [B]) -> Result<(), OpError> {
    dispatch!(input.dtype(), A => {
        passes.run(input.slice::<A>()?, output);
        Ok(())
    }, else Err(complex(input.dtype())))
}

impl Op for Gaussian {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        self.check()?;
        Ok(ArraySpec { dtype: self.result_type(input.dtype)?, ..*input })
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

impl Neighbourhood for Gaussian {
    fn reach(&self, axis: Axis) -> Reach {
        let radius = self.radius(axis);
        Reach { stride: 1, before: radius, after: radius }
    }

    fn scratch_bytes(&self, _input: PixelType, output: &Shape) -> u64 {
        let input = Axis::ALL.map(|axis| self.reach(axis).span(output.get(axis)));
        BufferPool::charged(passes::scratch(self, &input, output))
    }

    fn run(
        &self,
        input: PixelsRef<'_>,
        output: &mut PixelsMut<'_>,
        place: &Placement,
        pool: &BufferPool,
    ) -> Result<(), OpError> {
        check_placement(self, input, output, place)?;
        let mut scratch =
            pool.take(passes::scratch(self, &place.input.shape().extents(), &place.output.shape()) as usize);
        let mut passes = Passes::new(self, place, bytemuck::cast_slice_mut(scratch.bytes_mut()));
        let dtype = output.dtype();
        dispatch!(dtype, B => run_to(&mut passes, input, output.slice_mut::<B>()?), else Err(complex(dtype)))
    }
}

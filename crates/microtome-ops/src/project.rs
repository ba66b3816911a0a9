//! Projects an axis: the largest, smallest, mean or summed pixel along T, C or Z.
//!
//! [`Project`] holds the rules (shapes, pixel types); the kernels lie in `project/`, one file a way to accumulate.
//!
//! *Invariant:* a result depends on the pixels along the axis and their order, never on how many of them each
//! [`FoldState::add`] brings.

mod extreme;
mod frame;
mod integer;
mod tree;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, Region, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::{Body, Fold, FoldState, Op, OpEntry, OpError};
use frame::Frame;

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "project",
    summary: "max, min, mean or sum along T, C or Z",
    example: r#"{"axis": "Z", "method": "max"}"#,
    build: |params| {
        let project: Project = parse("project", params)?;
        project.check_axis()?;
        Ok(Arc::new(project))
    },
};

/// What a projection takes of the pixels along its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projection {
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The arithmetic mean.
    Mean,
    /// The sum.
    Sum,
}

impl Projection {
    /// All methods.
    pub const ALL: [Projection; 4] = [Projection::Max, Projection::Min, Projection::Mean, Projection::Sum];

    /// Its name: `max`, `min`, `mean` or `sum`.
    pub const fn name(self) -> &'static str {
        match self {
            Projection::Max => "max",
            Projection::Min => "min",
            Projection::Mean => "mean",
            Projection::Sum => "sum",
        }
    }
}

impl fmt::Display for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Projection {
    type Err = OpError;
    fn from_str(text: &str) -> Result<Self, OpError> {
        let wrong = || parameter("method", format!("`{text}`"), "use max, min, mean or sum");
        Projection::ALL.into_iter().find(|method| method.name() == text).ok_or_else(wrong)
    }
}

/// Folds `axis` to extent 1; the other axes stay.
///
/// | method | pixel type of the result | with `dtype` |
/// |---|---|---|
/// | max, min | that of the input | – |
/// | sum | bool and unsigned: uint64; signed: int64; float: that of the input | float64 |
/// | mean | that of the input, integers rounded half to even; bool must give `dtype` | float32 or float64 |
///
/// Sums and means of integers are exact. Those of floats are added in float64, in a tree that only the number of pixels
/// along the axis decides, and rounded once at the end. NaN is as in NumPy: one NaN along the axis makes the result NaN.
///
/// # Errors
/// [`OpError::Parameter`] for another axis than T, C or Z, for an axis of extent 0, and for a `dtype` that the method
/// does not offer; [`OpError::PixelType`] for complex pixels and for the mean of bool without `dtype`;
/// [`OpError::Overflow`] while running, if a sum of integers does not fit 64 bits.
///
/// # Complexity
/// One pass over the input. State, in values per output pixel: max and min one of the input's type; integers one of 32,
/// 64 or 128 bits, the least that cannot overflow; floats ⌊log2(n + 1)⌋ of float64 for n pixels along the axis.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, Pixels, Shape};
/// use microtome_ops::{Fold, Op, Project, Projection};
/// let shape = Shape::new([1, 1, 3, 1, 2, 1])?; // three planes of two pixels
/// let mut stack = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::U16 });
/// stack.as_mut().slice_mut::<u16>()?.copy_from_slice(&[1, 50, 9, 40, 2, 61]);
///
/// let mean = Project { axis: Axis::Z, method: Projection::Mean, dtype: None };
/// let mut output = Pixels::zeroed(mean.output(&stack.spec())?);
/// let mut state = mean.start(PixelType::U16, output.spec().shape, 3, &BufferPool::new(0))?;
/// state.add(stack.as_ref())?;
/// state.finish(&mut output.as_mut())?;
/// assert_eq!(output.as_ref().slice::<u16>()?, [4, 50]); // 12/3, 151/3
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The axis to fold: T, C or Z.
    pub axis: Axis,
    /// What to take of the pixels along it.
    pub method: Projection,
    /// The pixel type of the result, where the method leaves a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<PixelType>,
}

fn parameter(parameter: &'static str, found: String, expected: &'static str) -> OpError {
    OpError::Parameter { op: ENTRY.name, parameter, found, expected }
}

fn complex(dtype: PixelType) -> OpError {
    OpError::PixelType { op: ENTRY.name, dtype, hint: "project knows bool, integer and float pixels" }
}

impl Project {
    fn check_axis(&self) -> Result<(), OpError> {
        match self.axis {
            Axis::T | Axis::C | Axis::Z => Ok(()),
            other => Err(parameter("axis", other.to_string(), "project along T, C or Z")),
        }
    }

    /// The pixel type of the result.
    fn result_type(&self, input: PixelType) -> Result<PixelType, OpError> {
        self.check_axis()?;
        if input.is_complex() {
            return Err(complex(input));
        }
        match (self.method, self.dtype) {
            (Projection::Sum, None) => Ok(sum_type(input)),
            (Projection::Mean, None) if input == PixelType::Bool => {
                let hint = "give the mean a type with --dtype float32 or float64";
                Err(OpError::PixelType { op: ENTRY.name, dtype: input, hint })
            }
            (Projection::Max | Projection::Min | Projection::Mean, None) => Ok(input),
            (Projection::Sum, Some(PixelType::F64)) => Ok(PixelType::F64),
            (Projection::Mean, Some(dtype @ (PixelType::F32 | PixelType::F64))) => Ok(dtype),
            (method, Some(dtype)) => Err(parameter("dtype", dtype.to_string(), offered(method))),
        }
    }
}

/// The type of a sum that was not given one: the widest of its kind, for floats their own.
fn sum_type(input: PixelType) -> PixelType {
    if input.is_float() {
        input
    } else if input.is_signed_integer() {
        PixelType::I64
    } else {
        PixelType::U64
    }
}

fn offered(method: Projection) -> &'static str {
    match method {
        Projection::Max | Projection::Min => "max and min keep the pixel type; leave it out, and cast before or after",
        Projection::Sum => "a sum can be made float64; leave it out for the exact sum of integers",
        Projection::Mean => "a mean can be made float32 or float64; leave it out to keep the pixel type",
    }
}

impl Op for Project {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        let dtype = self.result_type(input.dtype)?;
        if input.shape.get(self.axis) == 0 {
            let expected = "there must be at least one pixel along it";
            return Err(parameter("axis", format!("{} of extent 0", self.axis), expected));
        }
        Ok(ArraySpec { shape: input.shape.with(self.axis, 1)?, dtype })
    }

    fn input_region(&self, output: &Region, input: &ArraySpec) -> Region {
        output.with(self.axis, 0, input.shape.get(self.axis))
    }

    fn output_region(&self, input_region: &Region, _input: &ArraySpec) -> Region {
        input_region.with(self.axis, 0, input_region.len(self.axis).min(1))
    }

    fn body(&self) -> Body<'_> {
        Body::Fold(self)
    }
}

impl Fold for Project {
    fn axis(&self) -> Axis {
        self.axis
    }

    fn state_bytes(&self, input: PixelType, pixels: u64, length: u64) -> u64 {
        match self.method {
            Projection::Max | Projection::Min => extreme::state_bytes(input, pixels),
            Projection::Mean | Projection::Sum if input.is_float() => tree::state_bytes(pixels, length),
            Projection::Mean | Projection::Sum => integer::state_bytes(input, pixels, length),
        }
    }

    fn start(
        &self,
        input: PixelType,
        output: Shape,
        length: u64,
        pool: &BufferPool,
    ) -> Result<Box<dyn FoldState>, OpError> {
        let result = self.result_type(input)?;
        let frame = Frame::new(self.axis, input, ArraySpec { shape: output, dtype: result }, length);
        match self.method {
            Projection::Max => extreme::start::<extreme::Max>(frame, pool),
            Projection::Min => extreme::start::<extreme::Min>(frame, pool),
            Projection::Mean | Projection::Sum if input.is_float() => tree::start(frame, self.method, pool),
            Projection::Mean | Projection::Sum => integer::start(frame, self.method, pool),
        }
    }
}

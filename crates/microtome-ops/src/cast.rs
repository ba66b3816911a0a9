//! Changes the pixel type, value by value.

use std::sync::Arc;

use microtome_array::{ArraySpec, PixelType, PixelsMut, PixelsRef, Region, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::map::{apply, check_output};
use crate::number::Number;
use crate::{Body, Map, Op, OpEntry, OpError};

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "cast",
    summary: "change the pixel type; values round and saturate",
    example: r#"{"dtype": "uint8"}"#,
    build: |params| {
        let cast: Cast = parse("cast", params)?;
        refuse_complex(cast.dtype)?;
        Ok(Arc::new(cast))
    },
};

/// Converts every pixel to `dtype`; the shape stays.
///
/// | from | to | result |
/// |---|---|---|
/// | integer | integer | the value, or the end of the range it lies past |
/// | float | integer | rounded half to even, then the same; NaN is 0 |
/// | any | float | the nearest value, ties to even; past the range infinite; NaN stays NaN |
/// | any | bool | 0 is false, all else (NaN too) true |
/// | bool | any | false is 0, true is 1 |
///
/// Each conversion rounds once, also from 64-bit integers. A cast to the type that the pixels have copies them.
///
/// # Errors
/// [`OpError::PixelType`] for complex pixels, given or asked for.
///
/// # Complexity
/// One pass over the pixels, no scratch memory.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Cast, Map, Op};
/// let shape = Shape::new([1, 1, 1, 1, 6, 1])?;
/// let mut input = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::F32 });
/// input.as_mut().slice_mut()?.copy_from_slice(&[0.5f32, 1.5, 2.5, -3.0, 1e9, f32::NAN]);
/// let cast = Cast { dtype: PixelType::U8 };
/// let mut output = Pixels::zeroed(cast.output(&input.spec())?);
/// cast.run(input.as_ref(), &mut output.as_mut())?;
/// assert_eq!(output.as_ref().slice::<u8>()?, [0, 2, 2, 0, 255, 0]);
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// The pixel type of the result.
    pub dtype: PixelType,
}

fn refuse_complex(dtype: PixelType) -> Result<(), OpError> {
    if dtype.is_complex() {
        return Err(complex(dtype));
    }
    Ok(())
}

fn complex(dtype: PixelType) -> OpError {
    OpError::PixelType { op: "cast", dtype, hint: "cast knows bool, integer and float pixels" }
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        refuse_complex(input.dtype)?;
        refuse_complex(self.dtype)?;
        Ok(ArraySpec { dtype: self.dtype, ..*input })
    }

    fn input_region(&self, output: &Region, _input: &ArraySpec) -> Region {
        *output
    }

    fn output_region(&self, input_region: &Region, _input: &ArraySpec) -> Region {
        *input_region
    }

    fn body(&self) -> Body<'_> {
        Body::Map(self)
    }
}

impl Map for Cast {
    fn run(&self, input: PixelsRef<'_>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        check_output(self, input, output)?;
        if input.dtype() == self.dtype {
            output.bytes().copy_from_slice(input.bytes());
            return Ok(());
        }
        dispatch!(input.dtype(), A => from_type::<A>(input, output), else Err(complex(input.dtype())))
    }
}

fn from_type<A: Number>(input: PixelsRef<'_>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
    let values = input.slice::<A>()?;
    if output.dtype() == PixelType::Bool {
        apply(values, output.slice_mut::<u8>()?, |a| u8::from(a != A::default()));
        return Ok(());
    }
    dispatch!(output.dtype(), B => {
        apply(values, output.slice_mut::<B>()?, convert::<A, B>);
        Ok(())
    }, else Err(complex(output.dtype())))
}

fn convert<A: Number, B: Number>(value: A) -> B {
    if A::INTEGER { B::from_wide(value.wide()) } else { B::from_f64(value.to_f64()) }
}

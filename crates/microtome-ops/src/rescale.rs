//! Stretches a range of values linearly onto another, and saturates outside it.

use std::sync::Arc;

use microtome_array::{ArraySpec, PixelType, PixelsMut, PixelsRef, Region, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::map::{apply, check_output};
use crate::number::Number;
use crate::{Body, Map, Op, OpEntry, OpError};

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "rescale",
    summary: "stretch a range of values onto another; values outside saturate",
    example: r#"{"from": [100, 4000], "dtype": "uint8"}"#,
    build: |params| {
        let rescale: Rescale = parse("rescale", params)?;
        rescale.check_from()?;
        Ok(Arc::new(rescale))
    },
};

/// Maps values linearly so that `from.0` becomes `to.0` and `from.1` becomes `to.1`; the shape stays.
///
/// For `from = (a, b)` and `to = (c, d)` a pixel x becomes `(x − a) · (d − c) / (b − a) + c`, computed in float64 from
/// left to right, limited to the values between c and d, and rounded once to the pixel type of the result (integers:
/// half to even). Ends may come in either order: `from: (0, 255), to: (255, 0)` inverts. NaN stays NaN in a float and
/// is 0 in an integer. 64-bit integers are rounded to float64 first.
///
/// # Errors
/// [`OpError::Parameter`] if the ends of `from` are equal, if an end or a difference of ends is not finite, or if `to`
/// lies outside the values of the result's type; [`OpError::PixelType`] for complex pixels and for a result of bool.
///
/// # Complexity
/// One pass over the pixels, no scratch memory.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Map, Op, Rescale};
/// let shape = Shape::new([1, 1, 1, 1, 4, 1])?;
/// let mut input = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::U16 });
/// input.as_mut().slice_mut()?.copy_from_slice(&[0u16, 100, 2050, 9999]);
/// // The range a display shows, 100 to 4000, onto all of 8 bits.
/// let rescale = Rescale { from: (100.0, 4000.0), to: None, dtype: Some(PixelType::U8) };
/// let mut output = Pixels::zeroed(rescale.output(&input.spec())?);
/// rescale.run(input.as_ref(), &mut output.as_mut())?;
/// assert_eq!(output.as_ref().slice::<u8>()?, [0, 0, 128, 255]); // 127.5 is rounded to even
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// Two different input values.
    pub from: (f64, f64),
    /// What they become; the whole range of an integer type, 0 to 1 for a float, where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<(f64, f64)>,
    /// The pixel type of the result; that of the input where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<PixelType>,
}

fn refused(parameter: &'static str, range: (f64, f64), expected: &'static str) -> OpError {
    OpError::Parameter { op: ENTRY.name, parameter, found: format!("{}, {}", range.0, range.1), expected }
}

fn no_number(dtype: PixelType) -> OpError {
    OpError::PixelType { op: ENTRY.name, dtype, hint: "rescale makes integers and floats; give one with --dtype" }
}

impl Rescale {
    fn check_from(&self) -> Result<(), OpError> {
        let (a, b) = self.from;
        // Finite ends may still be further apart than a float64 can say.
        if a == b || !(b - a).is_finite() {
            return Err(refused("from", self.from, "give two different finite values"));
        }
        Ok(())
    }

    fn result_type(&self, input: PixelType) -> Result<PixelType, OpError> {
        let dtype = self.dtype.unwrap_or(input);
        match [input, dtype].into_iter().find(|t| t.is_complex()) {
            Some(complex) => Err(no_number(complex)),
            None if dtype == PixelType::Bool => Err(no_number(dtype)),
            None => Ok(dtype),
        }
    }

    /// The range of the result, checked to be values of its type.
    fn target<B: Number>(&self) -> Result<(f64, f64), OpError> {
        let whole = if B::INTEGER { (B::LOWEST, B::HIGHEST) } else { (0.0, 1.0) };
        let to = self.to.unwrap_or(whole);
        let inside = |v: f64| B::LOWEST <= v && v <= B::HIGHEST;
        if !(inside(to.0) && inside(to.1) && (to.1 - to.0).is_finite()) {
            return Err(refused("to", to, "give finite values that the pixel type of the result can hold"));
        }
        Ok(to)
    }

    fn run_to<B: Number>(&self, input: PixelsRef<'_>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        let line = Line::new(self.from, self.target::<B>()?);
        let output = output.slice_mut::<B>()?;
        dispatch!(input.dtype(), A => {
            apply(input.slice::<A>()?, output, |value| B::from_f64(line.at(value.to_f64())));
            Ok(())
        }, else Err(no_number(input.dtype())))
    }
}

/// The line through (a, c) and (b, d), cut off outside them.
struct Line {
    a: f64,
    rise: f64,
    run: f64,
    c: f64,
    low: f64,
    high: f64,
}

impl Line {
    fn new((a, b): (f64, f64), (c, d): (f64, f64)) -> Line {
        Line { a, rise: d - c, run: b - a, c, low: c.min(d), high: c.max(d) }
    }

    fn at(&self, x: f64) -> f64 {
        let y = (x - self.a) * self.rise / self.run + self.c;
        // Comparisons that fail for NaN: infinity times a rise of 0 gives the one value there is.
        let y = if y > self.low { y } else { self.low };
        let y = if y < self.high { y } else { self.high };
        if x.is_nan() { x } else { y }
    }
}

impl Op for Rescale {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        self.check_from()?;
        let dtype = self.result_type(input.dtype)?;
        dispatch!(dtype, B => self.target::<B>(), else Err(no_number(dtype)))?;
        Ok(ArraySpec { dtype, ..*input })
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

impl Map for Rescale {
    fn run(&self, input: PixelsRef<'_>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        check_output(self, input, output)?;
        let dtype = output.dtype();
        dispatch!(dtype, B => self.run_to::<B>(input, output), else Err(no_number(dtype)))
    }
}

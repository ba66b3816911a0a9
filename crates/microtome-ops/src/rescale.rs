//! Stretches a range of values linearly onto another, and saturates outside it.

use std::sync::Arc;

use microtome_array::{ArraySpec, PixelType, PixelsMut, PixelsRef, Region, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::list::{parse, to_params};
use crate::map::{apply, check_output};
use crate::number::Number;
use crate::{Body, Map, Op, OpEntry, OpError, Percentiles, Summary};

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

/// Maps values linearly so that the ends of `from` become `to.0` and `to.1`; the shape stays.
///
/// For `from` (a, b) and `to = (c, d)` a pixel x becomes `(x − a) · (d − c) / (b − a) + c`, computed in float64 from
/// left to right, limited to the values between c and d, and rounded once to the pixel type of the result (integers:
/// half to even). Ends may come in either order: `from: (0, 255), to: (255, 0)` inverts. NaN stays NaN in a float and
/// is 0 in an integer. 64-bit integers are rounded to float64 first.
///
/// Where `from` are percentiles, the operation [`asks`](Op::asks) for them, of all pixels of its input ([`Percentiles`]), and
/// what [`answered`](Op::answered) gives has the two values in their place. Percentiles that are equal, as those of an image
/// that is mostly background may be, make no line: that is an error, not an image of two values.
///
/// # Errors
/// [`OpError::Parameter`] if the ends of `from` are equal, if an end or a difference of ends is not finite, or if `to`
/// lies outside the values of the result's type; [`OpError::PixelType`] for complex pixels and for a result of bool;
/// [`OpError::Unanswered`] if it is run while `from` are percentiles.
///
/// # Complexity
/// One pass over the pixels, no scratch memory.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Map, Op, Ends, Rescale};
/// let shape = Shape::new([1, 1, 1, 1, 4, 1])?;
/// let mut input = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::U16 });
/// input.as_mut().slice_mut()?.copy_from_slice(&[0u16, 100, 2050, 9999]);
/// // The range a display shows, 100 to 4000, onto all of 8 bits.
/// let rescale = Rescale { from: Ends::Values(100.0, 4000.0), to: None, dtype: Some(PixelType::U8) };
/// let mut output = Pixels::zeroed(rescale.output(&input.spec())?);
/// rescale.run(input.as_ref(), &mut output.as_mut())?;
/// assert_eq!(output.as_ref().slice::<u8>()?, [0, 0, 128, 255]); // 127.5 is rounded to even
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// What is stretched.
    pub from: Ends,
    /// What they become; the whole range of an integer type, 0 to 1 for a float, where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<(f64, f64)>,
    /// The pixel type of the result; that of the input where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<PixelType>,
}

/// The two ends of what is stretched: `[100, 4000]`, or `{"percentiles": [1, 99]}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "give two values, [100, 4000], or {\"percentiles\": [1, 99]}")]
pub enum Ends {
    /// Two different input values.
    Values(f64, f64),
    /// The values at two percentiles, from 0 to 100, of all pixels of the input.
    Percentiles {
        /// In percent.
        percentiles: (f64, f64),
    },
}

/// The summary of two percentiles.
fn summary((p, q): (f64, f64)) -> Result<Percentiles, OpError> {
    Percentiles::new(vec![p, q])
}

/// The values that it has found.
fn values((p, q): (f64, f64), answer: &Value) -> Result<(f64, f64), OpError> {
    let asked = answer["of"] == json!([p, q]);
    // Infinite percentiles are texts.
    let end = |n: usize| match &answer["values"][n] {
        Value::String(text) => text.parse().ok(),
        number => number.as_f64(),
    };
    let wrong = || OpError::Answer { op: ENTRY.name, answer: answer.to_string() };
    asked.then(|| end(0).zip(end(1))).flatten().ok_or_else(wrong)
}

fn refused(parameter: &'static str, range: (f64, f64), expected: &'static str) -> OpError {
    OpError::Parameter { op: ENTRY.name, parameter, found: format!("{}, {}", range.0, range.1), expected }
}

fn no_number(dtype: PixelType) -> OpError {
    OpError::PixelType { op: ENTRY.name, dtype, hint: "rescale makes integers and floats; give one with --dtype" }
}

impl Rescale {
    fn check_from(&self) -> Result<(), OpError> {
        match self.from {
            // Finite ends may still be further apart than a float64 can say.
            Ends::Values(a, b) if a == b || !(b - a).is_finite() => {
                Err(refused("from", (a, b), "give two different finite values"))
            }
            Ends::Percentiles { percentiles: (a, b) } if a == b => {
                Err(refused("from", (a, b), "give two different percentiles"))
            }
            Ends::Values(..) => Ok(()),
            Ends::Percentiles { percentiles } => summary(percentiles).map(|_| ()),
        }
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
        let Ends::Values(a, b) = self.from else {
            return Err(OpError::Unanswered { op: ENTRY.name, summary: "percentiles" });
        };
        let line = Line::new((a, b), self.target::<B>()?);
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

    fn asks(&self) -> Option<Arc<dyn Summary>> {
        let Ends::Percentiles { percentiles } = self.from else { return None };
        summary(percentiles).ok().map(|summary| Arc::new(summary) as Arc<dyn Summary>)
    }

    fn answered(&self, answer: &Value) -> Result<Arc<dyn Op>, OpError> {
        let Ends::Percentiles { percentiles } = self.from else {
            return Err(OpError::Answer { op: ENTRY.name, answer: answer.to_string() });
        };
        let (a, b) = values(percentiles, answer)?;
        if a == b || !(b - a).is_finite() {
            let ((p, q), op) = (percentiles, ENTRY.name);
            let found = format!("percentiles {p} and {q}, which of this image are {a} and {b}");
            let expected = "choose percentiles further apart, or give two different finite values";
            return Err(OpError::Parameter { op, parameter: "from", found, expected });
        }
        Ok(Arc::new(Rescale { from: Ends::Values(a, b), ..self.clone() }))
    }
}

impl Map for Rescale {
    fn run(&self, input: PixelsRef<'_>, output: &mut PixelsMut<'_>) -> Result<(), OpError> {
        check_output(self, input, output)?;
        let dtype = output.dtype();
        dispatch!(dtype, B => self.run_to::<B>(input, output), else Err(no_number(dtype)))
    }
}

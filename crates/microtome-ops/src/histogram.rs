//! How many pixels of an array lie in which part of a range of values.
//!
//! [`Histogram`] holds the passes: where no range is given, the first finds it; the last one counts.
//!
//! *Invariant:* which bin a value is in follows from the edges alone, by comparison; counts are exact integers.

mod state;

use std::any::Any;
use std::ops::RangeInclusive;
use std::sync::Arc;

use microtome_array::PixelType;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::list::{parse, to_params};
use crate::{OpError, Step, Summary, SummaryEntry, SummaryState};
use state::{Bins, Counted, Extremes};

pub(crate) const ENTRY: SummaryEntry = SummaryEntry {
    name: "histogram",
    summary: "how many pixels lie in each of so many parts of a range",
    example: r#"{"bins": 256}"#,
    build: |params| {
        let histogram: Histogram = parse(ENTRY.name, params)?;
        histogram.check()?;
        Ok(Arc::new(histogram))
    },
};

/// Most bins: 512 KiB of counters.
const MOST_BINS: u64 = 1 << 16;

/// Counts pixels in `bins` parts of equal width.
///
/// They are those of `numpy.histogram(values, bins, range)` over all values that are not NaN, as float64: bin i has the values
/// from edge i up to, not including, edge i + 1, the last bin its upper edge too; edge i is low + i · (high − low) / bins, as
/// `numpy.linspace` has it. Where no range is given it is from the smallest value to the largest; where these are equal, half
/// a unit more on both sides.
///
/// The answer is `{"low": …, "high": …, "counts": […], "below": n, "above": n}`. Infinite values are below or above a range.
///
/// # Errors
/// [`OpError::Parameter`] for no bins or more than 65536, for a range that is not from one finite value to a larger one, or
/// whose parts float64 cannot tell apart, and at the end of the first pass for infinite pixels where no range is given; [`OpError::PixelType`] for complex pixels;
/// [`OpError::NoValue`] at the end if there is no value.
///
/// # Complexity
/// One pass with a range, two without. A state has a counter for each bin.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Histogram, summarise};
/// let mut line = Pixels::zeroed(ArraySpec { shape: Shape::new([1, 1, 1, 1, 5, 1])?, dtype: PixelType::U8 });
/// line.as_mut().bytes().copy_from_slice(&[0, 1, 2, 3, 10]);
/// let answer = summarise(Arc::new(Histogram { bins: 5, range: None }), line.as_ref())?;
/// assert_eq!(answer["counts"], serde_json::json!([2, 2, 0, 0, 1])); // 0 up to 2, 2 up to 4, … 8 to 10
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Number of parts.
    pub bins: u64,
    /// From the lower edge of the first to the upper edge of the last; that of the values where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
}

impl Histogram {
    fn check(&self) -> Result<(), OpError> {
        if self.bins == 0 || self.bins > MOST_BINS {
            return Err(refused("bins", self.bins.to_string(), "give a number from 1 to 65536"));
        }
        let Some((low, high)) = self.range else { return Ok(()) };
        let step = (high - low) / self.bins as f64;
        // Comparisons that fail for NaN too.
        if !(low < high && (high - low).is_finite()) {
            return Err(refused("range", format!("{low}, {high}"), "give two finite values, the smaller one first"));
        }
        if !(low + step > low && high - step < high) {
            let expected = "parts this narrow are not told apart by float64; give fewer bins or a wider range";
            return Err(refused("bins", format!("{} from {low} to {high}", self.bins), expected));
        }
        Ok(())
    }

    fn check_type(dtype: PixelType) -> Result<(), OpError> {
        let hint = "a histogram needs an order, which bool, integer and float pixels have";
        if dtype.is_complex() { Err(OpError::PixelType { op: ENTRY.name, dtype, hint }) } else { Ok(()) }
    }

    /// The pass that counts between the smallest value and the largest.
    fn between(&self, low: f64, high: f64) -> Result<Step, OpError> {
        if !(high - low).is_finite() {
            let expected = "pixels this large or infinite have no bins; give a finite range";
            return Err(refused("range", format!("{low} to {high}, that of the pixels"), expected));
        }
        let range = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
        let next = Histogram { range: Some(range), ..self.clone() };
        next.check()?;
        Ok(Step::Again(Arc::new(next)))
    }
}

fn refused(parameter: &'static str, found: String, expected: &'static str) -> OpError {
    OpError::Parameter { op: ENTRY.name, parameter, found, expected }
}

fn state(why: &'static str) -> OpError {
    OpError::State { summary: ENTRY.name, why }
}

impl Summary for Histogram {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn passes(&self, _input: PixelType) -> RangeInclusive<u64> {
        if self.range.is_some() { 1..=1 } else { 2..=2 }
    }

    fn state_bytes(&self, _input: PixelType) -> u64 {
        // Counters and edges of the last pass.
        16 * self.bins + 32
    }

    fn start(&self, input: PixelType) -> Result<Box<dyn SummaryState>, OpError> {
        self.check()?;
        Histogram::check_type(input)?;
        Ok(match self.range {
            None => Box::new(Extremes::new(input)),
            Some(range) => Box::new(Counted::new(input, Bins::new(self.bins, range))),
        })
    }

    fn load(&self, saved: &[u8]) -> Result<Box<dyn SummaryState>, OpError> {
        self.check()?;
        let dtype = state::saved_type(saved).ok_or(state("it is damaged"))?;
        Histogram::check_type(dtype)?;
        Ok(match self.range {
            None => Box::new(Extremes::load(dtype, saved)?),
            Some(range) => Box::new(Counted::load(dtype, Bins::new(self.bins, range), saved)?),
        })
    }

    fn end(&self, merged: Box<dyn SummaryState>) -> Result<Step, OpError> {
        let merged: &dyn Any = &*merged;
        let Some(range) = self.range else {
            let extremes = merged.downcast_ref::<Extremes>().ok_or(state("it is of another pass"))?;
            let (low, high) = extremes.ends().ok_or(OpError::NoValue { summary: ENTRY.name })?;
            return self.between(low, high);
        };
        let counted = merged.downcast_ref::<Counted>().ok_or(state("it is of another pass"))?;
        if *counted.bins() != Bins::new(self.bins, range) {
            return Err(state("it is of another pass"));
        }
        let (below, counts, above) = counted.counts();
        if below == 0 && above == 0 && counts.iter().all(|&count| count == 0) {
            return Err(OpError::NoValue { summary: ENTRY.name });
        }
        Ok(Step::Done(json!({"low": range.0, "high": range.1, "counts": counts, "below": below, "above": above})))
    }
}

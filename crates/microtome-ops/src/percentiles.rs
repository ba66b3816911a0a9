//! Exact percentiles of all pixels of an array, in bounded memory.
//!
//! Values are counted by their leading bits ([`key`]), up to 16 at a time; the next pass counts further bits of those values
//! alone that share the leading ones with a value that is asked for, until all bits are known. [`Percentiles`] holds the
//! passes; the counting lies in `percentiles/`.
//!
//! *Invariant:* counts are exact integers, so the answer does not depend on how the pixels are cut into parts; a pass never
//! holds more than [`MOST_COUNTERS`] counters.

mod key;
mod tally;

use std::any::Any;
use std::ops::RangeInclusive;
use std::sync::Arc;

use microtome_array::{PixelType, dispatch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::list::{parse, to_params};
use crate::number::Number;
use crate::{OpError, Step, Summary, SummaryEntry, SummaryState};
use key::Key;
use tally::{Pass, Tally};

pub(crate) const ENTRY: SummaryEntry = SummaryEntry {
    name: "percentiles",
    summary: "values below which so many percent of the pixels lie",
    example: r#"{"of": [1, 50, 99]}"#,
    build: |params| {
        let percentiles: Percentiles = parse(ENTRY.name, params)?;
        percentiles.check()?;
        Ok(Arc::new(percentiles))
    },
};

/// Most percentiles that are asked for at once.
const MOST: usize = 64;

/// Most counters of a state: 2 MiB of them, as many as four values take in passes of 16 bits.
const MOST_COUNTERS: usize = 1 << 18;

/// The percentiles of all pixels of an array.
///
/// They are `numpy.percentile(values, of)` (method `linear`) of all values that are not NaN, as float64: with the n values in
/// order from index 0, percentile p lies at index (n − 1) · p / 100, and between two indices on the line between their
/// values. Every value counts, samples of a pixel too; bool counts as 0 and 1; 64-bit integers are ordered exactly and
/// rounded to float64 at the end.
///
/// The answer is `{"of": […], "values": […], "count": n}`; a value that is infinite, as a percentile of infinite pixels, is
/// the text `"inf"` or `"-inf"`, and halfway between the two `"nan"`.
///
/// # Errors
/// [`OpError::Parameter`] for none or more than 64 percentiles, or one outside 0 to 100; [`OpError::PixelType`] for complex
/// pixels; [`OpError::NoValue`] at the end if there is no value.
///
/// # Complexity
/// One pass for types of 8 and 16 bits. For wider ones a pass for each 16 bits of the type, and maybe one or two more where
/// more than two percentiles are asked for, so that a state stays within 2 MiB.
///
/// # Examples
/// See [`summarise`](crate::summarise).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// In percent.
    of: Vec<f64>,
    /// What earlier passes have found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// What is known between two passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    /// Of the pixels.
    dtype: PixelType,
    /// Values that are not NaN.
    count: u64,
    /// Leading bits that are known of each key asked for; fewer than all.
    known: u32,
    /// The keys asked for, in order; each once.
    wanted: Vec<Wanted>,
}

/// One of the values in order that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The known bits of its key.
    prefix: u64,
    /// Its index among the values that share them.
    rest: u64,
}

impl Percentiles {
    /// Percentiles, in percent.
    ///
    /// # Errors
    /// [`OpError::Parameter`] for none or more than 64, or one outside 0 to 100.
    pub fn new(of: Vec<f64>) -> Result<Percentiles, OpError> {
        let percentiles = Percentiles { of, found: None };
        percentiles.check()?;
        Ok(percentiles)
    }

    fn check(&self) -> Result<(), OpError> {
        let refused = |found, expected| OpError::Parameter { op: ENTRY.name, parameter: "of", found, expected };
        if self.of.is_empty() || self.of.len() > MOST {
            return Err(refused(format!("{} percentiles", self.of.len()), "ask for 1 to 64 of them at once"));
        }
        if let Some(outside) = self.of.iter().find(|of| !(0.0..=100.0).contains(*of)) {
            return Err(refused(outside.to_string(), "give percent, from 0 (the smallest value) to 100 (the largest)"));
        }
        let Some(found) = &self.found else { return Ok(()) };
        let ordered = found.wanted.windows(2).all(|pair| pair[0].prefix <= pair[1].prefix);
        let bits = 8 * found.dtype.size() as u32;
        let fits = |wanted: &Wanted| wanted.prefix.checked_shr(found.known).unwrap_or(0) == 0;
        let sound = !found.dtype.is_complex() && (1..bits).contains(&found.known) && found.wanted.iter().all(fits);
        if !sound || !ordered || found.count == 0 || found.wanted.len() != ranks(&self.of, found.count).len() {
            return Err(state("parameters of a later pass contradict each other"));
        }
        Ok(())
    }

    /// Leading bits of the keys that are known before this pass.
    fn known(&self) -> u32 {
        self.found.as_ref().map_or(0, |found| found.known)
    }

    /// Most values that decide the percentiles.
    fn values(&self) -> usize {
        self.found.as_ref().map_or(2 * self.of.len(), |found| found.wanted.len())
    }

    /// What this pass counts.
    fn pass(&self, dtype: PixelType) -> Result<Pass, OpError> {
        if dtype.is_complex() {
            let hint = "percentiles need an order, which bool, integer and float pixels have";
            return Err(OpError::PixelType { op: ENTRY.name, dtype, hint });
        }
        match &self.found {
            None => Ok(Pass::new(dtype, 0, vec![0])),
            Some(found) if found.dtype != dtype => Err(state("an earlier pass has seen another pixel type")),
            Some(found) => Ok(Pass::new(dtype, found.known, found.wanted.iter().map(|wanted| wanted.prefix).collect())),
        }
    }

    /// What is known before this pass, for one that has counted all pixels.
    fn before(&self, tally: &Tally) -> Result<Found, OpError> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let count = tally.counts().iter().fold(0u64, |sum, &count| sum.saturating_add(count));
        if count == 0 {
            return Err(OpError::NoValue { summary: ENTRY.name });
        }
        let wanted = ranks(&self.of, count).into_iter().map(|rank| Wanted { prefix: 0, rest: rank }).collect();
        Ok(Found { dtype: tally.pass().dtype(), count, known: 0, wanted })
    }

    /// The answer, when all bits of the keys are known.
    fn answer(&self, found: &Found) -> Value {
        let value = |key: u64| dispatch!(found.dtype, T => <T as Key>::from_key(key).to_f64(), else f64::NAN);
        let ranks = ranks(&self.of, found.count);
        let at = |rank: u64| ranks.binary_search(&rank).map_or(f64::NAN, |n| value(found.wanted[n].prefix));
        let values: Vec<Value> = self.of.iter().map(|&of| number(place(of, found.count).value(at))).collect();
        json!({"of": self.of, "values": values, "count": found.count})
    }
}

/// Where a percentile lies among the values in order.
struct PlaceInOrder {
    low: u64,
    high: u64,
    /// From 0 at `low` to 1 at `high`.
    between: f64,
}

/// NumPy's method `linear`.
fn place(of: f64, count: u64) -> PlaceInOrder {
    let last = count - 1;
    let index = last as f64 * (of / 100.0);
    let low = index.floor() as u64;
    let between = index - index.floor();
    if low >= last || between == 0.0 {
        let low = low.min(last);
        return PlaceInOrder { low, high: low, between: 0.0 };
    }
    PlaceInOrder { low, high: low + 1, between }
}

impl PlaceInOrder {
    /// As NumPy goes from one value to the next: from the nearer of the two.
    fn value(&self, at: impl Fn(u64) -> f64) -> f64 {
        let (a, b) = (at(self.low), at(self.high));
        if a == b {
            a
        } else if self.between < 0.5 {
            a + (b - a) * self.between
        } else {
            b - (b - a) * (1.0 - self.between)
        }
    }
}

/// The indices of the values that decide percentiles, each once, in order.
fn ranks(of: &[f64], count: u64) -> Vec<u64> {
    if count == 0 {
        return Vec::new();
    }
    let mut ranks: Vec<u64> = of.iter().map(|&of| place(of, count)).flat_map(|place| [place.low, place.high]).collect();
    ranks.sort_unstable();
    ranks.dedup();
    ranks
}

/// A number in JSON, which has no infinite ones.
fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("nan")
    } else {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    }
}

fn state(why: &'static str) -> OpError {
    OpError::State { summary: ENTRY.name, why }
}

impl Summary for Percentiles {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn passes(&self, input: PixelType) -> RangeInclusive<u64> {
        let left = 8 * input.size() as u32 - self.known();
        let least = left.div_ceil(tally::MOST_BITS);
        // At worst no two values share a beginning, once one pass has been made.
        let first = if self.found.is_some() { 0 } else { left.min(tally::MOST_BITS) };
        let later = (left - first).div_ceil(tally::bits(tally::MOST_BITS, self.values()));
        u64::from(least)..=u64::from(u32::from(first > 0) + later)
    }

    fn state_bytes(&self, input: PixelType) -> u64 {
        let Ok(pass) = self.pass(input) else { return 0 };
        let after = 8 * input.size() as u32 - self.known() - pass.bits();
        let later = if after == 0 { 0 } else { (self.values() << after.min(tally::MOST_BITS)).min(MOST_COUNTERS) };
        8 * pass.counters().max(later) as u64
    }

    fn start(&self, input: PixelType) -> Result<Box<dyn SummaryState>, OpError> {
        Ok(Box::new(Tally::new(self.pass(input)?)))
    }

    fn load(&self, saved: &[u8]) -> Result<Box<dyn SummaryState>, OpError> {
        let dtype = tally::saved_type(saved).ok_or(state("it is damaged"))?;
        Ok(Box::new(Tally::load(self.pass(dtype)?, saved)?))
    }

    fn end(&self, merged: Box<dyn SummaryState>) -> Result<Step, OpError> {
        let merged: Box<dyn Any> = merged;
        let tally = merged.downcast::<Tally>().map_err(|_| state("it is of another summary"))?;
        if *tally.pass() != self.pass(tally.pass().dtype())? {
            return Err(state("it is of another pass"));
        }
        let mut found = self.before(&tally)?;
        for wanted in &mut found.wanted {
            let next = tally.narrow(wanted.prefix, wanted.rest);
            let (prefix, rest) = next.ok_or(state("the pixels are not those of the pass before"))?;
            *wanted = Wanted { prefix, rest };
        }
        found.known += tally.pass().bits();
        if found.known == 8 * found.dtype.size() as u32 {
            return Ok(Step::Done(self.answer(&found)));
        }
        Ok(Step::Again(Arc::new(Percentiles { of: self.of.clone(), found: Some(found) })))
    }
}

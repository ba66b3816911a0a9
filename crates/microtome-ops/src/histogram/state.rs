//! The states of the two passes: the smallest and the largest value, and counters.

use std::any::Any;

use microtome_array::{ArrayError, PixelType, PixelsRef, dispatch};

use super::state;
use crate::counts::{decode, encode};
use crate::number::Number;
use crate::{OpError, SummaryState};

/// Most pixels of an array, and so of a counter.
const MOST_PIXELS: u64 = 1 << 56;

/// The pass, and the pixel type, before the numbers of a saved state.
const HEADER: usize = 2;

/// The pixel type of a saved state.
pub(super) fn saved_type(saved: &[u8]) -> Option<PixelType> {
    PixelType::ALL.get(usize::from(*saved.get(1)?)).copied()
}

fn save(pass: u8, dtype: PixelType, numbers: &[u64]) -> Vec<u8> {
    let position = PixelType::ALL.iter().position(|&other| other == dtype).unwrap_or(0);
    let mut bytes = vec![pass, position as u8];
    encode(numbers, &mut bytes);
    bytes
}

fn load(pass: u8, saved: &[u8], numbers: &mut [u64]) -> Result<(), OpError> {
    let (header, rest) = saved.split_at_checked(HEADER).ok_or(state("it is damaged"))?;
    if header[0] != pass {
        return Err(state("it is of another pass"));
    }
    decode(rest, numbers).ok_or(state("it is damaged"))
}

fn check_type(expected: PixelType, found: PixelType) -> Result<(), ArrayError> {
    if expected == found { Ok(()) } else { Err(ArrayError::PixelType { expected, found }) }
}

/// The smallest and the largest value.
#[derive(Debug)]
pub(super) struct Extremes {
    dtype: PixelType,
    /// Infinite the wrong way round while there is no value.
    low: f64,
    high: f64,
}

impl Extremes {
    const PASS: u8 = 0;

    pub(super) fn new(dtype: PixelType) -> Extremes {
        Extremes { dtype, low: f64::INFINITY, high: f64::NEG_INFINITY }
    }

    pub(super) fn load(dtype: PixelType, saved: &[u8]) -> Result<Extremes, OpError> {
        let mut numbers = [0; 2];
        load(Extremes::PASS, saved, &mut numbers)?;
        let [low, high] = numbers.map(f64::from_bits);
        if low.is_nan() || high.is_nan() {
            return Err(state("it is damaged"));
        }
        Ok(Extremes { dtype, low, high })
    }

    /// The two, if there is a value.
    pub(super) fn ends(&self) -> Option<(f64, f64)> {
        (self.low <= self.high).then_some((self.low, self.high))
    }

    fn take(&mut self, low: f64, high: f64) {
        // Comparisons that fail for NaN.
        self.low = if low < self.low { low } else { self.low };
        self.high = if high > self.high { high } else { self.high };
    }
}

impl SummaryState for Extremes {
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError> {
        check_type(self.dtype, pixels.dtype())?;
        dispatch!(self.dtype, T => {
            for value in pixels.slice::<T>()? {
                // Adding 0 makes -0 the other zero: which of the two comes first would depend on the parts.
                let value = value.to_f64() + 0.0;
                self.take(value, value);
            }
            Ok(())
        }, else Err(state("it is of complex pixels")))
    }

    fn merge(&mut self, later: Box<dyn SummaryState>) -> Result<(), OpError> {
        let later: &dyn Any = &*later;
        let later = later.downcast_ref::<Extremes>().ok_or(state("it is of another pass"))?;
        check_type(self.dtype, later.dtype)?;
        self.take(later.low, later.high);
        Ok(())
    }

    fn save(&self) -> Vec<u8> {
        save(Extremes::PASS, self.dtype, &[self.low.to_bits(), self.high.to_bits()])
    }
}

/// Where bins lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bins {
    /// One more than bins.
    edges: Vec<f64>,
    /// Bins in a unit.
    scale: f64,
}

impl Bins {
    pub(super) fn new(bins: u64, (low, high): (f64, f64)) -> Bins {
        let step = (high - low) / bins as f64;
        let edges = (0..bins).map(|i| i as f64 * step + low).chain([high]).collect();
        Bins { edges, scale: bins as f64 / (high - low) }
    }

    /// The counter of a value that is not NaN: 0 below, then the bins, then above.
    fn counter(&self, value: f64) -> usize {
        let last = self.edges.len() - 1;
        if value < self.edges[0] {
            return 0;
        }
        if value >= self.edges[last] {
            return if value == self.edges[last] { last } else { last + 1 };
        }
        // Nearly right, and never past the ends; the edges decide.
        let mut bin = (((value - self.edges[0]) * self.scale) as usize).min(last - 1);
        while value < self.edges[bin] {
            bin -= 1;
        }
        while value >= self.edges[bin + 1] {
            bin += 1;
        }
        bin + 1
    }
}

/// Counters of the values below, in each bin, and above.
#[derive(Debug)]
pub(super) struct Counted {
    dtype: PixelType,
    bins: Bins,
    counts: Vec<u64>,
}

impl Counted {
    const PASS: u8 = 1;

    pub(super) fn new(dtype: PixelType, bins: Bins) -> Counted {
        let counts = vec![0; bins.edges.len() + 1];
        Counted { dtype, bins, counts }
    }

    pub(super) fn load(dtype: PixelType, bins: Bins, saved: &[u8]) -> Result<Counted, OpError> {
        let mut counted = Counted::new(dtype, bins);
        load(Counted::PASS, saved, &mut counted.counts)?;
        if counted.counts.iter().any(|&count| count > MOST_PIXELS) {
            return Err(state("it is damaged"));
        }
        Ok(counted)
    }

    pub(super) fn bins(&self) -> &Bins {
        &self.bins
    }

    /// Values below, in each bin, and above.
    pub(super) fn counts(&self) -> (u64, &[u64], u64) {
        let last = self.counts.len() - 1;
        (self.counts[0], &self.counts[1..last], self.counts[last])
    }
}

impl SummaryState for Counted {
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError> {
        check_type(self.dtype, pixels.dtype())?;
        dispatch!(self.dtype, T => {
            for value in pixels.slice::<T>()?.iter().filter(|value| !value.is_nan()) {
                self.counts[self.bins.counter(value.to_f64())] += 1;
            }
            Ok(())
        }, else Err(state("it is of complex pixels")))
    }

    fn merge(&mut self, later: Box<dyn SummaryState>) -> Result<(), OpError> {
        let later: &dyn Any = &*later;
        let later = later.downcast_ref::<Counted>().ok_or(state("it is of another pass"))?;
        check_type(self.dtype, later.dtype)?;
        if later.bins != self.bins {
            return Err(state("it is of another pass"));
        }
        for (count, more) in self.counts.iter_mut().zip(&later.counts) {
            *count = (*count + more).min(MOST_PIXELS);
        }
        Ok(())
    }

    fn save(&self) -> Vec<u8> {
        save(Counted::PASS, self.dtype, &self.counts)
    }
}

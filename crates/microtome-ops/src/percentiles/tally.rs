//! How many values have which next bits in their keys, for each beginning that is asked for.
//!
//! *Invariant:* counter `p << bits | d` is the number of values whose keys begin with prefix number `p` and go on with `d`.

use std::any::Any;

use microtome_array::{PixelType, PixelsRef, dispatch};

use super::key::Key;
use super::{MOST_COUNTERS, state};
use crate::counts::{decode, encode};
use crate::{OpError, SummaryState};

/// Most bits that a pass looks at: as many counters stay in the second cache.
pub(super) const MOST_BITS: u32 = 16;

/// Bits that a pass looks at, of so many that are left, for so many beginnings.
pub(super) fn bits(left: u32, prefixes: usize) -> u32 {
    let room = (MOST_COUNTERS / prefixes.max(1)).max(1).ilog2();
    left.min(MOST_BITS).min(room)
}

/// What a pass over the pixels counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pass {
    dtype: PixelType,
    /// Leading bits that a prefix has.
    known: u32,
    /// Bits after them that are counted.
    bits: u32,
    /// In order, each once.
    prefixes: Vec<u64>,
}

impl Pass {
    /// Counts the bits after the `known` ones, for keys that begin with one of `prefixes`, which are in order.
    pub(super) fn new(dtype: PixelType, known: u32, mut prefixes: Vec<u64>) -> Pass {
        prefixes.dedup();
        let bits = bits(8 * dtype.size() as u32 - known, prefixes.len());
        Pass { dtype, known, bits, prefixes }
    }

    pub(super) fn dtype(&self) -> PixelType {
        self.dtype
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Number of counters.
    pub(super) fn counters(&self) -> usize {
        self.prefixes.len() << self.bits
    }
}

/// Most pixels of an array, and so of a counter.
const MOST_PIXELS: u64 = 1 << 56;

/// The state of a pass.
#[derive(Debug)]
pub(super) struct Tally {
    pass: Pass,
    counts: Vec<u64>,
}

/// The pixel type and the known bits, before the counters of a saved state.
const HEADER: usize = 2;

/// The pixel type of a saved state.
pub(super) fn saved_type(saved: &[u8]) -> Option<PixelType> {
    PixelType::ALL.get(usize::from(*saved.first()?)).copied()
}

impl Tally {
    pub(super) fn new(pass: Pass) -> Tally {
        let counts = vec![0; pass.counters()];
        Tally { pass, counts }
    }

    pub(super) fn load(pass: Pass, saved: &[u8]) -> Result<Tally, OpError> {
        let mut tally = Tally::new(pass);
        let (header, counts) = saved.split_at_checked(HEADER).ok_or(state("it is damaged"))?;
        if u32::from(header[1]) != tally.pass.known {
            return Err(state("it is of another pass"));
        }
        decode(counts, &mut tally.counts).ok_or(state("it is damaged"))?;
        if tally.counts.iter().any(|&count| count > MOST_PIXELS) {
            return Err(state("it is damaged"));
        }
        Ok(tally)
    }

    pub(super) fn pass(&self) -> &Pass {
        &self.pass
    }

    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The beginning, longer by the bits of this pass, of the value at index `rest` among those that begin with `prefix`;
    /// and its index among those that begin like it. `None` if there are not as many.
    pub(super) fn narrow(&self, prefix: u64, mut rest: u64) -> Option<(u64, u64)> {
        let bits = self.pass.bits;
        let at = self.pass.prefixes.binary_search(&prefix).ok()? << bits;
        for (digit, &count) in self.counts[at..at + (1 << bits)].iter().enumerate() {
            if rest < count {
                return Some((prefix << bits | digit as u64, rest));
            }
            rest -= count;
        }
        None
    }

    fn count<T: Key>(&mut self, values: &[T]) {
        let Pass { known, bits, prefixes, .. } = &self.pass;
        let (after, mask) = (T::BITS - known - bits, (1u64 << bits) - 1);
        let numbers = values.iter().filter(|value| !value.is_nan()).map(|value| value.key() >> after);
        if *known == 0 {
            numbers.for_each(|digit| self.counts[digit as usize] += 1);
            return;
        }
        for number in numbers {
            // Few values begin like one that is asked for.
            if let Ok(at) = prefixes.binary_search(&(number >> bits)) {
                self.counts[at << bits | (number & mask) as usize] += 1;
            }
        }
    }
}

impl SummaryState for Tally {
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError> {
        let (expected, found) = (self.pass.dtype, pixels.dtype());
        if expected != found {
            return Err(microtome_array::ArrayError::PixelType { expected, found }.into());
        }
        dispatch!(found, T => {
            self.count(pixels.slice::<T>()?);
            Ok(())
        }, else Err(state("it is of complex pixels")))
    }

    fn merge(&mut self, later: Box<dyn SummaryState>) -> Result<(), OpError> {
        let later: Box<dyn Any> = later;
        let later = later.downcast::<Tally>().map_err(|_| state("it is of another summary"))?;
        if later.pass != self.pass {
            return Err(state("it is of another pass"));
        }
        for (count, more) in self.counts.iter_mut().zip(&later.counts) {
            *count = (*count + more).min(MOST_PIXELS);
        }
        Ok(())
    }

    fn save(&self) -> Vec<u8> {
        let dtype = PixelType::ALL.iter().position(|&dtype| dtype == self.pass.dtype).unwrap_or(0);
        let mut bytes = vec![dtype as u8, self.pass.known as u8];
        encode(&self.counts, &mut bytes);
        bytes
    }
}

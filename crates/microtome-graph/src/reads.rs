//! How much is read: stored pixels touched by a set of boxes, axis by axis, in closed form.
//!
//! The boxes of a plan are products of ranges, so what they touch is the product over axes of what their ranges touch.

use crate::fuse::gcd;

/// A cut of one axis into ranges, in the coordinates of the layer that is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AxisCut {
    length: u64,
    shift: u64,
    rules: Vec<Rule>,
}

/// Cuts at the multiples of `outer`, and at the multiples of `step` counted from each of them; positions are counted
/// from `phase` before the cut's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    phase: u64,
    outer: u64,
    step: u64,
}

impl AxisCut {
    /// `length` pixels from `shift`, cut every `outer` pixels and within these every `step`.
    pub(crate) fn new(length: u64, shift: u64, outer: u64, step: u64) -> AxisCut {
        AxisCut { length, shift, rules: vec![Rule { phase: 0, outer: outer.max(1), step: step.max(1) }] }
    }

    /// The same ranges seen from a layer in which they lie `offset` further on.
    pub(crate) fn moved(mut self, offset: u64) -> AxisCut {
        self.shift += offset;
        self
    }

    /// Cut further at the multiples of `step` of the layer that is now being computed.
    pub(crate) fn and_every(mut self, step: u64) -> AxisCut {
        self.rules.push(Rule { phase: self.shift, outer: u64::MAX, step: step.max(1) });
        self
    }

    /// Stored pixels touched when each range is read alone from an axis of `extent` pixels that storage gives in runs
    /// of `granule`. O(granule) where the cuts are regular, else O(ranges).
    pub(crate) fn touched(&self, granule: u64, extent: u64) -> u64 {
        let one = |from: u64, to: u64| {
            let (from, to) = (from + self.shift, to + self.shift);
            to.div_ceil(granule).saturating_mul(granule).min(extent) - from / granule * granule
        };
        match self.regular() {
            Some(step) => regular(self.length, step, granule, &one),
            None => self.ranges().map(|(from, to)| one(from, to)).sum(),
        }
    }

    /// The step, if all cuts lie on the multiples of one step.
    fn regular(&self) -> Option<u64> {
        let step = self.rules.iter().map(|r| r.step).min()?;
        let fits = |r: &Rule| {
            let nested = r.outer == u64::MAX || r.outer.is_multiple_of(r.step) || r.outer >= self.length + r.phase;
            nested && r.step.is_multiple_of(step) && r.phase.is_multiple_of(step)
        };
        self.rules.iter().all(fits).then_some(step)
    }

    fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let to = self.rules.iter().map(|r| r.after(from)).min()?.min(self.length);
            let range = (from < self.length).then_some((from, to));
            from = to;
            range
        })
    }
}

impl Rule {
    /// The first cut after a position.
    fn after(&self, position: u64) -> u64 {
        let at = position + self.phase;
        let within = at % self.outer;
        let next = ((within / self.step + 1) * self.step).min(self.outer);
        (at - within).saturating_add(next) - self.phase
    }
}

/// The sum of `one` over ranges of `step` pixels that cover `length`, using that it repeats.
fn regular(length: u64, step: u64, granule: u64, one: &dyn Fn(u64, u64) -> u64) -> u64 {
    let count = length.div_ceil(step);
    let range = |n: u64| one(n * step, ((n + 1) * step).min(length));
    let period = granule / gcd(granule, step);
    // Only the last ranges can touch the end of the stored axis; those before them repeat with the period.
    let inner = count.saturating_sub(1 + granule.div_ceil(step));
    if inner <= period {
        return (0..count).map(range).sum();
    }
    let (rounds, rest) = (inner / period, inner % period);
    let round: u64 = (0..period).map(range).sum();
    rounds * round + (0..rest).map(range).sum::<u64>() + (inner..count).map(range).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(cuts: &[u64], shift: u64, granule: u64, extent: u64) -> u64 {
        cuts.windows(2)
            .map(|w| ((w[1] + shift).div_ceil(granule) * granule).min(extent) - (w[0] + shift) / granule * granule)
            .sum()
    }

    proptest! {
        #[test]
        fn equals_the_sum_over_ranges(
            length in 1u64..400, step in 1u64..40, outer in 1u64..90, inner in 1u64..50,
            shift in 0u64..50, granule in 1u64..30, spare in 0u64..20,
        ) {
            let extent = length + shift + spare;
            let cut = AxisCut::new(length, shift, outer, step);
            let is_cut = |p: u64| (p % outer).is_multiple_of(step) || p == length;
            let cuts: Vec<u64> = (0..=length).filter(|&p| is_cut(p)).collect();
            prop_assert_eq!(cut.touched(granule, extent), slow(&cuts, shift, granule, extent));
            let finer: Vec<u64> = (0..=length).filter(|&p| is_cut(p) || (p + shift).is_multiple_of(inner)).collect();
            prop_assert_eq!(cut.and_every(inner).touched(granule, extent), slow(&finer, shift, granule, extent));
        }
    }

    #[test]
    fn a_billion_planes_are_summed_at_once() {
        assert_eq!(AxisCut::new(1_000_000_000, 0, 1, 1).touched(1, 1_000_000_000), 1_000_000_000);
        assert_eq!(AxisCut::new(1_000_000_000, 0, 1, 1).touched(20, 1_000_000_000), 20_000_000_000);
    }
}

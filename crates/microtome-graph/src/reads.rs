//! How much is read: stored pixels touched by a set of boxes, axis by axis, in closed form.
//!
//! The boxes of a plan are products of ranges, so what they touch is the product over axes of what their ranges touch.
//! Ranges of one axis come from a regular cut, so all but those near the two ends repeat with a period.

use microtome_ops::Reach;

use crate::fuse::gcd;

/// A cut of one axis into ranges, and what becomes of each range on its way down to storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AxisCut {
    length: u64,
    /// Pixels in an item: what repeats. Items are cut every `step` pixels into ranges.
    item: u64,
    step: u64,
    ways: Vec<Way>,
}

/// What becomes of a range on the way from one layer to the one it is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It lies so many pixels further on.
    Shift(u64),
    /// It grows to what it is decided by, cut to an axis of so many pixels.
    Reach(Reach, u64),
    /// It is cut at the multiples of so many pixels.
    Every(u64),
}

impl AxisCut {
    /// `length` pixels from `shift`, cut every `outer` pixels and within these every `step`.
    pub(crate) fn new(length: u64, shift: u64, outer: u64, step: u64) -> AxisCut {
        let (outer, step) = (outer.max(1), step.max(1));
        let nested = outer.is_multiple_of(step) || outer >= length;
        AxisCut { length, item: if nested { step } else { outer }, step, ways: vec![Way::Shift(shift)] }
    }

    /// The same ranges seen from a layer in which they lie `offset` further on.
    pub(crate) fn moved(self, offset: u64) -> AxisCut {
        if offset == 0 { self } else { self.then(Way::Shift(offset)) }
    }

    /// Cut further at the multiples of `step` of the layer that is now being computed.
    pub(crate) fn and_every(self, step: u64) -> AxisCut {
        self.then(Way::Every(step.max(1)))
    }

    /// The ranges that decide these, in an input of `extent` pixels.
    pub(crate) fn reaching(self, reach: Reach, extent: u64) -> AxisCut {
        self.then(Way::Reach(reach, extent))
    }

    fn then(mut self, way: Way) -> AxisCut {
        self.ways.push(way);
        self
    }

    /// Stored pixels touched when each range is read alone from an axis of `extent` pixels that storage gives in runs
    /// of `granule`. O(period), or O(items) where that is less.
    pub(crate) fn touched(&self, granule: u64, extent: u64) -> u64 {
        let count = self.length.div_ceil(self.item);
        let one = |n: u64| self.item_touched(n, granule, extent);
        let (head, tail) = self.ends(granule);
        let inner = count.saturating_sub(head.saturating_add(tail));
        let period = self.period(granule);
        if inner <= period {
            return (0..count).map(one).sum();
        }
        let (rounds, rest) = (inner / period, inner % period);
        let round: u64 = (head..head + period).map(one).sum();
        let ragged: u64 = (head..head + rest).map(one).sum();
        let ends: u64 = (0..head).chain(head + inner..count).map(one).sum();
        rounds.saturating_mul(round).saturating_add(ragged + ends)
    }

    /// Items after which everything repeats, far from the ends.
    fn period(&self, granule: u64) -> u64 {
        let mut pixels = self.item;
        let mut period = 1u64;
        let repeat = |pixels: u64, every: u64, period: u64| {
            let own = every / gcd(every, pixels);
            (period / gcd(period, own)).saturating_mul(own)
        };
        for way in &self.ways {
            match way {
                Way::Shift(_) => {}
                Way::Reach(reach, _) => pixels = pixels.saturating_mul(reach.stride),
                Way::Every(step) => period = repeat(pixels, *step, period),
            }
        }
        repeat(pixels, granule, period)
    }

    /// Items at the two ends that may be cut to the array, or be short.
    fn ends(&self, granule: u64) -> (u64, u64) {
        let (mut before, mut after, mut pixels) = (0u64, 0u64, self.item);
        for way in &self.ways {
            if let Way::Reach(reach, _) = way {
                before = before.saturating_mul(reach.stride).saturating_add(reach.before);
                after = after.saturating_mul(reach.stride).saturating_add(reach.after + reach.stride);
                pixels = pixels.saturating_mul(reach.stride);
            }
        }
        let after = after.saturating_add(granule);
        (before.div_ceil(pixels), after.div_ceil(pixels).saturating_add(1))
    }

    fn item_touched(&self, n: u64, granule: u64, extent: u64) -> u64 {
        let end = (n + 1).saturating_mul(self.item).min(self.length);
        let mut total = 0;
        let mut from = n * self.item;
        while from < end {
            let to = from.saturating_add(self.step).min(end);
            total += touched_by((from, to), &self.ways, granule, extent);
            from = to;
        }
        total
    }
}

fn touched_by(range: (u64, u64), ways: &[Way], granule: u64, extent: u64) -> u64 {
    let (from, to) = range;
    let Some((way, rest)) = ways.split_first() else {
        return to.div_ceil(granule).saturating_mul(granule).min(extent) - from / granule * granule;
    };
    match *way {
        Way::Shift(offset) => touched_by((from + offset, to + offset), rest, granule, extent),
        Way::Reach(reach, whole) => {
            let input = reach.input(&(from..to), whole);
            touched_by((input.start, input.end), rest, granule, extent)
        }
        Way::Every(step) => {
            let cuts = (from / step + 1..to.div_ceil(step)).map(|n| n * step);
            let mut start = from;
            let mut total = 0;
            for cut in cuts.chain([to]) {
                total += touched_by((start, cut), rest, granule, extent);
                start = cut;
            }
            total
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(ranges: &[(u64, u64)], granule: u64, extent: u64) -> u64 {
        ranges.iter().map(|(a, b)| (b.div_ceil(granule) * granule).min(extent) - a / granule * granule).sum()
    }

    fn ranges(length: u64, is_cut: impl Fn(u64) -> bool) -> Vec<(u64, u64)> {
        let cuts: Vec<u64> = (0..=length).filter(|&p| p == 0 || p == length || is_cut(p)).collect();
        cuts.windows(2).map(|w| (w[0], w[1])).collect()
    }

    proptest! {
        #[test]
        fn equals_the_sum_over_ranges(
            length in 1u64..400, step in 1u64..40, outer in 1u64..90, inner in 1u64..50,
            shift in 0u64..50, granule in 1u64..30, spare in 0u64..20,
        ) {
            let extent = length + shift + spare;
            let cut = AxisCut::new(length, shift, outer, step);
            let is_cut = |p: u64| (p % outer).is_multiple_of(step);
            let plain: Vec<_> = ranges(length, is_cut).iter().map(|(a, b)| (a + shift, b + shift)).collect();
            prop_assert_eq!(cut.touched(granule, extent), slow(&plain, granule, extent));
            let finer = ranges(length, |p| is_cut(p) || (p + shift).is_multiple_of(inner));
            let finer: Vec<_> = finer.iter().map(|(a, b)| (a + shift, b + shift)).collect();
            prop_assert_eq!(cut.and_every(inner).touched(granule, extent), slow(&finer, granule, extent));
        }

        #[test]
        fn ranges_that_reach_further_are_summed_too(
            length in 1u64..300, step in 1u64..20, outer in 1u64..60, inner in 1u64..40, granule in 1u64..20,
            stride in 1u64..4, before in 0u64..9, after in 0u64..9, odd in 0u64..3,
        ) {
            let reach = Reach { stride, before, after };
            let extent = (length * stride).saturating_sub(odd.min(stride - 1)).max(1);
            let plain = ranges(length, |p| (p % outer).is_multiple_of(step));
            let wide: Vec<_> = plain.iter().map(|&(a, b)| reach.input(&(a..b), extent)).map(|r| (r.start, r.end)).collect();
            let cut = AxisCut::new(length, 0, outer, step).reaching(reach, extent);
            prop_assert_eq!(cut.touched(granule, extent), slow(&wide, granule, extent));
            let finer: Vec<_> = wide
                .iter()
                .flat_map(|&(a, b)| {
                    let cuts: Vec<u64> = (a..=b).filter(|&p| p == a || p == b || p.is_multiple_of(inner)).collect();
                    cuts.windows(2).map(|w| (w[0], w[1])).collect::<Vec<_>>()
                })
                .collect();
            prop_assert_eq!(cut.and_every(inner).touched(granule, extent), slow(&finer, granule, extent));
        }
    }

    #[test]
    fn a_billion_planes_are_summed_at_once() {
        assert_eq!(AxisCut::new(1_000_000_000, 0, 1, 1).touched(1, 1_000_000_000), 1_000_000_000);
        assert_eq!(AxisCut::new(1_000_000_000, 0, 1, 1).touched(20, 1_000_000_000), 20_000_000_000);
        let halo = Reach { stride: 1, before: 4, after: 4 };
        let cut = AxisCut::new(1_000_000_000, 0, 1, 1).reaching(halo, 1_000_000_000);
        assert_eq!(cut.touched(1, 1_000_000_000), 9_000_000_000 - 2 * (4 + 3 + 2 + 1));
    }
}

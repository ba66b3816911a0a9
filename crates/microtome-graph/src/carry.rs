//! How much memory the values take that groups share, at the worst moment of a run.
//!
//! Groups start in C order. A shared value is made by the first group that needs it and freed after the last, so at the
//! moment when group *i* is the next to start, what is held was needed by a group before *i* and is needed by *i* or
//! later, or by one of the groups before *i* that still run. On each axis the groups that need a chunk are a range, and
//! C order compares axis by axis: what is held is a sum over axes of products of lengths, in O(axes) for each *i*.
//!
//! *Invariant:* [`Stage::shared_peak`] is an upper bound; it looks at the groups near the two ends and in the middle of
//! each axis, between which nothing changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use microtome_array::{Axis, BufferPool, ChunkIndex, PerAxis};

use crate::layer::LayerId;
use crate::stage::Stage;

/// Groups looked at on an axis: at each end and in the middle.
const LOOKED_AT: u64 = 8;
/// Groups on an axis at most that are looked at for a border over which nothing is shared.
const MOST_BORDERS: u64 = 64;

impl Stage {
    /// Most bytes of shared values held at once, while at most `spread` groups are started and not all before them have
    /// ended.
    pub fn shared_peak(&self, spread: u64) -> u64 {
        let layers: Vec<Carried<'_>> =
            self.ids().filter(|&id| self.get(id).shared).map(|id| Carried::new(self, id)).collect();
        if layers.is_empty() {
            return 0;
        }
        let counts = self.groups().counts();
        let axes = Axis::ALL.map(|axis| moments(&layers, axis, counts[axis]));
        let mut most = 0;
        for next in product(&axes) {
            let held: u64 = layers.iter().map(|layer| layer.held(&next)).sum();
            let position = self.groups().linear(&next);
            most = most.max(held + self.running(&layers, position, spread));
        }
        most.max(self.running(&layers, self.groups().count(), spread))
    }

    /// Groups in C order that one thread had best run one after the other: the fewest such that nothing is needed on both
    /// sides of the border between two such bands, as far as the first borders tell. Threads that each run a band wait for
    /// nobody. 1 if nothing is shared; all groups, if there is no such border.
    pub fn band(&self) -> u64 {
        let layers: Vec<Carried<'_>> =
            self.ids().filter(|&id| self.get(id).shared).map(|id| Carried::new(self, id)).collect();
        let counts = self.groups().counts();
        let (mut band, mut inside) = (1, 1u64);
        for axis in Axis::ALL.into_iter().rev() {
            let count = counts[axis];
            let are_borders = |period: &u64| layers.iter().all(|layer| layer.has_borders(axis, count, *period));
            let period = (1..=count.min(MOST_BORDERS)).find(are_borders).unwrap_or(count);
            // Where the last band of a row is a shorter one, bands of equal length would leave the borders in the next row.
            let is_alone = inside.saturating_mul(count) == self.groups().count();
            let period = if count.is_multiple_of(period) || is_alone { period } else { count };
            if period > 1 {
                band = period.saturating_mul(inside);
            }
            inside = inside.saturating_mul(count);
        }
        band
    }

    /// Bytes that only the `spread` groups before a position still need.
    fn running(&self, layers: &[Carried<'_>], position: u64, spread: u64) -> u64 {
        let groups = position.saturating_sub(spread)..position;
        groups.map(|n| layers.iter().map(|layer| layer.last_used_by(&self.groups().index(n))).sum::<u64>()).sum()
    }
}

/// The groups on an axis that are worth being looked at.
fn moments(layers: &[Carried<'_>], axis: Axis, count: u64) -> Vec<u64> {
    if layers.iter().all(|layer| layer.is_own(axis, count)) {
        return (0..count.min(2)).collect();
    }
    if count <= 3 * LOOKED_AT {
        return (0..count).collect();
    }
    let middle = count / 2 - LOOKED_AT / 2;
    (0..LOOKED_AT).chain(middle..middle + LOOKED_AT).chain(count - LOOKED_AT..count).collect()
}

fn product(axes: &[Vec<u64>; 6]) -> Vec<ChunkIndex> {
    let mut out = vec![PerAxis::splat(0)];
    for axis in Axis::ALL {
        out = out.iter().flat_map(|index| axes[axis.index()].iter().map(|&n| index.with(axis, n))).collect();
    }
    out
}

/// A shared layer.
struct Carried<'a> {
    stage: &'a Stage,
    id: LayerId,
    /// Bytes a pixel takes in buffers, in 1/64.
    weight: u64,
    needs: RefCell<HashMap<(Axis, u64), Range<u64>>>,
}

/// Chunks of a layer on one axis, by when the first and the last group that needs them comes: before the next group to
/// start, with it, or after it.
struct Classes {
    first_before: Range<u64>,
    first_with: Range<u64>,
    last_with: Range<u64>,
    last_after: Range<u64>,
    all: Range<u64>,
}

impl<'a> Carried<'a> {
    fn new(stage: &'a Stage, id: LayerId) -> Carried<'a> {
        let layer = &stage.get(id).layer;
        let (chunk, shape) = (layer.grid.chunk(), layer.grid.shape());
        let even = Axis::ALL.iter().all(|&a| shape.get(a).is_multiple_of(chunk.get(a)));
        let bytes = chunk.bytes(layer.spec.dtype).max(1);
        // Buffers are at most an eighth longer than what they hold.
        let charge = if even { (BufferPool::charged(bytes) * 64).div_ceil(bytes) } else { 72 };
        let weight = charge.min(72) * layer.spec.dtype.size() as u64;
        Carried { stage, id, weight, needs: RefCell::default() }
    }

    /// The chunks on an axis that a group needs, by its position on that axis.
    fn need(&self, axis: Axis, at: u64) -> Range<u64> {
        if let Some(known) = self.needs.borrow().get(&(axis, at)) {
            return known.clone();
        }
        let group = PerAxis::splat(0).with(axis, at);
        let chunk = self.stage.get(self.id).layer.grid.chunk().get(axis);
        let region = self.stage.needed_by(self.id, &group);
        let need = region.map_or(0..0, |r| r.start(axis) / chunk..r.end(axis).div_ceil(chunk));
        self.needs.borrow_mut().insert((axis, at), need.clone());
        need
    }

    /// Whether each group on an axis needs chunks of its own, as far as the first ones tell: they are all alike.
    fn is_own(&self, axis: Axis, count: u64) -> bool {
        let last = (count - 1).min(3 * LOOKED_AT);
        (0..last).all(|n| self.need(axis, n).end <= self.need(axis, n + 1).start)
    }

    /// Whether groups on both sides of each `period`-th border on an axis need chunks of their own.
    fn has_borders(&self, axis: Axis, count: u64, period: u64) -> bool {
        let borders = (1..=LOOKED_AT).map(|n| n * period).take_while(|&at| at < count);
        borders.into_iter().all(|at| self.need(axis, at - 1).end <= self.need(axis, at).start)
    }

    fn classes(&self, axis: Axis, next: u64) -> Classes {
        let last = self.stage.groups().counts()[axis] - 1;
        let all = self.need(axis, 0).start..self.need(axis, last).end;
        let now = self.need(axis, next);
        let made = if next == 0 { all.start } else { self.need(axis, next - 1).end };
        let after = if next == last { all.end } else { self.need(axis, next + 1).start };
        Classes {
            first_before: all.start..made,
            first_with: made..now.end,
            last_with: now.start..after,
            last_after: after..all.end,
            all,
        }
    }

    /// Pixels of a run of chunks on an axis.
    fn pixels(&self, axis: Axis, chunks: &Range<u64>) -> u64 {
        let grid = &self.stage.get(self.id).layer.grid;
        let edge = |n: u64| (n * grid.chunk().get(axis)).min(grid.shape().get(axis));
        edge(chunks.end).saturating_sub(edge(chunks.start))
    }

    /// Bytes needed before a group and by it or later.
    fn held(&self, next: &ChunkIndex) -> u64 {
        // Whether the first group is decided to come before `next`, and the last to come after it.
        let (mut open, mut before, mut after, mut both) = (1u64, 0u64, 0u64, 0u64);
        for axis in Axis::ALL {
            let c = self.classes(axis, next[axis]);
            let len = |a: &Range<u64>, b: &Range<u64>| {
                self.pixels(axis, &(a.start.max(b.start)..a.end.min(b.end).max(a.start.max(b.start))))
            };
            both = both * len(&c.all, &c.all)
                + after * len(&c.first_before, &c.all)
                + before * len(&c.last_after, &c.all)
                + open * len(&c.first_before, &c.last_after);
            before = before * len(&c.last_with, &c.all) + open * len(&c.first_before, &c.last_with);
            after = after * len(&c.first_with, &c.all) + open * len(&c.first_with, &c.last_after);
            open *= len(&c.first_with, &c.last_with);
        }
        self.bytes(before + both)
    }

    /// Bytes that no group after this one needs, and this one does.
    fn last_used_by(&self, group: &ChunkIndex) -> u64 {
        let pixels = Axis::ALL.iter().map(|&axis| self.pixels(axis, &self.classes(axis, group[axis]).last_with));
        self.bytes(pixels.product())
    }

    fn bytes(&self, pixels: u64) -> u64 {
        u64::try_from((u128::from(pixels) * u128::from(self.weight)).div_ceil(64)).unwrap_or(u64::MAX)
    }
}

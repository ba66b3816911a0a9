//! Groups: which write units are admitted and run as one, and which values cross from group to group.
//!
//! A group is the least box of units of the first top such that as many kept values as possible are needed by one group
//! alone, and such that units of the other tops (higher levels of a pyramid) are made from the pixels of one group.
//! Groups hold at most [`MOST_UNITS`] units; what would need more is shared between groups instead, as is what reaches
//! beyond its own place (halos).
//!
//! *Invariant:* decided per layer, in O(layers); layers below a shared layer are shared or fused.

use microtome_array::{Axis, ChunkGrid, ChunkIndex, IndexBox, PerAxis, Shape};

use crate::fuse::{gcd, lcm};
use crate::layer::{AxisMap, LayerId};
use crate::stage::{StageLayer, whole};

/// Units of the first top in a group at most.
pub(crate) const MOST_UNITS: u64 = 64;

/// How the units of a stage form groups.
#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    /// Groups as a cut of the first top.
    pub(crate) grid: ChunkGrid,
    /// For each top: pixels of the first top to one of its own, on each axis; `None` where it was folded away.
    strides: Vec<PerAxis<Option<u64>>>,
}

impl Grouping {
    /// The units of a top that belong to a group: those whose first pixel lies in it. What was folded away belongs to
    /// the last group, when all it is made from has been there.
    pub(crate) fn units(&self, top: usize, grid: &ChunkGrid, group: &ChunkIndex) -> IndexBox {
        let nothing = IndexBox { start: PerAxis::splat(0), end: PerAxis::splat(0) };
        self.grid.region(group).map_or(nothing, |region| {
            self.units_from(top, grid, PerAxis::from_fn(|a| Some((region.start(a), region.end(a)))))
        })
    }

    /// The units of the top before `top` that begin inside a unit of `top`.
    pub(crate) fn units_below(&self, top: usize, grid: &ChunkGrid, unit: &ChunkIndex, below: &ChunkGrid) -> IndexBox {
        let chunk = grid.chunk();
        let from = PerAxis::from_fn(|a| {
            let pixels = chunk.get(a).saturating_mul(self.strides[top][a]?);
            Some((unit[a].saturating_mul(pixels), (unit[a] + 1).saturating_mul(pixels)))
        });
        self.units_from(top - 1, below, from)
    }

    /// The units of a top that begin in a box of pixels of the first top; the whole of an axis for `None`.
    fn units_from(&self, top: usize, grid: &ChunkGrid, from: PerAxis<Option<(u64, u64)>>) -> IndexBox {
        let (counts, shape) = (grid.counts(), self.grid.shape());
        let bounds = PerAxis::from_fn(|a| {
            let Some((start, end)) = from[a] else { return (0, counts[a]) };
            let is_last = end >= whole(&shape, a);
            let Some(stride) = self.strides[top][a] else {
                return if is_last { (0, counts[a]) } else { (0, 0) };
            };
            let unit = grid.chunk().get(a).saturating_mul(stride);
            let end = if is_last { counts[a] } else { end.div_ceil(unit).min(counts[a]) };
            (start.div_ceil(unit).min(end), end)
        });
        IndexBox { start: PerAxis::from_fn(|a| bounds[a].0), end: PerAxis::from_fn(|a| bounds[a].1) }
    }
}

/// How the pixels of the first top lie over a layer on one axis: pixel p of the top at `p * up / down + offset`.
#[derive(Clone, Copy, Debug)]
struct Lie {
    up: u64,
    down: u64,
    offset: u64,
    halo: bool,
}

/// Groups the units, and marks the layers that are shared.
pub(crate) fn group(layers: &mut [StageLayer], tops: &[LayerId], most_units: u64) -> Grouping {
    let roots: Vec<_> = tops.iter().map(|&top| to_root(layers, top.index())).collect();
    let strides: Vec<PerAxis<Option<u64>>> =
        roots.iter().map(|root| PerAxis::from_fn(|a| ratio(root[a], roots[0][a]))).collect();
    let first = layers[tops[0].index()].layer.grid;
    let mut growing = Growing { grid: first, extents: PerAxis(first.chunk().extents()), most_units };
    for (&top, stride) in tops.iter().zip(&strides) {
        let unit = layers[top.index()].layer.grid.chunk();
        let fits = Axis::ALL.iter().all(|&a| stride[a].is_some());
        let needed = PerAxis::from_fn(|a| unit.get(a).saturating_mul(stride[a].unwrap_or(1)));
        let nested = fits && growing.grow(&needed);
        let lie = PerAxis::from_fn(|a| stride[a].map(|down| Lie { up: 1, down, offset: 0, halo: !nested }));
        walk(layers, top.index(), &lie, &mut growing);
    }
    for index in (0..layers.len()).rev() {
        if layers[index].shared {
            share_below(layers, index);
        }
    }
    let grid = Shape::new(growing.extents.0).and_then(|chunk| ChunkGrid::new(first.shape(), chunk)).unwrap_or(first);
    Grouping { grid, strides }
}

fn ratio(own: Option<u64>, first: Option<u64>) -> Option<u64> {
    let (own, first) = (own?, first?);
    own.is_multiple_of(first).then(|| own / first)
}

/// Pixels of the source to a pixel of a layer, on each axis, along its first inputs; `None` where an axis is folded.
fn to_root(layers: &[StageLayer], index: usize) -> PerAxis<Option<u64>> {
    let this = &layers[index];
    let Some(&input) = this.inputs.first() else { return PerAxis::splat(Some(1)) };
    let below = to_root(layers, input.index());
    let spec = &layers[input.index()].layer.spec;
    PerAxis::from_fn(|a| match this.layer.axis_map(a, spec) {
        AxisMap::Shift(_) => below[a],
        AxisMap::Reach(reach) => below[a].map(|stride| stride.saturating_mul(reach.stride)),
        AxisMap::Whole => None,
    })
}

/// The extents of a group while layers are looked at.
struct Growing {
    grid: ChunkGrid,
    extents: PerAxis<u64>,
    most_units: u64,
}

impl Growing {
    /// Makes the extents multiples of others, unless a group would then hold too many units.
    fn grow(&mut self, needed: &PerAxis<u64>) -> bool {
        let shape = self.grid.shape();
        let wider = PerAxis::from_fn(|a| {
            let common = lcm(self.extents[a], needed[a].max(1));
            if common >= shape.get(a) { whole(&shape, a).max(self.extents[a]) } else { common }
        });
        let units = Axis::ALL.iter().map(|&a| wider[a].div_ceil(self.grid.chunk().get(a)));
        let fits = units.fold(1u64, u64::saturating_mul) <= self.most_units;
        if fits || wider == self.extents {
            self.extents = wider;
        }
        fits || wider == self.extents
    }

    fn is_cut(&self, axis: Axis) -> bool {
        self.grid.counts()[axis] > 1
    }
}

/// Widens groups for the kept layers below one, or marks them as shared.
fn walk(layers: &mut [StageLayer], index: usize, lie: &PerAxis<Option<Lie>>, growing: &mut Growing) {
    for input in layers[index].inputs.clone() {
        let spec = layers[input.index()].layer.spec;
        let lie = PerAxis::from_fn(|a| below(lie[a]?, layers[index].layer.axis_map(a, &spec)));
        let this = &layers[input.index()];
        if this.fused_into.is_none() {
            let needed = PerAxis::from_fn(|a| wanted(this, lie[a], a, growing));
            if !growing.grow(&needed) {
                layers[input.index()].shared = true;
            }
        }
        walk(layers, input.index(), &lie, growing);
    }
}

fn below(lie: Lie, map: AxisMap) -> Option<Lie> {
    match map {
        AxisMap::Shift(offset) => Some(Lie { offset: lie.offset.saturating_add(offset), ..lie }),
        AxisMap::Reach(reach) => Some(Lie {
            up: lie.up.saturating_mul(reach.stride),
            offset: lie.offset.saturating_mul(reach.stride),
            halo: lie.halo || reach.before > 0 || reach.after >= reach.stride,
            ..lie
        }),
        AxisMap::Whole => None,
    }
}

/// Of what a group's extent on an axis must be a multiple, so that each chunk of a layer is needed by one group: all of
/// the axis, if there is no such multiple.
fn wanted(layer: &StageLayer, lie: Option<Lie>, axis: Axis, growing: &Growing) -> u64 {
    let Some(lie) = lie else { return 1 };
    if !growing.is_cut(axis) {
        return 1;
    }
    let chunk = layer.layer.grid.chunk().get(axis);
    if lie.halo || lie.offset % chunk != 0 || layer.layer.grid.counts()[axis] <= 1 {
        return u64::MAX;
    }
    let reach = chunk.saturating_mul(lie.down);
    reach / gcd(reach, lie.up)
}

/// What a shared layer is made from lives as long as it may be asked for.
fn share_below(layers: &mut [StageLayer], index: usize) {
    for input in layers[index].inputs.clone() {
        if layers[input.index()].fused_into.is_some() {
            share_below(layers, input.index());
        } else {
            layers[input.index()].shared = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_grows_in_common_multiples_up_to_its_most() {
        let grid =
            ChunkGrid::new(Shape::new([1, 1, 100, 64, 64, 1]).unwrap(), Shape::new([1, 1, 6, 64, 64, 1]).unwrap());
        let grid = grid.unwrap();
        let mut growing = Growing { grid, extents: PerAxis(grid.chunk().extents()), most_units: 64 };
        assert!(growing.grow(&PerAxis::splat(1).with(Axis::Z, 4)));
        assert_eq!(growing.extents[Axis::Z], 12);
        assert!(growing.grow(&PerAxis::splat(1).with(Axis::Z, u64::MAX)), "17 units are few enough");
        assert_eq!(growing.extents[Axis::Z], 100);
    }
}

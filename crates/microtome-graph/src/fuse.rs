//! Fusing: which layers run inside the tasks of their consumer, and which write units run as one group.
//!
//! Three kinds, each decided for a whole layer, never for a chunk, so that counts stay O(layers):
//! one-to-one chains; folds, whose inputs are streamed into an accumulator; region reads, where the consumer reads just
//! the region that it needs because that costs little more than reading whole chunks.

use microtome_array::{Axis, ChunkGrid, PerAxis, Shape};
use microtome_io::{LevelInfo, StorageInfo};

use crate::layer::{AxisMap, LayerId, LayerKind};
use crate::reads::AxisCut;
use crate::stage::{StageLayer, whole};

/// Whether layers are fused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusing {
    /// Every task of the graph runs alone and its value is kept: what is counted as `tasks.graph`.
    None,
    /// Layers run inside their consumer where that costs nothing: what the executor runs.
    #[default]
    Full,
}

/// Reading by region instead of by chunk may decode this much more.
const MOST_AMPLIFICATION: f64 = 1.3;
/// Bytes of input that a fold takes at a time: they and the accumulator stay in the second-level cache.
const FOLD_BLOCK: u64 = 1 << 20;
/// Bytes of pixels that a store takes at a time.
const STORE_BOX: u64 = 8 << 20;

/// Decides fusing and steps, inputs first.
pub(crate) fn decide(layers: &mut [StageLayer], fusing: Fusing, part: Option<&Shape>) {
    for index in 0..layers.len() {
        layers[index].step = step(layers, index, part);
    }
    let top = layers.len() - 1;
    layers[top].fusing_note = "the result";
    for index in 0..top {
        let (fused, note) = verdict(layers, index, fusing);
        layers[index].fused_into = fused;
        layers[index].fusing_note = note;
    }
}

fn verdict(layers: &[StageLayer], index: usize, fusing: Fusing) -> (Option<LayerId>, &'static str) {
    let this = &layers[index];
    if fusing == Fusing::None {
        return (None, "fusing is off");
    }
    let [consumer] = this.consumers[..] else { return (None, "kept: several layers need it") };
    let over = &layers[consumer.index()];
    if Axis::ALL.iter().all(|&axis| aligned(this, over, axis)) {
        let note = match &over.layer.kind {
            LayerKind::Store => "streamed into the write units",
            LayerKind::Op(_) if !over.layer.is_pixelwise() => "streamed into the fold",
            _ => "one to one",
        };
        return (Some(consumer), note);
    }
    match amplification(layers, index, over) {
        Some(factor) if factor <= MOST_AMPLIFICATION => (Some(consumer), "read by region"),
        Some(_) => (None, "kept: reading by region would decode too much twice"),
        None => (None, "kept: several chunks need one of its chunks"),
    }
}

/// Whether on this axis every chunk of `this` is needed by one chunk of its consumer only.
fn aligned(this: &StageLayer, over: &StageLayer, axis: Axis) -> bool {
    let AxisMap::Shift(offset) = over.layer.axis_map(axis, &this.layer.spec) else { return true };
    let (chunk, outer) = (this.layer.grid.chunk().get(axis), over.layer.grid.chunk().get(axis));
    over.layer.grid.counts()[axis] <= 1 || (outer % chunk == 0 && offset % chunk == 0)
}

/// How many times its pixels the source below would decode if `over` read it box by box; `None` if what lies between is
/// not pixelwise or not fused.
fn amplification(layers: &[StageLayer], index: usize, over: &StageLayer) -> Option<f64> {
    let (_, origin, storage, level) = source_below(layers, index)?;
    let shift = PerAxis::from_fn(|a| match over.layer.axis_map(a, &layers[index].layer.spec) {
        AxisMap::Shift(offset) => offset + origin[a],
        AxisMap::Whole => origin[a],
    });
    let chunk = over.layer.grid.chunk();
    let step = if matches!(over.layer.kind, LayerKind::Store) { over.step } else { chunk };
    let read = |a: Axis| {
        let cut = AxisCut::new(over.layer.spec.shape.get(a), shift[a], chunk.get(a), step.get(a));
        cut.touched(storage.granule.get(a), level.shape.get(a)) as f64
    };
    let needed = over.layer.spec.shape.pixels().max(1);
    Some(Axis::ALL.iter().map(|&a| read(a)).product::<f64>() / needed as f64)
}

/// The source that a layer reads through fused pixelwise layers: its id, the first pixel there, its storage and level.
pub(crate) fn source_below(
    layers: &[StageLayer],
    index: usize,
) -> Option<(LayerId, PerAxis<u64>, &StorageInfo, &LevelInfo)> {
    let this = &layers[index];
    if !this.layer.is_pixelwise() {
        return None;
    }
    if let LayerKind::Source { reader, at, origin } = &this.layer.kind {
        let level = reader.info().scenes.get(at.scene)?.levels.get(at.level)?;
        return Some((LayerId(index as u32), *origin, &level.storage, level));
    }
    let [input] = this.inputs[..] else { return None };
    let below = &layers[input.index()];
    if below.fused_into.is_none() && !below.fusing_note.is_empty() {
        return None;
    }
    let (id, origin, storage, level) = source_below(layers, input.index())?;
    let shift = PerAxis::from_fn(|a| match this.layer.axis_map(a, &below.layer.spec) {
        AxisMap::Shift(offset) => origin[a] + offset,
        AxisMap::Whole => origin[a],
    });
    Some((id, shift, storage, level))
}

/// The box that a task of a layer computes at a time.
fn step(layers: &[StageLayer], index: usize, part: Option<&Shape>) -> Shape {
    let this = &layers[index];
    let unit = this.layer.grid.chunk();
    let Some(&input) = this.inputs.first() else { return unit };
    let below = &layers[input.index()].layer;
    let granule = granule_below(layers, input.index());
    let bytes = below.spec.dtype.size() as u64;
    match &this.layer.kind {
        LayerKind::Store => {
            let part = part.copied().unwrap_or(unit);
            let least = PerAxis::from_fn(|a| {
                let least = lcm(part.get(a), granule[a]);
                if whole(&unit, a).is_multiple_of(least) { least } else { whole(&unit, a) }
            });
            let least = if volume(&least) * bytes > STORE_BOX { PerAxis(part.extents()) } else { least };
            grow(&unit, least, STORE_BOX / bytes)
        }
        LayerKind::Op(op) => match op.body() {
            microtome_ops::Body::Fold(fold) => {
                let axis = fold.axis();
                let least = PerAxis::from_fn(|a| granule[a].min(whole(&below.spec.shape, a)));
                let limits = Shape::new(PerAxis(unit.extents()).with(axis, least[axis]).0).unwrap_or(unit);
                grow(&limits, least, FOLD_BLOCK / bytes)
            }
            microtome_ops::Body::Map(_) | microtome_ops::Body::Index | microtome_ops::Body::Neighbourhood(_) => unit,
        },
        LayerKind::Source { .. } | LayerKind::Rechunk => unit,
    }
}

/// The least box that is read without waste below a layer; one pixel where nothing is known.
fn granule_below(layers: &[StageLayer], index: usize) -> PerAxis<u64> {
    source_below(layers, index).map_or(PerAxis::splat(1), |(_, _, storage, _)| PerAxis(storage.granule.extents()))
}

fn volume(extents: &PerAxis<u64>) -> u64 {
    extents.0.iter().fold(1u64, |p, &n| p.saturating_mul(n))
}

/// Grows a least box along S, X, Y, in its own multiples, up to `limits` while it holds at most `pixels` values.
fn grow(limits: &Shape, least: PerAxis<u64>, pixels: u64) -> Shape {
    let mut out = PerAxis::from_fn(|a| least[a].clamp(1, whole(limits, a)));
    out[Axis::S] = whole(limits, Axis::S);
    for axis in [Axis::X, Axis::Y] {
        let others = volume(&out.with(axis, 1));
        let times = (pixels / others.saturating_mul(out[axis]).max(1)).max(1);
        let reach = out[axis].saturating_mul(times);
        let cut = reach < whole(limits, axis);
        out[axis] = reach.min(whole(limits, axis));
        if cut {
            break;
        }
    }
    Shape::new(out.0).unwrap_or(*limits)
}

fn lcm(a: u64, b: u64) -> u64 {
    (a / gcd(a, b)).saturating_mul(b)
}

pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// The least groups of top chunks such that no kept value is needed by two groups.
pub(crate) fn groups(layers: &[StageLayer]) -> ChunkGrid {
    let top = &layers[layers.len() - 1].layer;
    let mut extents = PerAxis(top.grid.chunk().extents());
    widen(layers, layers.len() - 1, PerAxis::splat(Some(0)), &mut extents);
    let shape = PerAxis::from_fn(|a| extents[a].min(whole(&top.spec.shape, a)));
    Shape::new(shape.0).and_then(|chunk| ChunkGrid::new(top.spec.shape, chunk)).unwrap_or(top.grid)
}

/// Widens groups for every kept layer below `index`; `shift` tells where a top pixel lies in that layer, `None` on an
/// axis that was folded away.
fn widen(layers: &[StageLayer], index: usize, shift: PerAxis<Option<u64>>, extents: &mut PerAxis<u64>) {
    let top = &layers[layers.len() - 1].layer.grid;
    for &input in &layers[index].inputs {
        let below = &layers[input.index()];
        let shift = PerAxis::from_fn(|a| match (shift[a], layers[index].layer.axis_map(a, &below.layer.spec)) {
            (Some(so_far), AxisMap::Shift(offset)) => Some(so_far + offset),
            _ => None,
        });
        if below.fused_into.is_none() {
            for axis in Axis::ALL.into_iter().filter(|&a| top.counts()[a] > 1) {
                let Some(offset) = shift[axis] else { continue };
                let chunk = below.layer.grid.chunk().get(axis);
                let fits = offset % chunk == 0 && below.layer.grid.counts()[axis] > 1;
                extents[axis] = if fits { lcm(extents[axis], chunk) } else { u64::MAX };
            }
        }
        widen(layers, input.index(), shift, extents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_grows_in_rows_up_to_its_limit() {
        let limits = Shape::new([1, 1, 1, 1000, 800, 1]).unwrap();
        let rows = grow(&limits, PerAxis([1, 1, 1, 16, 800, 1]), 100_000);
        assert_eq!(rows.extents(), [1, 1, 1, 112, 800, 1]);
        let tiles = grow(&limits, PerAxis([1, 1, 1, 256, 256, 1]), 70_000);
        assert_eq!(tiles.extents(), [1, 1, 1, 256, 256, 1]);
        let pixels = grow(&limits, PerAxis::splat(1), 10_000_000);
        assert_eq!(pixels.extents(), [1, 1, 1, 1000, 800, 1]);
    }
}

//! Fusing: which layers run inside the tasks of their consumer, and which write units run as one group.
//!
//! Three kinds, each decided for a whole layer, never for a chunk, so that counts stay O(layers):
//! one-to-one chains; folds, whose inputs are streamed into an accumulator; region reads, where the consumer reads just
//! the region that it needs because that costs little more than reading whole chunks.

use std::collections::HashMap;

use microtome_array::{Axis, PerAxis, Shape};
use microtome_io::{LevelInfo, StorageInfo};
use serde::{Deserialize, Serialize};

use crate::cuts;
use crate::layer::{AxisMap, LayerId, LayerKind};
use crate::reads::AxisCut;
use crate::stage::{StageLayer, whole};

/// Whether layers are fused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fusing {
    /// Every task of the graph runs alone and its value is kept: what is counted as `tasks.graph`.
    None,
    /// Layers run inside their consumer where that costs nothing: what the executor runs.
    #[default]
    Full,
    /// As `Full`, and sources are read by region however often that decodes the same pixels: for what does not fit the
    /// budget otherwise.
    Reread,
}

/// Reading by region instead of by chunk may decode so many times as much.
pub const MOST_AMPLIFICATION: f64 = 1.3;
/// Bytes of input that a fold takes at a time: they and the accumulator stay in the second-level cache.
const FOLD_BLOCK: u64 = 1 << 20;
/// Bytes of pixels that a store takes at a time.
const STORE_BOX: u64 = 8 << 20;

/// Decides steps, and then fusing, consumers first: what a layer is read by is known when it is decided. `parts` has the
/// stored chunk of each store.
pub(crate) fn decide(layers: &mut [StageLayer], fusing: Fusing, parts: &HashMap<LayerId, Shape>) {
    for index in 0..layers.len() {
        layers[index].step = step(layers, index, parts.get(&LayerId(index as u32)));
    }
    for index in (0..layers.len()).rev() {
        if layers[index].consumers.is_empty() {
            layers[index].fusing_note = "the result";
            continue;
        }
        let (fused, note, amplification) = verdict(layers, index, fusing);
        layers[index].fused_into = fused;
        layers[index].fusing_note = note;
        layers[index].amplification = amplification;
    }
}

/// Into what a layer is fused, why, and, where that was weighed, how many times its source would be read by region.
fn verdict(layers: &[StageLayer], index: usize, fusing: Fusing) -> (Option<LayerId>, &'static str, Option<f64>) {
    let this = &layers[index];
    if fusing == Fusing::None {
        return (None, "fusing is off", None);
    }
    let [consumer] = this.consumers[..] else { return (None, "kept: several layers need it", None) };
    let over = &layers[consumer.index()];
    if this.layer.is_shrinking() && this.inputs.iter().any(|input| layers[input.index()].consumers.len() > 1) {
        return (None, "kept: smaller than what it is made from", None);
    }
    if Axis::ALL.iter().all(|&axis| aligned(this, over, axis)) {
        let note = match &over.layer.kind {
            LayerKind::Store => "streamed into the write units",
            LayerKind::Summarise(_) => "streamed into the summary",
            LayerKind::Op(_) if over.layer.is_fold() => "streamed into the fold",
            _ => "one to one",
        };
        return (Some(consumer), note, None);
    }
    let amplification = amplification(layers, LayerId(index as u32), consumer);
    match amplification {
        Some(factor) if factor <= MOST_AMPLIFICATION => (Some(consumer), "read by region", amplification),
        Some(_) if fusing == Fusing::Reread => {
            (Some(consumer), "read by region, again and again: it does not fit memory", amplification)
        }
        Some(_) => (None, "kept: reading by region would decode too much twice", amplification),
        None => (None, "kept: several chunks need one of its chunks", None),
    }
}

/// Whether on this axis every chunk of `this` is needed by one chunk of its consumer only.
fn aligned(this: &StageLayer, over: &StageLayer, axis: Axis) -> bool {
    let (chunk, outer) = (this.layer.grid.chunk().get(axis), over.layer.grid.chunk().get(axis));
    over.layer.grid.counts()[axis] <= 1
        || match over.layer.axis_map(axis, &this.layer.spec) {
            AxisMap::Whole => true,
            AxisMap::Shift(offset) => outer.is_multiple_of(chunk) && offset.is_multiple_of(chunk),
            AxisMap::Reach(reach) => {
                let inside = reach.before == 0 && reach.after < reach.stride;
                inside && outer.saturating_mul(reach.stride).is_multiple_of(chunk)
            }
        }
}

/// How many times its pixels the source below would decode if `over` read it box by box; `None` if what lies between is
/// not local or not fused.
fn amplification(layers: &[StageLayer], index: LayerId, over: LayerId) -> Option<f64> {
    let mut product = 1.0;
    for axis in Axis::ALL {
        let cut = cuts::through(layers, index, over, axis, &cuts::of_layer(layers, over, axis));
        let whole = AxisCut::new(layers[over.index()].layer.spec.shape.get(axis), 0, u64::MAX, u64::MAX);
        let once = cuts::across(layers, index, over, axis, whole);
        let read = |cut: AxisCut| {
            let (cut, storage, level) = to_source(layers, index, axis, cut)?;
            Some(cut.touched(storage.granule.get(axis), level.shape.get(axis)))
        };
        product *= read(cut)? as f64 / read(once)?.max(1) as f64;
    }
    Some(product)
}

/// A cut of a layer as a cut of the source that it reads through fused local layers, with that source's storage.
fn to_source(
    layers: &[StageLayer],
    index: LayerId,
    axis: Axis,
    cut: AxisCut,
) -> Option<(AxisCut, &StorageInfo, &LevelInfo)> {
    let this = &layers[index.index()];
    if !this.layer.is_local() {
        return None;
    }
    if let LayerKind::Source { reader, at, origin } = &this.layer.kind {
        let level = reader.info().scenes.get(at.scene)?.levels.get(at.level)?;
        return Some((cut.moved(origin[axis]), &level.storage, level));
    }
    let [input] = this.inputs[..] else { return None };
    if is_kept(&layers[input.index()]) {
        return None;
    }
    let cut = cuts::across(layers, input, index, axis, cut);
    to_source(layers, input, axis, cut)
}

/// Whether a layer has been decided, and is kept.
fn is_kept(layer: &StageLayer) -> bool {
    layer.fused_into.is_none() && !layer.fusing_note.is_empty()
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
        LayerKind::Store | LayerKind::Summarise(_) => {
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

/// The least box of a layer that is read without waste; one pixel where nothing is known.
fn granule_below(layers: &[StageLayer], index: usize) -> PerAxis<u64> {
    let this = &layers[index];
    let unknown = PerAxis::splat(1);
    if !this.layer.is_local() {
        return unknown;
    }
    if let LayerKind::Source { reader, at, .. } = &this.layer.kind {
        return reader.level(*at).map_or(unknown, |(_, level)| PerAxis(level.storage.granule.extents()));
    }
    let [input] = this.inputs[..] else { return unknown };
    let granule = granule_below(layers, input.index());
    let spec = &layers[input.index()].layer.spec;
    PerAxis::from_fn(|a| match this.layer.axis_map(a, spec) {
        AxisMap::Reach(reach) => granule[a].div_ceil(reach.stride),
        AxisMap::Shift(_) | AxisMap::Whole => granule[a],
    })
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

pub(crate) fn lcm(a: u64, b: u64) -> u64 {
    (a / gcd(a, b)).saturating_mul(b)
}

pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
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

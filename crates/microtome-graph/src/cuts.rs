//! In which boxes a layer is computed, axis by axis.

use microtome_array::{Axis, Region};

use crate::layer::{AxisMap, LayerId};
use crate::reads::AxisCut;
use crate::stage::StageLayer;

/// Boxes as the product of a cut on each axis, T C Z Y X S.
pub(crate) type Cuts = [AxisCut; 6];

/// The boxes in which a layer is computed: its own chunks where it is kept, else what its consumer takes at a time.
pub(crate) fn boxes(layers: &[StageLayer], id: LayerId) -> Vec<Cuts> {
    let this = &layers[id.index()];
    let Some(into) = this.fused_into else {
        let regions = this.runs.boxes().iter().map(|b| this.layer.grid.box_region(b));
        return regions.map(|region| Axis::ALL.map(|a| own(this, &region, a))).collect();
    };
    let outer = boxes(layers, into);
    outer.into_iter().map(|cuts| Axis::ALL.map(|a| through(layers, id, into, a, &cuts[a.index()]))).collect()
}

/// The same on one axis, as if all of the layer were computed.
pub(crate) fn of_layer(layers: &[StageLayer], id: LayerId, axis: Axis) -> AxisCut {
    let this = &layers[id.index()];
    match this.fused_into {
        None => own(this, &this.layer.spec.shape.region(), axis),
        Some(into) => through(layers, id, into, axis, &of_layer(layers, into, axis)),
    }
}

fn own(this: &StageLayer, region: &Region, axis: Axis) -> AxisCut {
    let unit = this.layer.grid.chunk().get(axis);
    let within = if this.layer.is_end() { this.step.get(axis) } else { unit };
    AxisCut::new(region.len(axis), region.start(axis), unit, within)
}

/// A cut of `into` on one axis as a cut of `id`, which is computed inside it, step by step.
pub(crate) fn through(layers: &[StageLayer], id: LayerId, into: LayerId, axis: Axis, cut: &AxisCut) -> AxisCut {
    let (this, over) = (&layers[id.index()], &layers[into.index()]);
    let step = over.step.get(axis);
    match over.layer.axis_map(axis, &this.layer.spec) {
        AxisMap::Whole => AxisCut::new(this.layer.spec.shape.get(axis), 0, u64::MAX, step),
        AxisMap::Shift(offset) if over.layer.is_fold() => cut.clone().and_every(step).moved(offset),
        AxisMap::Shift(_) | AxisMap::Reach(_) => across(layers, id, into, axis, cut.clone()),
    }
}

/// What a cut of `over` needs of its input `id`, each range as one.
pub(crate) fn across(layers: &[StageLayer], id: LayerId, over: LayerId, axis: Axis, cut: AxisCut) -> AxisCut {
    let spec = &layers[id.index()].layer.spec;
    match layers[over.index()].layer.axis_map(axis, spec) {
        AxisMap::Shift(offset) => cut.moved(offset),
        AxisMap::Reach(reach) => cut.reaching(reach, spec.shape.get(axis)),
        AxisMap::Whole => AxisCut::new(spec.shape.get(axis), 0, u64::MAX, u64::MAX),
    }
}

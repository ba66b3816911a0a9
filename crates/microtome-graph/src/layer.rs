//! A layer: one step of a plan, for all chunks at once.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, ChunkGrid, PerAxis, Region};
use microtome_io::{Place, Reader};
use microtome_ops::{Body, Op, Reach, Summary};

/// Position of a layer in its stage; inputs come before their consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub u32);

impl LayerId {
    /// As an index into the stage's layers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What it does.
    pub kind: LayerKind,
    /// Shape and type of its result.
    pub spec: ArraySpec,
    /// How its result is cut into chunks; of a store: into write units.
    pub grid: ChunkGrid,
}

/// What a layer does.
#[derive(Clone, Debug)]
pub enum LayerKind {
    /// Reads chunks of an image.
    Source {
        /// The image.
        reader: Arc<dyn Reader>,
        /// Scene and level.
        at: Place,
        /// First pixel of the selected region in that level.
        origin: PerAxis<u64>,
    },
    /// Applies an operation.
    Op(Arc<dyn Op>),
    /// The same pixels in other chunks.
    Rechunk,
    /// Gives write units to a sink.
    Store,
    /// Adds pixels to a summary.
    Summarise(Arc<dyn Summary>),
}

/// How the input pixels of a chunk lie on one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisMap {
    /// The same range, moved by so many pixels.
    Shift(u64),
    /// The range that the chunk's range reaches.
    Reach(Reach),
    /// All of the axis, whatever the chunk.
    Whole,
}

impl Layer {
    /// What it is called in tables and drawings.
    pub fn name(&self) -> &str {
        match &self.kind {
            LayerKind::Source { .. } => "read",
            LayerKind::Op(op) => op.name(),
            LayerKind::Rechunk => "rechunk",
            LayerKind::Store => "write",
            LayerKind::Summarise(summary) => summary.name(),
        }
    }

    /// The pixels of `input` that decide `region` of this layer.
    pub fn input_region(&self, region: &Region, input: &ArraySpec) -> Region {
        match &self.kind {
            LayerKind::Op(op) => op.input_region(region, input),
            LayerKind::Source { .. } | LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => *region,
        }
    }

    /// The pixels of this layer that `region` of its `input` takes part in.
    pub fn output_region(&self, region: &Region, input: &ArraySpec) -> Region {
        match &self.kind {
            LayerKind::Op(op) => op.output_region(region, input),
            LayerKind::Source { .. } | LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => *region,
        }
    }

    /// The same relation axis by axis, in a form that whole grids can be compared by.
    pub fn axis_map(&self, axis: Axis, input: &ArraySpec) -> AxisMap {
        let LayerKind::Op(op) = &self.kind else { return AxisMap::Shift(0) };
        match op.body() {
            Body::Fold(fold) if fold.axis() == axis => AxisMap::Whole,
            Body::Map(_) | Body::Fold(_) => AxisMap::Shift(0),
            Body::Neighbourhood(op) => match op.reach(axis) {
                Reach { stride: 1, before: 0, after: 0 } => AxisMap::Shift(0),
                reach => AxisMap::Reach(reach),
            },
            Body::Index => AxisMap::Shift(op.input_region(&self.spec.shape.region(), input).start(axis)),
        }
    }

    /// Whether pixels end here: they are given away box by box, and no value is kept.
    pub fn is_end(&self) -> bool {
        matches!(self.kind, LayerKind::Store | LayerKind::Summarise(_))
    }

    /// Whether it folds an axis away.
    pub fn is_fold(&self) -> bool {
        matches!(&self.kind, LayerKind::Op(op) if matches!(op.body(), Body::Fold(_)))
    }

    /// Whether its result is smaller than what it is made from because several pixels become one in their place.
    pub fn is_shrinking(&self) -> bool {
        let LayerKind::Op(op) = &self.kind else { return false };
        let Body::Neighbourhood(body) = op.body() else { return false };
        Axis::ALL.iter().any(|&axis| body.reach(axis).stride > 1)
    }

    /// Whether each pixel of the result is made from a few pixels of the input around its place, so that any region can
    /// be computed alone at little extra cost but that of reading.
    pub fn is_local(&self) -> bool {
        match &self.kind {
            LayerKind::Source { .. } | LayerKind::Rechunk => true,
            LayerKind::Op(op) => !matches!(op.body(), Body::Fold(_)),
            LayerKind::Store | LayerKind::Summarise(_) => false,
        }
    }
}

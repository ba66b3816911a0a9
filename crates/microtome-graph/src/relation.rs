//! How a layer depends on an input, in a form that people know: one to one, a halo, a fold, 2 × 2 → 1, other chunks.
//!
//! *Invariant:* it says what [`Layer::axis_map`](crate::Layer::axis_map) says, and decides nothing.

use std::fmt;

use microtome_array::{Axis, PerAxis};
use serde::Serialize;

use crate::layer::{AxisMap, LayerId};
use crate::stage::Stage;

/// How a chunk of a layer depends on chunks of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Relation {
    /// Each chunk from the chunk at its place.
    OneToOne,
    /// Each pixel from the pixels around its place: so many before it and after it on some axes.
    Halo {
        /// Axis, pixels before, pixels after.
        reach: Vec<(Axis, u64, u64)>,
    },
    /// Each pixel from all pixels along an axis.
    Fold {
        /// The axis.
        axis: Axis,
        /// Its extent.
        extent: u64,
    },
    /// Several pixels become one in their place.
    Shrink {
        /// Axis and pixels to a pixel.
        factors: Vec<(Axis, u64)>,
    },
    /// A region of the input.
    Crop {
        /// Axis and first pixel.
        from: Vec<(Axis, u64)>,
    },
    /// The same pixels in other chunks.
    Rechunk {
        /// Chunks of the input that a chunk takes from.
        from: u64,
        /// Chunks that take from a chunk of the input.
        to: u64,
    },
}

impl Stage {
    /// How `layer` depends on its `input`. O(1).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
    /// use microtome_graph::{LazyArray, Selection};
    /// use microtome_io::SyntheticReader;
    /// use microtome_ops::Projection;
    ///
    /// let spec = ArraySpec { shape: Shape::new([1, 1, 20, 64, 64, 1])?, dtype: PixelType::U8 };
    /// let image = Arc::new(SyntheticReader::new(spec));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let stage = stack.project(Axis::Z, Projection::Max)?.stage();
    /// let (read, project) = (stage.ids().next().unwrap(), stage.top());
    /// assert_eq!(stage.relation(project, read).to_string(), "fold over z: 20 → 1");
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn relation(&self, layer: LayerId, input: LayerId) -> Relation {
        let (over, below) = (&self.get(layer).layer, &self.get(input).layer);
        let map = |axis| over.axis_map(axis, &below.spec);
        let reaches: Vec<_> = Axis::ALL
            .into_iter()
            .filter_map(|axis| match map(axis) {
                AxisMap::Reach(reach) => Some((axis, reach)),
                AxisMap::Shift(_) | AxisMap::Whole => None,
            })
            .collect();
        if let Some(axis) = Axis::ALL.into_iter().find(|&axis| map(axis) == AxisMap::Whole) {
            return Relation::Fold { axis, extent: below.spec.shape.get(axis) };
        }
        let factors: Vec<_> = reaches.iter().filter(|(_, r)| r.stride > 1).map(|(axis, r)| (*axis, r.stride)).collect();
        if !factors.is_empty() {
            return Relation::Shrink { factors };
        }
        if !reaches.is_empty() {
            return Relation::Halo { reach: reaches.iter().map(|(axis, r)| (*axis, r.before, r.after)).collect() };
        }
        let from: Vec<_> = Axis::ALL
            .into_iter()
            .filter_map(|axis| match map(axis) {
                AxisMap::Shift(offset) if offset > 0 => Some((axis, offset)),
                AxisMap::Shift(_) | AxisMap::Reach(_) | AxisMap::Whole => None,
            })
            .collect();
        if !from.is_empty() {
            return Relation::Crop { from };
        }
        match self.chunks_between(layer, input) {
            (1, 1) => Relation::OneToOne,
            (from, to) => Relation::Rechunk { from, to },
        }
    }

    /// Chunks of `input` that a chunk in the middle of `layer` takes from, and chunks of `layer` that a chunk in the
    /// middle of `input` goes into.
    pub fn chunks_between(&self, layer: LayerId, input: LayerId) -> (u64, u64) {
        let (over, below) = (&self.get(layer).layer, &self.get(input).layer);
        let middle = |counts: PerAxis<u64>| PerAxis::from_fn(|a| counts[a] / 2);
        let from = self.inputs(layer, &middle(over.grid.counts()), input).count();
        let region = below.grid.region(&middle(below.grid.counts()));
        let to = region.map_or(0, |region| over.grid.covering(&over.output_region(&region, &below.spec)).count());
        (from, to)
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |axis: &Axis| axis.letter().to_ascii_lowercase();
        let each = |pairs: &[(Axis, u64)]| pairs.iter().map(|(a, n)| format!("{} {n}", letter(a))).collect::<Vec<_>>();
        match self {
            Relation::OneToOne => f.write_str("one to one"),
            Relation::Halo { reach } => {
                let parts = reach.iter().map(|(axis, before, after)| match (before, after) {
                    (before, after) if before == after => format!("{} ±{before}", letter(axis)),
                    (before, after) => format!("{} −{before} +{after}", letter(axis)),
                });
                write!(f, "halo: {}", parts.collect::<Vec<_>>().join(", "))
            }
            Relation::Fold { axis, extent } => write!(f, "fold over {}: {extent} → 1", letter(axis)),
            Relation::Shrink { factors } => {
                let counts: Vec<_> = factors.iter().map(|(_, n)| n.to_string()).collect();
                let axes: Vec<_> = factors.iter().map(|(axis, _)| letter(axis).to_string()).collect();
                write!(f, "{} → 1 pixels ({})", counts.join(" × "), axes.join(", "))
            }
            Relation::Crop { from } => write!(f, "crop from {}", each(from).join(", ")),
            Relation::Rechunk { from, to: 1 } => write!(f, "rechunk: {from} chunks → 1"),
            Relation::Rechunk { from: 1, to } => write!(f, "rechunk: 1 chunk → {to}"),
            Relation::Rechunk { from, to } => {
                write!(f, "rechunk: from {from} chunks each, of which each goes into {to}")
            }
        }
    }
}

//! What is to be computed: lazy arrays, their estimate, and the task graph.
//!
//! A [`LazyArray`] is a small immutable DAG of layers, independent of the image's size. A [`Stage`] is that DAG laid out
//! for running: which chunks of each layer are needed, which layers are fused into their consumer, which write units
//! form a group. From a stage come the [`Estimate`], in time proportional to the number of layers, and the
//! [`TaskGraph`], a petgraph `DiGraph`, whole or for a window of groups.
//!
//! *Invariant:* nothing here reads a pixel, starts a thread, or asks for the time. Every count is exact and comes from
//! index arithmetic, never from making nodes.

mod carry;
mod cuts;
mod demand;
mod draw;
mod error;
mod estimate;
mod forecast;
mod fuse;
mod groups;
mod layer;
mod lazy;
mod lower;
mod memory;
mod reads;
mod relation;
mod stage;

pub use demand::IndexSet;
pub use draw::{Card, Drawing, Flow, Look, MOST_SHOWN, Panel};
pub use error::GraphError;
pub use estimate::{Estimate, LayerEstimate, rule_of_thumb};
pub use forecast::{Activity, Amount, Forecast, Learnt, PassWork, Rate, Rates, Work, WorkKind};
pub use fuse::{Fusing, MOST_AMPLIFICATION};
pub use layer::{AxisMap, Layer, LayerId, LayerKind};
pub use lazy::{LazyArray, Selection};
pub use lower::{Task, TaskGraph, TaskHasher, TaskMap};
pub use memory::{Admission, GroupMemory, piece};
pub use relation::Relation;
pub use stage::{Stage, StageLayer, StageOptions};

//! The estimate: exact counts and sizes before anything runs.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, Shape};
use microtome_ops::Summary;
use serde::Serialize;

use crate::cuts;
use crate::layer::{Layer, LayerId, LayerKind};
use crate::lazy::LazyArray;
use crate::reads::AxisCut;
use crate::stage::Stage;

/// What computing a stage costs. Every count is exact: it equals what the graph holds and what the executor counts, but for
/// [`summary_passes`](Estimate::summary_passes) that cannot be known beforehand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// One line a layer, inputs first.
    pub layers: Vec<LayerEstimate>,
    /// Nodes of the unfused task graph.
    pub tasks: u64,
    /// Tasks that the executor runs.
    pub fused: u64,
    /// Chunks read from sources.
    pub chunks: u64,
    /// Length of dask's optimised graph for reading these chunks: two tasks a chunk.
    pub dask_optimized: u64,
    /// The rule of thumb Σ 2 · size(axis) over the axes other than Y and X; see [`rule_of_thumb`].
    pub rule_of_thumb: u64,
    /// Bytes of pixels decoded from sources, those read twice counted twice.
    pub bytes_read: u64,
    /// How many times the pixels of needed chunks are decoded on average: 1 where each is read once, less where only parts
    /// of chunks are needed.
    pub times_read: f64,
    /// Bytes of pixels given to the sink.
    pub bytes_written: u64,
    /// Bytes of pixels stored for a while between two passes, and read back.
    pub intermediate_bytes: u64,
    /// Passes over pixels that summaries take for which operations ask, at least and at most. Where the two differ, it
    /// depends on the pixels, and tasks, chunks and bytes read are those of the most: upper bounds, no exact counts.
    pub summary_passes: RangeInclusive<u64>,
    /// Write units (shards, stored chunks); of an array computed into memory, its chunks.
    pub units: u64,
    /// Groups of write units that run as one.
    pub groups: u64,
}

/// What one layer costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerEstimate {
    /// What it does.
    pub name: String,
    /// Shape and type of its result.
    pub array: ArraySpec,
    /// Extents of a chunk.
    pub chunk: Shape,
    /// Tasks in the unfused graph.
    pub tasks: u64,
    /// Tasks that the executor runs: 0 where it is fused into another layer.
    pub fused: u64,
    /// The layer whose tasks do its work.
    pub into: Option<String>,
    /// Why it is fused or kept.
    pub note: String,
    /// Bytes of the pixels of its needed chunks.
    pub bytes: u64,
    /// Bytes decoded from storage, of a source.
    pub bytes_read: u64,
}

/// The rule of thumb of the `aics_dask_utils` documentation, Σ 2 · size over the axes T, C and Z.
///
/// It is no graph length: planes multiply, they do not add up. It is printed beside the exact count because people know
/// it.
///
/// # Examples
/// ```
/// use microtome_array::Shape;
/// assert_eq!(microtome_graph::rule_of_thumb(&Shape::new([10, 3, 20, 1024, 1024, 1])?), 66); // the planes are 600
/// # Ok::<(), microtome_array::ArrayError>(())
/// ```
pub fn rule_of_thumb(shape: &Shape) -> u64 {
    [Axis::T, Axis::C, Axis::Z].iter().map(|&a| 2 * shape.get(a)).sum()
}

impl Estimate {
    /// The estimate of a stage. O(layers): a plan of 1e9 tasks costs as much as one of ten.
    pub fn of(stage: &Stage) -> Estimate {
        let layers: Vec<LayerEstimate> = stage.ids().map(|id| layer_estimate(stage, id)).collect();
        let sources = |id: &LayerId| matches!(stage.get(*id).layer.kind, LayerKind::Source { .. });
        let chunks = stage.ids().filter(sources).map(|id| stage.get(id).demand.count()).sum();
        let tops = || stage.tops().iter().map(|&top| &stage.get(top).layer);
        let units = |layer: &&Layer| !matches!(layer.kind, LayerKind::Summarise(_));
        let stored = |layer: &&Layer| matches!(layer.kind, LayerKind::Store);
        let source = stage.ids().find(sources).map(|id| stage.get(id).layer.spec.shape);
        Estimate {
            tasks: layers.iter().map(|l| l.tasks).sum(),
            fused: layers.iter().map(|l| l.fused).sum(),
            chunks,
            dask_optimized: 2 * chunks,
            rule_of_thumb: source.as_ref().map_or(0, rule_of_thumb),
            bytes_read: layers.iter().map(|l| l.bytes_read).sum(),
            times_read: times_read(&layers),
            bytes_written: tops().filter(stored).map(|layer| layer.spec.bytes()).sum(),
            intermediate_bytes: 0,
            summary_passes: 0..=0,
            units: tops().filter(units).map(|layer| layer.grid.count()).sum(),
            groups: stage.groups().count(),
            layers,
        }
    }
}

impl Estimate {
    /// The estimate of all passes of a summary of an array. O(layers).
    pub fn summarising(array: &LazyArray, summary: &Arc<dyn Summary>) -> Estimate {
        let once = Estimate::of(&Stage::summarising(array, summary));
        let passes = summary.passes(array.dtype());
        let all = (1..*passes.end()).fold(once.clone(), |all, _| all.then(once.clone()));
        Estimate { summary_passes: passes, ..all }
    }

    /// The estimate of a pass that stores pixels for the next one: nothing of it is in the output.
    #[must_use]
    pub fn between(self) -> Estimate {
        Estimate { intermediate_bytes: self.bytes_written, bytes_written: 0, units: 0, ..self }
    }

    /// This and what runs after it, as one: layers in their order, counts added up.
    #[must_use]
    pub fn then(mut self, next: Estimate) -> Estimate {
        self.layers.extend(next.layers);
        self.times_read = times_read(&self.layers);
        self.tasks += next.tasks;
        self.fused += next.fused;
        self.chunks += next.chunks;
        self.dask_optimized += next.dask_optimized;
        self.bytes_read += next.bytes_read;
        self.bytes_written += next.bytes_written;
        self.intermediate_bytes += next.intermediate_bytes;
        let (ours, theirs) = (&self.summary_passes, &next.summary_passes);
        self.summary_passes = ours.start() + theirs.start()..=ours.end() + theirs.end();
        self.units += next.units;
        self.groups += next.groups;
        self
    }
}

fn times_read(layers: &[LayerEstimate]) -> f64 {
    let sources = || layers.iter().filter(|layer| layer.bytes_read > 0);
    let (read, there): (u64, u64) = (sources().map(|l| l.bytes_read).sum(), sources().map(|l| l.bytes).sum());
    if there == 0 { 1.0 } else { read as f64 / there as f64 }
}

fn layer_estimate(stage: &Stage, id: LayerId) -> LayerEstimate {
    let this = stage.get(id);
    let tasks = this.demand.count();
    LayerEstimate {
        name: this.layer.name().to_owned(),
        array: this.layer.spec,
        chunk: this.layer.grid.chunk(),
        tasks,
        fused: this.runs.count(),
        into: this.fused_into.map(|into| stage.get(into).layer.name().to_owned()),
        note: this.fusing_note.to_owned(),
        bytes: demanded_bytes(stage, id),
        bytes_read: bytes_read(stage, id),
    }
}

fn demanded_bytes(stage: &Stage, id: LayerId) -> u64 {
    let this = stage.get(id);
    let pixels: u64 = this.demand.boxes().iter().map(|b| this.layer.grid.box_region(b).shape().pixels()).sum();
    pixels * this.layer.spec.dtype.size() as u64
}

/// Bytes decoded by a source: the boxes in which it is read, rounded out to what storage gives at once.
fn bytes_read(stage: &Stage, id: LayerId) -> u64 {
    let this = stage.get(id);
    let LayerKind::Source { reader, at, origin } = &this.layer.kind else { return 0 };
    let Ok((_, level)) = reader.level(*at) else { return 0 };
    let value = this.layer.spec.dtype.size() as u64;
    let extent = |a: Axis, cut: &AxisCut| cut.touched(level.storage.granule.get(a), level.shape.get(a));
    let boxes = cuts::boxes(stage.layers(), id).into_iter().map(|cuts| {
        Axis::ALL.iter().map(|&a| extent(a, &cuts[a.index()].clone().moved(origin[a]))).product::<u64>() * value
    });
    boxes.sum()
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>24} {:>14} {:>14}  fused", "layer", "chunk", "tasks", "run")?;
        for layer in &self.layers {
            let chunk = layer.chunk.to_string();
            writeln!(f, "{:<10} {chunk:>24} {:>14} {:>14}  {}", layer.name, layer.tasks, layer.fused, layer.note)?;
        }
        write!(f, "{} tasks in the graph, {} to run, {} bytes read", self.tasks, self.fused, self.bytes_read)
    }
}

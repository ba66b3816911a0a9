//! The layer graph of a stage: a card a layer, an arrow a dependency.

use microtome_array::{format_count, format_size};
use petgraph::graph::DiGraph;

use super::{Card, Drawing, Flow, Look, Panel, plural};
use crate::estimate::{Estimate, LayerEstimate};
use crate::fuse::MOST_AMPLIFICATION;
use crate::layer::{LayerId, LayerKind};
use crate::relation::Relation;
use crate::stage::Stage;

impl Stage {
    /// The layers as a petgraph graph; edges point from input to consumer and say how one depends on the other. O(layers).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, Axis, ChunkDims, PixelType, Shape};
    /// use microtome_graph::{LazyArray, Relation, Selection};
    /// use microtome_io::SyntheticReader;
    /// use microtome_ops::Projection;
    ///
    /// let spec = ArraySpec { shape: Shape::new([1, 1, 20, 64, 64, 1])?, dtype: PixelType::U8 };
    /// let image = Arc::new(SyntheticReader::new(spec));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let graph = stack.project(Axis::Z, Projection::Max)?.stage().layer_graph();
    /// let dependency = graph.edge_weights().next().unwrap();
    /// assert_eq!(*dependency, Relation::Fold { axis: Axis::Z, extent: 20 });
    /// # Ok::<(), microtome_graph::GraphError>(())
    /// ```
    pub fn layer_graph(&self) -> DiGraph<LayerId, Relation, u32> {
        let mut graph = DiGraph::default();
        let nodes: Vec<_> = self.ids().map(|id| graph.add_node(id)).collect();
        for id in self.ids() {
            for &input in &self.get(id).inputs {
                graph.add_edge(nodes[input.index()], nodes[id.index()], self.relation(id, input));
            }
        }
        graph
    }

    /// The layers as a drawing of one panel.
    pub fn drawing(&self) -> Drawing {
        Drawing { panels: vec![Panel::layers(self, "layers")], ..Drawing::default() }
    }

    /// The layers as DOT: solid where tasks run, dashed where fused.
    pub fn dot(&self) -> String {
        self.drawing().dot()
    }
}

impl Panel {
    /// The layers of a stage.
    pub fn layers(stage: &Stage, title: &str) -> Panel {
        let estimate = Estimate::of(stage);
        let mut graph = DiGraph::default();
        let nodes: Vec<_> =
            stage.ids().map(|id| graph.add_node(card(stage, id, &estimate.layers[id.index()]))).collect();
        for id in stage.ids() {
            for &input in &stage.get(id).inputs {
                graph.add_edge(nodes[input.index()], nodes[id.index()], arrow(stage, id, input));
            }
        }
        let tasks = format!("{} in the graph, {} run", plural(estimate.tasks, "task"), format_count(estimate.fused));
        let counts =
            format!("{tasks}; {} in {}", plural(estimate.units, "write unit"), plural(estimate.groups, "group"));
        Panel { title: title.to_owned(), notes: vec![counts], arrives: None, flow: Flow::Down, graph }
    }
}

fn arrow(stage: &Stage, layer: LayerId, input: LayerId) -> String {
    let relation = stage.relation(layer, input);
    let (from, _) = stage.chunks_between(layer, input);
    match relation {
        Relation::OneToOne | Relation::Rechunk { .. } => relation.to_string(),
        Relation::Halo { .. } | Relation::Fold { .. } | Relation::Shrink { .. } | Relation::Crop { .. } => {
            format!("{relation}; {} each", plural(from, "chunk"))
        }
    }
}

fn card(stage: &Stage, id: LayerId, numbers: &LayerEstimate) -> Card {
    let this = stage.get(id);
    let what = match &this.layer.kind {
        LayerKind::Store => "write units of",
        LayerKind::Source { .. } | LayerKind::Op(_) | LayerKind::Rechunk | LayerKind::Summarise(_) => "chunks of",
    };
    let mut lines = parameters(stage, id);
    lines.push(format!("{} {}", this.layer.spec.shape, this.layer.spec.dtype));
    lines.push(format!("{what} {}", this.layer.grid.chunk()));
    lines.push(format!("{} in the graph, {} run", plural(numbers.tasks, "task"), format_count(numbers.fused)));
    let read =
        if numbers.bytes_read > 0 { format!(", {} decoded", format_size(numbers.bytes_read)) } else { String::new() };
    lines.push(format!("{} of pixels{read}", format_size(numbers.bytes)));
    lines.push(match this.fused_into {
        Some(into) => format!("fused into {}: {}", stage.get(into).layer.name(), this.fusing_note),
        None => this.fusing_note.to_owned(),
    });
    if let Some(factor) = this.amplification {
        lines.push(format!("by region: {factor:.2} times the reading; limit {MOST_AMPLIFICATION}"));
    }
    lines.extend(held(stage, id).map(str::to_owned));
    Card { title: this.layer.name().to_owned(), lines, look: Look::of(this) }
}

/// Where its values are until they are used.
fn held(stage: &Stage, id: LayerId) -> Option<&'static str> {
    let this = stage.get(id);
    if this.fused_into.is_some() || stage.top_position(id).is_some() {
        None
    } else if this.shared {
        Some("values held for several groups")
    } else {
        Some("values held within one group")
    }
}

/// The parameters of an operation, in lines of moderate length: `axis z, method max`.
fn parameters(stage: &Stage, id: LayerId) -> Vec<String> {
    let LayerKind::Op(op) = &stage.get(id).layer.kind else { return Vec::new() };
    let serde_json::Value::Object(fields) = op.params() else { return Vec::new() };
    let text = |value: &serde_json::Value| value.to_string().replace('"', "").replace(',', ", ").replace(':', " ");
    let parts: Vec<_> = fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k} {}", text(v))).collect();
    if parts.is_empty() { Vec::new() } else { vec![parts.join(", ")] }
}

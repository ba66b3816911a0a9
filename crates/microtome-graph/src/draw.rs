//! Drawing a stage: the layer graph, as Graphviz DOT.

use std::fmt::Write as _;

use petgraph::graph::DiGraph;

use crate::layer::LayerId;
use crate::lower::TaskGraph;
use crate::stage::Stage;

impl Stage {
    /// The layers as a petgraph graph; edges point from input to consumer.
    pub fn layer_graph(&self) -> DiGraph<LayerId, (), u32> {
        let mut graph = DiGraph::default();
        let nodes: Vec<_> = self.ids().map(|id| graph.add_node(id)).collect();
        for id in self.ids() {
            for input in &self.get(id).inputs {
                graph.add_edge(nodes[input.index()], nodes[id.index()], ());
            }
        }
        graph
    }

    /// The layers as DOT: a box a layer with its chunk and counts, solid where tasks run, dashed where fused.
    pub fn dot(&self) -> String {
        let mut out = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=\"Helvetica\"];\n");
        for id in self.ids() {
            let this = self.get(id);
            let style = if this.fused_into.is_some() { "dashed" } else { "solid" };
            let label = format!(
                "{}\\n{} {}\\nchunk {}\\n{} tasks\\n{}",
                this.layer.name(),
                this.layer.spec.shape,
                this.layer.spec.dtype,
                this.layer.grid.chunk(),
                this.demand.count(),
                this.fusing_note
            );
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  l{} [label=\"{label}\", style={style}];", id.0);
        }
        for id in self.ids() {
            for input in &self.get(id).inputs {
                let _ = writeln!(out, "  l{} -> l{};", input.0, id.0);
            }
        }
        out.push_str("}\n");
        out
    }
}

impl TaskGraph {
    /// The tasks as DOT, named by layer and chunk index (t.c.z.y.x). For small graphs.
    pub fn dot(&self, stage: &Stage) -> String {
        let mut out = String::from("digraph tasks {\n  rankdir=LR;\n  node [shape=box, fontname=\"Helvetica\"];\n");
        for node in self.graph().node_indices() {
            let task = self.graph()[node];
            let layer = &stage.get(task.layer).layer;
            let index = layer.grid.index(task.chunk).0;
            let name: Vec<String> = index[..5].iter().map(u64::to_string).collect();
            let _ = writeln!(out, "  n{} [label=\"{}\\n{}\"];", node.index(), layer.name(), name.join("."));
        }
        for edge in self.graph().edge_indices() {
            if let Some((from, to)) = self.graph().edge_endpoints(edge) {
                let _ = writeln!(out, "  n{} -> n{};", from.index(), to.index());
            }
        }
        out.push_str("}\n");
        out
    }
}

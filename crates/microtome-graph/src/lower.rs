//! Lowering: from layers to tasks. A petgraph `DiGraph`, whole or for a window of groups.
//!
//! *Invariant:* nodes are added after all they depend on, depth first, so the order of node indices is an order to run
//! in, and one that frees values early. A task's key is (layer, chunk), the same in every window.

use std::collections::HashMap;
use std::ops::Range;

use microtome_array::{ChunkIndex, Region};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::GraphError;
use crate::layer::LayerId;
use crate::stage::Stage;

/// A task: one chunk of one layer, with all that is fused into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    /// The layer.
    pub layer: LayerId,
    /// The chunk, as its C-order position in the layer's grid.
    pub chunk: u64,
}

/// Tasks and what they depend on; edges point from what is needed to what needs it.
#[derive(Clone, Debug, Default)]
pub struct TaskGraph {
    graph: DiGraph<Task, (), u32>,
}

/// More tasks than this are not made at once: 2^28 nodes and their edges already take more than 8 GiB.
const MOST_TASKS: u64 = 1 << 28;

impl TaskGraph {
    /// All tasks of a stage, fused as the stage is. O(tasks).
    ///
    /// # Errors
    /// [`GraphError::TooManyTasks`] above 2^28 tasks.
    pub fn whole(stage: &Stage) -> Result<TaskGraph, GraphError> {
        let tasks = stage.layers().iter().map(|l| l.runs.count()).sum();
        if tasks > MOST_TASKS {
            return Err(GraphError::TooManyTasks { tasks, limit: MOST_TASKS });
        }
        Ok(TaskGraph::window(stage, 0..stage.groups().count()))
    }

    /// The tasks of some groups, by their C-order positions. O(tasks of the window).
    pub fn window(stage: &Stage, groups: Range<u64>) -> TaskGraph {
        let mut lowering = Lowering { stage, graph: DiGraph::default(), nodes: HashMap::new() };
        for group in groups {
            for unit in stage.units_of(&stage.groups().index(group)).iter() {
                lowering.top(&unit);
            }
        }
        TaskGraph { graph: lowering.graph }
    }

    /// The graph.
    pub fn graph(&self) -> &DiGraph<Task, (), u32> {
        &self.graph
    }

    /// Number of tasks.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

struct Lowering<'a> {
    stage: &'a Stage,
    graph: DiGraph<Task, (), u32>,
    nodes: HashMap<Task, NodeIndex<u32>>,
}

impl Lowering<'_> {
    /// A chunk of the top layer; each is visited once, so it is not looked up.
    fn top(&mut self, unit: &ChunkIndex) {
        let layer = self.stage.top();
        let grid = &self.stage.get(layer).layer.grid;
        let Some(region) = grid.region(unit) else { return };
        let inputs = self.inputs(layer, &region);
        self.add(Task { layer, chunk: grid.linear(unit) }, &inputs);
    }

    fn add(&mut self, task: Task, inputs: &[NodeIndex<u32>]) -> NodeIndex<u32> {
        let node = self.graph.add_node(task);
        for &input in inputs {
            self.graph.add_edge(input, node, ());
        }
        node
    }

    /// The tasks that a region of a layer needs: tasks of kept layers, found through the fused ones.
    fn inputs(&mut self, layer: LayerId, region: &Region) -> Vec<NodeIndex<u32>> {
        let mut out = Vec::new();
        let stage = self.stage;
        for &input in &stage.get(layer).inputs {
            let below = stage.get(input);
            if below.fused_into.is_some() {
                let needed = stage.get(layer).layer.input_region(region, &below.layer.spec);
                for node in self.inputs(input, &needed) {
                    if !out.contains(&node) {
                        out.push(node);
                    }
                }
            } else {
                out.extend(stage.inputs_of_region(layer, region, input).iter().map(|chunk| self.kept(input, &chunk)));
            }
        }
        out
    }

    /// The task of a kept chunk, made with all it needs if it is not there yet.
    fn kept(&mut self, layer: LayerId, chunk: &ChunkIndex) -> NodeIndex<u32> {
        let grid = &self.stage.get(layer).layer.grid;
        let task = Task { layer, chunk: grid.linear(chunk) };
        if let Some(&node) = self.nodes.get(&task) {
            return node;
        }
        let inputs = grid.region(chunk).map(|region| self.inputs(layer, &region)).unwrap_or_default();
        let node = self.add(task, &inputs);
        self.nodes.insert(task, node);
        node
    }
}

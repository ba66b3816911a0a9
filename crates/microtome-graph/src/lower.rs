//! Lowering: from layers to tasks. A petgraph `DiGraph`, whole or for a window of groups.
//!
//! *Invariant:* nodes are added after all they depend on, depth first, so the order of node indices is an order to run
//! in, and one that frees values early. A task's key is (layer, chunk), the same in every window.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
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

/// A map by task. Tasks are numbers that no stranger chooses, so that they are spread by a multiplication.
pub type TaskMap<V> = HashMap<Task, V, BuildHasherDefault<TaskHasher>>;

/// Hashes a [`Task`] for a [`TaskMap`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskHasher(u64);

impl Hasher for TaskHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // An odd number near 2^64 over the golden ratio (Knuth): neighbours land far apart.
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The map looks at both ends of the number; only the high end is well mixed.
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
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
        TaskGraph::without(stage, groups, &|_, _| false)
    }

    /// The tasks of some groups, without the write units that `done` names (position among the tops, unit) and what only
    /// they need.
    pub fn without(stage: &Stage, groups: Range<u64>, done: &dyn Fn(usize, u64) -> bool) -> TaskGraph {
        let least = groups.end.saturating_sub(groups.start).min(MOST_TASKS) as usize;
        let graph = DiGraph::with_capacity(least, 0);
        let mut lowering = Lowering { stage, graph, nodes: TaskMap::default(), done };
        let last = stage.tops().len() - 1;
        for group in groups {
            let group = stage.groups().index(group);
            for unit in stage.units_of(last, &group).iter() {
                lowering.visit(last, &unit);
            }
            // What no unit of the last top covers.
            for top in 0..last {
                stage.units_of(top, &group).iter().for_each(|unit| lowering.top(top, &unit));
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
    nodes: TaskMap<NodeIndex<u32>>,
    done: &'a dyn Fn(usize, u64) -> bool,
}

impl Lowering<'_> {
    /// A unit, after the units of the tops before it that are made from the same pixels: a pyramid is built up from its
    /// finest level, so that what a level needs of the one below need not wait for long.
    fn visit(&mut self, top: usize, unit: &ChunkIndex) {
        if top > 0 {
            self.stage.units_below(top, unit).iter().for_each(|below| self.visit(top - 1, &below));
        }
        self.top(top, unit);
    }

    /// A unit of a top.
    fn top(&mut self, top: usize, unit: &ChunkIndex) {
        let layer = self.stage.tops()[top];
        let grid = &self.stage.get(layer).layer.grid;
        let Some(region) = grid.region(unit) else { return };
        let task = Task { layer, chunk: grid.linear(unit) };
        let several = self.stage.tops().len() > 1;
        if (several && self.nodes.contains_key(&task)) || (self.done)(top, task.chunk) {
            return;
        }
        let inputs = self.inputs(layer, &region);
        let node = self.add(task, &inputs);
        // Where there is one top, each unit is visited once and need not be looked up.
        if several {
            self.nodes.insert(task, node);
        }
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
        // Making the last of the inputs may have made this one, too.
        if let Some(&node) = self.nodes.get(&task) {
            return node;
        }
        let node = self.add(task, &inputs);
        self.nodes.insert(task, node);
        self.shrink(layer, chunk);
        node
    }

    /// Makes what is smaller than the value of a chunk as soon as it can be made, so that the chunk need not be held.
    fn shrink(&mut self, layer: LayerId, chunk: &ChunkIndex) {
        let stage = self.stage;
        if stage.get(layer).shared {
            return; // what is made from it may belong to another group
        }
        let spec = stage.get(layer).layer.spec;
        for &consumer in &stage.get(layer).consumers {
            let over = stage.get(consumer);
            let waits = !over.layer.is_shrinking() || over.shared || stage.top_position(consumer).is_some();
            if waits || over.fused_into.is_some() {
                continue;
            }
            let Some(region) = stage.get(layer).layer.grid.region(chunk) else { continue };
            let reached = over.layer.grid.covering(&over.layer.output_region(&region, &spec));
            for smaller in reached.iter().filter(|index| over.runs.contains(index)) {
                let ready = stage.inputs(consumer, &smaller, layer).iter().all(|index| self.has(layer, &index));
                if ready {
                    self.kept(consumer, &smaller);
                }
            }
        }
    }

    fn has(&self, layer: LayerId, chunk: &ChunkIndex) -> bool {
        self.nodes.contains_key(&Task { layer, chunk: self.stage.get(layer).layer.grid.linear(chunk) })
    }
}

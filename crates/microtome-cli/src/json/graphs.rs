//! The layer graph and the task graph of a plan as JSON: what the drawings show.

use microtome::{
    Axis, Estimate, GraphError, Intermediate, LayerEstimate, LayerId, MOST_SHOWN, Pass, Plan, Relation, Shape, Stage,
    TaskGraph,
};
use serde::Serialize;

/// Tasks that are made for a graph at most.
const MOST_MADE: u64 = 1 << 17;

/// The graphs of a plan.
#[derive(Debug, Serialize)]
pub(crate) struct Graphs {
    passes: Vec<PassJson>,
    /// Of the first pass.
    task_graph: Option<TaskGraphJson>,
}

/// A part of a plan that runs as one.
#[derive(Debug, Serialize)]
struct PassJson {
    levels: Vec<usize>,
    tasks: u64,
    run: u64,
    groups: u64,
    /// What it stores for the next pass alone, if that is what it is for.
    intermediate: Option<Intermediate>,
    /// Null if the plan is refused.
    slots: Option<u64>,
    layers: Vec<LayerNode>,
    edges: Vec<LayerEdge>,
}

/// A layer of the graph.
#[derive(Debug, Serialize)]
struct LayerNode {
    id: u32,
    name: String,
    shape: Vec<u64>,
    dtype: &'static str,
    chunk: Vec<u64>,
    tasks: u64,
    run: u64,
    bytes: u64,
    bytes_read: u64,
    fused_into: Option<u32>,
    why: &'static str,
    /// How many times its source would decode its pixels if it were read by region, where that decided.
    amplification: Option<f64>,
    /// `stored`, `returned`, `streamed` (fused), `group` (held within a group) or `shared` (held for several).
    values: &'static str,
}

#[derive(Debug, Serialize)]
struct LayerEdge {
    from: u32,
    to: u32,
    label: String,
    /// Chunks of `from` that a chunk of `to` takes from.
    chunks: u64,
    #[serde(flatten)]
    relation: Relation,
}

/// The tasks of the first groups.
#[derive(Debug, Serialize)]
struct TaskGraphJson {
    groups: u64,
    /// All tasks of these groups; those beyond the last of `nodes` are left out. Null if they are too many to be made.
    tasks: Option<usize>,
    left_out: Option<usize>,
    nodes: Vec<TaskNode>,
    /// Positions in `nodes`.
    edges: Vec<[usize; 2]>,
}

#[derive(Debug, Serialize)]
struct TaskNode {
    layer: u32,
    chunk: Vec<u64>,
}

impl Graphs {
    pub(crate) fn new(plan: &Plan<'_>, passes: &Result<Vec<Pass>, GraphError>, groups: u64) -> Graphs {
        match passes {
            Ok(passes) => Graphs {
                passes: passes.iter().map(|pass| PassJson::new(&pass.stage, Some(pass))).collect(),
                task_graph: passes.first().filter(|_| groups > 0).map(|pass| TaskGraphJson::new(&pass.stage, groups)),
            },
            Err(_) => Graphs {
                passes: vec![PassJson::new(plan.stage(), None)],
                task_graph: (groups > 0).then(|| TaskGraphJson::new(plan.stage(), groups)),
            },
        }
    }
}

impl PassJson {
    fn new(stage: &Stage, pass: Option<&Pass>) -> PassJson {
        let estimate = Estimate::of(stage);
        let graph = stage.layer_graph();
        let edges = graph.edge_indices().filter_map(|edge| {
            let (from, to) = graph.edge_endpoints(edge)?;
            let (from, to, relation) = (graph[from], graph[to], graph[edge].clone());
            let (chunks, _) = stage.chunks_between(to, from);
            Some(LayerEdge { from: from.0, to: to.0, label: relation.to_string(), chunks, relation })
        });
        PassJson {
            levels: pass.map_or_else(|| vec![0], |pass| pass.levels.clone().collect()),
            tasks: estimate.tasks,
            run: estimate.fused,
            groups: estimate.groups,
            intermediate: pass.and_then(|pass| pass.intermediate.clone()),
            slots: pass.map(|pass| pass.admission.slots),
            layers: stage.ids().zip(&estimate.layers).map(|(id, numbers)| LayerNode::new(stage, id, numbers)).collect(),
            edges: edges.collect(),
        }
    }
}

impl LayerNode {
    fn new(stage: &Stage, id: LayerId, numbers: &LayerEstimate) -> LayerNode {
        let this = stage.get(id);
        let rank = this.layer.spec.shape.present().len();
        let extents = |shape: &Shape| shape.extents()[..rank].to_vec();
        LayerNode {
            id: id.0,
            name: numbers.name.clone(),
            shape: extents(&this.layer.spec.shape),
            dtype: this.layer.spec.dtype.name(),
            chunk: extents(&numbers.chunk),
            tasks: numbers.tasks,
            run: numbers.fused,
            bytes: numbers.bytes,
            bytes_read: numbers.bytes_read,
            fused_into: this.fused_into.map(|into| into.0),
            why: this.fusing_note,
            amplification: this.amplification,
            values: values(stage, id),
        }
    }
}

fn values(stage: &Stage, id: LayerId) -> &'static str {
    let this = stage.get(id);
    match (this.fused_into, stage.top_position(id), this.shared) {
        (Some(_), _, _) => "streamed",
        (None, Some(_), _) if matches!(this.layer.kind, microtome::LayerKind::Store) => "stored",
        (None, Some(_), _) => "returned",
        (None, None, true) => "shared",
        (None, None, false) => "group",
    }
}

impl TaskGraphJson {
    /// The first nodes in the order in which they run, so that what a node needs is there.
    fn new(stage: &Stage, groups: u64) -> TaskGraphJson {
        let all = stage.groups().count();
        let groups = groups.min(all);
        let tasks: u64 = stage.layers().iter().map(|layer| layer.runs.count()).sum();
        let about = u128::from(tasks) * u128::from(groups) / u128::from(all.max(1));
        if about > u128::from(MOST_MADE) {
            return TaskGraphJson { groups, tasks: None, left_out: None, nodes: Vec::new(), edges: Vec::new() };
        }
        let graph = TaskGraph::window(stage, 0..groups);
        let graph = graph.graph();
        let nodes = graph.node_indices().take(MOST_SHOWN).map(|node| {
            let task = graph[node];
            let index = stage.get(task.layer).layer.grid.index(task.chunk);
            TaskNode { layer: task.layer.0, chunk: Axis::ALL[..5].iter().map(|&axis| index[axis]).collect() }
        });
        let edges = graph.raw_edges().iter().map(|edge| [edge.source().index(), edge.target().index()]);
        let count = graph.node_count();
        TaskGraphJson {
            groups,
            tasks: Some(count),
            left_out: Some(count.saturating_sub(MOST_SHOWN)),
            nodes: nodes.collect(),
            edges: edges.filter(|ends| ends.iter().all(|&n| n < MOST_SHOWN)).collect(),
        }
    }
}

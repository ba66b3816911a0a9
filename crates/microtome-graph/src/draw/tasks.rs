//! The task graph of a few groups: a card a task, an arrow a dependency.
//!
//! *Invariant:* at most [`MOST_SHOWN`] cards; what is left out is said, on the panel and where it is missing.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use microtome_array::{Axis, Region, format_count};
use petgraph::Direction::{Incoming, Outgoing};
use petgraph::graph::{DiGraph, NodeIndex};

use super::{Card, Drawing, Flow, Look, Panel};
use crate::layer::LayerId;
use crate::lower::{Task, TaskGraph};
use crate::stage::Stage;

/// Tasks that a panel shows at most.
pub const MOST_SHOWN: usize = 200;
/// Inputs of one task, and results, of which each is shown.
const MOST_EACH: usize = 12;
/// Tasks that a graph is made of for a drawing at most.
const MOST_MADE: u64 = 1 << 17;

type Graph = DiGraph<Task, (), u32>;
type Node = NodeIndex<u32>;

impl Panel {
    /// The tasks of some groups of a stage, by their C-order positions; with what is fused into each.
    pub fn tasks(stage: &Stage, title: &str, groups: Range<u64>) -> Panel {
        Panel::of_tasks(stage, title, groups, stage)
    }

    /// The tasks of the first group of a stage if nothing were fused; those that are fused are marked.
    pub fn unfused(stage: &Stage, title: &str) -> Panel {
        Panel::of_tasks(&stage.unfused(), title, 0..1, stage)
    }

    fn of_tasks(stage: &Stage, title: &str, groups: Range<u64>, looks: &Stage) -> Panel {
        let all = stage.groups().count();
        let groups = groups.start.min(all)..groups.end.min(all);
        let mut panel = Panel {
            title: title.to_owned(),
            notes: Vec::new(),
            arrives: None,
            flow: Flow::Right,
            graph: DiGraph::default(),
        };
        let tasks: u64 = stage.layers().iter().map(|layer| layer.runs.count()).sum();
        let about = u128::from(tasks) * u128::from(groups.end - groups.start) / u128::from(all.max(1));
        if about > u128::from(MOST_MADE) {
            panel.notes.push(format!("about {about} tasks: too many to be drawn"));
            return panel;
        }
        let graph = TaskGraph::window(stage, groups);
        let selection = Selection::of(graph.graph());
        let (shown, total) = (selection.shown.len() as u64, graph.len() as u64);
        panel.notes.push(match (total, total - shown) {
            (1, 0) => "the only task".to_owned(),
            (_, 0) => format!("all {} tasks", format_count(total)),
            (_, left) => {
                let (total, left) = (format_count(total), format_count(left));
                format!("{shown} of {total} tasks are shown; {left} are left out")
            }
        });
        panel.graph = selection.cards(stage, graph.graph(), looks);
        panel
    }
}

impl TaskGraph {
    /// The tasks as DOT, named by layer and chunk index. For small graphs.
    pub fn dot(&self, stage: &Stage) -> String {
        let all = Selection { shown: self.graph().node_indices().collect(), more: HashMap::new(), more_ends: 0 };
        let graph = all.cards(stage, self.graph(), stage);
        let panel = Panel { title: "tasks".to_owned(), notes: Vec::new(), arrives: None, flow: Flow::Right, graph };
        Drawing { panels: vec![panel], ..Drawing::default() }.dot()
    }
}

/// Which tasks are shown.
#[derive(Debug, Default)]
struct Selection {
    shown: BTreeSet<Node>,
    /// How many inputs of a task are not.
    more: HashMap<Node, usize>,
    /// How many results are not.
    more_ends: usize,
}

impl Selection {
    /// Results first, each with what it is made from, until there are enough.
    fn of(graph: &Graph) -> Selection {
        let mut selection = Selection::default();
        let ends: Vec<Node> = graph.externals(Outgoing).collect();
        let few = few(&ends);
        for &end in &few {
            selection.visit(graph, end);
        }
        selection.more_ends = ends.iter().filter(|end| !selection.shown.contains(end)).count();
        selection
    }

    fn visit(&mut self, graph: &Graph, from: Node) {
        let mut waiting = std::collections::VecDeque::from([from]);
        while let Some(node) = waiting.pop_front() {
            if self.shown.len() >= MOST_SHOWN || !self.shown.insert(node) {
                continue;
            }
            let mut inputs: Vec<Node> = graph.neighbors_directed(node, Incoming).collect();
            inputs.sort_unstable();
            waiting.extend(few(&inputs));
        }
    }

    fn cards(mut self, stage: &Stage, graph: &Graph, looks: &Stage) -> DiGraph<Card, String, u32> {
        for &node in &self.shown {
            let missing = graph.neighbors_directed(node, Incoming).filter(|n| !self.shown.contains(n)).count();
            if missing > 0 {
                self.more.insert(node, missing);
            }
        }
        let mut out = DiGraph::default();
        let mut places = HashMap::new();
        for &node in &self.shown {
            let place = out.add_node(card(stage, graph[node], looks));
            places.insert(node, place);
            let mut inputs: Vec<Node> = graph.neighbors_directed(node, Incoming).collect();
            inputs.sort_unstable();
            for input in inputs.iter().filter_map(|input| places.get(input)) {
                out.add_edge(*input, place, String::new());
            }
            if let Some(missing) = self.more.get(&node) {
                let more = out.add_node(ellipsis(*missing));
                out.add_edge(more, place, String::new());
            }
        }
        if self.more_ends > 0 {
            out.add_node(ellipsis(self.more_ends));
        }
        out
    }
}

/// The first and the last of many.
fn few(nodes: &[Node]) -> Vec<Node> {
    if nodes.len() <= MOST_EACH {
        return nodes.to_vec();
    }
    nodes[..MOST_EACH - 2].iter().chain(nodes.last()).copied().collect()
}

fn ellipsis(missing: usize) -> Card {
    Card { title: format!("… {} more", format_count(missing as u64)), lines: Vec::new(), look: Look::More }
}

fn card(stage: &Stage, task: Task, looks: &Stage) -> Card {
    let this = stage.get(task.layer);
    let index = this.layer.grid.index(task.chunk);
    let counts = this.layer.grid.counts();
    let place = Axis::ALL.iter().filter(|&&axis| counts[axis] > 1);
    let place: Vec<String> = place.map(|&a| format!("{}{}", a.letter().to_ascii_lowercase(), index[a])).collect();
    let title = [this.layer.name(), &place.join(" ")].join(" ").trim_end().to_owned();
    let mut inside = Vec::new();
    if let Some(region) = this.layer.grid.region(&index) {
        add_fused(stage, task.layer, &region, &mut inside);
    }
    let lines =
        inside.iter().map(|(layer, chunks)| format!("{} × {}", format_count(*chunks), stage.get(*layer).layer.name()));
    let look = Look::of(looks.get(task.layer));
    Card { title, lines: lines.collect(), look }
}

/// Adds what is fused into the task of a region: layers and how many chunks of each it stands for, inputs first.
fn add_fused(stage: &Stage, layer: LayerId, region: &Region, inside: &mut Vec<(LayerId, u64)>) {
    for &input in &stage.get(layer).inputs {
        let below = stage.get(input);
        if below.fused_into.is_some() {
            let needed = stage.get(layer).layer.input_region(region, &below.layer.spec);
            add_fused(stage, input, &needed, inside);
            inside.push((input, below.layer.grid.covering(&needed).count()));
        }
    }
}

//! A stage of a plan, laid out for running: needed chunks, fused layers, groups of write units.
//!
//! *Invariant:* a value of a kept layer that is not *shared* is needed by one group alone, so it can be freed when that
//! group ends; a shared value is needed by groups that lie near each other in C order and is held between them.

use std::collections::HashMap;
use std::sync::Arc;

use microtome_array::{Axis, ChunkGrid, ChunkIndex, IndexBox, PerAxis, Region, Shape};
use microtome_io::SinkSpec;
use microtome_ops::{Body, Summary};
use sha2::{Digest, Sha256};

use crate::demand::IndexSet;
use crate::fuse::{self, Fusing};
use crate::groups::{self, Grouping};
use crate::layer::{Layer, LayerId, LayerKind};
use crate::lazy::{LazyArray, Node};

/// How to lay out a stage.
#[derive(Clone, Debug)]
pub struct StageOptions {
    /// What takes the result; without one it is computed into memory.
    pub sink: Option<SinkSpec>,
    /// Which layers are fused.
    pub fusing: Fusing,
    /// Write units in a group at most; with fewer, more values are shared between groups. Changes no result.
    pub group_units: u64,
}

impl Default for StageOptions {
    /// Into memory, fused, in groups of at most 64 units.
    fn default() -> Self {
        StageOptions { sink: None, fusing: Fusing::default(), group_units: groups::MOST_UNITS }
    }
}

/// A part of a plan that runs as one: it ends in one or several stores, or in memory.
#[derive(Clone, Debug)]
pub struct Stage {
    layers: Vec<StageLayer>,
    tops: Vec<LayerId>,
    grouping: Grouping,
}

/// A layer with its place in the stage.
#[derive(Clone, Debug)]
pub struct StageLayer {
    /// The layer.
    pub layer: Layer,
    /// The layers it computes from.
    pub inputs: Vec<LayerId>,
    /// The layers that compute from it.
    pub consumers: Vec<LayerId>,
    /// Its chunks in the unfused graph: those that a needed chunk of a consumer takes anything from.
    pub demand: IndexSet,
    /// Its chunks that the executor makes: none where it is fused; fewer than `demand` where a fused consumer takes
    /// only part of its own chunk.
    pub runs: IndexSet,
    /// The layer into whose tasks its own are fused, if they are.
    pub fused_into: Option<LayerId>,
    /// Why it is or is not fused, in words.
    pub fusing_note: &'static str,
    /// How many times its pixels the source below would decode if its consumer read it by region, where that decided.
    pub amplification: Option<f64>,
    /// The box that one task computes at a time: of a fold in coordinates of its input, else of its result.
    pub step: Shape,
    /// Whether one of its values may be needed by several groups.
    pub shared: bool,
}

impl Stage {
    /// Lays out an array. O(layers).
    pub fn new(array: &LazyArray, options: &StageOptions) -> Stage {
        let top = match &options.sink {
            Some(sink) => array.stored(sink.units),
            None => array.clone(),
        };
        let part = options.sink.as_ref().map(|s| s.part);
        Stage::lay_out(&[(top, part)], options.fusing, options.group_units)
    }

    /// Lays out arrays that are stored in one pass: the first decides the groups, and every other is made from the same
    /// pixels (the levels of a pyramid). O(layers).
    ///
    /// # Panics
    /// If there is no array: a bug in the caller.
    pub fn storing(arrays: &[(LazyArray, SinkSpec)], fusing: Fusing) -> Stage {
        assert!(!arrays.is_empty(), "a stage stores something");
        let tops: Vec<_> = arrays.iter().map(|(array, sink)| (array.stored(sink.units), Some(sink.part))).collect();
        Stage::lay_out(&tops, fusing, groups::MOST_UNITS)
    }

    /// Lays out a pass over all pixels of an array for a summary. O(layers).
    pub fn summarising(array: &LazyArray, summary: &Arc<dyn Summary>) -> Stage {
        Stage::lay_out(&[(array.summarised(summary), None)], Fusing::Full, groups::MOST_UNITS)
    }

    fn lay_out(tops: &[(LazyArray, Option<Shape>)], fusing: Fusing, group_units: u64) -> Stage {
        let (mut layers, ids) = flatten(tops.iter().map(|(top, _)| top));
        demand(&mut layers, &ids);
        let parts: HashMap<LayerId, Shape> =
            ids.iter().zip(tops).filter_map(|(&id, (_, part))| Some((id, (*part)?))).collect();
        fuse::decide(&mut layers, fusing, &parts);
        runs(&mut layers, &ids);
        let grouping = groups::group(&mut layers, &ids, group_units);
        Stage { layers, tops: ids, grouping }
    }

    /// The same layers with nothing fused, in groups of single units where that can be: the graph that `tasks.graph`
    /// counts. O(layers).
    #[must_use]
    pub fn unfused(&self) -> Stage {
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            layer.fused_into = None;
            layer.fusing_note = "fusing is off";
            layer.runs = IndexSet::default();
            layer.shared = false;
        }
        runs(&mut layers, &self.tops);
        let grouping = groups::group(&mut layers, &self.tops, 1);
        Stage { layers, tops: self.tops.clone(), grouping }
    }

    /// The layers, inputs before consumers.
    pub fn layers(&self) -> &[StageLayer] {
        &self.layers
    }

    /// One layer.
    pub fn get(&self, id: LayerId) -> &StageLayer {
        &self.layers[id.index()]
    }

    /// The layer that decides the groups: the first store, or the array itself.
    pub fn top(&self) -> LayerId {
        self.tops[0]
    }

    /// Every store, the first first; or the array itself.
    pub fn tops(&self) -> &[LayerId] {
        &self.tops
    }

    /// The place of a layer among [`tops`](Stage::tops), if it is one.
    pub fn top_position(&self, id: LayerId) -> Option<usize> {
        self.tops.iter().position(|&top| top == id)
    }

    /// The ids of all layers.
    pub fn ids(&self) -> impl Iterator<Item = LayerId> + use<> {
        (0..self.layers.len() as u32).map(LayerId)
    }

    /// The groups of write units that are admitted and run as one, as a cut of the first top.
    pub fn groups(&self) -> &ChunkGrid {
        &self.grouping.grid
    }

    /// Whether some value may be needed by several groups.
    pub fn is_sharing(&self) -> bool {
        self.layers.iter().any(|layer| layer.shared)
    }

    /// The write units of a group, in C order: those of the top at a position in [`tops`](Stage::tops). Each unit
    /// belongs to one group.
    pub fn units_of(&self, top: usize, group: &ChunkIndex) -> IndexBox {
        let grid = &self.get(self.tops[top]).layer.grid;
        self.grouping.units(top, grid, group)
    }

    /// The units of the top before `top` that are made from the same pixels as a unit of `top`.
    pub(crate) fn units_below(&self, top: usize, unit: &ChunkIndex) -> IndexBox {
        let grid = |top: usize| &self.get(self.tops[top]).layer.grid;
        self.grouping.units_below(top, grid(top), unit, grid(top - 1))
    }

    /// The pixels of a kept layer that a group needs, through all that is fused: a box around them, `None` if none.
    pub fn needed_by(&self, layer: LayerId, group: &ChunkIndex) -> Option<Region> {
        let mut found = None;
        for (position, &top) in self.tops.iter().enumerate() {
            let units = self.units_of(position, group);
            if !units.is_empty() {
                let region = self.get(top).layer.grid.box_region(&units);
                self.hull_of_need(top, &region, layer, &mut found);
            }
        }
        found
    }

    /// Adds what `region` of `from` needs of `layer`.
    fn hull_of_need(&self, from: LayerId, region: &Region, layer: LayerId, found: &mut Option<Region>) {
        for &input in &self.get(from).inputs {
            let below = &self.get(input).layer;
            let mut needed = self.get(from).layer.input_region(region, &below.spec);
            if input == layer {
                *found = Some(found.map_or(needed, |so_far| hull(&so_far, &needed)));
            } else if input > layer {
                if self.get(input).fused_into.is_none() && !needed.is_empty() {
                    needed = below.grid.box_region(&below.grid.covering(&needed));
                }
                self.hull_of_need(input, &needed, layer, found);
            }
        }
    }

    /// The chunks of `input` that a chunk of `layer` needs; O(1).
    ///
    /// # Panics
    /// If `chunk` is not in the layer's grid: a bug in the caller.
    #[expect(clippy::expect_used, reason = "documented")]
    pub fn inputs(&self, layer: LayerId, chunk: &ChunkIndex, input: LayerId) -> IndexBox {
        let region = self.get(layer).layer.grid.region(chunk).expect("the chunk lies in the grid");
        self.inputs_of_region(layer, &region, input)
    }

    /// The chunks of `input` that a region of `layer` needs; O(1).
    pub fn inputs_of_region(&self, layer: LayerId, region: &Region, input: LayerId) -> IndexBox {
        let source = &self.get(input).layer;
        source.grid.covering(&self.get(layer).layer.input_region(region, &source.spec))
    }

    /// How many needed chunks of other layers compute from a chunk of `layer`; O(consumers). The chunk's value may be
    /// freed when so many have run.
    ///
    /// # Panics
    /// If `chunk` is not in the layer's grid: a bug in the caller.
    #[expect(clippy::expect_used, reason = "documented")]
    pub fn consumer_count(&self, layer: LayerId, chunk: &ChunkIndex) -> u64 {
        let this = self.get(layer);
        let region = this.layer.grid.region(chunk).expect("the chunk lies in the grid");
        this.consumers
            .iter()
            .map(|&id| {
                let consumer = self.get(id);
                let reached = consumer.layer.output_region(&region, &this.layer.spec);
                consumer.demand.count_in(&consumer.layer.grid.covering(&reached))
            })
            .sum()
    }

    /// The tasks that use the value of a kept chunk: chunks of kept layers and of tops that run, found through the fused
    /// layers. O(consumers).
    ///
    /// # Panics
    /// If `chunk` is not in the layer's grid: a bug in the caller.
    #[expect(clippy::expect_used, reason = "documented")]
    pub fn users(&self, layer: LayerId, chunk: &ChunkIndex) -> Vec<(LayerId, IndexSet)> {
        let region = self.get(layer).layer.grid.region(chunk).expect("the chunk lies in the grid");
        let mut out = Vec::new();
        self.add_users(layer, &region, &mut out);
        out
    }

    fn add_users(&self, layer: LayerId, region: &Region, out: &mut Vec<(LayerId, IndexSet)>) {
        let spec = self.get(layer).layer.spec;
        for &id in &self.get(layer).consumers {
            let consumer = self.get(id);
            let reached = consumer.layer.output_region(region, &spec);
            if reached.is_empty() {
                continue;
            }
            if consumer.fused_into.is_some() {
                self.add_users(id, &reached, out);
                continue;
            }
            let covering = consumer.layer.grid.covering(&reached);
            let place = out.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                out.push((id, IndexSet::default()));
                out.len() - 1
            });
            for running in consumer.runs.boxes() {
                out[place].1.insert(running.intersect(&covering));
            }
        }
    }

    /// Whether a pixel of the result may be made of values of several planes that are taken together: by a fold or a summary.
    pub fn reduces(&self) -> bool {
        self.layers.iter().any(|this| match &this.layer.kind {
            LayerKind::Op(op) => matches!(op.body(), Body::Fold(_)) || op.asks().is_some(),
            LayerKind::Summarise(_) => true,
            LayerKind::Source { .. } | LayerKind::Rechunk | LayerKind::Store => false,
        })
    }

    /// Hash of all that decides the bytes of the result: layers, parameters, the sources' digests (not where they
    /// lie), and `sink`, the parameters of what stores it. Threads, memory and chunks of computation are not in it.
    pub fn hash(&self, sink: &serde_json::Value) -> String {
        let text = serde_json::json!({"microtome": 1, "layers": self.parameters(), "sink": sink}).to_string();
        format!("{:x}", Sha256::digest(text.as_bytes()))
    }

    /// The layers as data, inputs first: operations with their parameters, sources by the digests of their indexes. No path,
    /// clock or host is in it.
    pub fn parameters(&self) -> serde_json::Value {
        self.layers.iter().map(identity).collect()
    }
}

fn identity(layer: &StageLayer) -> serde_json::Value {
    let inputs: Vec<u32> = layer.inputs.iter().map(|i| i.0).collect();
    let spec = &layer.layer.spec;
    match &layer.layer.kind {
        LayerKind::Source { reader, at, origin } => serde_json::json!({
            "source": reader.source().digest, "at": at, "origin": origin, "spec": spec
        }),
        LayerKind::Op(op) => serde_json::json!({"op": op.name(), "params": op.params(), "inputs": inputs}),
        LayerKind::Rechunk => serde_json::json!({"same": inputs}),
        LayerKind::Store => serde_json::json!({"store": inputs, "spec": spec}),
        LayerKind::Summarise(summary) => {
            serde_json::json!({"summary": summary.name(), "params": summary.params(), "inputs": inputs})
        }
    }
}

/// The layers of arrays in an order in which inputs come first, shared layers once; and which of them are the arrays.
fn flatten<'a>(tops: impl Iterator<Item = &'a LazyArray>) -> (Vec<StageLayer>, Vec<LayerId>) {
    let mut seen = HashMap::new();
    let mut layers: Vec<StageLayer> = Vec::new();
    let ids = tops.map(|top| visit(&top.0, &mut seen, &mut layers)).collect();
    for index in 0..layers.len() {
        for input in layers[index].inputs.clone() {
            layers[input.index()].consumers.push(LayerId(index as u32));
        }
    }
    (layers, ids)
}

fn visit(node: &Arc<Node>, seen: &mut HashMap<*const Node, LayerId>, layers: &mut Vec<StageLayer>) -> LayerId {
    if let Some(&id) = seen.get(&Arc::as_ptr(node)) {
        return id;
    }
    let inputs = node.inputs.iter().map(|input| visit(&input.0, seen, layers)).collect();
    let id = LayerId(layers.len() as u32);
    layers.push(StageLayer {
        layer: node.layer.clone(),
        inputs,
        consumers: Vec::new(),
        demand: IndexSet::default(),
        runs: IndexSet::default(),
        fused_into: None,
        fusing_note: "",
        amplification: None,
        step: node.layer.grid.chunk(),
        shared: false,
    });
    seen.insert(Arc::as_ptr(node), id);
    id
}

/// Works out which chunks are needed, from the top down.
fn demand(layers: &mut [StageLayer], tops: &[LayerId]) {
    for top in tops {
        let top = &mut layers[top.index()];
        top.demand = IndexSet::of(top.layer.grid.all());
    }
    for index in (0..layers.len()).rev() {
        let boxes = layers[index].demand.boxes().to_vec();
        for input in layers[index].inputs.clone() {
            for chunks in &boxes {
                let region = layers[index].layer.grid.box_region(chunks);
                let source = &layers[input.index()].layer;
                let needed = source.grid.covering(&layers[index].layer.input_region(&region, &source.spec));
                layers[input.index()].demand.insert(needed);
            }
        }
    }
}

/// Works out which chunks of kept layers are made, from the top down, by the regions that pass through fused layers.
fn runs(layers: &mut [StageLayer], tops: &[LayerId]) {
    for top in tops {
        let top = &mut layers[top.index()];
        top.runs = top.demand.clone();
    }
    for index in (0..layers.len()).rev() {
        for chunks in layers[index].runs.boxes().to_vec() {
            let region = layers[index].layer.grid.box_region(&chunks);
            reach(layers, index, &region);
        }
    }
}

/// Adds what a region of a layer takes from kept layers below.
fn reach(layers: &mut [StageLayer], index: usize, region: &Region) {
    for input in layers[index].inputs.clone() {
        let below = &layers[input.index()];
        let needed = layers[index].layer.input_region(region, &below.layer.spec);
        if below.fused_into.is_some() {
            reach(layers, input.index(), &needed);
        } else {
            let chunks = below.layer.grid.covering(&needed);
            layers[input.index()].runs.insert(chunks);
        }
    }
}

/// The least region that contains two.
fn hull(a: &Region, b: &Region) -> Region {
    let start = PerAxis::from_fn(|x| a.start(x).min(b.start(x)));
    let end = PerAxis::from_fn(|x| a.end(x).max(b.end(x)));
    Region::new(start, end).unwrap_or(*a)
}

/// Extents of `shape` on an axis, for readers of this module.
pub(crate) fn whole(shape: &Shape, axis: Axis) -> u64 {
    shape.get(axis).max(1)
}

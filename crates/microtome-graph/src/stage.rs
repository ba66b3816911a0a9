//! A plan laid out for running: needed chunks, fused layers, groups of write units.
//!
//! *Invariant:* no value of a kept layer is needed by two groups. A group can therefore run alone, on any thread, in
//! any order, and everything it made can be freed when it ends.

use std::collections::HashMap;
use std::sync::Arc;

use microtome_array::{Axis, ChunkGrid, ChunkIndex, IndexBox, Region, Shape};
use microtome_io::SinkSpec;
use sha2::{Digest, Sha256};

use crate::demand::IndexSet;
use crate::fuse::{self, Fusing};
use crate::layer::{Layer, LayerId, LayerKind};
use crate::lazy::{LazyArray, Node};

/// How to lay out a stage.
#[derive(Clone, Debug, Default)]
pub struct StageOptions {
    /// What takes the result; without one it is computed into memory.
    pub sink: Option<SinkSpec>,
    /// Which layers are fused.
    pub fusing: Fusing,
}

/// A plan that ends in one store, or in memory.
#[derive(Clone, Debug)]
pub struct Stage {
    layers: Vec<StageLayer>,
    groups: ChunkGrid,
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
    /// The box that one task computes at a time: of a fold in coordinates of its input, else of its result.
    pub step: Shape,
}

impl Stage {
    /// Lays out an array. O(layers).
    pub fn new(array: &LazyArray, options: &StageOptions) -> Stage {
        let top = match &options.sink {
            Some(sink) => array.stored(sink.units),
            None => array.clone(),
        };
        let mut layers = flatten(&top);
        demand(&mut layers);
        let part = options.sink.as_ref().map(|s| s.part);
        fuse::decide(&mut layers, options.fusing, part.as_ref());
        runs(&mut layers);
        let groups = fuse::groups(&layers);
        Stage { layers, groups }
    }

    /// The layers, inputs before consumers.
    pub fn layers(&self) -> &[StageLayer] {
        &self.layers
    }

    /// One layer.
    pub fn get(&self, id: LayerId) -> &StageLayer {
        &self.layers[id.index()]
    }

    /// The last layer: what is stored, or the array itself.
    pub fn top(&self) -> LayerId {
        LayerId(self.layers.len() as u32 - 1)
    }

    /// The ids of all layers.
    pub fn ids(&self) -> impl Iterator<Item = LayerId> + use<> {
        (0..self.layers.len() as u32).map(LayerId)
    }

    /// The groups of write units that are admitted and run as one.
    pub fn groups(&self) -> &ChunkGrid {
        &self.groups
    }

    /// The write units (or chunks of the top layer) of a group, in C order.
    pub fn units_of(&self, group: &ChunkIndex) -> IndexBox {
        let region = self.groups.region(group);
        let grid = &self.get(self.top()).layer.grid;
        region.map_or_else(
            || grid.covering(&Region::of(Shape::new([0; 6]).unwrap_or(grid.shape()))),
            |r| grid.covering(&r),
        )
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

    /// Hash of all that decides the bytes of the result: layers, parameters, the sources' digests (not where they
    /// lie), and `sink`, the parameters of what stores it. Threads, memory and chunks of computation are not in it.
    pub fn hash(&self, sink: &serde_json::Value) -> String {
        let layers: Vec<serde_json::Value> = self.layers.iter().map(identity).collect();
        let text = serde_json::json!({"microtome": 1, "layers": layers, "sink": sink}).to_string();
        format!("{:x}", Sha256::digest(text.as_bytes()))
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
    }
}

/// The layers of an array in an order in which inputs come first; shared layers once.
fn flatten(top: &LazyArray) -> Vec<StageLayer> {
    let mut seen = HashMap::new();
    let mut layers: Vec<StageLayer> = Vec::new();
    visit(&top.0, &mut seen, &mut layers);
    for index in 0..layers.len() {
        for input in layers[index].inputs.clone() {
            layers[input.index()].consumers.push(LayerId(index as u32));
        }
    }
    layers
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
        step: node.layer.grid.chunk(),
    });
    seen.insert(Arc::as_ptr(node), id);
    id
}

/// Works out which chunks are needed, from the top down.
fn demand(layers: &mut [StageLayer]) {
    if let Some(top) = layers.last_mut() {
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
fn runs(layers: &mut [StageLayer]) {
    if let Some(top) = layers.last_mut() {
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

/// Extents of `shape` on an axis, for readers of this module.
pub(crate) fn whole(shape: &Shape, axis: Axis) -> u64 {
    shape.get(axis).max(1)
}

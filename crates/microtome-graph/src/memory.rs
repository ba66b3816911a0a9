//! How much memory a stage takes at its peak, and what that lets run at once.
//!
//! *Invariant:* [`Stage::group_memory`] is an upper bound of what the executor's buffer pool lends while it runs one
//! group, values shared between groups left out; those are bounded by [`Stage::shared_peak`]. Both are made from shapes
//! alone: in O(layers), or in O(tasks of one group) where that is a moderate number.

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, Shape};
use microtome_io::{Place, Reader};
use microtome_ops::Body;
use petgraph::Direction;

use crate::error::GraphError;
use crate::layer::{LayerId, LayerKind};
use crate::lower::TaskGraph;
use crate::stage::{Stage, StageLayer};

/// A group of at most so many tasks is walked through in thought; of a larger one all values are added up.
const MOST_WALKED: u64 = 1 << 16;
/// Groups may run ahead of the oldest that runs by so many times the number that run at once, if there is memory.
const RUNNING_AHEAD: u64 = 4;
/// Groups at most that are run one after the other because they share values.
const LARGEST_BAND: u64 = 256;

/// Memory of one group of write units, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupMemory {
    /// What it takes on one thread: values of its own, and a task with all that it is computed from.
    pub alone: u64,
    /// What each further thread inside a task takes.
    pub wider: u64,
}

impl GroupMemory {
    /// This, where each thread takes some bytes more.
    #[must_use]
    pub fn with_more(self, bytes: u64) -> GroupMemory {
        GroupMemory { alone: self.alone + bytes, wider: self.wider + bytes }
    }

    /// Bytes of a group whose tasks use `width` threads.
    pub fn at_width(&self, width: u64) -> u64 {
        self.alone + self.wider * width.saturating_sub(1)
    }
}

/// How many groups run at once, on how many threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Groups at once.
    pub slots: u64,
    /// Threads inside a group's tasks.
    pub width: u64,
    /// Bytes reserved for each group.
    pub group_bytes: u64,
    /// Bytes reserved for values that groups share.
    pub shared_bytes: u64,
    /// Groups that may be started while the oldest of them still runs.
    pub spread: u64,
    /// Groups that a thread runs one after the other, where groups share values; else whoever runs them may choose.
    pub window: Option<u64>,
    /// Bytes at most, in all: the slots, what is shared and what is fixed.
    pub projected_peak: u64,
}

/// What evaluating a box takes at its peak, its value included, and what each further thread adds.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    peak: u64,
    wider: u64,
}

impl Stage {
    /// Memory of a group, given what each top's sink says it needs for a box.
    pub fn group_memory(&self, sink_scratch: &[u64]) -> GroupMemory {
        let needs = self.task_needs(sink_scratch);
        let task = needs.iter().map(|need| need.peak).max().unwrap_or(0);
        let wider = needs.iter().map(|need| need.wider).max().unwrap_or(0);
        let own: Vec<LayerId> = self.ids().filter(|&id| self.is_own(id)).collect();
        let first = PerAxis::splat(0);
        let chunks = |id: &LayerId| {
            self.needed_by(*id, &first).map_or(0, |region| self.get(*id).layer.grid.covering(&region).count())
        };
        let tasks: u64 = own.iter().map(chunks).sum();
        let alone = if own.is_empty() {
            task
        } else if tasks <= MOST_WALKED {
            self.walk(&needs)
        } else {
            task + own.iter().map(|id| chunks(id) * self.chunk_bytes(*id)).sum::<u64>()
        };
        GroupMemory { alone, wider }
    }

    /// What a task of each layer takes; nothing where it is fused.
    fn task_needs(&self, sink_scratch: &[u64]) -> Vec<Need> {
        let mut needs = vec![Need::default(); self.layers().len()];
        for id in self.ids().filter(|&id| self.get(id).fused_into.is_none()) {
            debug_assert!(self.get(id).step.pixels() > 0, "a step holds pixels");
            let scratch = self.top_position(id).and_then(|top| sink_scratch.get(top)).copied();
            needs[id.index()] = self.task_need(id, scratch.unwrap_or(0));
        }
        needs
    }

    /// The task that takes most, of which every group has one: its layer, and bytes on one thread, its value, what is
    /// fused into it and what its sink needs included.
    pub fn heaviest_task(&self, sink_scratch: &[u64]) -> (LayerId, u64) {
        let needs = self.task_needs(sink_scratch);
        let most = self.ids().max_by_key(|id| needs[id.index()].peak).unwrap_or(self.top());
        (most, needs[most.index()].peak)
    }

    /// Whether a layer's values are kept, inside one group.
    fn is_own(&self, id: LayerId) -> bool {
        let this = self.get(id);
        this.fused_into.is_none() && !this.shared && self.top_position(id).is_none()
    }

    fn chunk_bytes(&self, id: LayerId) -> u64 {
        let layer = &self.get(id).layer;
        charged(layer.spec, &layer.grid.chunk())
    }

    /// The peak of the first group, task by task. No other is larger: values that one group alone needs have chunks on
    /// which groups end, so every group is like the first, or cut short.
    fn walk(&self, needs: &[Need]) -> u64 {
        if self.groups().count() == 0 {
            return 0;
        }
        let graph = TaskGraph::window(self, 0..1);
        let graph = graph.graph();
        let mut left: Vec<usize> =
            graph.node_indices().map(|n| graph.neighbors_directed(n, Direction::Outgoing).count()).collect();
        let (mut held, mut most) = (0u64, 0u64);
        for node in graph.node_indices() {
            let task = graph[node];
            most = most.max(held + needs[task.layer.index()].peak);
            if self.is_own(task.layer) && left[node.index()] > 0 {
                held += self.chunk_bytes(task.layer);
                most = most.max(held);
            }
            for input in graph.neighbors_directed(node, Direction::Incoming) {
                left[input.index()] -= 1;
                if left[input.index()] == 0 && self.is_own(graph[input].layer) {
                    held -= self.chunk_bytes(graph[input].layer);
                }
            }
        }
        most
    }

    /// What one task of a kept layer or of the top takes.
    fn task_need(&self, id: LayerId, sink_scratch: u64) -> Need {
        let this = self.get(id);
        match this.layer.kind {
            LayerKind::Store | LayerKind::Summarise(_) => {
                let mut need = self.input_need(id, &this.step);
                need.peak += sink_scratch;
                need
            }
            LayerKind::Source { .. } | LayerKind::Op(_) | LayerKind::Rechunk => {
                let mut need = self.need(id, &this.layer.grid.chunk());
                if this.shared {
                    need.peak -= self.chunk_bytes(id).min(need.peak);
                }
                need
            }
        }
    }

    /// What computing a box of `id` takes, its value included.
    fn need(&self, id: LayerId, shape: &Shape) -> Need {
        let this = self.get(id);
        let value = charged(this.layer.spec, shape);
        match &this.layer.kind {
            LayerKind::Source { reader, at, origin } => {
                let region = shape.region().shifted(origin);
                Need { peak: value + reader.scratch_bytes(*at, &region), wider: 0 }
            }
            LayerKind::Op(op) => match op.body() {
                Body::Map(_) => {
                    let below = self.input_need(id, shape);
                    let input = self.get(this.inputs[0]).layer.spec;
                    Need { peak: below.peak.max(charged(input, shape) + value), wider: below.wider }
                }
                Body::Index => self.input_need(id, shape),
                Body::Neighbourhood(op) => {
                    let input = self.get(this.inputs[0]).layer.spec;
                    let reached = PerAxis::from_fn(|a| {
                        let reach = op.reach(a);
                        let most = shape.get(a).saturating_mul(reach.stride) + reach.before + reach.after;
                        most.min(input.shape.get(a))
                    });
                    let reached = Shape::new(reached.0).unwrap_or(input.shape);
                    let below = self.input_need(id, &reached);
                    let own = charged(input, &reached) + value + op.scratch_bytes(input.dtype, shape);
                    Need { peak: below.peak.max(own), wider: below.wider }
                }
                Body::Fold(fold) => {
                    let input = self.get(this.inputs[0]).layer.spec;
                    let axis = fold.axis();
                    let block = this.step.cut_to(&shape.with(axis, input.shape.get(axis)).unwrap_or(this.step));
                    let out = block.with(axis, 1).unwrap_or(block);
                    let state = fold.state_bytes(input.dtype, out.pixels(), input.shape.get(axis));
                    let below = self.input_need(id, &block);
                    // The block's own result is written apart and copied into the value.
                    let each = below.peak + state + charged(this.layer.spec, &out);
                    Need { peak: value + each, wider: each.max(below.wider) }
                }
            },
            LayerKind::Rechunk => self.input_need(id, shape),
            LayerKind::Store | LayerKind::Summarise(_) => Need::default(),
        }
    }

    /// What the input of `id` takes for a box: computed if it is fused, else gathered from kept values.
    fn input_need(&self, id: LayerId, shape: &Shape) -> Need {
        let Some(&input) = self.get(id).inputs.first() else { return Need::default() };
        if self.get(input).fused_into == Some(id) {
            return self.need(input, shape);
        }
        Need { peak: charged(self.get(input).layer.spec, shape), wider: 0 }
    }

    /// What a thread takes at most beside what it needs where nothing goes wrong, if what cannot be read is left out: a part
    /// of a plane that is read apart, and, where folds and summaries skip what is bad, values of a box that is made in cells.
    pub fn salvage_bytes(&self, skips: bool) -> u64 {
        let part = |reader: &dyn Reader, at: Place| {
            let Ok((scene, level)) = reader.level(at) else { return 0 };
            let part = piece(&level.storage.granule).cut_to(&level.shape);
            let spec = ArraySpec { shape: level.shape, dtype: scene.dtype };
            charged(spec, &part) + reader.scratch_bytes(at, &part.region())
        };
        let apart = |this: &StageLayer| match &this.layer.kind {
            LayerKind::Source { reader, at, .. } => part(reader.as_ref(), *at),
            LayerKind::Op(op) if skips => match op.body() {
                Body::Fold(fold) => charged(this.layer.spec, &this.step.with(fold.axis(), 1).unwrap_or(this.step)),
                Body::Map(_) | Body::Neighbourhood(_) | Body::Index => 0,
            },
            LayerKind::Summarise(_) if skips => charged(self.get(this.inputs[0]).layer.spec, &this.step),
            LayerKind::Op(_) | LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => 0,
        };
        self.layers().iter().map(apart).sum()
    }

    /// What runs at once on `threads` threads within `budget` bytes, of which `fixed` are taken for the whole run.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if not even one group fits, naming the smallest budget that works.
    pub fn admit(&self, memory: &GroupMemory, threads: u64, budget: u64, fixed: u64) -> Result<Admission, GraphError> {
        let groups = self.groups().count().max(1);
        let fits = |slots: u64, (window, spread, shared_bytes): (Option<u64>, u64, u64), width: u64| {
            let group_bytes = memory.at_width(width);
            let projected_peak = fixed + shared_bytes + group_bytes.saturating_mul(slots);
            let admission = Admission { slots, width, group_bytes, shared_bytes, spread, window, projected_peak };
            (projected_peak <= budget).then_some(admission)
        };
        let free = budget.saturating_sub(fixed);
        let most = (free / memory.at_width(1).max(1)).min(threads).min(groups).max(1);
        let band = self.band();
        let found = (1..=most).rev().find_map(|slots| {
            // A thread that waits for others inside a task might take up another group's, which might wait for a value
            // that the first was making: groups that share run one thread each.
            let width = if self.is_sharing() && slots > 1 { 1 } else { (threads / slots).max(1) };
            self.windows(slots, band).into_iter().find_map(|(window, spread)| {
                let spread = spread.min(groups);
                let shared = (window, spread, self.shared_peak(spread));
                (1..=width).rev().find_map(|width| fits(slots, shared, width))
            })
        });
        // The last that was tried is one group at a time, on one thread.
        found.ok_or_else(|| {
            let needed = fixed + self.shared_peak(1) + memory.at_width(1);
            let smallest = format!("{}MiB", needed.div_ceil(1 << 20));
            GraphError::Memory { what: self.heaviest(), needed, budget, smallest }
        })
    }

    /// Groups to a window, and how many may be started while the oldest runs: what is best first. Where groups share values, a
    /// thread for each band of groups waits for no other; windows of one group let values be freed soonest, and all threads
    /// work where bands are fewer than threads.
    fn windows(&self, slots: u64, band: u64) -> Vec<(Option<u64>, u64)> {
        if !self.is_sharing() {
            return vec![(None, u64::MAX)];
        }
        let are_many = band <= LARGEST_BAND && self.groups().count() / band >= slots;
        let bands = [2, 1].into_iter().filter(|_| are_many).map(|ahead| (Some(band), slots * band * ahead));
        bands.chain([RUNNING_AHEAD, 2, 1].map(|ahead| (Some(1), slots * ahead))).collect()
    }

    /// The layer whose chunks are largest, for messages.
    fn heaviest(&self) -> String {
        let kept = self.ids().filter(|&id| self.get(id).fused_into.is_none());
        let heaviest = kept.max_by_key(|&id| self.get(id).layer.grid.chunk().bytes(self.get(id).layer.spec.dtype));
        let id = heaviest.unwrap_or(self.top());
        let layer = &self.get(id).layer;
        format!("a group of write units ({} tasks of {} pixels)", layer.name(), layer.grid.chunk())
    }

    /// The box in which the sink of a top is given pixels, for [`microtome_io::Sink::scratch_bytes`].
    pub fn store_box(&self, top: usize) -> Shape {
        self.get(self.tops()[top]).step
    }
}

/// The part of a granule that lies in one plane: what is read apart where a plane cannot be read whole.
pub fn piece(granule: &Shape) -> Shape {
    Shape::new(PerAxis::from_fn(|a| if matches!(a, Axis::T | Axis::C | Axis::Z) { 1 } else { granule.get(a) }).0)
        .unwrap_or(*granule)
}

fn charged(spec: ArraySpec, shape: &Shape) -> u64 {
    BufferPool::charged(shape.cut_to(&spec.shape).bytes(spec.dtype))
}

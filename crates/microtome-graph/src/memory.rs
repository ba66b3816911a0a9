//! How much memory a group of write units takes at its peak, and what that lets run at once.
//!
//! *Invariant:* [`Stage::group_memory`] is an upper bound of what the executor's buffer pool lends while it runs one
//! group; it is made from shapes alone, in O(layers).

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, Shape};
use microtome_ops::Body;

use crate::error::GraphError;
use crate::layer::{LayerId, LayerKind};
use crate::stage::Stage;

/// Memory of one group of write units, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupMemory {
    /// Values of kept layers, all at once.
    pub kept: u64,
    /// The most that a task takes beside them: its result, what it computes it from, scratch.
    pub task: u64,
    /// What each further thread inside a task takes.
    pub wider: u64,
}

impl GroupMemory {
    /// Bytes of a group whose tasks use `width` threads.
    pub fn at_width(&self, width: u64) -> u64 {
        self.kept + self.task + self.wider * width.saturating_sub(1)
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
    /// Bytes at most, in all: the slots and what is fixed.
    pub projected_peak: u64,
}

/// What evaluating a box takes at its peak, its value included, and what each further thread adds.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    peak: u64,
    wider: u64,
}

impl Stage {
    /// Memory of a group, given what the sink says it needs for a box.
    pub fn group_memory(&self, sink_scratch: u64) -> GroupMemory {
        let group = self.groups().chunk();
        let mut out = GroupMemory::default();
        for id in self.ids().filter(|&id| self.get(id).fused_into.is_none()) {
            let layer = self.get(id);
            if id != self.top() {
                out.kept += self.kept_bytes(id, &group);
            }
            let need = self.task_need(id, sink_scratch);
            out.task = out.task.max(need.peak);
            out.wider = out.wider.max(need.wider);
            debug_assert!(layer.step.pixels() > 0, "a step holds pixels");
        }
        out
    }

    /// Bytes of all chunks of a kept layer that a group needs.
    fn kept_bytes(&self, id: LayerId, group: &Shape) -> u64 {
        let grid = &self.get(id).layer.grid;
        let top = self.get(self.top()).layer.spec.shape;
        let spec = self.get(id).layer.spec;
        // On an axis where the top is one group, or folded away, the group needs the whole axis of the layer.
        let extent = PerAxis::from_fn(|a| {
            let all = spec.shape.get(a);
            let part = group.get(a);
            if part >= top.get(a) || top.get(a) != all { all } else { part.max(grid.chunk().get(a)).min(all) }
        });
        let chunks = Axis::ALL.iter().map(|&a| extent[a].div_ceil(grid.chunk().get(a)).max(1)).product::<u64>();
        chunks * charged(spec, &grid.chunk())
    }

    /// What one task of a kept layer or of the top takes.
    fn task_need(&self, id: LayerId, sink_scratch: u64) -> Need {
        let this = self.get(id);
        match this.layer.kind {
            LayerKind::Store => {
                let mut need = self.input_need(id, &this.step);
                need.peak += sink_scratch;
                need
            }
            LayerKind::Source { .. } | LayerKind::Op(_) | LayerKind::Rechunk => {
                let mut need = self.need(id, &this.layer.grid.chunk());
                if id != self.top() {
                    need.peak -= charged(this.layer.spec, &this.layer.grid.chunk()).min(need.peak);
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
                Body::Map(_) | Body::Neighbourhood(_) => {
                    let below = self.input_need(id, shape);
                    let input = self.get(this.inputs[0]).layer.spec;
                    Need { peak: below.peak.max(charged(input, shape) + value), wider: below.wider }
                }
                Body::Index => self.input_need(id, shape),
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
            LayerKind::Store => Need::default(),
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

    /// What runs at once on `threads` threads within `budget` bytes, of which `fixed` are taken for the whole run.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if not even one group fits, naming the smallest budget that works.
    pub fn admit(&self, memory: &GroupMemory, threads: u64, budget: u64, fixed: u64) -> Result<Admission, GraphError> {
        let groups = self.groups().count().max(1);
        let free = budget.saturating_sub(fixed);
        let one = memory.at_width(1);
        if one > free {
            let smallest = (one + fixed).div_ceil(1 << 20);
            return Err(GraphError::Memory {
                what: self.heaviest(),
                needed: one + fixed,
                budget,
                smallest: format!("{smallest}MiB"),
            });
        }
        let slots = (free / one.max(1)).min(threads).min(groups).max(1);
        let mut width = (threads / slots).max(1);
        while width > 1 && memory.at_width(width).saturating_mul(slots) > free {
            width -= 1;
        }
        let group_bytes = memory.at_width(width);
        Ok(Admission { slots, width, group_bytes, projected_peak: fixed + group_bytes * slots })
    }

    /// The layer whose chunks are largest, for messages.
    fn heaviest(&self) -> String {
        let kept = self.ids().filter(|&id| self.get(id).fused_into.is_none());
        let heaviest = kept.max_by_key(|&id| self.get(id).layer.grid.chunk().bytes(self.get(id).layer.spec.dtype));
        let id = heaviest.unwrap_or(self.top());
        let layer = &self.get(id).layer;
        format!("a group of write units ({} tasks of {} pixels)", layer.name(), layer.grid.chunk())
    }

    /// The box in which a sink is given pixels, for [`microtome_io::Sink::scratch_bytes`].
    pub fn store_box(&self) -> Shape {
        self.get(self.top()).step
    }
}

fn charged(spec: ArraySpec, shape: &Shape) -> u64 {
    BufferPool::charged(shape.cut_to(&spec.shape).bytes(spec.dtype))
}

//! Evaluating a region of a layer: what a task does.
//!
//! A task of a kept layer, or of the top, pulls the region it needs through all that is fused into it. Fused layers are
//! evaluated for just the region asked of them, so their chunks are never made whole.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, Pixels, PixelsRef, Region, copy_region};
use microtome_graph::{LayerId, LayerKind, Stage, Task};
use microtome_io::ReadCount;
use microtome_ops::{Body, Op, OpError, Placement};

use crate::error::RunError;
use crate::folding::Folding;
use crate::quarantine::{Flaw, Made, Quarantine, within};
use crate::reading::Origin;
use crate::trace;
use crate::values::LiveValues;

/// Evaluates regions of a stage's layers.
#[derive(Clone, Copy)]
pub(crate) struct Evaluator<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) pool: &'a BufferPool,
    /// Threads to use inside one task.
    pub(crate) width: usize,
    /// The task this is done for, to name it in errors.
    pub(crate) task: Task,
    /// Values of kept layers.
    pub(crate) live: &'a LiveValues,
    pub(crate) quarantine: &'a Quarantine,
    /// The stored array that the source is, of a later pass.
    pub(crate) below: Option<usize>,
    /// Whether the task is traced.
    pub(crate) told: bool,
}

/// What was just made, or is borrowed from a kept value.
pub(crate) enum Value<'v> {
    Own(Made),
    Kept(&'v Made),
}

impl Value<'_> {
    pub(crate) fn as_ref(&self) -> PixelsRef<'_> {
        self.made().pixels.as_ref()
    }

    pub(crate) fn flaws(&self) -> &[Flaw] {
        &self.made().flaws
    }

    fn made(&self) -> &Made {
        match self {
            Value::Own(made) => made,
            Value::Kept(made) => made,
        }
    }

    fn into_own(self, pool: &BufferPool) -> Made {
        match self {
            Value::Own(made) => made,
            Value::Kept(made) => {
                let mut copy = Pixels::from_pool(made.pixels.spec(), pool);
                copy.as_mut().bytes().copy_from_slice(made.pixels.as_ref().bytes());
                Made { pixels: copy, flaws: made.flaws.clone() }
            }
        }
    }
}

impl Evaluator<'_> {
    /// Computes a region of a layer. Where the run goes on without what is bad, a region whose computing fails is lost.
    pub(crate) fn layer(&self, id: LayerId, region: &Region, read: &mut ReadCount) -> Result<Made, RunError> {
        if !self.quarantine.is_on() {
            return self.computed(id, region, read);
        }
        let done = catch_unwind(AssertUnwindSafe(|| self.computed(id, region, read)));
        match done.unwrap_or_else(|panic| Err(panicked(self.stage, self.task, panic.as_ref()))) {
            Err(error) if self.quarantine.takes_task(&error) => Ok(self.unmade(id, region, &error)),
            done => done,
        }
    }

    /// A region that could not be made.
    fn unmade(&self, id: LayerId, region: &Region, error: &RunError) -> Made {
        let this = self.stage.get(id);
        let chunk = this.layer.grid.linear(&this.layer.grid.covering(region).start);
        // The task of the unfused graph names the operation, and does not depend on what was fused.
        let task = name(self.stage, Task { layer: id, chunk });
        let why = match error {
            RunError::Op { source, .. } => source.to_string(),
            RunError::Panic { message, .. } => format!("panicked: {message}"),
            other => other.to_string(),
        };
        let scene = self.stage.layers().iter().find_map(|layer| match &layer.layer.kind {
            LayerKind::Source { at, .. } => Some(at.scene),
            _ => None,
        });
        let flaws = self.quarantine.unmade(scene.unwrap_or(0), &task, region, &format!("task {task}: {why}"));
        Made::masked(self.fresh(this.layer.spec, region), region, flaws)
    }

    fn computed(&self, id: LayerId, region: &Region, read: &mut ReadCount) -> Result<Made, RunError> {
        let this = self.stage.get(id);
        match &this.layer.kind {
            LayerKind::Source { reader, at, origin } => {
                let origin = Origin { reader: reader.as_ref(), at: *at, first: origin };
                self.source(this.layer.spec, origin, region, read)
            }
            LayerKind::Op(op) => match op.body() {
                Body::Map(map) => {
                    let input = self.input(id, region, read)?;
                    let mut out = self.fresh(this.layer.spec, region);
                    let _computing = trace::span("op", op.name(), self.told);
                    map.run(input.as_ref(), &mut out.as_mut()).map_err(|e| self.op_error(e))?;
                    Ok(self.dependent(id, op.as_ref(), region, out, input.flaws()))
                }
                Body::Neighbourhood(body) => {
                    let whole = self.stage.get(this.inputs[0]).layer.spec;
                    let needed = op.input_region(region, &whole);
                    let input = self.input(id, &needed, read)?;
                    let mut out = self.fresh(this.layer.spec, region);
                    let _computing = trace::span("op", op.name(), self.told);
                    let place = Placement { whole: whole.shape, input: needed, output: *region };
                    body.run(input.as_ref(), &mut out.as_mut(), &place, self.pool).map_err(|e| self.op_error(e))?;
                    Ok(self.dependent(id, op.as_ref(), region, out, input.flaws()))
                }
                Body::Fold(fold) => self.fold(&Folding { id, op: op.as_ref(), fold }, region, read),
                Body::Index => {
                    let input = &self.stage.get(this.inputs[0]).layer.spec;
                    let needed = op.input_region(region, input);
                    let Made { pixels, flaws } = self.input(id, &needed, read)?.into_own(self.pool);
                    Ok(self.dependent(id, op.as_ref(), region, pixels, &flaws))
                }
            },
            LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => {
                self.input(id, region, read).map(|v| v.into_own(self.pool))
            }
        }
    }

    /// What an operation made of an input with flaws.
    pub(crate) fn dependent(&self, id: LayerId, op: &dyn Op, region: &Region, pixels: Pixels, flaws: &[Flaw]) -> Made {
        if flaws.is_empty() {
            return Made::good(pixels);
        }
        let spec = self.input_spec(id);
        let reached = flaws.iter().map(|flaw| Flaw { region: op.output_region(&flaw.region, &spec), ..*flaw });
        Made::masked(pixels, region, within(&reached.collect::<Vec<_>>(), region))
    }

    /// A region of the input of a layer: computed here if it is fused, else gathered from kept values.
    pub(crate) fn input(&self, id: LayerId, region: &Region, read: &mut ReadCount) -> Result<Value<'_>, RunError> {
        let input = self.stage.get(id).inputs[0];
        if self.stage.get(input).fused_into.is_some() {
            return self.layer(input, region, read).map(Value::Own);
        }
        self.gather(input, region)
    }

    /// A region out of the kept chunks of a layer.
    fn gather(&self, id: LayerId, region: &Region) -> Result<Value<'_>, RunError> {
        let layer = &self.stage.get(id).layer;
        let chunks = layer.grid.covering(region);
        let value = |index: &PerAxis<u64>| self.live.get(&Task { layer: id, chunk: layer.grid.linear(index) });
        if chunks.count() == 1 && layer.grid.region(&chunks.start).as_ref() == Some(region) {
            return Ok(Value::Kept(value(&chunks.start)));
        }
        let mut out = Made::good(self.fresh(layer.spec, region));
        for index in chunks.iter() {
            let Some(at) = layer.grid.region(&index) else { continue };
            let part = at.intersect(region);
            let from = value(&index);
            copy_region(from.pixels.as_ref(), &at.origin(), &mut out.pixels.as_mut(), &region.origin(), &part)
                .map_err(|e| self.internal(e))?;
            out.flaws.extend(within(&from.flaws, &part));
        }
        Ok(Value::Own(out))
    }

    /// Shape and type of the input of a layer.
    pub(crate) fn input_spec(&self, id: LayerId) -> ArraySpec {
        self.stage.get(self.stage.get(id).inputs[0]).layer.spec
    }

    pub(crate) fn fresh(&self, spec: ArraySpec, region: &Region) -> Pixels {
        Pixels::from_pool(ArraySpec { shape: region.shape(), dtype: spec.dtype }, self.pool)
    }

    pub(crate) fn op_error(&self, source: OpError) -> RunError {
        RunError::Op { task: name(self.stage, self.task), source }
    }

    pub(crate) fn internal(&self, source: microtome_array::ArrayError) -> RunError {
        RunError::Internal { task: name(self.stage, self.task), source }
    }
}

/// The error of a panic in a task.
pub(crate) fn panicked(stage: &Stage, task: Task, panic: &(dyn Any + Send)) -> RunError {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    RunError::Panic { task: name(stage, task), message }
}

/// A task in words: `max/0.2.0.0.0`.
pub(crate) fn name(stage: &Stage, task: Task) -> String {
    let layer = &stage.get(task.layer).layer;
    let index = layer.grid.index(task.chunk);
    let index: Vec<String> = Axis::ALL[..5].iter().map(|&a| index[a].to_string()).collect();
    format!("{}/{}", layer.name(), index.join("."))
}

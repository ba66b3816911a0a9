//! Evaluating a region of a layer: what a task does.
//!
//! A task of a kept layer, or of the top, pulls the region it needs through all that is fused into it. Fused layers are
//! evaluated for just the region asked of them, so their chunks are never made whole.

use microtome_array::{ArraySpec, Axis, BufferPool, ChunkGrid, PerAxis, Pixels, PixelsRef, Region, copy_region};
use microtome_graph::{LayerId, LayerKind, Stage, Task};
use microtome_io::ReadCount;
use microtome_ops::{Body, Fold, Op, Placement};
use rayon::prelude::*;

use crate::error::RunError;
use crate::quarantine::{Made, Quarantine, within};
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

    pub(crate) fn bad(&self) -> &[Region] {
        &self.made().bad
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
                Made { pixels: copy, bad: made.bad.clone() }
            }
        }
    }
}

impl Evaluator<'_> {
    /// Computes a region of a layer.
    pub(crate) fn layer(&self, id: LayerId, region: &Region, read: &mut ReadCount) -> Result<Made, RunError> {
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
                    Ok(self.dependent(id, op.as_ref(), region, out, input.bad()))
                }
                Body::Neighbourhood(body) => {
                    let whole = self.stage.get(this.inputs[0]).layer.spec;
                    let needed = op.input_region(region, &whole);
                    let input = self.input(id, &needed, read)?;
                    let mut out = self.fresh(this.layer.spec, region);
                    let _computing = trace::span("op", op.name(), self.told);
                    let place = Placement { whole: whole.shape, input: needed, output: *region };
                    body.run(input.as_ref(), &mut out.as_mut(), &place, self.pool).map_err(|e| self.op_error(e))?;
                    Ok(self.dependent(id, op.as_ref(), region, out, input.bad()))
                }
                Body::Fold(fold) => self.fold(id, op.as_ref(), fold, region, read),
                Body::Index => {
                    let input = &self.stage.get(this.inputs[0]).layer.spec;
                    let needed = op.input_region(region, input);
                    let Made { pixels, bad } = self.input(id, &needed, read)?.into_own(self.pool);
                    Ok(self.dependent(id, op.as_ref(), region, pixels, &bad))
                }
            },
            LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => {
                self.input(id, region, read).map(|v| v.into_own(self.pool))
            }
        }
    }

    /// What an operation made of an input some of which was bad.
    fn dependent(&self, id: LayerId, op: &dyn Op, region: &Region, pixels: Pixels, bad: &[Region]) -> Made {
        if bad.is_empty() {
            return Made::good(pixels);
        }
        let spec = &self.stage.get(self.stage.get(id).inputs[0]).layer.spec;
        let reached: Vec<Region> = bad.iter().map(|part| op.output_region(part, spec)).collect();
        Made::masked(pixels, region, within(&reached, region))
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
            out.bad.extend(within(&from.bad, &part));
        }
        Ok(Value::Own(out))
    }

    /// A fold: the result is cut into blocks small enough for the cache, each folded over the whole axis.
    fn fold(
        &self,
        id: LayerId,
        op: &dyn Op,
        fold: &dyn Fold,
        region: &Region,
        read: &mut ReadCount,
    ) -> Result<Made, RunError> {
        let this = self.stage.get(id);
        let mut out = self.fresh(this.layer.spec, region);
        let mut bad = Vec::new();
        let step = this.step.with(fold.axis(), 1).map_err(|e| self.internal(e))?;
        let blocks = ChunkGrid::new(this.layer.spec.shape, step).map_err(|e| self.internal(e))?;
        let parts: Vec<Region> =
            blocks.covering(region).iter().filter_map(|i| blocks.region(&i)).map(|b| b.intersect(region)).collect();
        let place = |out: &mut Pixels, part: &Region, pixels: &Pixels| {
            copy_region(pixels.as_ref(), &part.origin(), &mut out.as_mut(), &region.origin(), part)
                .map_err(|e| self.internal(e))
        };
        // Threads are used once: by these blocks, or, where there is only one, by what it folds.
        let inner = Evaluator { width: if parts.len() > 1 { 1 } else { self.width }, ..*self };
        for batch in parts.chunks(self.width.max(1)) {
            let done: Vec<_> = if batch.len() == 1 {
                vec![inner.fold_block(id, op, fold, &batch[0])]
            } else {
                batch.par_iter().map(|part| inner.fold_block(id, op, fold, part)).collect()
            };
            for (part, result) in batch.iter().zip(done) {
                let (made, count) = result?;
                *read += count;
                place(&mut out, part, &made.pixels)?;
                bad.extend(made.bad);
            }
        }
        Ok(Made { pixels: out, bad })
    }

    fn fold_block(
        &self,
        id: LayerId,
        op: &dyn Op,
        fold: &dyn Fold,
        part: &Region,
    ) -> Result<(Made, ReadCount), RunError> {
        let this = self.stage.get(id);
        let input = self.stage.get(this.inputs[0]).layer.spec;
        let axis = fold.axis();
        let needed = op.input_region(part, &input);
        let mut state =
            fold.start(input.dtype, part.shape(), needed.len(axis), self.pool).map_err(|e| self.op_error(e))?;
        let mut read = ReadCount::default();
        let mut bad = Vec::new();
        let depth = this.step.get(axis).max(1);
        for start in (needed.start(axis)..needed.end(axis)).step_by(depth as usize) {
            let slab = needed.with(axis, start, needed.end(axis).min(start + depth));
            let pixels = self.input(id, &slab, &mut read)?;
            let _computing = trace::span("op", op.name(), self.told);
            state.add(pixels.as_ref()).map_err(|e| self.op_error(e))?;
            bad.extend_from_slice(pixels.bad());
        }
        let mut out = self.fresh(this.layer.spec, part);
        let _computing = trace::span("op", op.name(), self.told);
        state.finish(&mut out.as_mut()).map_err(|e| self.op_error(e))?;
        Ok((self.dependent(id, op, part, out, &bad), read))
    }

    pub(crate) fn fresh(&self, spec: ArraySpec, region: &Region) -> Pixels {
        Pixels::from_pool(ArraySpec { shape: region.shape(), dtype: spec.dtype }, self.pool)
    }

    fn op_error(&self, source: microtome_ops::OpError) -> RunError {
        RunError::Op { task: name(self.stage, self.task), source }
    }

    pub(crate) fn internal(&self, source: microtome_array::ArrayError) -> RunError {
        RunError::Internal { task: name(self.stage, self.task), source }
    }
}

/// A task in words: `max/0.2.0.0.0`.
pub(crate) fn name(stage: &Stage, task: Task) -> String {
    let layer = &stage.get(task.layer).layer;
    let index = layer.grid.index(task.chunk);
    let index: Vec<String> = Axis::ALL[..5].iter().map(|&a| index[a].to_string()).collect();
    format!("{}/{}", layer.name(), index.join("."))
}

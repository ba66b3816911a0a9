//! Folding an axis: the result is cut into blocks small enough for the cache, each folded over the whole axis.
//!
//! Where values along the axis are lost, what is folded from them is lost in turn; or, where the user said to skip bad
//! planes, the block is folded once more in cells in each of which the same values are good, over those alone.
//!
//! *Invariant:* a pixel from which values are left out is, bit for bit, the fold of the others in their order.

use std::collections::BTreeSet;
use std::ops::Range;

use microtome_array::{Axis, ChunkGrid, Pixels, Region, copy_region};
use microtome_graph::LayerId;
use microtome_io::ReadCount;
use microtome_ops::{Fold, Op};
use rayon::prelude::*;

use crate::error::RunError;
use crate::evaluate::Evaluator;
use crate::quarantine::{Flaw, Made};
use crate::trace;

/// A fold, and the layer that it is.
#[derive(Clone, Copy)]
pub(crate) struct Folding<'a> {
    pub(crate) id: LayerId,
    pub(crate) op: &'a dyn Op,
    pub(crate) fold: &'a dyn Fold,
}

impl Evaluator<'_> {
    /// Folds a region of the result.
    pub(crate) fn fold(&self, folding: &Folding<'_>, region: &Region, read: &mut ReadCount) -> Result<Made, RunError> {
        let this = self.stage.get(folding.id);
        let mut out = Made::good(self.fresh(this.layer.spec, region));
        let step = this.step.with(folding.fold.axis(), 1).map_err(|e| self.internal(e))?;
        let blocks = ChunkGrid::new(this.layer.spec.shape, step).map_err(|e| self.internal(e))?;
        let parts: Vec<Region> =
            blocks.covering(region).iter().filter_map(|i| blocks.region(&i)).map(|b| b.intersect(region)).collect();
        // Threads are used once: by these blocks, or, where there is only one, by what it folds.
        let inner = Evaluator { width: if parts.len() > 1 { 1 } else { self.width }, ..*self };
        for batch in parts.chunks(self.width.max(1)) {
            let done: Vec<_> = if batch.len() == 1 {
                vec![inner.fold_block(folding, &batch[0])]
            } else {
                batch.par_iter().map(|part| inner.fold_block(folding, part)).collect()
            };
            for (part, result) in batch.iter().zip(done) {
                let (made, count) = result?;
                *read += count;
                self.put(&mut out, region, part, &made.pixels)?;
                out.flaws.extend(made.flaws);
            }
        }
        Ok(out)
    }

    /// Puts the pixels of a part of a region in their place.
    fn put(&self, out: &mut Made, region: &Region, part: &Region, pixels: &Pixels) -> Result<(), RunError> {
        copy_region(pixels.as_ref(), &part.origin(), &mut out.pixels.as_mut(), &region.origin(), part)
            .map_err(|e| self.internal(e))
    }

    fn fold_block(&self, folding: &Folding<'_>, part: &Region) -> Result<(Made, ReadCount), RunError> {
        let input = self.input_spec(folding.id);
        let needed = folding.op.input_region(part, &input);
        let axis = folding.fold.axis();
        let mut read = ReadCount::default();
        let whole = needed.start(axis)..needed.end(axis);
        let (pixels, flaws) = self.along(folding, part, std::slice::from_ref(&whole), &mut read)?;
        let made = match pixels {
            Some(pixels) => self.dependent(folding.id, folding.op, part, pixels, &flaws),
            None => self.fold_good(folding, part, flaws, &mut read)?,
        };
        Ok((made, read))
    }

    /// Folds a box over some runs of pixels along the axis; gives what is missing in the input. `None` where something in
    /// it is lost and is to be skipped.
    fn along(
        &self,
        folding: &Folding<'_>,
        part: &Region,
        runs: &[Range<u64>],
        read: &mut ReadCount,
    ) -> Result<(Option<Pixels>, Vec<Flaw>), RunError> {
        let Folding { id, op, fold } = *folding;
        let this = self.stage.get(id);
        let input = self.input_spec(id);
        let (axis, needed) = (fold.axis(), op.input_region(part, &input));
        let length = runs.iter().map(|run| run.end - run.start).sum();
        let state = fold.start(input.dtype, part.shape(), length, self.pool).map_err(|e| self.op_error(e))?;
        let (mut state, mut flaws) = (Some(state), Vec::new());
        let depth = this.step.get(axis).max(1);
        let starts = runs.iter().flat_map(|run| {
            (run.start..run.end).step_by(depth as usize).map(|start| start..run.end.min(start + depth))
        });
        for slab in starts {
            let pixels = self.input(id, &needed.with(axis, slab.start, slab.end), read)?;
            let _computing = trace::span("op", op.name(), self.told);
            if self.quarantine.skips() && pixels.flaws().iter().any(|flaw| flaw.is_lost) {
                state = None;
            }
            if let Some(state) = &mut state {
                state.add(pixels.as_ref()).map_err(|e| self.op_error(e))?;
            }
            flaws.extend_from_slice(pixels.flaws());
        }
        let Some(state) = state else { return Ok((None, flaws)) };
        let mut out = self.fresh(this.layer.spec, part);
        let _computing = trace::span("op", op.name(), self.told);
        state.finish(&mut out.as_mut()).map_err(|e| self.op_error(e))?;
        Ok((Some(out), flaws))
    }

    /// Folds a box, some of whose input is known to be lost, over what is good.
    fn fold_good(
        &self,
        folding: &Folding<'_>,
        part: &Region,
        known: Vec<Flaw>,
        read: &mut ReadCount,
    ) -> Result<Made, RunError> {
        let spec = self.stage.get(folding.id).layer.spec;
        let mut out = Made::good(self.fresh(spec, part));
        let mut left = vec![(*part, known)];
        while let Some((region, known)) = left.pop() {
            for (cell, flaws) in self.cells(folding, &region, &known) {
                let runs = self.good_runs(folding, &cell, &flaws);
                if runs.is_empty() {
                    out.flaws.extend(reached(&cell, &flaws, true));
                    continue;
                }
                match self.along(folding, &cell, &runs, read)? {
                    (Some(pixels), _) => {
                        self.put(&mut out, part, &cell, &pixels)?;
                        out.flaws.extend(reached(&cell, &flaws, false));
                    }
                    // Something that could be read before cannot be read now.
                    (None, more) => left.push((cell, [flaws, more].concat())),
                }
            }
        }
        Ok(Made::masked(out.pixels, part, out.flaws))
    }

    /// A box as cells, in each of which the same values along the axis are lost, with the flaws that concern it.
    fn cells(&self, folding: &Folding<'_>, region: &Region, known: &[Flaw]) -> Vec<(Region, Vec<Flaw>)> {
        let input = self.input_spec(folding.id);
        let reach = |flaw: &Flaw| folding.op.output_region(&flaw.region, &input).intersect(region);
        let holes: Vec<Region> = known.iter().filter(|flaw| flaw.is_lost).map(reach).collect();
        let cut = |cells: Vec<Region>, axis: Axis| {
            let cuts: BTreeSet<u64> = holes.iter().flat_map(|hole| [hole.start(axis), hole.end(axis)]).collect();
            cells.iter().flat_map(|cell| slices(cell, axis, &cuts)).collect()
        };
        let cells: Vec<Region> = Axis::ALL.into_iter().fold(vec![*region], cut);
        let concerns = |cell: &Region| -> Vec<Flaw> {
            known.iter().filter(|flaw| !reach(flaw).intersect(cell).is_empty()).copied().collect()
        };
        cells.into_iter().map(|cell| (cell, concerns(&cell))).collect()
    }

    /// The runs along the axis in which nothing of a cell is lost.
    fn good_runs(&self, folding: &Folding<'_>, cell: &Region, flaws: &[Flaw]) -> Vec<Range<u64>> {
        let input = self.input_spec(folding.id);
        let (axis, needed) = (folding.fold.axis(), folding.op.input_region(cell, &input));
        let mut lost: Vec<(u64, u64)> = flaws
            .iter()
            .filter(|flaw| flaw.is_lost)
            .map(|flaw| (flaw.region.start(axis), flaw.region.end(axis)))
            .collect();
        lost.sort_unstable();
        let mut runs = Vec::new();
        let mut from = needed.start(axis);
        for (start, end) in lost {
            if from < start {
                runs.push(from..start.min(needed.end(axis)));
            }
            from = from.max(end);
        }
        if from < needed.end(axis) {
            runs.push(from..needed.end(axis));
        }
        runs
    }
}

/// A box cut at some places of an axis.
fn slices(cell: &Region, axis: Axis, cuts: &BTreeSet<u64>) -> Vec<Region> {
    let (start, end) = (cell.start(axis), cell.end(axis));
    if start == end {
        return vec![*cell];
    }
    let inner = cuts.range(start + 1..end).copied();
    let mut from = start;
    inner.chain([end]).map(|to| cell.with(axis, std::mem::replace(&mut from, to), to)).collect()
}

/// The flaws of a cell: one for each cause.
fn reached(cell: &Region, flaws: &[Flaw], is_lost: bool) -> impl Iterator<Item = Flaw> {
    let causes: BTreeSet<_> = flaws.iter().map(|flaw| flaw.cause).collect();
    let region = *cell;
    causes.into_iter().map(move |cause| Flaw { region, cause, is_lost })
}

//! A window of groups: lowered to a petgraph graph, whose tasks run in the graph's own order on one thread.
//!
//! Tasks of shared layers stand in the graphs of all windows that need them; the first window that comes to one makes it.
//!
//! *Invariant:* whoever makes a shared value still needs it, and it is not dead: both are looked at under one lock.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use microtome_array::{ArraySpec, ChunkGrid, ChunkIndex, Pixels, Region, copy_region};
use microtome_graph::{LayerKind, Task, TaskGraph};
use microtome_io::{Sink, WriteContext};
use microtome_ops::{OpError, SummaryState};
use petgraph::Direction::{Incoming, Outgoing};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::counters::Tally;
use crate::error::RunError;
use crate::evaluate::{Evaluator, panicked};
use crate::executor::{Run, Target};
use crate::quarantine::Flaw;
use crate::trace;
use crate::values::{LiveValues, Look};

type Graph = DiGraph<Task, (), u32>;
type Node = NodeIndex<u32>;

/// What a window works with.
struct Work<'w> {
    live: &'w mut LiveValues,
    tally: &'w mut Tally,
    /// What is summarised, if anything is.
    part: &'w mut Option<Box<dyn SummaryState>>,
}

impl Run<'_> {
    /// Runs a window.
    pub(crate) fn window(&self, groups: &Range<u64>) -> Result<(), RunError> {
        let graph = TaskGraph::without(self.stage, groups.clone(), &|top, unit| self.is_finished(top, unit));
        let graph = graph.graph();
        let mut part = match self.target {
            Target::Summarise(gathering) => Some(gathering.start().map_err(|e| self.summary_error(e))?),
            Target::Store { .. } | Target::Collect(_) => None,
        };
        let mut live = LiveValues::default();
        let mut tally = Tally::default();
        for node in graph.node_indices() {
            if self.options.cancel.is_cancelled() {
                let counted = self.options.counters.snapshot();
                return Err(RunError::Cancelled { done: counted.units, total: counted.units_planned });
            }
            if self.stage.get(graph[node].layer).shared && !self.claim(graph, node) {
                continue;
            }
            self.node(graph, node, &mut Work { live: &mut live, tally: &mut tally, part: &mut part })?;
            // One addition a unit of some size keeps progress fresh; tiny units are added up first.
            if tally.written > (1 << 20) || tally.units >= 1024 {
                self.options.counters.add(&std::mem::take(&mut tally));
            }
        }
        self.options.counters.add(&tally);
        debug_assert!(live.is_empty(), "every value was freed at its last consumer");
        if let (Target::Summarise(gathering), Some(part)) = (self.target, part) {
            gathering.add(groups, part).map_err(|e| self.summary_error(e))?;
        }
        Ok(())
    }

    fn is_finished(&self, top: usize, unit: u64) -> bool {
        match self.target {
            Target::Store { first, record, .. } => record.is_finished(first + top, unit),
            Target::Collect(_) | Target::Summarise(_) => false,
        }
    }

    /// Promises to make a shared value, if it is neither there nor promised, and is needed here.
    fn claim(&self, graph: &Graph, node: Node) -> bool {
        let look = self.shared.look();
        let wanted = !look.has(&graph[node]) && self.is_needed(&look, graph, node);
        if wanted {
            look.claim(graph[node]);
        }
        wanted
    }

    /// Whether a task of this window that has not run needs the value of a node. Shared tasks that others have made or
    /// are making need nothing any more; all others come later in the graph's order.
    fn is_needed(&self, look: &Look<'_>, graph: &Graph, node: Node) -> bool {
        graph.neighbors_directed(node, Outgoing).any(|consumer| {
            let task = &graph[consumer];
            !self.stage.get(task.layer).shared || (!look.has(task) && self.is_needed(look, graph, consumer))
        })
    }

    /// How many tasks of the run will use a shared value.
    fn uses(&self, task: Task) -> u64 {
        let index = self.stage.get(task.layer).layer.grid.index(task.chunk);
        let users = self.stage.users(task.layer, &index);
        let fresh = !self.is_resuming();
        let will_run = |user: Task| match self.stage.top_position(user.layer) {
            Some(top) => !self.is_finished(top, user.chunk),
            None => self.uses(user) > 0,
        };
        let count = |(layer, chunks): &(_, microtome_graph::IndexSet)| {
            if fresh {
                return chunks.count();
            }
            let grid = self.stage.get(*layer).layer.grid;
            chunks.iter().filter(|i| will_run(Task { layer: *layer, chunk: grid.linear(i) })).count() as u64
        };
        users.iter().map(count).sum()
    }

    /// The stored array that this pass reads, if it reads one.
    fn below(&self) -> Option<usize> {
        match self.target {
            Target::Store { below, .. } => *below,
            Target::Collect(_) | Target::Summarise(_) => None,
        }
    }

    fn is_resuming(&self) -> bool {
        matches!(self.target, Target::Store { record, .. } if record.is_resuming())
    }

    /// Runs a task and frees what it was the last to need.
    fn node(&self, graph: &Graph, node: Node, work: &mut Work<'_>) -> Result<(), RunError> {
        let task = graph[node];
        let told = self.sampling.has(task);
        for input in graph.neighbors_directed(node, Incoming).map(|input| graph[input]) {
            if self.stage.get(input.layer).shared {
                let _waiting = trace::span("wait", "a shared value", told);
                // Whoever makes it has failed: its error is the one that is told.
                let value = self.shared.wait(&input).map_err(|_| RunError::Cancelled { done: 0, total: 0 })?;
                work.live.borrow(input, value);
            }
        }
        let consumers = graph.neighbors_directed(node, Outgoing).count();
        self.caught(task, work, consumers)?;
        for input in graph.neighbors_directed(node, Incoming).map(|input| graph[input]) {
            if work.live.release(&input) {
                self.shared.release(&input);
            }
        }
        Ok(())
    }

    fn caught(&self, task: Task, work: &mut Work<'_>, consumers: usize) -> Result<(), RunError> {
        catch_unwind(AssertUnwindSafe(|| self.task(task, work, consumers)))
            .unwrap_or_else(|panic| Err(panicked(self.stage, task, panic.as_ref())))
    }

    fn task(&self, task: Task, work: &mut Work<'_>, consumers: usize) -> Result<(), RunError> {
        let this = self.stage.get(task.layer);
        let layer = &this.layer;
        let index = layer.grid.index(task.chunk);
        let Some(region) = layer.grid.region(&index) else { return Ok(()) };
        let told = self.sampling.has(task);
        let _traced = trace::task(self.stage, task, told);
        let Work { live, tally, part } = work;
        let evaluator = Evaluator {
            stage: self.stage,
            pool: &self.buffers,
            width: self.width,
            task,
            live,
            quarantine: self.quarantine,
            below: self.below(),
            told,
        };
        tally.tasks += 1;
        match (&layer.kind, part) {
            (LayerKind::Store, _) => return self.store(&evaluator, index, &region, tally),
            (LayerKind::Summarise(_), Some(part)) => return self.summarise(&evaluator, &region, part.as_mut(), tally),
            _ => {}
        }
        let made = evaluator.layer(task.layer, &region, &mut tally.read)?;
        if task.layer == self.stage.top() {
            self.collect(&evaluator, &region, &made.pixels, tally)?;
            self.quarantine.stored(0, &made.flaws)?;
        }
        if this.shared {
            self.shared.made(task, made, self.uses(task));
        } else {
            live.hold(task, made, consumers);
        }
        Ok(())
    }

    /// Adds the pixels of a chunk to a summary, box by box.
    fn summarise(
        &self,
        evaluator: &Evaluator<'_>,
        chunk: &Region,
        part: &mut dyn SummaryState,
        tally: &mut Tally,
    ) -> Result<(), RunError> {
        let task = evaluator.task;
        for region in self.boxes(evaluator, chunk)? {
            let pixels = evaluator.input(task.layer, &region, &mut tally.read)?;
            let lost: Vec<&Flaw> = pixels.flaws().iter().filter(|flaw| flaw.is_lost).collect();
            self.quarantine.list(pixels.flaws())?;
            let Some(first) = lost.first() else {
                part.add(pixels.as_ref()).map_err(|e| self.summary_error(e))?;
                continue;
            };
            if !self.quarantine.skips() {
                let summary = self.stage.get(self.stage.top()).layer.name().to_owned();
                return Err(RunError::BadInput { summary, reason: self.quarantine.reason(first.cause) });
            }
            for good in good_parts(&region, &lost) {
                let spec = ArraySpec { shape: good.shape(), ..pixels.as_ref().spec() };
                let mut piece = Pixels::from_pool(spec, &self.buffers);
                copy_region(pixels.as_ref(), &region.origin(), &mut piece.as_mut(), &good.origin(), &good)
                    .map_err(|e| evaluator.internal(e))?;
                part.add(piece.as_ref()).map_err(|e| self.summary_error(e))?;
            }
        }
        Ok(())
    }

    fn summary_error(&self, source: OpError) -> RunError {
        RunError::Op { task: self.stage.get(self.stage.top()).layer.name().to_owned(), source }
    }

    /// The boxes in which the pixels of a chunk or unit of the top are given away.
    fn boxes(
        &self,
        evaluator: &Evaluator<'_>,
        unit: &Region,
    ) -> Result<impl Iterator<Item = Region> + use<>, RunError> {
        let step = self.stage.get(evaluator.task.layer).step;
        let boxes = ChunkGrid::new(unit.shape(), step).map_err(|e| evaluator.internal(e))?;
        let origin = unit.origin();
        Ok(boxes.all().iter().filter_map(move |index| boxes.region(&index)).map(move |part| part.shifted(&origin)))
    }

    /// Fills a write unit, box by box.
    fn store(
        &self,
        evaluator: &Evaluator<'_>,
        index: ChunkIndex,
        unit: &Region,
        tally: &mut Tally,
    ) -> Result<(), RunError> {
        let task = evaluator.task;
        let Target::Store { sinks, first, record, .. } = self.target else { return Ok(()) };
        let Some(top) = self.stage.top_position(task.layer) else { return Ok(()) };
        let mut writer = sinks[top].begin(index, &WriteContext { pool: &self.buffers })?;
        let mut flaws = Vec::new();
        for part in self.boxes(evaluator, unit)? {
            let pixels = evaluator.input(task.layer, &part, &mut tally.read)?;
            let _encoding = trace::span("write", "encode", evaluator.told);
            writer.write(&part, pixels.as_ref())?;
            flaws.extend_from_slice(pixels.flaws());
        }
        self.quarantine.stored(first + top, &flaws)?;
        let storing = trace::span("write", "store", evaluator.told);
        let receipts = writer.finish(flaws.is_empty())?;
        drop(storing);
        for receipt in &receipts {
            tally.units += 1;
            tally.written += receipt.pixel_bytes;
            tally.stored += receipt.stored_bytes;
        }
        let _waiting = trace::span("wait", "room to settle", evaluator.told);
        receipts.iter().try_for_each(|receipt| record.finished(first + top, receipt))
    }

    fn collect(
        &self,
        evaluator: &Evaluator<'_>,
        region: &Region,
        pixels: &Pixels,
        tally: &mut Tally,
    ) -> Result<(), RunError> {
        let Target::Collect(memory) = self.target else { return Ok(()) };
        let task = evaluator.task;
        let index = self.stage.get(task.layer).layer.grid.index(task.chunk);
        let mut writer = memory.begin(index, &WriteContext { pool: evaluator.pool })?;
        writer.write(region, pixels.as_ref())?;
        writer.finish(true)?;
        tally.units += 1;
        Ok(())
    }
}

/// A region without some boxes, as boxes.
fn good_parts(region: &Region, lost: &[&Flaw]) -> Vec<Region> {
    let without = |parts: Vec<Region>, hole: &Region| parts.iter().flat_map(|part| part.without(hole)).collect();
    lost.iter().fold(vec![*region], |parts, flaw| without(parts, &flaw.region))
}

//! The executor: carries out what the scheduler decides, on rayon's threads.
//!
//! A window is lowered to a petgraph graph and its tasks run in the graph's own order on one thread; windows run side by
//! side. Pixels come from one pool whose limit is the budget.
//!
//! *Invariant:* a panic or an error in a task ends its window, never the process; buffers go back on every path.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use microtome_array::{BufferPool, ChunkGrid, Pixels, Region};
use microtome_graph::{Admission, LayerKind, Stage, Task, TaskGraph};
use microtome_io::{MemorySink, Output, Sink, StoredUnit, WriteContext};
use petgraph::Direction;
use rayon::{Scope, ThreadPoolBuilder};

use crate::counters::Tally;
use crate::error::RunError;
use crate::evaluate::{Evaluator, name};
use crate::options::{MOST_THREADS, RunOptions};
use crate::scheduler::{Command, Event, Scheduler, Window};
use crate::values::LiveValues;

/// Where the result goes.
pub(crate) enum Target<'a> {
    /// Write units of the first array of an output, and what became of them.
    Store(&'a dyn Output, &'a Mutex<Vec<StoredUnit>>),
    /// Chunks of the top layer, into memory.
    Collect(&'a MemorySink),
}

/// What a run leaves to report.
pub(crate) struct Done {
    pub(crate) windows: u64,
    pub(crate) peak: u64,
}

/// Runs a stage.
pub(crate) fn run(
    stage: &Stage,
    target: &Target<'_>,
    admission: &Admission,
    options: &RunOptions,
) -> Result<Done, RunError> {
    let threads = options.threads.max(1);
    if threads > MOST_THREADS {
        return Err(RunError::Threads { threads, why: format!("at most {MOST_THREADS} are started") });
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|n| format!("microtome-{n}"))
        .build()
        .map_err(|e| RunError::Threads { threads, why: e.to_string() })?;
    let groups = stage.groups().count();
    let window = options.window_groups(groups);
    let reserve = admission.group_bytes;
    let budget = admission.projected_peak.max(reserve);
    let run = Run {
        stage,
        target,
        options,
        width: admission.width as usize,
        buffers: BufferPool::new(options.memory),
        scheduler: Mutex::new(Scheduler::new(groups, window, admission.slots, reserve, budget)),
        failure: Mutex::new(None),
        windows: Mutex::new(0),
    };
    let first = run.tell(Event::Start);
    pool.in_place_scope(|scope| run.spawn(scope, first));
    run.end(groups)
}

struct Run<'a> {
    stage: &'a Stage,
    target: &'a Target<'a>,
    options: &'a RunOptions,
    width: usize,
    buffers: BufferPool,
    scheduler: Mutex<Scheduler>,
    failure: Mutex<Option<RunError>>,
    windows: Mutex<u64>,
}

impl Run<'_> {
    fn tell(&self, event: Event) -> Vec<Command> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner).on(event)
    }

    fn spawn<'scope>(&'scope self, scope: &Scope<'scope>, commands: Vec<Command>) {
        for window in runs(commands) {
            scope.spawn(move |scope| self.drive(scope, window));
        }
    }

    /// Runs a window, then the next ones that the scheduler gives, without leaving the thread.
    fn drive<'scope>(&'scope self, scope: &Scope<'scope>, first: Window) {
        let mut next = Some(first);
        while let Some(window) = next {
            let start = window.start;
            let event = match self.window(window) {
                Ok(()) => Event::Finished(start),
                Err(error) => {
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    Event::Failed(start)
                }
            };
            let mut commands = runs(self.tell(event));
            next = commands.next();
            for window in commands {
                scope.spawn(move |scope| self.drive(scope, window));
            }
        }
    }

    fn window(&self, window: Window) -> Result<(), RunError> {
        let graph = TaskGraph::window(self.stage, window);
        let graph = graph.graph();
        let mut live = LiveValues::default();
        let mut tally = Tally::default();
        for node in graph.node_indices() {
            if self.options.cancel.is_cancelled() {
                let counted = self.options.counters.snapshot();
                self.tell(Event::Cancelled);
                return Err(RunError::Cancelled { done: counted.units, total: counted.units_planned });
            }
            let task = graph[node];
            self.caught(task, &mut live, graph.neighbors_directed(node, Direction::Outgoing).count(), &mut tally)?;
            for input in graph.neighbors_directed(node, Direction::Incoming) {
                live.release(&graph[input]);
            }
            // One addition a unit of some size keeps progress fresh; tiny units are added up first.
            if tally.written > (1 << 20) || tally.units >= 1024 {
                self.options.counters.add(&std::mem::take(&mut tally));
            }
        }
        self.options.counters.add(&tally);
        debug_assert!(live.is_empty(), "every value was freed at its last consumer");
        *self.windows.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok(())
    }

    fn caught(&self, task: Task, live: &mut LiveValues, consumers: usize, tally: &mut Tally) -> Result<(), RunError> {
        catch_unwind(AssertUnwindSafe(|| self.task(task, live, consumers, tally))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(RunError::Panic { task: name(self.stage, task), message })
        })
    }

    fn task(&self, task: Task, live: &mut LiveValues, consumers: usize, tally: &mut Tally) -> Result<(), RunError> {
        let layer = &self.stage.get(task.layer).layer;
        let Some(region) = layer.grid.region(&layer.grid.index(task.chunk)) else { return Ok(()) };
        let evaluator = Evaluator { stage: self.stage, pool: &self.buffers, width: self.width, task, live };
        tally.tasks += 1;
        if matches!(layer.kind, LayerKind::Store) {
            return self.store(&evaluator, &region, tally);
        }
        let pixels = evaluator.layer(task.layer, &region, &mut tally.read)?;
        if task.layer == self.stage.top() {
            self.collect(&evaluator, &region, &pixels, tally)?;
        }
        live.hold(task, pixels, consumers);
        Ok(())
    }

    /// Fills a write unit, box by box.
    fn store(&self, evaluator: &Evaluator<'_>, unit: &Region, tally: &mut Tally) -> Result<(), RunError> {
        let Target::Store(output, finished) = self.target else { return Ok(()) };
        let task = evaluator.task;
        let this = self.stage.get(task.layer);
        let boxes = ChunkGrid::new(unit.shape(), this.step).map_err(|e| evaluator.internal(e))?;
        let mut writer =
            output.array(0).begin(this.layer.grid.index(task.chunk), &WriteContext { pool: &self.buffers })?;
        for index in boxes.all().iter() {
            let Some(part) = boxes.region(&index) else { continue };
            let part = part.shifted(&unit.origin());
            let pixels = evaluator.input(task.layer, &part, &mut tally.read)?;
            writer.write(&part, pixels.as_ref())?;
        }
        let receipt = writer.finish()?;
        tally.units += 1;
        tally.written += receipt.pixel_bytes;
        tally.stored += receipt.stored_bytes;
        let mut finished = finished.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unit) = finished.get_mut(task.chunk as usize) {
            *unit = StoredUnit::from(&receipt);
        }
        Ok(output.settle(&[(0, receipt)])?)
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
        writer.finish()?;
        tally.units += 1;
        Ok(())
    }

    fn end(self, groups: u64) -> Result<Done, RunError> {
        if let Some(error) = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let windows = self.windows.into_inner().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(groups == 0 || windows > 0, "something ran");
        Ok(Done { windows, peak: self.buffers.stats().peak_lent })
    }
}

/// The windows to run; the other commands are the run's end, which the caller sees from its result.
fn runs(commands: Vec<Command>) -> impl Iterator<Item = Window> {
    commands.into_iter().filter_map(|command| match command {
        Command::Run(window) => Some(window),
        Command::Publish | Command::Abandon => None,
    })
}

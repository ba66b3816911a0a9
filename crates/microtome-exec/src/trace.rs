//! Spans of what a run does, for whoever listens: `tracing` spans of the target [`TARGET`], at the level `TRACE`.
//!
//! A span has the fields `kind` (`task`, `read`, `op`, `write`, `settle`, `wait`) and `name`, and one of kind `task` has
//! `chunk`, the task's chunk index. Spans of one thread nest.
//!
//! *Invariant:* where nobody listens, a task costs one look at a number; where somebody does, of a run of very many tasks
//! only some are told of, the same ones for any number of threads.

use microtome_graph::{Stage, Task};
use tracing::Level;
use tracing::span::EnteredSpan;

/// The target of the spans.
pub const TARGET: &str = "microtome::run";
/// Tasks of a run that are told of, about.
const MOST_TASKS: u64 = 100_000;

/// Which tasks of a run are told of: one in so many; none for 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling(u64);

impl Sampling {
    /// For a run of a stage, if anybody listens.
    pub(crate) fn of(stage: &Stage) -> Sampling {
        if !tracing::enabled!(target: TARGET, Level::TRACE) {
            return Sampling(0);
        }
        let tasks: u64 = stage.layers().iter().map(|layer| layer.runs.count()).sum();
        Sampling(tasks.div_ceil(MOST_TASKS).max(1))
    }

    /// Whether a task is told of.
    pub(crate) fn has(self, task: Task) -> bool {
        self.0 != 0 && task.chunk.is_multiple_of(self.0)
    }
}

/// A span that ends when dropped, or none; a pointer long, since most tasks have none.
pub(crate) type Traced = Option<Box<EnteredSpan>>;

/// The span of a task.
#[inline]
pub(crate) fn task(stage: &Stage, task: Task, told: bool) -> Traced {
    told.then(|| Box::new(enter_task(stage, task)))
}

/// A span of a kind, inside a task or beside all of them.
#[inline]
pub(crate) fn span(kind: &'static str, name: &str, told: bool) -> Traced {
    told.then(|| Box::new(enter(kind, name)))
}

#[cold]
fn enter_task(stage: &Stage, task: Task) -> EnteredSpan {
    let name = crate::evaluate::name(stage, task);
    let (layer, chunk) = name.split_once('/').unwrap_or((&name, ""));
    tracing::trace_span!(target: TARGET, "work", kind = "task", name = layer, chunk).entered()
}

#[cold]
fn enter(kind: &'static str, name: &str) -> EnteredSpan {
    tracing::trace_span!(target: TARGET, "work", kind, name).entered()
}

//! The executor: carries out what the scheduler decides, on rayon's threads.
//!
//! Windows of groups run side by side, each on one thread (see [`window`](crate::window)). Pixels come from one pool whose
//! limit is the budget.
//!
//! *Invariant:* a panic or an error in a task ends its window, never the process; buffers go back on every path.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use microtome_array::BufferPool;
use microtome_graph::{Admission, Stage};
use microtome_io::{MemorySink, Sink};
use rayon::{Scope, ThreadPoolBuilder};

use crate::error::RunError;
use crate::keeper::Record;
use crate::options::{MOST_THREADS, RunOptions};
use crate::quarantine::Quarantine;
use crate::scheduler::{Command, Event, Job, Scheduler, Setup};
use crate::summarise::Gathering;
use crate::trace::Sampling;
use crate::values::SharedValues;

/// Where the result goes.
pub(crate) enum Target<'a> {
    /// Write units of a sink for each top, which are the arrays of an output from `first` on; what remembers them; and the
    /// stored array that is read, of a pass that reads one.
    Store { sinks: &'a [&'a dyn Sink], first: usize, below: Option<usize>, record: &'a dyn Record },
    /// Pixels of a summary.
    Summarise(&'a Gathering<'a>),
    /// Chunks of the top layer, into memory.
    Collect(&'a MemorySink),
}

/// What is run: groups of a stage, admitted.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) groups: Range<u64>,
    pub(crate) admission: &'a Admission,
}

impl<'a> Part<'a> {
    /// All of a stage.
    pub(crate) fn whole(stage: &'a Stage, admission: &'a Admission) -> Part<'a> {
        Part { stage, groups: 0..stage.groups().count(), admission }
    }
}

/// What a run leaves to report.
pub(crate) struct Done {
    pub(crate) windows: u64,
    pub(crate) peak: u64,
}

/// Runs some groups of a stage.
pub(crate) fn run(
    part: &Part<'_>,
    target: &Target<'_>,
    quarantine: &Quarantine,
    options: &RunOptions,
) -> Result<Done, RunError> {
    let Part { stage, ref groups, admission } = *part;
    let threads = options.threads.max(1);
    if threads > MOST_THREADS {
        return Err(RunError::Threads { threads, why: format!("at most {MOST_THREADS} are started") });
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|n| format!("microtome-{n}"))
        .build()
        .map_err(|e| RunError::Threads { threads, why: e.to_string() })?;
    let (first_group, groups) = (groups.start, groups.end.saturating_sub(groups.start));
    let window = admission.window.unwrap_or_else(|| options.window_groups(groups));
    let setup = Setup {
        groups,
        window,
        slots: admission.slots,
        reserve: admission.group_bytes,
        shared: admission.shared_bytes,
        budget: admission.projected_peak.max(admission.group_bytes + admission.shared_bytes),
        spread: admission.spread,
        retries: 0,
    };
    let run = Run {
        stage,
        target,
        quarantine,
        options,
        width: admission.width as usize,
        buffers: BufferPool::new(options.memory),
        shared: SharedValues::default(),
        sampling: Sampling::of(stage),
        first_group,
        scheduler: Mutex::new(Scheduler::new(setup)),
        failure: Mutex::new(None),
        windows: Mutex::new(0),
    };
    options.counters.holds(&run.buffers, admission.projected_peak);
    let first = run.tell(Event::Start);
    pool.in_place_scope(|scope| run.spawn(scope, first));
    run.end(groups)
}

/// A run under way, shared by its threads.
pub(crate) struct Run<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) target: &'a Target<'a>,
    pub(crate) quarantine: &'a Quarantine,
    pub(crate) options: &'a RunOptions,
    /// Threads inside a task.
    pub(crate) width: usize,
    pub(crate) buffers: BufferPool,
    pub(crate) shared: SharedValues,
    /// Which tasks are traced.
    pub(crate) sampling: Sampling,
    /// The group that is the scheduler's first.
    first_group: u64,
    scheduler: Mutex<Scheduler>,
    failure: Mutex<Option<RunError>>,
    windows: Mutex<u64>,
}

impl Run<'_> {
    fn tell(&self, event: Event) -> Vec<Command> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner).on(event)
    }

    fn spawn<'scope>(&'scope self, scope: &Scope<'scope>, commands: Vec<Command>) {
        for job in jobs(commands) {
            scope.spawn(move |scope| self.drive(scope, job));
        }
    }

    /// Runs a window, then the next ones that the scheduler gives, without leaving the thread.
    fn drive<'scope>(&'scope self, scope: &Scope<'scope>, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            let window = self.first_group + job.window.start..self.first_group + job.window.end;
            let event = match self.window(&window) {
                Ok(()) => {
                    *self.windows.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    Event::Finished(job.ticket)
                }
                Err(error) => {
                    let cancelled = matches!(error, RunError::Cancelled { .. });
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    // Only now, so that the error that is told is the first, not that of somebody who waited.
                    self.shared.stop();
                    if cancelled {
                        self.tell(Event::Cancelled);
                    }
                    Event::Failed(job.ticket)
                }
            };
            let mut more = jobs(self.tell(event));
            next = more.next();
            for job in more {
                scope.spawn(move |scope| self.drive(scope, job));
            }
        }
    }

    fn end(self, groups: u64) -> Result<Done, RunError> {
        self.options.counters.holds_nothing();
        if let Some(error) = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let windows = self.windows.into_inner().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(groups == 0 || windows > 0, "something ran");
        debug_assert!(self.shared.is_empty(), "every shared value was freed at its last use");
        Ok(Done { windows, peak: self.buffers.stats().peak_lent })
    }
}

/// The windows to run; the other commands are the run's end, which the caller sees from its result.
fn jobs(commands: Vec<Command>) -> impl Iterator<Item = Job> {
    commands.into_iter().filter_map(|command| match command {
        Command::Run(job) => Some(job),
        Command::Publish | Command::Abandon(_) => None,
    })
}

//! A plan: a lazy array, what takes its result, and whether it fits.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use microtome_array::Pixels;
use microtome_graph::{Admission, Estimate, Fusing, GraphError, LazyArray, Stage, StageOptions};
use microtome_io::{Completion, MemorySink, Output, Prepare, StoredUnit};
use serde::Serialize;

use crate::error::RunError;
use crate::executor::{self, Target};
use crate::options::RunOptions;

/// A stage with its output.
#[derive(Debug)]
pub struct Plan<'a> {
    stage: Stage,
    output: Option<&'a dyn Output>,
}

/// What a run did. Counts are of what happened, not of what was planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunReport {
    /// Fused tasks planned.
    pub tasks_planned: u64,
    /// Fused tasks run.
    pub tasks_run: u64,
    /// Windows run.
    pub batches: u64,
    /// Write units planned.
    pub units_planned: u64,
    /// Write units written.
    pub units_written: u64,
    /// Bytes of pixels decoded from sources.
    pub bytes_read: u64,
    /// Bytes taken from storage.
    pub bytes_fetched: u64,
    /// Bytes of pixels given to the sink.
    pub bytes_written: u64,
    /// Bytes put into storage.
    pub bytes_stored: u64,
    /// Most bytes of pixels and scratch at once, as the buffer pool counted them.
    pub peak_memory: u64,
    /// What planning said it would be at most.
    pub projected_peak: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl<'a> Plan<'a> {
    /// A plan that stores an array. O(layers).
    pub fn store(array: &LazyArray, output: &'a dyn Output) -> Plan<'a> {
        let options = StageOptions { sink: Some(output.array(0).spec().clone()), fusing: Fusing::Full };
        Plan { stage: Stage::new(array, &options), output: Some(output) }
    }

    /// A plan that computes an array into memory.
    pub fn compute(array: &LazyArray, fusing: Fusing) -> Plan<'static> {
        Plan { stage: Stage::new(array, &StageOptions { sink: None, fusing }), output: None }
    }

    /// The stage.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The exact counts and sizes. O(layers).
    pub fn estimate(&self) -> Estimate {
        Estimate::of(&self.stage)
    }

    /// Hash of all that decides the result's bytes.
    pub fn hash(&self) -> String {
        self.stage.hash(&self.output.map_or(serde_json::Value::Null, Output::parameters))
    }

    /// What would run at once, and the projected peak, or the refusal.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if the plan does not fit the budget.
    pub fn admit(&self, options: &RunOptions) -> Result<Admission, GraphError> {
        let scratch = self.output.map_or(0, |o| o.array(0).scratch_bytes(&self.stage.store_box()));
        let memory = self.stage.group_memory(scratch);
        let top = self.stage.get(self.stage.top());
        let fixed = if self.output.is_none() { top.layer.spec.bytes() } else { 0 };
        self.stage.admit(&memory, options.threads.max(1) as u64, options.memory, fixed)
    }

    /// Runs the plan into its sink; on an error the output keeps no finished look and its partial is removed.
    ///
    /// # Errors
    /// [`RunError`]: refused, unreadable, unwritable, cancelled.
    pub fn run(&self, options: &RunOptions) -> Result<RunReport, RunError> {
        let admission = self.admit(options)?;
        let Some(output) = self.output else { return self.collect(options).map(|(_, report)| report) };
        let plan = self.hash();
        output.prepare(&Prepare::fresh(&plan))?;
        let units = output.array(0).spec().units.count();
        let finished = Mutex::new(vec![StoredUnit::default(); units as usize]);
        let report = self.timed(&Target::Store(output, &finished), &admission, options);
        match report {
            Ok(report) => {
                let units = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
                output.finish(&Completion { plan: &plan, units: &[units] })?;
                Ok(report)
            }
            Err(error) => {
                output.abandon();
                Err(error)
            }
        }
    }

    /// Computes the array into memory.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn collect(&self, options: &RunOptions) -> Result<(Pixels, RunReport), RunError> {
        let admission = self.admit(options)?;
        let top = &self.stage.get(self.stage.top()).layer;
        let memory = MemorySink::new(top.spec, top.grid.chunk()).map_err(GraphError::Array)?;
        let report = self.timed(&Target::Collect(&memory), &admission, options)?;
        Ok((memory.into_pixels(), report))
    }

    fn timed(&self, target: &Target<'_>, admission: &Admission, options: &RunOptions) -> Result<RunReport, RunError> {
        let start = Instant::now();
        let estimate = self.estimate();
        let before = options.counters.snapshot();
        options.counters.planned(estimate.units);
        let done = executor::run(&self.stage, target, admission, options)?;
        let counted = options.counters.snapshot();
        let fixed = if self.output.is_none() { estimate.layers.last().map_or(0, |l| l.array.bytes()) } else { 0 };
        Ok(RunReport {
            tasks_planned: estimate.fused,
            tasks_run: counted.tasks - before.tasks,
            batches: done.windows,
            units_planned: estimate.units,
            units_written: counted.units - before.units,
            bytes_read: counted.bytes_read - before.bytes_read,
            bytes_fetched: counted.bytes_fetched - before.bytes_fetched,
            bytes_written: counted.bytes_written - before.bytes_written,
            bytes_stored: counted.bytes_stored - before.bytes_stored,
            peak_memory: done.peak + fixed,
            projected_peak: admission.projected_peak,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

//! A plan: a lazy array, what takes its result, and whether it fits.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use microtome_array::{Axis, Pixels, format_size};
use microtome_graph::{Admission, Estimate, Fusing, GraphError, LazyArray, Stage, StageOptions};
use microtome_io::{MemorySink, Output, ScratchStore, Sink, SourceSpec};
use microtome_ops::{Op, Summary};

use crate::elsewhere::{self, Elsewhere, Sending};
use crate::errand::{Brought, Errand};
use crate::errand_run::{self, Errands};
use crate::error::RunError;
use crate::executor::{self, Part, Target};
use crate::intermediate::{self, Needed};
use crate::keeper::Record;
use crate::options::{Intermediates, RunOptions};
use crate::passes::{Pass, Pyramid, nearer};
use crate::quarantine::Quarantine;
use crate::report::RunReport;
use crate::storing::{Storing, free_bytes};
use crate::summarise::{self, answer_all, answer_all_elsewhere, summarise};
use crate::watch::Watch;

/// A lazy array with its output.
#[derive(Debug)]
pub struct Plan<'a> {
    array: LazyArray,
    /// What makes each level of a pyramid from the one below.
    steps: Vec<Arc<dyn Op>>,
    /// The full resolution alone, and how it is laid out.
    stage: Stage,
    layout: StageOptions,
    output: Option<&'a dyn Output>,
}

impl<'a> Plan<'a> {
    /// A plan that stores an array. O(layers).
    pub fn store(array: &LazyArray, output: &'a dyn Output) -> Plan<'a> {
        Plan::pyramid(array, Vec::new(), output)
    }

    /// A plan that stores an array and levels made from it: each step makes a level from the one below. O(layers).
    ///
    /// # Panics
    /// If the output has another number of arrays than there are levels: a bug in the caller.
    pub fn pyramid(array: &LazyArray, steps: Vec<Arc<dyn Op>>, output: &'a dyn Output) -> Plan<'a> {
        assert_eq!(output.arrays(), steps.len() + 1, "every level has its array");
        let options = StageOptions {
            sink: Some(output.array(0).spec().clone()),
            fusing: Fusing::Full,
            ..StageOptions::default()
        };
        let stage = Stage::new(array, &options);
        Plan { array: array.clone(), steps, stage, layout: options, output: Some(output) }
    }

    /// A plan that computes an array into memory.
    pub fn compute(array: &LazyArray, fusing: Fusing) -> Plan<'static> {
        Plan::compute_with(array, &StageOptions { fusing, ..StageOptions::default() })
    }

    /// A plan that computes an array into memory, laid out in a given way; the sink of the options is not used.
    pub fn compute_with(array: &LazyArray, options: &StageOptions) -> Plan<'static> {
        let layout = StageOptions { sink: None, ..options.clone() };
        let stage = Stage::new(array, &layout);
        Plan { array: array.clone(), steps: Vec::new(), stage, layout, output: None }
    }

    /// The stage that stores the full resolution alone; all there is, unless the plan is a pyramid.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    fn pyramid_of(&self, output: &'a dyn Output) -> Pyramid<'_> {
        Pyramid { array: &self.array, steps: &self.steps, output, fusing: Fusing::Full }
    }

    /// The counts and sizes of a run. O(layers), for each pass. They are exact, also with the summaries that operations ask
    /// for, but where these take more or fewer passes as the pixels are: then those of the most passes, which
    /// [`summary_passes`](Estimate::summary_passes) says.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if the plan does not fit the budget.
    pub fn estimate_for(&self, options: &RunOptions) -> Result<Estimate, GraphError> {
        let asked = self.array.all_asking();
        let asked = asked.iter().map(|(pixels, summary)| Estimate::summarising(pixels, summary));
        let passes = self.passes(options)?;
        let mut all = asked.chain(passes.iter().map(Pass::estimate));
        let first = all.next().unwrap_or_else(|| self.estimate());
        Ok(all.fold(first, Estimate::then))
    }

    /// The exact counts and sizes of storing the full resolution alone. O(layers).
    pub fn estimate(&self) -> Estimate {
        Estimate::of(&self.stage)
    }

    /// Hash of all that decides the result's bytes in a run with the options that are the default.
    pub fn hash(&self) -> String {
        self.hash_for(&RunOptions::default())
    }

    /// Hash of all that decides the result's bytes: of the options, whether folds and summaries skip what is bad.
    pub fn hash_for(&self, options: &RunOptions) -> String {
        let steps: Vec<_> = self.steps.iter().map(|op| serde_json::json!([op.name(), op.params()])).collect();
        let parameters = self.output.map_or(serde_json::Value::Null, Output::parameters);
        let all = if steps.is_empty() { parameters } else { serde_json::json!([parameters, steps]) };
        let skips = options.skips() && self.stage.reduces();
        self.stage.hash(&if skips { serde_json::json!({"of": all, "bad_planes": "skip"}) } else { all })
    }

    /// The summaries that operations ask for before they can run, each with the pixels it is of.
    pub(crate) fn asked(&self) -> Vec<(LazyArray, Arc<dyn Summary>)> {
        self.array.all_asking()
    }

    pub(crate) fn output(&self) -> Option<&'a dyn Output> {
        self.output
    }

    /// The passes of a run: one, unless the plan is a pyramid whose levels do not all fit one. O(layers), for each pass.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if the plan does not fit the budget.
    pub fn passes(&self, options: &RunOptions) -> Result<Vec<Pass>, GraphError> {
        if let Some(output) = self.output {
            return self.pyramid_of(output).passes(options);
        }
        Ok(vec![self.in_memory(options)?])
    }

    /// What the sink of the full resolution alone needs for a box, and the bytes that are taken for the whole run.
    pub(crate) fn scratch_and_fixed(&self) -> (Vec<u64>, u64) {
        match self.output {
            Some(output) => (vec![output.array(0).scratch_bytes(&self.stage.store_box(0))], 0),
            None => (Vec::new(), self.stage.get(self.stage.top()).layer.spec.bytes()),
        }
    }

    /// What would run at once in the pass that takes most, and its projected peak, or the refusal.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if the plan does not fit the budget.
    pub fn admit(&self, options: &RunOptions) -> Result<Admission, GraphError> {
        let asked = self.array.all_asking();
        let asked = asked.iter().map(|(pixels, summary)| Ok(summarise::lay_out(pixels, summary, options)?.1));
        let asked = asked.collect::<Result<Vec<_>, GraphError>>()?;
        let passes = self.passes(options)?.into_iter().map(|pass| pass.admission);
        let most = passes.chain(asked).max_by_key(|admission| admission.projected_peak);
        most.map_or_else(|| self.in_memory(options).map(|pass| pass.admission), Ok)
    }

    /// The pass that computes into memory: what is needed again is held if there is memory for it, else read again.
    fn in_memory(&self, options: &RunOptions) -> Result<Pass, GraphError> {
        let fixed = self.stage.get(self.stage.top()).layer.spec.bytes();
        let pass = |stage: Stage, fusing: Fusing| {
            let memory = options.group_memory(&stage, &[]);
            let admission = stage.admit(&memory, options.threads.max(1) as u64, options.memory, fixed)?;
            Ok(Pass {
                levels: 0..1,
                fusing,
                stage,
                admission,
                sink_scratch: Vec::new(),
                limit: None,
                intermediate: None,
            })
        };
        match pass(self.stage.clone(), self.layout.fusing) {
            Err(refused) if self.layout.fusing == Fusing::Full => {
                let again = StageOptions { fusing: Fusing::Reread, ..self.layout.clone() };
                pass(Stage::new(&self.array, &again), Fusing::Reread).map_err(|other| nearer(refused, other))
            }
            done => done,
        }
    }

    /// Runs the plan into its output, which appears under its name when it is whole. With [`Resume`](crate::Resume) it
    /// goes on where an earlier run of the same plan ended; a finished output of the same plan is left as it is.
    ///
    /// # Errors
    /// [`RunError`]: refused, unreadable, unwritable, cancelled. [`RunError::Kept`] where write units are kept that a run
    /// with `resume` goes on from.
    pub fn run(&self, options: &RunOptions) -> Result<RunReport, RunError> {
        self.run_at(None, options)
    }

    /// Runs the plan by other processes, which [`run_errand`](Plan::run_errand); lock, journal and quarantine stay here. The
    /// bytes are those of [`run`](Plan::run), and either goes on with what the other left.
    ///
    /// # Errors
    /// As [`run`](Plan::run); [`RunError::Elsewhere`], [`RunError::ClusterLost`] and [`RunError::Differs`].
    pub fn run_elsewhere(&self, place: &dyn Elsewhere, options: &RunOptions) -> Result<RunReport, RunError> {
        self.run_at(Some(place), options)
    }

    fn run_at(&self, place: Option<&dyn Elsewhere>, options: &RunOptions) -> Result<RunReport, RunError> {
        let Some(output) = self.output else { return self.collect(options).map(|(_, report)| report) };
        let hash = self.hash_for(options);
        let storing = Storing::begin(output, &hash, &self.stage, options)?;
        if let Some(report) = storing.finished()? {
            return Ok(report);
        }
        let options = &place.map_or_else(|| options.clone(), |place| as_there(place, options));
        // What cannot fit is refused before anything is read.
        self.admit(options)?;
        storing.mind_space((0..output.arrays()).map(|n| output.array(n).spec().array.bytes()).sum());
        let options = &self.with_room(output, &hash, options)?;
        storing.run(|record, resumed| {
            let quarantine = self.quarantine(options);
            let (hash, bad) = (&hash, &quarantine);
            let asked = place.map(|place| Sending { place, hash, output, answers: &[], quarantine: bad, options });
            let (array, answers, mut report) = match &asked {
                Some(sending) => answer_all_elsewhere(&self.array, sending)?,
                None => answer_all(&self.array, bad, options).map(|(array, report)| (array, Vec::new(), report))?,
            };
            let plan = Plan::pyramid(&array, self.steps.clone(), output);
            let passes = plan.pyramid_of(output).passes(options)?;
            let folder = intermediate::folder(output, hash);
            let run = Running { output, record, resumed, folder: &folder, quarantine: bad, options };
            let sending = asked.map(|sending| Sending { answers: &answers, ..sending });
            report.then(&plan.run_passes(passes, &run, sending.as_ref())?);
            Ok(report.without(quarantine))
        })
    }

    /// Runs an errand of a run of this plan that another process keeps. The output was [joined](Output::join); `into` is the
    /// output, or one that is only looked at.
    ///
    /// # Errors
    /// As [`run`](Plan::run).
    ///
    /// # Panics
    /// If the plan has no output: a bug in the caller.
    #[expect(clippy::expect_used, reason = "documented")]
    pub fn run_errand(
        &self,
        errand: &Errand,
        into: Option<&dyn Output>,
        options: &RunOptions,
    ) -> Result<Brought, RunError> {
        let output = self.output.expect("errands are of plans that store");
        let array = &errand_run::answered(&self.array, &errand.answers)?;
        let pyramid = Pyramid { array, ..self.pyramid_of(output) };
        let (sinks, planes) = (into.unwrap_or(output), self.planes());
        Errands { pyramid, sinks, planes, options }.run(errand)
    }

    /// Refuses a plan whose sources no other process could open.
    ///
    /// # Errors
    /// [`RunError::Write`] that says what to do.
    pub fn check_sources(&self) -> Result<(), RunError> {
        elsewhere::check_sources(&self.stage)
    }

    /// The sources that the plan reads, each once.
    pub fn sources(&self) -> Vec<SourceSpec> {
        Watch::of(&self.stage).sources()
    }

    /// The options, without an intermediate store if the disk has no room for it. What cannot fit is refused.
    fn with_room(&self, output: &dyn Output, hash: &str, options: &RunOptions) -> Result<RunOptions, RunError> {
        let passes = self.passes(options)?;
        let bytes: u64 = passes.iter().filter_map(|pass| Some(pass.intermediate.as_ref()?.bytes)).sum();
        let folder = intermediate::folder(output, hash);
        let free = free_bytes(&folder).unwrap_or(u64::MAX);
        if bytes <= free {
            return Ok(options.clone());
        }
        let (needed, free, folder) = (format_size(bytes), format_size(free), folder.display());
        tracing::warn!(
            "an intermediate store of {needed} has no room in {folder} ({free} free): pixels are read again"
        );
        let without = RunOptions { intermediate: Intermediates::Never, ..options.clone() };
        self.admit(&without)?;
        Ok(without)
    }

    fn run_passes(
        &self,
        passes: Vec<Pass>,
        run: &Running<'a, '_>,
        sending: Option<&Sending<'_>>,
    ) -> Result<RunReport, RunError> {
        let Running { output, record, resumed, folder, quarantine, options } = *run;
        let pyramid = self.pyramid_of(output);
        let units: u64 = (0..output.arrays()).map(|n| output.array(n).spec().units.count()).sum();
        options.counters.planned(units.saturating_sub(resumed));
        let mut report = RunReport::default();
        let mut start = None;
        let mut passes = passes.into_iter().peekable();
        while let Some(mut pass) = passes.next() {
            let first = pass.levels.start;
            if let Some((store, source)) = pyramid.opened(&pass, folder)? {
                let next = passes.peek().map(|next| pyramid.planned_again(next, &source, options)).transpose()?;
                report.then(&between(&pass, &store, next.as_ref(), (record, quarantine), options)?);
                start = Some(source);
                continue;
            }
            let mut below = first.checked_sub(1);
            if first > 0 {
                record.flush()?;
                pass = pyramid.planned_again(&pass, &pyramid.above(output.reopen(first - 1)?, first)?, options)?;
            } else if let Some(source) = &start {
                below = Some(intermediate::NUMBER);
                pass = pyramid.planned_again(&pass, source, options)?;
            }
            // Levels that nobody else can read back are gone on from here.
            if let Some(sending) = sending.filter(|_| first == 0 || output.is_shared()) {
                report.then(&sending.store(&pass, record)?);
                continue;
            }
            let sinks: Vec<&dyn Sink> = pass.levels.clone().map(|level| output.array(level)).collect();
            let target = Target::Store { sinks: &sinks, first, below, record };
            report.then(&timed(&pass.stage, &target, (&pass.admission, 0), quarantine, options)?);
        }
        Ok(report)
    }

    /// Computes the array into memory.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn collect(&self, options: &RunOptions) -> Result<(Pixels, RunReport), RunError> {
        if self.array.asking().is_some() {
            return self.collect_answered(options);
        }
        let quarantine = self.quarantine(options);
        let (pixels, report) = self.collect_with(&quarantine, options)?;
        Ok((pixels, report.without(quarantine)))
    }

    fn collect_with(&self, quarantine: &Quarantine, options: &RunOptions) -> Result<(Pixels, RunReport), RunError> {
        let Pass { stage, admission, .. } = self.in_memory(options)?;
        let top = &stage.get(stage.top()).layer;
        let memory = MemorySink::new(top.spec, top.grid.chunk()).map_err(GraphError::Array)?;
        options.counters.planned(top.grid.count());
        let target = Target::Collect(&memory);
        let report = timed(&stage, &target, (&admission, top.spec.bytes()), quarantine, options)?;
        Ok((memory.into_pixels(), report))
    }

    fn collect_answered(&self, options: &RunOptions) -> Result<(Pixels, RunReport), RunError> {
        self.admit(options)?;
        let quarantine = self.quarantine(options);
        let (array, mut report) = answer_all(&self.array, &quarantine, options)?;
        let (pixels, rest) = Plan::compute_with(&array, &self.layout).collect_with(&quarantine, options)?;
        report.then(&rest);
        Ok((pixels, report.without(quarantine)))
    }

    /// Planes of its sources that a run reads: what [`MostBad::Part`](crate::MostBad::Part) is a part of.
    pub fn planes(&self) -> u64 {
        planes(&self.stage)
    }

    /// What takes the planes that cannot be read.
    fn quarantine(&self, options: &RunOptions) -> Quarantine {
        Quarantine::new(options.on_error, planes(&self.stage))
    }

    /// The answer of a summary of all pixels of an array: a JSON value that the summary describes.
    ///
    /// # Errors
    /// As [`Plan::run`]; and what the summary says, as where there is nothing to summarise.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome_array::{ArraySpec, ChunkDims, PixelType, Shape};
    /// use microtome_exec::{Plan, RunOptions};
    /// use microtome_graph::{LazyArray, Selection};
    /// use microtome_ops::Percentiles;
    /// let shape = Shape::new([1, 1, 3, 64, 64, 1])?;
    /// let image = Arc::new(microtome_io::SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U8 }));
    /// let stack = LazyArray::source(image, &Selection::default(), &ChunkDims::default())?;
    /// let median = Arc::new(Percentiles::new(vec![50.0])?);
    /// let (answer, report) = Plan::summarise(&stack, median, &RunOptions::default())?;
    /// assert_eq!(answer["count"], 3 * 64 * 64);
    /// assert_eq!(report.bytes_read, 3 * 64 * 64); // 8-bit pixels are read once
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn summarise(
        array: &LazyArray,
        summary: Arc<dyn Summary>,
        options: &RunOptions,
    ) -> Result<(serde_json::Value, RunReport), RunError> {
        let quarantine = Quarantine::new(options.on_error, planes(&array.stage()));
        let (array, mut report) = answer_all(array, &quarantine, options)?;
        let (answer, rest) = summarise(&array, summary, None, &quarantine, options)?;
        report.then(&rest);
        Ok((answer, report.without(quarantine)))
    }
}

/// What the passes of a run share.
#[derive(Clone, Copy)]
struct Running<'a, 'r> {
    output: &'a dyn Output,
    record: &'r dyn Record,
    /// Units that an earlier run finished.
    resumed: u64,
    /// Where pixels are stored for a while.
    folder: &'r Path,
    quarantine: &'r Quarantine,
    options: &'r RunOptions,
}

/// Options as they are where errands are run. Nothing is stored for a while: no file without a name is seen by others.
fn as_there(place: &dyn Elsewhere, options: &RunOptions) -> RunOptions {
    RunOptions { threads: 1, memory: place.memory(), intermediate: Intermediates::Never, ..options.clone() }
}

/// Runs a pass that stores pixels for the next one.
fn between(
    pass: &Pass,
    store: &ScratchStore,
    next: Option<&Pass>,
    (record, quarantine): (&dyn Record, &Quarantine),
    options: &RunOptions,
) -> Result<RunReport, RunError> {
    let Some(next) = next else { return Ok(RunReport::default()) };
    let needed = Needed::by(&next.stage, next.levels.len(), store, record);
    options.counters.planned(options.counters.snapshot().units_planned + needed.count());
    let sinks: [&dyn Sink; 1] = [store];
    let target = Target::Store { sinks: &sinks, first: intermediate::NUMBER, below: None, record: &needed };
    timed(&pass.stage, &target, (&pass.admission, 0), quarantine, options).map(RunReport::between)
}

/// Planes of the sources of a stage that are read.
fn planes(stage: &Stage) -> u64 {
    let sources = stage.layers().iter().filter(|layer| layer.inputs.is_empty());
    sources
        .map(|layer| [Axis::T, Axis::C, Axis::Z].iter().map(|&a| layer.layer.spec.shape.get(a)).product::<u64>())
        .sum()
}

pub(crate) fn timed(
    stage: &Stage,
    target: &Target<'_>,
    (admission, fixed): (&Admission, u64),
    quarantine: &Quarantine,
    options: &RunOptions,
) -> Result<RunReport, RunError> {
    let start = Instant::now();
    let estimate = Estimate::of(stage);
    let before = options.counters.snapshot();
    let done = executor::run(&Part::whole(stage, admission), target, quarantine, options)?;
    let counted = options.counters.snapshot();
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
        ..RunReport::default()
    })
}

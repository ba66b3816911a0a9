//! What `convert`, `project` and `plan` share: from an image and flags to a lazy array with its place, and running it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use microtome::{
    Admission, CalibrationLimits, CancelToken, Collection, Estimate, Forecast, Forecaster, GraphError, Handler, Image,
    LazyArray, Loss, Lost, RunError, RunOptions, RunReport, Store, WriteError, describe,
};

use super::connect;
use crate::args::{Everywhere, SourceArgs, StoreArgs, WhereArgs, target};
use crate::error::CliError;
use crate::human;
use crate::json::RunJson;
use crate::output::{Output, say};
use crate::progress::Progress;
use crate::{exit, signals};

/// How long a run that was asked to stop may take for what is under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// A lazy array with the place it is to be stored at.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) array: LazyArray,
    work: Work,
    /// What the flags of the output say about the run.
    run: RunOptions,
}

/// What is stored: a scene, or several together.
#[derive(Debug)]
pub(super) enum Work {
    One(Box<Store>),
    Several(Box<Collection>),
}

/// Opens an image and says what is odd about it.
pub(super) fn open(input: &Path, everywhere: &Everywhere) -> Result<Image, CliError> {
    let image = everywhere.open(input)?;
    let info = image.info();
    for warning in &info.warnings {
        tracing::warn!("{}: {warning}", info.path.display());
    }
    for missing in &info.missing_files {
        tracing::warn!("{} names {}, which is missing", info.path.display(), missing.display());
    }
    Ok(image)
}

/// The part of an image that was asked for.
pub(super) fn source(image: &Image, args: &SourceArgs) -> Result<LazyArray, CliError> {
    let scene = match &args.scene {
        Some(name) => image.scene_named(name)?,
        None => image.only_scene()?,
    };
    let scene = match &args.axes {
        None => scene,
        Some(axes) => {
            let index = scene.place().scene;
            let renamed = image.with_axes(index, axes);
            renamed.map_err(|error| CliError::usage(error.to_string()))?.scene(index)?
        }
    };
    let scene = scene.level(args.level)?;
    let shape = scene.info().levels[scene.place().level].shape;
    let region = args.region.as_ref().map(|region| region.within(&shape)).transpose()?;
    let dims = args.chunk_dims.clone().unwrap_or_else(|| scene.default_chunks());
    Ok(scene.region(region, &dims)?)
}

impl Job {
    /// Plans to store an array; nothing is written.
    pub(super) fn new(input: &Path, output: &Path, array: LazyArray, args: &StoreArgs) -> Result<Job, CliError> {
        let mut scene = describe(&array);
        if let Some(scene) = &mut scene {
            args.naming().apply(scene)?;
        }
        let store = Store::of(&array, output, scene.as_ref(), &args.options(target(output)?)?)?;
        Ok(Job::of(input, array, Work::One(Box::new(store)), args))
    }

    pub(super) fn of(input: &Path, array: LazyArray, work: Work, args: &StoreArgs) -> Job {
        Job { input: input.to_owned(), array, work, run: args.keeping(RunOptions::default()) }
    }

    /// Hash of all that decides the output's bytes.
    pub(crate) fn plan_hash(&self) -> String {
        match &self.work {
            Work::One(store) => store.plan().hash_for(&self.run),
            Work::Several(collection) => collection.hash_for(&self.run),
        }
    }

    /// Where the output goes.
    pub(crate) fn path(&self) -> &Path {
        match &self.work {
            Work::One(store) => store.path(),
            Work::Several(collection) => collection.path(),
        }
    }

    /// Each scene as it is stored; there is at least one.
    pub(crate) fn stores(&self) -> &[Store] {
        match &self.work {
            Work::One(store) => std::slice::from_ref(&**store),
            Work::Several(collection) => collection.stores(),
        }
    }

    /// What of the input the output will not hold.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        match &self.work {
            Work::One(store) => store.losses(),
            Work::Several(collection) => collection.losses(),
        }
    }

    /// Each scene of several by its path in the output; none where there is only one.
    pub(crate) fn images(&self) -> Vec<(&str, &Store)> {
        match &self.work {
            Work::One(_) => Vec::new(),
            Work::Several(collection) => collection.paths().zip(collection.stores()).collect(),
        }
    }

    /// Refuses what stands in the way of the output.
    pub(crate) fn check(&self, options: &RunOptions) -> Result<(), WriteError> {
        match &self.work {
            Work::One(store) => store.check(options).map(drop),
            Work::Several(collection) => collection.check(options).map(drop),
        }
    }

    pub(crate) fn estimate(&self, options: &RunOptions) -> Result<Estimate, GraphError> {
        match &self.work {
            Work::One(store) => store.estimate(options),
            Work::Several(collection) => collection.estimate(options),
        }
    }

    /// What would run at once of the scene that takes most, or the refusal.
    pub(crate) fn admit(&self, options: &RunOptions) -> Result<Admission, GraphError> {
        let all: Result<Vec<Admission>, _> = self.stores().iter().map(|store| store.plan().admit(options)).collect();
        let most = all?.into_iter().max_by_key(|admission| admission.projected_peak);
        most.map_or_else(|| self.stores()[0].plan().admit(options), Ok)
    }

    fn run_it(&self, handler: Option<&Handler>, options: &RunOptions) -> Result<RunReport, RunError> {
        match (&self.work, handler) {
            (Work::One(store), None) => store.run(options),
            (Work::One(store), Some(handler)) => store.run_on(handler, options),
            (Work::Several(collection), None) => collection.run(options),
            (Work::Several(collection), Some(handler)) => collection.run_on(handler, options),
        }
    }

    /// How long it will take here, as far as that is known; what is not known is measured if that is wanted.
    pub(super) fn forecast(&self, options: &RunOptions, calibrates: bool) -> Option<Forecast> {
        let mut forecaster = Forecaster::here();
        if calibrates {
            forecaster.calibrate(self.stores(), options, &CalibrationLimits::default());
            forecaster.keep();
        }
        forecaster.forecast(self.stores(), options).ok().flatten()
    }

    /// How it is run.
    pub(super) fn options(&self, everywhere: &Everywhere) -> RunOptions {
        let RunOptions { resume, durability, on_error, intermediate, .. } = self.run;
        RunOptions { resume, durability, on_error, intermediate, ..everywhere.run_options() }
    }

    /// Runs it and says what it did.
    pub(super) fn run(&self, place: &WhereArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
        let handler = connect::named(&place.connect)?;
        let handler = handler.as_ref();
        let options = RunOptions { cluster: place.on_cluster(everywhere), ..self.options(everywhere) };
        let estimate = match self.estimate(&options) {
            Ok(estimate) => estimate,
            // The run refuses it too, but tells first who holds the lock or what stands in the way: a larger budget would
            // not help there.
            Err(refused) => return Err(self.run_it(handler, &options).err().unwrap_or_else(|| refused.into()).into()),
        };
        let losses = self.losses();
        // Pixels that are missed later are told before hours are spent.
        for loss in losses.iter().filter(|loss| matches!(loss.what, Lost::Scenes | Lost::Labels)) {
            tracing::warn!("not kept: {loss}");
        }
        let signal = stop_on_signal(options.cancel.clone(), "finished write units are kept for --resume");
        let mut timing = Timing::begin(self, handler, &options);
        let progress = Progress::start(everywhere, &options.counters, (&estimate, timing.forecast.as_ref()));
        let start = Instant::now();
        let result = self.run_it(handler, &options);
        let seconds = start.elapsed().as_secs_f64();
        drop(progress);
        let report = result.map_err(|source| match signal.load(Ordering::Relaxed) {
            0 => CliError::Run(source),
            signal => CliError::Stopped { signal, source },
        })?;
        let forecast = timing.forecast.as_ref();
        if everywhere.json {
            output.json(&RunJson::new(self, (&estimate, forecast), &report, losses))?;
        } else if !everywhere.quiet {
            output.text(&human::run(self, (&estimate, forecast), &report, options.memory))?;
            output.text(&human::losses("  not kept", &losses))?;
        }
        if !everywhere.no_calibrate {
            timing.learn(self, &options, (&report, seconds));
        }
        match report.quarantine.len() {
            0 => Ok(()),
            planes => Err(CliError::Quarantined { planes }),
        }
    }
}

/// The forecast of a run's time, and what is learnt from it.
struct Timing {
    /// None of runs on a cluster.
    forecaster: Option<Forecaster>,
    forecast: Option<Forecast>,
}

impl Timing {
    fn begin(job: &Job, handler: Option<&Handler>, options: &RunOptions) -> Timing {
        let forecaster = handler.is_none().then(Forecaster::here);
        let forecast = forecaster.as_ref().and_then(|all| all.forecast(job.stores(), options).ok().flatten());
        Timing { forecaster, forecast }
    }

    /// Takes what a run took, if it did all that was planned.
    fn learn(&mut self, job: &Job, options: &RunOptions, (report, seconds): (&RunReport, f64)) {
        let whole = report.units_resumed == 0 && report.quarantine.is_empty();
        if let Some(forecaster) = self.forecaster.as_mut().filter(|_| whole) {
            forecaster.learn(job.stores(), options, seconds);
            forecaster.keep();
        }
    }
}

/// Asks a run to stop at the first signal, and ends the program if it has not stopped soon, with what is left of the run; gives
/// the signal's number.
pub(super) fn stop_on_signal(cancel: CancelToken, left: &'static str) -> Arc<AtomicI32> {
    let number = Arc::new(AtomicI32::new(0));
    let seen = Arc::clone(&number);
    let stop = move |signal| {
        seen.store(signal, Ordering::Relaxed);
        cancel.cancel();
        let impatient = move || {
            std::thread::sleep(PATIENCE);
            say(&format!("error: stopped before what was under way had ended; {left}"));
            std::process::exit(exit::of_signal(signal).into());
        };
        // Without that thread a second signal ends the program.
        drop(std::thread::Builder::new().name("patience".to_owned()).spawn(impatient));
    };
    if let Err(error) = signals::on_first(stop) {
        tracing::warn!("a signal will end this program without its last words: {error}");
    }
    number
}

/// Checks what can be checked before the input is opened.
pub(super) fn check(output: &Path, args: &StoreArgs) -> Result<(), CliError> {
    args.check(target(output)?)
}

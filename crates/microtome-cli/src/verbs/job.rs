//! What `convert`, `project` and `plan` share: from an image and flags to a lazy array with its place, and running it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use microtome::{CancelToken, Image, LazyArray, RunOptions, Store, describe};

use crate::args::{Everywhere, SourceArgs, StoreArgs, target};
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
    pub(crate) store: Store,
    /// What the flags of the output say about the run.
    run: RunOptions,
}

/// The part of an image that was asked for.
pub(super) fn source(input: &Path, args: &SourceArgs) -> Result<LazyArray, CliError> {
    let image = Image::open(input)?;
    let info = image.info();
    for warning in &info.warnings {
        tracing::warn!("{}: {warning}", info.path.display());
    }
    for missing in &info.missing_files {
        tracing::warn!("{} names {}, which is missing", info.path.display(), missing.display());
    }
    let scene = match &args.scene {
        Some(name) => image.scene_named(name)?,
        None => image.only_scene()?,
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
        let run = args.keeping(RunOptions::default());
        Ok(Job { input: input.to_owned(), array, store, run })
    }

    /// Hash of all that decides the output's bytes.
    pub(crate) fn plan_hash(&self) -> String {
        self.store.plan().hash_for(&self.run)
    }

    /// How it is run.
    pub(super) fn options(&self, everywhere: &Everywhere) -> RunOptions {
        let RunOptions { resume, durability, on_error, intermediate, .. } = self.run;
        RunOptions { resume, durability, on_error, intermediate, ..everywhere.run_options() }
    }

    /// Runs it and says what it did.
    pub(super) fn run(&self, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
        let options = self.options(everywhere);
        let estimate = match self.store.estimate(&options) {
            Ok(estimate) => estimate,
            // The run refuses it too, but tells first who holds the lock or what stands in the way: a larger budget would
            // not help there.
            Err(refused) => return Err(self.store.run(&options).err().unwrap_or_else(|| refused.into()).into()),
        };
        let signal = stop_on_signal(options.cancel.clone());
        let progress = Progress::start(everywhere, &options.counters, &estimate);
        let result = self.store.run(&options);
        drop(progress);
        let report = result.map_err(|source| match signal.load(Ordering::Relaxed) {
            0 => CliError::Run(source),
            signal => CliError::Stopped { signal, source },
        })?;
        if everywhere.json {
            output.json(&RunJson::new(self, &estimate, &report))?;
        } else if !everywhere.quiet {
            output.text(&human::run(self, &estimate, &report, options.memory))?;
        }
        match report.quarantine.len() {
            0 => Ok(()),
            planes => Err(CliError::Quarantined { planes }),
        }
    }
}

/// Asks a run to stop at the first signal, and ends the program if it has not stopped soon; gives the signal's number.
fn stop_on_signal(cancel: CancelToken) -> Arc<AtomicI32> {
    let number = Arc::new(AtomicI32::new(0));
    let seen = Arc::clone(&number);
    let stop = move |signal| {
        seen.store(signal, Ordering::Relaxed);
        cancel.cancel();
        let impatient = move || {
            std::thread::sleep(PATIENCE);
            say("error: stopped before what was under way had ended; finished write units are kept for --resume");
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

//! What `convert`, `project` and `plan` share: from an image and flags to a lazy array with its place, and running it.

use std::path::{Path, PathBuf};

use microtome::{Image, LazyArray, Store, describe};

use crate::args::{Everywhere, SourceArgs, StoreArgs, check_target};
use crate::error::CliError;
use crate::human;
use crate::json::RunJson;
use crate::output::Output;
use crate::progress::Progress;

/// A lazy array with the place it is to be stored at.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) array: LazyArray,
    pub(crate) store: Store,
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
        let store = Store::of(&array, output, scene.as_ref(), &args.zarr()?)?;
        Ok(Job { input: input.to_owned(), array, store })
    }

    /// Runs it and says what it did.
    pub(super) fn run(&self, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
        let options = everywhere.run_options();
        let estimate = self.store.estimate();
        let progress = Progress::start(everywhere, &options.counters, &estimate);
        let result = self.store.run(&options);
        drop(progress);
        let report = result?;
        if everywhere.json {
            output.json(&RunJson::new(self, &report))
        } else if everywhere.quiet {
            Ok(())
        } else {
            output.text(&human::run(self, &estimate, &report, options.memory))
        }
    }
}

/// Checks what can be checked before the input is opened.
pub(super) fn check(output: &Path, args: &StoreArgs) -> Result<(), CliError> {
    check_target(output)?;
    args.zarr().map(drop)
}

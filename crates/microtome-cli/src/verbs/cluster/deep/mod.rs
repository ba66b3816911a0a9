//! What a deep check does beside the quick one: files go both ways through shared folders, an image is read many times, each
//! worker reads, decodes and writes, and batches of several sizes are tried.
//!
//! `shared`, `reading`, `rates` and `sizes` ask workers; `sample` makes the images; `advice` judges and asks nobody. *Invariant:*
//! what was made is removed, also after a signal; a worker that fails is told and keeps no other from being measured.

mod advice;
mod rates;
mod reading;
mod sample;
mod shared;
mod sizes;

use std::path::PathBuf;

use microtome::{Handler, RunOptions, TaskError, handler::this_worker};

use super::probe::{SchedulerLost, ahead, scheduler_is_there};
use super::report::Fault;
use crate::args::DeepArgs;
use crate::error::CliError;

pub(crate) use rates::{OfWorker, Rates};
pub(crate) use reading::Reading;
pub(crate) use shared::Visited;
pub(crate) use sizes::Tried;

/// What a deep check found.
#[derive(Debug, Default)]
pub(crate) struct Deep {
    /// For each folder and worker.
    pub(crate) shared: Vec<Visited>,
    /// An image, read many times.
    pub(crate) reading: Option<Reading>,
    /// What each worker did alone, by address.
    pub(crate) rates: Vec<OfWorker>,
    /// Batches of several sizes, the smallest first.
    pub(crate) sizes: Vec<Tried>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) advice: Vec<String>,
}

/// Why a deep check has no result.
#[derive(Debug)]
pub(super) enum Ended {
    Scheduler,
    Here(Box<CliError>),
}

impl From<SchedulerLost> for Ended {
    fn from(SchedulerLost: SchedulerLost) -> Ended {
        Ended::Scheduler
    }
}

impl From<CliError> for Ended {
    fn from(error: CliError) -> Ended {
        Ended::Here(Box::new(error))
    }
}

/// Checks the workers of these addresses; `say` is told what is done next.
///
/// # Errors
/// The loss of the scheduler; an image here that cannot be read.
pub(super) fn check(
    handler: &Handler,
    (workers, threads): (&[String], usize),
    args: &DeepArgs,
    say: impl Fn(usize, usize),
) -> Result<Deep, Ended> {
    let folders = shared::Folders::make(args)?;
    let mut deep = Deep { faults: folders.faults.clone(), ..Deep::default() };
    say(0, 4);
    for folder in &folders.all {
        deep.shared.extend(folder.visited_by(handler, workers)?);
    }
    deep.faults.extend(deep.shared.iter().filter_map(Visited::fault));
    let fit: Vec<String> = workers.iter().filter(|worker| deep.sees_all(worker)).cloned().collect();
    say(1, 4);
    let made = folders.work_place().map(sample::Samples::make).transpose()?;
    if let (Some(samples), false) = (&made, fit.is_empty()) {
        deep.rates = rates::of_each(handler, &fit, samples)?;
        deep.faults.extend(rates::faults(&deep.rates));
    }
    say(2, 4);
    let image = args.image.clone().or_else(|| made.as_ref().map(|samples| samples.small().to_owned()));
    // With an image of the user's, workers that see no shared folder may see it all the same.
    let readers = if args.image.is_some() { workers.to_vec() } else { fit };
    if let (Some(image), false) = (image, readers.is_empty()) {
        let all = readers.len() == workers.len();
        let handler = if all { handler.clone() } else { handler.with_options(ahead(readers)) };
        deep.read(&handler, (&image, args), threads, &say)?;
    }
    deep.advice = advice::advice(&deep, threads);
    Ok(deep)
}

impl Deep {
    /// Whether all files went both ways between here and a worker.
    fn sees_all(&self, worker: &str) -> bool {
        self.shared.iter().filter(|visited| visited.worker == worker).all(|visited| visited.fault().is_none())
    }

    fn read(
        &mut self,
        handler: &Handler,
        (image, args): (&PathBuf, &DeepArgs),
        threads: usize,
        say: &impl Fn(usize, usize),
    ) -> Result<(), Ended> {
        let reading = Reading::of(handler, (image, args), threads)?;
        self.faults.extend(reading.faults());
        say(3, 4);
        if reading.seconds_each > 0.0 {
            self.sizes = sizes::tried(handler, &reading, threads)?;
        }
        self.reading = Some(reading);
        Ok(())
    }
}

/// How a function of a check computes on a worker: on one thread, within its share of the worker's memory, or less.
fn options(most: u64) -> RunOptions {
    let here = this_worker();
    let share = here.and_then(|here| Some(here.memory? / 2 / here.threads as u64)).unwrap_or(u64::MAX);
    let usual = RunOptions::default();
    RunOptions { threads: 1, memory: usual.memory.min(share).min(most), ..usual }
}

/// A name for this process: its worker's address.
fn me() -> String {
    this_worker().map_or_else(|| "here".to_owned(), |here| here.address)
}

/// A result that came, or why not, unless the scheduler was lost.
fn came<T>(result: Result<T, TaskError>) -> Result<Result<T, String>, Ended> {
    Ok(scheduler_is_there(result)?)
}

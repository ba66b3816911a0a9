//! The verbs, a file each: each parses nothing, computes nothing, and prints what the library answers.

mod bench;
mod checksum;
mod cluster;
mod connect;
mod convert;
mod inspect;
mod job;
mod measure;
mod paths;
mod plan;
mod project;
mod thumbnail;
mod verify;

use crate::args::{Cli, Verb};
use crate::error::CliError;
use crate::output::Output;

pub(crate) use cluster::{Deep, Fault, OfWorker, Rates, Reading, Report, Tried, Visited, WorkerReport};
pub(crate) use job::Job;

/// Runs the verb that was asked for.
pub(crate) fn run(cli: &Cli, output: &mut Output) -> Result<(), CliError> {
    let everywhere = &cli.everywhere;
    match &cli.verb {
        Verb::Inspect(args) => inspect::run(args, everywhere, output),
        Verb::Plan(args) => plan::run(args, everywhere, output),
        Verb::Convert(args) => convert::job(args, everywhere)?.run(&args.place, everywhere, output),
        Verb::Project(args) => project::job(args, everywhere)?.run(&args.place, everywhere, output),
        Verb::Measure(args) => measure::run(args, everywhere, output),
        Verb::Bench(args) => bench::run(args, everywhere, output),
        Verb::Checksum(args) => checksum::run(args, everywhere, output),
        Verb::Thumbnail(args) => thumbnail::run(args, everywhere, output),
        Verb::Verify(args) => verify::run(args, everywhere, output),
        Verb::Cluster(args) => cluster::run(args, everywhere, output),
    }
}

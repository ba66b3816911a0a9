//! `cluster`: a Dask cluster on this machine, or what one is worth.
//!
//! `probe` asks and measures, `deep` does more of it, `report` judges without asking anybody, `check` and `local` are the two verbs.

mod check;
mod deep;
mod local;
mod probe;
mod report;

use crate::args::{ClusterArgs, ClusterVerb, Everywhere};
use crate::error::CliError;
use crate::output::Output;

pub(crate) use deep::{Deep, OfWorker, Rates, Reading, Tried, Visited};
pub(crate) use report::{Fault, Report, WorkerReport};

pub(super) fn run(args: &ClusterArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    match &args.verb {
        ClusterVerb::Local(args) => local::run(args, everywhere, output),
        ClusterVerb::Check(args) => check::run(args, everywhere, output),
    }
}

//! `cluster check`: whether a cluster is fit for work, worker by worker.

use super::deep::{self, Ended};
use super::probe::{self, SchedulerLost};
use super::report::Report;
use crate::args::{CheckArgs, Everywhere};
use crate::error::CliError;
use crate::human;
use crate::json::ClusterCheckJson;
use crate::output::Output;
use crate::progress::Steps;
use crate::verbs::connect;

pub(super) fn run(args: &CheckArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let handler = connect::to_cluster(&args.connect).build()?;
    let cluster = handler.info().cluster.unwrap_or_default();
    let steps = Steps::start(everywhere, "workers are measured");
    let measured = probe::measure(&handler, &cluster, |done, all| steps.done(done, all));
    drop(steps);
    let lost = || CliError::ClusterLost {
        address: cluster.address.clone(),
        why: "its scheduler went away while it was checked; start it again".to_owned(),
    };
    let measured = measured.map_err(|SchedulerLost| lost())?;
    let mut report = Report::new(&cluster, &measured, &probe::this_program());
    if args.deep.is_asked_for() {
        let steps = Steps::start(everywhere, "parts of the deep check are done");
        let (workers, threads) = report.sound();
        let found = deep::check(&handler, (&workers, threads), &args.deep, |done, all| steps.done(done, all));
        report = report.with(found.map_err(|ended| match ended {
            Ended::Scheduler => lost(),
            Ended::Here(error) => *error,
        })?);
    }
    if everywhere.json {
        output.json(&ClusterCheckJson::new(&report))?;
    } else if !everywhere.quiet {
        output.text(&human::cluster_check(&report))?;
    }
    // What is printed stands above the complaint.
    output.flush()?;
    match report.verdict() {
        None => Ok(()),
        Some(why) => Err(CliError::Unfit { address: report.address, why }),
    }
}

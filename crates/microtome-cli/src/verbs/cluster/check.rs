//! `cluster check`: whether a cluster is fit for work, worker by worker.

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
    let measured = measured.map_err(|SchedulerLost| CliError::ClusterLost {
        address: cluster.address.clone(),
        why: "its scheduler went away while it was checked; start it again".to_owned(),
    })?;
    let report = Report::new(&cluster, &measured, &probe::this_program());
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

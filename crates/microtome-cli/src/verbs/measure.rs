//! `measure`: a table of what is said of each plane of many images.

use std::sync::atomic::Ordering;

use microtome::{Handler, MeasureOptions, RunOptions, TableFormat, images_of, measure};

use super::{connect, job};
use crate::args::{Everywhere, MeasureArgs};
use crate::error::CliError;
use crate::human;
use crate::json::MeasureJson;
use crate::output::Output;
use crate::progress::Steps;

/// What a run that is stopped in the middle leaves.
const LEFT: &str = "nothing of the table is kept";

pub(super) fn run(args: &MeasureArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let table = &args.output;
    if TableFormat::of(table).is_none() {
        return Err(CliError::Usage {
            message: format!("a table's name ends in .csv or .parquet, and {} does not", table.display()),
            hint: Some("the last path is the table: microtome measure IN… OUT.csv".to_owned()),
        });
    }
    let run = RunOptions {
        on_error: args.on_error(),
        cluster: args.place.on_cluster(everywhere),
        ..everywhere.run_options()
    };
    let handler = match connect::named(&args.place.connect)? {
        Some(cluster) => cluster,
        None => Handler::builder().threads(run.threads).build()?,
    };
    let signal = job::stop_on_signal(run.cancel.clone(), LEFT);
    let options = MeasureOptions { scene: args.scene.clone(), overwrite: args.overwrite, run };
    let inputs = images_of(&args.inputs);
    let steps = Steps::start(everywhere, "images are measured");
    let result = measure(&inputs, table, &handler, &options, &mut |done| steps.done(done, inputs.len()));
    drop(steps);
    let report = result.map_err(|source| match signal.load(Ordering::Relaxed) {
        0 => CliError::Run(source),
        signal => CliError::Stopped { signal, source },
    })?;
    if everywhere.json {
        output.json(&MeasureJson::new(table, &report))?;
    } else if !everywhere.quiet {
        output.text(&human::measured(table, &report))?;
    }
    match report.quarantine.len() {
        0 => Ok(()),
        planes => Err(CliError::Quarantined { planes }),
    }
}

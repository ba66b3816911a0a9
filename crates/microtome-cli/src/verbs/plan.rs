//! `plan`: what a verb would do, without doing it.

use std::path::Path;

use microtome::{Drawing, Estimate, Fusing, GraphError, RunOptions, Stage, StageOptions, TaskGraph};

use super::{Job, convert, project};
use crate::args::{Everywhere, PlanArgs, PlannedVerb};
use crate::error::CliError;
use crate::human;
use crate::json::{Graphs, PlanJson};
use crate::output::Output;

/// Tasks that a drawing shows at most; beyond it nobody can look at it.
const MOST_DRAWN: u64 = 10_000;

pub(super) fn run(args: &PlanArgs, everywhere: &Everywhere, output: &mut Output) -> Result<(), CliError> {
    let job = match &args.verb {
        PlannedVerb::Convert(args) => convert::job(args, everywhere)?,
        PlannedVerb::Project(args) => project::job(args, everywhere)?,
    };
    let options = job.options(everywhere);
    job.check(&options)?;
    // What is drawn of several scenes is the first.
    let store = &job.stores()[0];
    let plan = store.plan();
    let passes = plan.passes(&options);
    if args.svg.is_some() || args.dot.is_some() {
        let images = job.images();
        let which = images.first().map(|(path, _)| format!(" · {}, the first of {} images", shown(path), images.len()));
        let title = format!("{} → {}{}", job.input.display(), job.path().display(), which.unwrap_or_default());
        let picture = Drawing { title, ..plan.drawing(&options, args.task_graph) };
        args.svg.as_deref().map_or(Ok(()), |file| write(file, &picture.svg()))?;
        args.dot.as_deref().map_or(Ok(()), |file| write(file, &picture.dot()))?;
    }
    if let Some(file) = &args.dot_tasks {
        write(file, &task_dot(&job)?)?;
    }
    // What is refused is shown all the same: as it would run with memory enough.
    let enough = RunOptions { memory: u64::MAX / 4, ..options.clone() };
    let estimate = job.estimate(&options).or_else(|_| job.estimate(&enough))?;
    let admission = job.admit(&options);
    let forecast = admission.as_ref().ok().and_then(|_| job.forecast(&options, !everywhere.no_calibrate));
    if everywhere.json {
        let graphs = Graphs::new(&plan, &passes, args.task_graph);
        let json = PlanJson::new(&job, &estimate, &admission, &options);
        let explanation = args.explain.then(|| plan.explain(&options));
        let json = json.taking(forecast.as_ref());
        output.json(&json.with(graphs, explanation).of_images(&job, args.explain, &options))?;
    } else if !everywhere.quiet {
        output.text(&human::plan(&job, (&estimate, forecast.as_ref()), admission.as_ref().ok(), &options))?;
        if args.explain {
            output.text(&human::explained(&job, &options))?;
        }
    }
    // What is printed stands above the refusal.
    output.flush()?;
    Ok(admission.map(drop)?)
}

/// The path of an image among several; the output itself has none.
fn shown(path: &str) -> &str {
    if path.is_empty() { "the image itself" } else { path }
}

/// Every task of the unfused graph.
fn task_dot(job: &Job) -> Result<String, CliError> {
    let sink = Some(job.stores()[0].output().array(0).spec().clone());
    let stage = Stage::new(&job.array, &StageOptions { sink, fusing: Fusing::None, ..StageOptions::default() });
    let tasks = Estimate::of(&stage).tasks;
    if tasks > MOST_DRAWN {
        return Err(GraphError::TooManyTasks { tasks, limit: MOST_DRAWN }.into());
    }
    Ok(TaskGraph::whole(&stage)?.dot(&stage))
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(file, text).map_err(|source| CliError::File { path: file.to_owned(), source })
}

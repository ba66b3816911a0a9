//! The `microtome` command line: parses arguments, calls the library, prints what it answers.
//!
//! `args` says what may be asked, `verbs` has one file a verb, `json` and `human` are the two ways to answer, `exit` is
//! the one place that knows exit codes.
//!
//! *Invariant:* no image, no pixel and no plan is worked on here; stdout carries the answer alone, all else is stderr's.

mod args;
mod error;
mod exit;
mod human;
mod json;
mod logging;
mod output;
mod progress;
mod signals;
mod trace;
mod usage;
mod verbs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::error::CliError;
use crate::output::{Output, complain};
use crate::trace::Trace;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // On a worker of a cluster this program runs functions, and nothing below.
    microtome::init();
    logging::explain_panics();
    // A panic is a bug of ours; its message has been printed when it arrives here.
    catch_unwind(AssertUnwindSafe(start)).unwrap_or(ExitCode::from(exit::BUG))
}

fn start() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    signals::survive_file_limit();
    match traced(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_no_news() {
                complain(&error);
            }
            ExitCode::from(exit::code(&error))
        }
    }
}

/// Answers, and ends the trace if one was asked for; an error of the answer is told before one of the trace.
fn traced(cli: &Cli) -> Result<(), CliError> {
    let trace = cli.trace().map(Trace::create).transpose();
    logging::start(cli.log_level(), trace.as_ref().ok().cloned().flatten());
    let trace = trace?;
    let answered = answer(cli);
    let ended = trace.map_or(Ok(()), |trace| trace.finish());
    answered.and(ended)
}

/// Runs the verb; what it printed before an error is kept.
fn answer(cli: &Cli) -> Result<(), CliError> {
    let mut output = Output::new();
    let result = verbs::run(cli, &mut output);
    output.flush()?;
    result
}

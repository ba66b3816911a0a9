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
mod usage;
mod verbs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::error::CliError;
use crate::output::{Output, complain};

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
    logging::start(cli.log_level());
    signals::survive_file_limit();
    match answer(&cli) {
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

/// Runs the verb; what it printed before an error is kept.
fn answer(cli: &Cli) -> Result<(), CliError> {
    let mut output = Output::new();
    let result = verbs::run(cli, &mut output);
    output.flush()?;
    result
}

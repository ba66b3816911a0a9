//! Project automation: `cargo xtask test | ci | fixtures | tidy | bench | fuzz | deep`.
//!
//! One file a verb. Everything that checks the repository is started from here, so that a person and a build server
//! run the same commands. *Invariant:* nothing is installed outside `.venv` and the target folder.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to a person on a terminal")]

mod bench;
mod ci;
mod corpus;
mod deep;
mod fixtures;
mod fuzz;
mod process;
mod project;
mod report;
mod skips;
mod test;
mod test_log;
mod tidy;
mod venv;

use std::process::ExitCode;

use project::Project;

/// What a verb ends with: nothing, or a sentence that says what, where, and what to do.
type Outcome = Result<(), String>;

const USAGE: &str = "\
usage: cargo xtask VERB [ARGS]

  test [ARGS]   run every test: Rust, doctests, examples, cross-checks against Python readers.
                With ARGS, run `cargo test ARGS` in the same environment (as in `cargo xtask test -p microtome-tiff`).
  ci            fmt --check, clippy, tidy, then test: what the build server runs
  tidy          check the rules of the repository that no compiler knows
  fixtures      make fixtures/ again and see that not a byte changed
  bench [ARGS]  run the benchmarks; ARGS go to `cargo bench`
  fuzz [TARGET…] [--runs N]
                feed the targets of microtome-fuzz, all or those named, with N made-up inputs each (1000000)
  deep [ARGS]   test, then the long versions of the tests, then fuzz; ARGS go to the second `cargo test`,
                and with any nothing is fuzzed
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nerror: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Outcome {
    let Some((verb, rest)) = args.split_first() else {
        return Err(format!("no verb given\n\n{USAGE}"));
    };
    if matches!(verb.as_str(), "help" | "--help" | "-h") {
        println!("{USAGE}");
        return Ok(());
    }
    let project = Project::find()?;
    match (verb.as_str(), rest) {
        ("test", rest) => test::run(&project, rest),
        ("ci", []) => ci::run(&project),
        ("tidy", []) => tidy::run(&project),
        ("fixtures", []) => fixtures::run(&project),
        ("bench", rest) => bench::run(&project, rest),
        ("fuzz", rest) => fuzz::run(&project, rest),
        ("deep", rest) => deep::run(&project, rest),
        ("ci" | "tidy" | "fixtures", _) => Err(format!("`{verb}` takes no arguments\n\n{USAGE}")),
        _ => Err(format!("`{verb}` is not a verb\n\n{USAGE}")),
    }
}

//! `cargo xtask test`: everything that can be tested here, from unit tests to whole runs checked by Python readers.

use std::process::Command;

use crate::corpus;
use crate::process::{run as run_command, run_observed};
use crate::project::Project;
use crate::report::Report;
use crate::skips::{self, Skips};
use crate::test_log::TestLog;
use crate::{Outcome, venv};

/// What `cargo test` runs when no arguments say otherwise: unit and integration tests, doctests; it builds the examples.
const EVERYTHING: &[&str] = &["--workspace", "--exclude", "microtome-benches"];

/// Runs the verb on its own.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    let mut report = Report::default();
    let closing = steps(project, args, &mut report)?;
    finish(&report, &closing)
}

/// Prints the last lines of a run.
pub(crate) fn finish(report: &Report, closing: &str) -> Outcome {
    println!("\n== summary\n{closing}\n{}", report.table());
    report.outcome()
}

/// Adds the steps of the verb to `report`; returns what the last lines should say of the tests.
pub(crate) fn steps(project: &Project, args: &[String], report: &mut Report) -> Result<String, String> {
    let ready = report.step("python environment", || venv::main(project).ensure())
        && report.step("older Dask", || venv::old_dask(project).ensure())
        && report.step("references", || references(project))
        && report.step("release binary", || release_binary(project));
    if !ready {
        return Ok("  no test was run\n".to_owned());
    }
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    if words.is_empty() {
        words.extend(EVERYTHING);
    }
    cargo_test(project, "tests", &words, &[], report)
}

/// Runs `cargo test --no-fail-fast ARGS` as a step; returns the summary of its tests.
pub(crate) fn cargo_test(
    project: &Project,
    name: &str,
    args: &[&str],
    variables: &[(&str, &str)],
    report: &mut Report,
) -> Result<String, String> {
    let skips = Skips::begin(project)?;
    let mut command = project.cargo(&["test", "--no-fail-fast"]);
    command.args(args).envs(variables.iter().copied());
    let has_corpus = set_environment(project, &skips, &mut command)?;
    let mut log = TestLog::default();
    report.step(name, || run_observed(command, |line| log.line(line)));
    Ok(log.summary() + &skipped(project, &skips, has_corpus))
}

/// What the tests find in their environment; true if there is an open data set.
fn set_environment(project: &Project, skips: &Skips, command: &mut Command) -> Result<bool, String> {
    command.env("MICROTOME_PYTHON", venv::main(project).python());
    command.env("MICROTOME_PYTHON_OLD_DASK", venv::old_dask(project).python());
    command.env("MICROTOME_BIN", project.binary());
    command.env(skips::VARIABLE, skips.path());
    let corpus = corpus::find(project)?;
    match &corpus {
        Some(path) => command.env(corpus::VARIABLE, path),
        None => command.env_remove(corpus::VARIABLE),
    };
    Ok(corpus.is_some())
}

/// Tests the Python scripts that the Rust tests compare with.
fn references(project: &Project) -> Outcome {
    let mut python = Command::new(venv::main(project).python());
    run_command(
        python.args(["-m", "unittest", "discover", "--start-directory", "tests/python"]).current_dir(&project.root),
    )
}

fn release_binary(project: &Project) -> Outcome {
    run_command(&mut project.cargo(&["build", "--release", "--package", "microtome-cli"]))
}

fn skipped(project: &Project, skips: &Skips, has_corpus: bool) -> String {
    let mut lines: Vec<String> = skips.lines().iter().map(|line| format!("  SKIPPED {line}\n")).collect();
    if !has_corpus {
        let variable = corpus::VARIABLE;
        lines.push(format!("  SKIPPED every comparison with the open data set: {variable} does not name its folder\n"));
        lines.extend(skips::corpus_tests(project).iter().map(|file| format!("    {file}\n")));
    }
    lines.concat()
}

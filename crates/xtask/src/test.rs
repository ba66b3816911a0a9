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
        && report.step("Dask of 2025", || venv::dask_2025(project).ensure())
        && report.step("references", || references(project));
    if !ready {
        return Ok("  no test was run\n".to_owned());
    }
    cargo_test(project, "tests", &Built::DEBUG, args, report)
}

/// How tests and the binary that they run are built.
pub(crate) struct Built {
    profile: &'static [&'static str],
    /// The folder of the profile below the target folder.
    folder: &'static str,
    variables: &'static [(&'static str, &'static str)],
}

impl Built {
    /// With overflow checks and assertions.
    pub(crate) const DEBUG: Built = Built { profile: &[], folder: "debug", variables: &[] };
    /// As fast as a release and built in a third of the time: no link-time optimisation. Tests are long.
    pub(crate) const DEEP: Built =
        Built { profile: &["--profile", "deep"], folder: "deep", variables: &[("MICROTOME_DEEP", "1")] };
}

/// Runs `cargo test --no-fail-fast ARGS`, without any those of the whole workspace, as a step; returns the summary of its
/// tests.
pub(crate) fn cargo_test(
    project: &Project,
    name: &str,
    built: &Built,
    args: &[String],
    report: &mut Report,
) -> Result<String, String> {
    // The tests of the whole workspace have the binary built.
    if !args.is_empty() && !report.step("binary", || binary(project, built)) {
        return Ok("  no test was run\n".to_owned());
    }
    let skips = Skips::begin(project)?;
    let mut command = project.cargo(&["test", "--no-fail-fast"]);
    command.args(built.profile);
    if args.is_empty() {
        command.args(EVERYTHING);
    }
    command.args(args).envs(built.variables.iter().copied()).env("MICROTOME_BIN", project.binary(built.folder));
    let has_corpus = set_environment(project, &skips, &mut command)?;
    let mut log = TestLog::default();
    report.step(name, || run_observed(command, |line| log.line(line)));
    Ok(log.summary() + &skipped(project, &skips, has_corpus))
}

/// What the tests find in their environment; true if there is an open data set.
fn set_environment(project: &Project, skips: &Skips, command: &mut Command) -> Result<bool, String> {
    command.env("MICROTOME_PYTHON", venv::main(project).python());
    command.env("MICROTOME_PYTHON_OLD_DASK", venv::old_dask(project).python());
    command.env("MICROTOME_PYTHON_DASK_2025", venv::dask_2025(project).python());
    command.env(skips::VARIABLE, skips.path());
    // Tests leave what the user's programs remember as it is.
    command.env("XDG_CACHE_HOME", project.target.join("test-cache"));
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

fn binary(project: &Project, built: &Built) -> Outcome {
    run_command(project.cargo(&["build", "--package", "microtome-cli"]).args(built.profile))
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

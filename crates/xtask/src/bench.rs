//! `cargo xtask bench`: the benchmarks, each beside its physical limit.

use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::Message;

use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::{Outcome, venv};

/// A comparison: its name after `bench`, its script of `benches/peers`, and what that needs beside data and our binary.
const SCRIPTS: &[(&str, &str, &[Needs])] = &[
    ("peers", "run.py", &[Needs::Bench("reading"), Needs::Seed, Needs::Reencode]),
    ("peers-decode", "decode.py", &[Needs::Bench("reading")]),
    ("peers-cluster", "cluster.py", &[Needs::Seed]),
    ("forecast", "forecast.py", &[]),
    ("scale", "scale.py", &[Needs::Bench("scheduling")]),
];

/// What a script is given.
enum Needs {
    /// One of our benchmarks, by its name.
    Bench(&'static str),
    /// The Python that has aicsimageio.
    Seed,
    /// `zarrs_reencode`, if it is there.
    Reencode,
}

/// Runs the benchmarks; `args` go to `cargo bench`, or after the name of a script of `benches/peers` to that. `report` writes
/// the tables and plots of docs/performance.md from what scripts have kept.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    if let Some((first, rest)) = args.split_first() {
        if first == "report" {
            let mut report = Command::new("python3");
            return run_command(report.arg(project.path("benches/peers/report.py")).args(rest));
        }
        if let Some((_, script, needs)) = SCRIPTS.iter().find(|(name, ..)| name == first) {
            return beside_others(project, script, needs, rest);
        }
    }
    // The cluster of the benchmarks needs a Dask.
    let python = venv::main(project);
    python.ensure()?;
    let mut command = project.cargo(&["bench", "--package", "microtome-benches"]);
    run_command(command.args(args).env("MICROTOME_PYTHON", python.python()))
}

/// Runs a script with what it needs.
fn beside_others(project: &Project, script: &str, needs: &[Needs], args: &[String]) -> Outcome {
    let mut command = peers_script(project, script)?;
    for need in needs {
        match need {
            Needs::Bench(name) => {
                command.arg(format!("--{name}")).arg(bench_binary(project, name)?);
            }
            Needs::Seed => {
                let seed = venv::seed(project);
                seed.ensure()?;
                command.arg("--seed").arg(seed.python());
            }
            Needs::Reencode => {
                let reencode = project.target.join("peers/zarrs_tools/bin/zarrs_reencode");
                if reencode.exists() {
                    command.arg("--zarrs-reencode").arg(reencode);
                }
            }
        }
    }
    run_command(command.args(args))
}

/// A script of `benches/peers` that runs ours beside other programs, with their environment, the data and our binary made.
fn peers_script(project: &Project, script: &str) -> Result<Command, String> {
    let peers = venv::peers(project);
    peers.ensure()?;
    let data = project.target.join("peers/data");
    let mut make = Command::new(peers.python());
    make.arg(project.path("benches/peers/data.py")).arg(&data);
    run_command(make.args(std::env::var_os("BENCH_LARGE").map(|_| "--large")))?;
    run_command(&mut project.cargo(&["build", "--release", "--package", "microtome-cli"]))?;
    let mut command = Command::new(peers.python());
    command.arg(project.path("benches/peers").join(script)).arg("--data").arg(&data);
    command.arg("--microtome").arg(project.binary("release"));
    Ok(command)
}

/// Builds a benchmark; where it is.
fn bench_binary(project: &Project, name: &str) -> Result<PathBuf, String> {
    let build = ["bench", "--package", "microtome-benches", "--bench", name, "--no-run", "--message-format", "json"];
    let printed = output(&mut project.cargo(&build))?;
    let path = Message::parse_stream(printed.as_bytes()).find_map(|message| match message {
        Ok(Message::CompilerArtifact(artifact)) => artifact.executable.map(PathBuf::from),
        _ => None,
    });
    path.ok_or_else(|| "cargo did not say where a benchmark is".to_owned())
}

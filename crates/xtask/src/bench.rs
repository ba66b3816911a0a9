//! `cargo xtask bench`: the benchmarks, each beside its physical limit.

use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::Message;

use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::{Outcome, venv};

/// Runs the benchmarks; `args` go to `cargo bench`, or after `peers` to `benches/peers/run.py`.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    if let Some(("peers", args)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return beside_peers(project, args);
    }
    // The cluster of the benchmarks needs a Dask.
    let python = venv::main(project);
    python.ensure()?;
    let mut command = project.cargo(&["bench", "--package", "microtome-benches"]);
    run_command(command.args(args).env("MICROTOME_PYTHON", python.python()))
}

/// Runs ours beside other programs: makes their environment, the data and our binaries first.
fn beside_peers(project: &Project, args: &[String]) -> Outcome {
    let peers = venv::peers(project);
    peers.ensure()?;
    let data = project.target.join("peers/data");
    run_command(Command::new(peers.python()).arg(project.path("benches/peers/data.py")).arg(&data))?;
    run_command(&mut project.cargo(&["build", "--release", "--package", "microtome-cli"]))?;
    let reading = reading_binary(project)?;
    let mut command = Command::new(peers.python());
    command.arg(project.path("benches/peers/run.py")).arg("--data").arg(&data).arg("--reading").arg(reading);
    command.arg("--microtome").arg(project.binary("release"));
    let reencode = project.target.join("peers/zarrs_tools/bin/zarrs_reencode");
    if reencode.exists() {
        command.arg("--zarrs-reencode").arg(reencode);
    }
    run_command(command.args(args))
}

/// Builds the benchmark `reading`; where it is.
fn reading_binary(project: &Project) -> Result<PathBuf, String> {
    let build =
        ["bench", "--package", "microtome-benches", "--bench", "reading", "--no-run", "--message-format", "json"];
    let printed = output(&mut project.cargo(&build))?;
    let path = Message::parse_stream(printed.as_bytes()).find_map(|message| match message {
        Ok(Message::CompilerArtifact(artifact)) => artifact.executable.map(PathBuf::from),
        _ => None,
    });
    path.ok_or_else(|| "cargo did not say where the benchmark `reading` is".to_owned())
}

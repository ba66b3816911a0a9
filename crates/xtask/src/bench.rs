//! `cargo xtask bench`: the benchmarks, each beside its physical limit.

use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::Message;

use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::{Outcome, venv};

/// Runs the benchmarks; `args` go to `cargo bench`, or after `peers` to `benches/peers/run.py`, after `peers-decode` to
/// `decode.py` beside it, after `peers-cluster` to `cluster.py`.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    match args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("peers", args)) => return beside_peers(project, args),
        Some(("peers-decode", args)) => return decoding_beside_peers(project, args),
        Some(("peers-cluster", args)) => return beside_peers_on_a_cluster(project, args),
        _ => {}
    }
    // The cluster of the benchmarks needs a Dask.
    let python = venv::main(project);
    python.ensure()?;
    let mut command = project.cargo(&["bench", "--package", "microtome-benches"]);
    run_command(command.args(args).env("MICROTOME_PYTHON", python.python()))
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

/// Runs ours beside other programs on a Dask cluster.
fn beside_peers_on_a_cluster(project: &Project, args: &[String]) -> Outcome {
    let seed = venv::seed(project);
    seed.ensure()?;
    run_command(peers_script(project, "cluster.py")?.arg("--seed").arg(seed.python()).args(args))
}

/// Runs decoders beside ours.
fn decoding_beside_peers(project: &Project, args: &[String]) -> Outcome {
    run_command(peers_script(project, "decode.py")?.arg("--reading").arg(reading_binary(project)?).args(args))
}

/// Runs ours beside other programs on threads.
fn beside_peers(project: &Project, args: &[String]) -> Outcome {
    let seed = venv::seed(project);
    seed.ensure()?;
    let mut command = peers_script(project, "run.py")?;
    command.arg("--reading").arg(reading_binary(project)?).arg("--seed").arg(seed.python());
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

//! `cargo xtask bench`: the benchmarks, each beside its physical limit.

use crate::process::run as run_command;
use crate::project::Project;
use crate::{Outcome, venv};

/// Runs the benchmarks; `args` go to `cargo bench`.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    // The cluster of the benchmarks needs a Dask.
    let python = venv::main(project);
    python.ensure()?;
    let mut command = project.cargo(&["bench", "--package", "microtome-benches"]);
    run_command(command.args(args).env("MICROTOME_PYTHON", python.python()))
}

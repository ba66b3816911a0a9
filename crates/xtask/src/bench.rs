//! `cargo xtask bench`: the benchmarks, each beside its physical limit.

use crate::Outcome;
use crate::process::run as run_command;
use crate::project::Project;

/// Runs the benchmarks; `args` go to `cargo bench`.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    run_command(project.cargo(&["bench", "--package", "microtome-benches"]).args(args))
}

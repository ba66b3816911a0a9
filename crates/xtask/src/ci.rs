//! `cargo xtask ci`: what the build server runs, in the order that fails soonest.

use crate::process::run as run_command;
use crate::project::Project;
use crate::report::Report;
use crate::test::{finish, steps};
use crate::{Outcome, tidy};

/// Runs every step even when an earlier one failed, so that one run shows all that is wrong.
pub(crate) fn run(project: &Project) -> Outcome {
    let mut report = Report::default();
    report.step("fmt", || run_command(&mut project.cargo(&["fmt", "--all", "--check"])));
    report.step("tidy", || tidy::run(project));
    report.step("clippy", || {
        run_command(&mut project.cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
    let closing = steps(project, &[], &mut report)?;
    finish(&report, &closing)
}

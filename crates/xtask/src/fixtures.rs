//! `cargo xtask fixtures`: makes the sample images again and sees that not a byte changed.

use std::process::Command;

use crate::process::{output, run as run_command};
use crate::project::Project;
use crate::{Outcome, venv};

/// Runs the script that makes the samples, then asks git for differences.
pub(crate) fn run(project: &Project) -> Outcome {
    venv::main(project).ensure()?;
    run_command(Command::new(venv::main(project).python()).arg(project.path("fixtures/make_fixtures.py")))?;
    let changed = output(&mut project.git(&["status", "--porcelain", "--", "fixtures"]))?;
    if changed.is_empty() {
        println!("fixtures/ is as the script makes it");
        return Ok(());
    }
    Err(format!(
        "fixtures/ differs from what is committed:\n{changed}\
        if the script was changed on purpose, commit the new files with it; else find out why it is not reproducible"
    ))
}

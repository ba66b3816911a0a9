//! `cargo xtask deep`: the tests, then the same tests at full size.
//!
//! Tests read `MICROTOME_DEEP` and scale themselves (gigabytes instead of megabytes, more random cases); there is no
//! second set of tests to fall behind. Fuzzing comes last.

use crate::project::Project;
use crate::report::Report;
use crate::test::{Built, cargo_test, finish, steps};
use crate::{Outcome, fuzz};

/// Runs `test`, then the tests, optimised, with `MICROTOME_DEEP=1`; `args` narrow the second part.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    let mut report = Report::default();
    let mut closing = steps(project, &[], &mut report)?;
    if report.outcome().is_ok() {
        closing += &cargo_test(project, "deep tests", &Built::DEEP, args, &mut report)?;
        if args.is_empty() {
            fuzz::all(project, &mut report)?;
        }
    }
    finish(&report, &closing)
}

//! `cargo xtask deep`: the tests, then the same tests at full size.
//!
//! Tests read `MICROTOME_DEEP` and scale themselves (gigabytes instead of megabytes, more random cases); there is no
//! second set of tests to fall behind.

use crate::Outcome;
use crate::project::Project;
use crate::report::Report;
use crate::test::{cargo_test, finish, steps};

/// Runs `test`, then the tests, optimised, with `MICROTOME_DEEP=1`; `args` narrow the second part.
pub(crate) fn run(project: &Project, args: &[String]) -> Outcome {
    let mut report = Report::default();
    let mut closing = steps(project, &[], &mut report)?;
    if report.outcome().is_ok() {
        // As fast as a release and built in a third of the time: no link-time optimisation.
        let mut words = vec!["--profile", "deep"];
        if args.is_empty() {
            words.extend(["--workspace", "--exclude", "microtome-benches"]);
        }
        words.extend(args.iter().map(String::as_str));
        closing += &cargo_test(project, "deep tests", &words, &[("MICROTOME_DEEP", "1")], &mut report)?;
    }
    finish(&report, &closing)
}

//! The steps of a verb: each is timed, the last lines of the run say how each ended.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::Outcome;

struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

/// Collects the steps of a run.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a step, keeps its time and outcome; true if it succeeded.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Outcome) -> bool {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        if let Err(message) = &outcome {
            eprintln!("{name} failed: {message}");
        }
        let ok = outcome.is_ok();
        self.steps.push(Step { name: name.to_owned(), took: start.elapsed(), outcome });
        ok
    }

    /// A line for each step.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for Step { name, took, outcome } in &self.steps {
            let word = if outcome.is_ok() { "ok" } else { "FAILED" };
            let _ = writeln!(table, "  {name:<28} {word:<7} {:>7.1} s", took.as_secs_f64());
        }
        let total: Duration = self.steps.iter().map(|step| step.took).sum();
        let _ = writeln!(table, "  {:<28} {:<7} {:>7.1} s", "total", "", total.as_secs_f64());
        table
    }

    /// Success, or an error that names the steps that failed.
    pub(crate) fn outcome(&self) -> Outcome {
        let failed = self.steps.iter().filter(|step| step.outcome.is_err()).map(|step| step.name.as_str());
        let failed: Vec<&str> = failed.collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_report_is_a_success() {
        assert_eq!(Report::default().outcome(), Ok(()));
    }

    #[test]
    fn a_failed_step_is_named_and_the_others_still_run() {
        let mut report = Report::default();
        assert!(!report.step("clippy", || Err("two warnings".to_owned())));
        assert!(report.step("tidy", || Ok(())));
        assert_eq!(report.outcome(), Err("failed: clippy".to_owned()));
        let table = report.table();
        assert_eq!(table.lines().count(), 3);
        assert!(table.contains("FAILED"));
    }
}

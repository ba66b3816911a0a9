//! A measured machine as JSON.

use microtome::{BenchReport, BenchStep};
use serde::Serialize;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct BenchJson {
    image: String,
    axes: &'static str,
    /// Of the part that was worked on.
    shape: Vec<u64>,
    bytes: u64,
    threads: usize,
    steps: Vec<StepJson>,
}

#[derive(Debug, Serialize)]
struct StepJson {
    #[serde(flatten)]
    step: BenchStep,
    bytes_per_second: f64,
    /// Seconds over those of the limit; null of the machine's own limits.
    ratio: Option<f64>,
}

impl BenchJson {
    pub(crate) fn new(image: &str, report: &BenchReport) -> BenchJson {
        let step = |step: &BenchStep| StepJson {
            step: step.clone(),
            bytes_per_second: step.bytes as f64 / step.seconds.max(1e-9),
            ratio: step.ratio(),
        };
        BenchJson {
            image: image.to_owned(),
            axes: report.shape.axes(),
            shape: report.shape.present().to_vec(),
            bytes: report.bytes,
            threads: report.threads,
            steps: report.steps.iter().map(step).collect(),
        }
    }
}

//! Answers for programs: one JSON object a command. Fields keep their meaning; new ones may come.

mod bench;
mod checksum;
mod cluster;
mod graphs;
mod image;
mod measure;
mod plan;
mod run;
mod thumbnail;
mod verify;

use serde::Serialize;

pub(crate) use bench::BenchJson;
pub(crate) use checksum::{ImageSums, SceneSum};
pub(crate) use cluster::{ClusterCheckJson, ClusterLocalJson};
pub(crate) use graphs::Graphs;
pub(crate) use image::{ImageJson, SceneJson, Tasks};
pub(crate) use measure::MeasureJson;
pub(crate) use plan::PlanJson;
pub(crate) use run::RunJson;
pub(crate) use thumbnail::ThumbnailJson;
pub(crate) use verify::{ComparedScene, ComparisonJson, VerificationJson};

/// The answer about several paths.
#[derive(Debug, Serialize)]
pub(crate) struct Several<T> {
    /// What could be read, in the order given.
    pub(crate) images: Vec<T>,
    /// What could not.
    pub(crate) errors: Vec<PathError>,
}

/// A path that could not be read.
#[derive(Debug, Serialize)]
pub(crate) struct PathError {
    pub(crate) path: String,
    pub(crate) error: String,
}

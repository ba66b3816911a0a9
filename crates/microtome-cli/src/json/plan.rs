//! `plan` as JSON.

use std::collections::BTreeMap;

use microtome::{
    Admission, ArraySpec, Estimate, Explanation, Forecast, GraphError, LayerEstimate, Loss, RunOptions, Shape, Store,
};
use serde::Serialize;

use super::image::text;
use super::{Graphs, Tasks};
use crate::human;
use crate::verbs::Job;

/// What a verb would do.
#[derive(Debug, Serialize)]
pub(crate) struct PlanJson {
    input: String,
    output: String,
    axes: &'static str,
    shape: Vec<u64>,
    dtype: &'static str,
    layers: Vec<LayerJson>,
    tasks: Tasks,
    units: u64,
    groups: u64,
    windows: u64,
    bytes_read: u64,
    bytes_written: u64,
    /// Stored for a while between two passes.
    intermediate_bytes: u64,
    threads: usize,
    memory: u64,
    #[serde(flatten)]
    time: TimeJson,
    /// Null if the plan is refused.
    projected_peak: Option<u64>,
    /// Groups of write units at once.
    slots: Option<u64>,
    /// Threads inside each.
    width: Option<u64>,
    plan_hash: String,
    /// What of the input the output would not hold.
    not_kept: Vec<Loss>,
    /// Why it would not run, if so.
    refused: Option<String>,
    /// Each image of several; none where there is only one.
    images: Vec<PlannedImage>,
    /// Of several images, those of the first.
    #[serde(flatten)]
    graphs: Option<Graphs>,
    /// If it was asked for; of several images, of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

/// How long it would take; all null where that is not known.
#[derive(Debug, Default, Serialize)]
struct TimeJson {
    seconds: Option<f64>,
    /// One run in ten is shorter.
    seconds_low: Option<f64>,
    /// One run in ten is longer.
    seconds_high: Option<f64>,
    /// Where they go.
    seconds_of: Option<BTreeMap<&'static str, f64>>,
    /// Runs of the kind on this machine that it has learnt from.
    runs_learnt: Option<u64>,
}

impl From<&Forecast> for TimeJson {
    fn from(forecast: &Forecast) -> TimeJson {
        TimeJson {
            seconds: Some(forecast.seconds),
            seconds_low: Some(forecast.low),
            seconds_high: Some(forecast.high),
            seconds_of: Some(forecast.parts.clone()),
            runs_learnt: Some(forecast.runs),
        }
    }
}

/// One image of several.
#[derive(Debug, Serialize)]
struct PlannedImage {
    /// Its place in the output; empty for the output itself.
    path: String,
    axes: &'static str,
    shape: Vec<u64>,
    dtype: &'static str,
    tasks: Option<Tasks>,
    units: Option<u64>,
    bytes_read: Option<u64>,
    bytes_written: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

impl PlannedImage {
    fn new(path: &str, store: &Store, explains: bool, options: &RunOptions) -> PlannedImage {
        let estimate = human::estimate(store, options).ok();
        let ArraySpec { shape, dtype } = store.output().array(0).spec().array;
        PlannedImage {
            path: path.to_owned(),
            axes: shape.axes(),
            shape: shape.present().to_vec(),
            dtype: dtype.name(),
            tasks: estimate.as_ref().map(Tasks::from),
            units: estimate.as_ref().map(|e| e.units),
            bytes_read: estimate.as_ref().map(|e| e.bytes_read),
            bytes_written: estimate.as_ref().map(|e| e.bytes_written),
            explain: explains.then(|| store.plan().explain(options)),
        }
    }
}

#[derive(Debug, Serialize)]
struct LayerJson {
    name: String,
    shape: Vec<u64>,
    dtype: &'static str,
    chunk: Vec<u64>,
    tasks: u64,
    run: u64,
    fused_into: Option<String>,
    why: String,
    bytes: u64,
    bytes_read: u64,
}

impl LayerJson {
    fn new(layer: &LayerEstimate) -> LayerJson {
        let rank = layer.array.shape.present().len();
        let extents = |shape: &Shape| shape.extents()[..rank].to_vec();
        LayerJson {
            name: layer.name.clone(),
            shape: extents(&layer.array.shape),
            dtype: layer.array.dtype.name(),
            chunk: extents(&layer.chunk),
            tasks: layer.tasks,
            run: layer.fused,
            fused_into: layer.into.clone(),
            why: layer.note.clone(),
            bytes: layer.bytes,
            bytes_read: layer.bytes_read,
        }
    }
}

impl PlanJson {
    pub(crate) fn new(
        job: &Job,
        estimate: &Estimate,
        admission: &Result<Admission, GraphError>,
        options: &RunOptions,
    ) -> PlanJson {
        let admitted = admission.as_ref().ok();
        let shape = job.array.shape();
        PlanJson {
            input: text(&job.input),
            output: text(job.path()),
            axes: shape.axes(),
            shape: shape.present().to_vec(),
            dtype: job.array.dtype().name(),
            layers: estimate.layers.iter().map(LayerJson::new).collect(),
            tasks: estimate.into(),
            units: estimate.units,
            groups: estimate.groups,
            windows: options.windows(estimate.groups, admitted),
            bytes_read: estimate.bytes_read,
            bytes_written: estimate.bytes_written,
            intermediate_bytes: estimate.intermediate_bytes,
            threads: options.threads,
            memory: options.memory,
            time: TimeJson::default(),
            projected_peak: admitted.map(|a| a.projected_peak),
            slots: admitted.map(|a| a.slots),
            width: admitted.map(|a| a.width),
            plan_hash: job.plan_hash(),
            not_kept: job.losses(),
            refused: admission.as_ref().err().map(ToString::to_string),
            images: Vec::new(),
            graphs: None,
            explain: None,
        }
    }

    /// The same with how long it would take.
    pub(crate) fn taking(self, forecast: Option<&Forecast>) -> PlanJson {
        PlanJson { time: forecast.map(TimeJson::from).unwrap_or_default(), ..self }
    }

    /// The same with what is drawn, and why it is so.
    pub(crate) fn with(self, graphs: Graphs, explain: Option<Explanation>) -> PlanJson {
        PlanJson { graphs: Some(graphs), explain, ..self }
    }

    /// The same with each image of several.
    pub(crate) fn of_images(self, job: &Job, explains: bool, options: &RunOptions) -> PlanJson {
        let image = |(path, store): (&str, &Store)| PlannedImage::new(path, store, explains, options);
        PlanJson { images: job.images().into_iter().map(image).collect(), ..self }
    }
}

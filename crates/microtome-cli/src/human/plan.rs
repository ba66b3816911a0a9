//! `plan` for people.

use std::fmt::Write as _;

use microtome::{Admission, Estimate, Forecast, LayerEstimate, Loss, RunOptions};

use super::images;
use super::number::{bytes, count, duration, things};
use super::shape::trailing;
use super::table::{Align, Table};
use crate::verbs::Job;

/// What a verb would do: a row a layer, or of several images a row an image; then the sums, then memory, if it would fit.
pub(crate) fn plan(
    job: &Job,
    (estimate, time): (&Estimate, Option<&Forecast>),
    admission: Option<&Admission>,
    options: &RunOptions,
) -> String {
    let rows = if job.images().is_empty() { layers(estimate) } else { images::table(job, estimate, options) };
    let mut out = format!("{} → {}\n\n{rows}\n", job.input.display(), job.path().display());
    let mut line = |name: &str, text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<8} {text}");
    };
    let (graph, fused) = (count(estimate.tasks), count(estimate.fused));
    line("tasks", format!("{graph} in the graph, {fused} to run after fusing"));
    let (dask, thumb) = (count(estimate.dask_optimized), count(estimate.rule_of_thumb));
    let reading = format!("{dask} tasks in the optimised graph of reading alone");
    line("dask", format!("{reading}; the rule of thumb Σ 2·size says {thumb}, a sum; but chunks are a product"));
    line(
        "reads",
        format!("{} of pixels in {}{}", bytes(estimate.bytes_read), things(estimate.chunks, "chunk"), again(estimate)),
    );
    if estimate.intermediate_bytes > 0 {
        line("between", format!("{} stored for a while and read back", bytes(estimate.intermediate_bytes)));
    }
    let units = things(estimate.units, "write unit");
    let groups = things(estimate.groups, "group");
    let windows = things(options.windows(estimate.groups, admission), "window");
    line("writes", format!("{} of pixels in {units}; {groups} in {windows}", bytes(estimate.bytes_written)));
    if let Some(admission) = admission {
        line("memory", memory(admission, options));
    }
    if let Some(time) = time {
        line("time", format!("{}: {}", about(time), shares(time)));
    }
    line("plan", job.plan_hash());
    out + &losses("not kept", &job.losses())
}

/// What of the input the output does not hold, a line each.
pub(crate) fn losses(name: &str, losses: &[Loss]) -> String {
    losses.iter().fold(String::new(), |mut out, loss| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name} {loss}");
        out
    })
}

/// How long something will probably take.
pub(crate) fn about(time: &Forecast) -> String {
    let Forecast { seconds, low, high, .. } = *time;
    format!("about {}, {} to {} in eight runs of ten", duration(seconds), duration(low), duration(high))
}

/// Where the time goes, the largest part first; what no twentieth goes to is left out.
fn shares(time: &Forecast) -> String {
    let mut parts: Vec<(&str, f64)> = time.parts.iter().map(|(&name, &seconds)| (name, seconds)).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let told = parts.into_iter().filter(|(_, seconds)| *seconds > time.seconds / 20.0);
    told.map(|(name, seconds)| format!("{name} {}", duration(seconds))).collect::<Vec<_>>().join(", ")
}

fn memory(admission: &Admission, options: &RunOptions) -> String {
    let (peak, budget) = (bytes(admission.projected_peak), bytes(options.memory));
    let at_once = match (admission.slots, admission.width) {
        (1, 1) => "1 group at a time".to_owned(),
        (1, width) => format!("1 group at a time on {width} threads"),
        (slots, 1) => format!("{slots} groups at a time"),
        (slots, width) => format!("{slots} groups at a time on {width} threads each"),
    };
    format!("at most {peak} of {budget}: {at_once}, {} for each", bytes(admission.group_bytes))
}

fn layers(estimate: &Estimate) -> Table<7> {
    use Align::{Left, Right};
    let head = ["layer", "result", "chunk", "tasks", "run", "pixels", "how"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(estimate.layers.iter().map(row));
    let sum = ["total", "", "", &count(estimate.tasks), &count(estimate.fused), "", ""];
    rows.push(sum.map(str::to_owned));
    Table { columns: [Left, Right, Right, Right, Right, Right, Left], rows }
}

fn row(layer: &LayerEstimate) -> [String; 7] {
    let how = match &layer.into {
        Some(into) => format!("inside {into}: {}", layer.note),
        None => layer.note.clone(),
    };
    [
        layer.name.clone(),
        format!("{} {}", layer.array.shape, layer.array.dtype),
        trailing(&layer.chunk),
        count(layer.tasks),
        count(layer.fused),
        bytes(layer.bytes),
        how,
    ]
}

/// How often pixels are read, where it is worth a word.
fn again(estimate: &Estimate) -> String {
    if estimate.times_read < 1.05 { String::new() } else { format!(", each {:.1} times", estimate.times_read) }
}

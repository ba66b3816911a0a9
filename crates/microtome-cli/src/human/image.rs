//! `inspect` for people.

use std::fmt::Write as _;

use microtome::{
    Axis, ChunkDims, Estimate, ImageInfo, LazyArray, Objective, PixelSize, PlaneTaken, SceneInfo, SceneKind,
    StagePosition, StorageInfo, StorageKind,
};

use super::number::{bytes, count, decimal, things};
use super::shape::{chunk_axes, lettered, trailing};

/// An image with those of its scenes that were asked for, each with its chunks, and with its planes where `planes` has some.
pub(crate) fn image(
    info: &ImageInfo,
    scenes: &[(&SceneInfo, ChunkDims, LazyArray)],
    planes: &[Vec<PlaneTaken>],
) -> String {
    let mut out = format!("{}\n", info.path.display());
    let mut line = |name: &str, text: String| push(&mut out, "  ", name, &text);
    line("format", format!("{}, {}{}", info.format, bytes(info.bytes), files(info)));
    for missing in &info.missing_files {
        line("missing", missing.display().to_string());
    }
    for warning in &info.warnings {
        line("warning", warning.clone());
    }
    for (n, (scene, dims, array)) in scenes.iter().enumerate() {
        out.push('\n');
        describe_scene(&mut out, scene, dims, array);
        if let Some(planes) = planes.get(n) {
            out.push_str(&planes_words(planes));
        }
    }
    out
}

fn files(info: &ImageInfo) -> String {
    let files =
        if info.files.len() > 1 { format!(" in {}", things(info.files.len() as u64, "file")) } else { String::new() };
    let labels = info.scenes.iter().filter(|s| s.kind == SceneKind::Label).count() as u64;
    let scenes = info.scenes.len() as u64 - labels;
    let labels = if labels > 0 { format!(" and {}", things(labels, "label image")) } else { String::new() };
    format!("{files}, {}{labels}", things(scenes, "scene"))
}

fn push(out: &mut String, indent: &str, name: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{indent}{name:<9} {text}");
}

fn describe_scene(out: &mut String, scene: &SceneInfo, dims: &ChunkDims, array: &LazyArray) {
    let _ = writeln!(out, "  {}", title(scene));
    let mut line = |name: &str, text: String| push(out, "    ", name, &text);
    let shape = scene.shape();
    line("shape", format!("{}, {}, {}", lettered(&shape), scene.dtype, bytes(shape.bytes(scene.dtype))));
    if let Some(channels) = channels(scene) {
        line("channels", channels);
    }
    if let Some(size) = pixel_size(&scene.pixel_size) {
        line("pixel", size);
    }
    if let Some(position) = position(scene) {
        line("position", position);
    }
    if let Some(objective) = &scene.objective {
        line("objective", objective_words(objective));
    }
    if let Some(stage) = &scene.stage {
        line("stage", stage_words(stage));
    }
    if let Some(time) = &scene.time_increment {
        line("time", format!("{} {} between frames", decimal(time.value), symbol(&time.unit)));
    }
    if !scene.palette.is_empty() {
        line("palette", format!("{} colours, pixels are indices", scene.palette.len()));
    }
    if scene.levels.len() > 1 {
        let levels: Vec<String> = scene.levels.iter().map(|l| trailing(&l.shape)).collect();
        line("levels", format!("{}: {}", levels.len(), levels.join(", ")));
    }
    line("storage", storage(&scene.levels[0].storage));
    let grid = array.grid();
    let chunks = things(grid.count(), "chunk");
    line("chunks", format!("{chunks} of {} ({})", trailing(&grid.chunk()), chunk_axes(dims, &grid)));
    let (tasks, rule) = tasks(&array.estimate(), array);
    line("tasks", tasks);
    line("", rule);
}

fn title(scene: &SceneInfo) -> String {
    let kind = match scene.kind {
        SceneKind::Image => "scene",
        SceneKind::Label => "labels",
    };
    let names: Vec<&str> = [&scene.name, &scene.id].into_iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
    match names[..] {
        [name, id] if name != id => format!("{kind} {}: {name} ({id})", scene.index),
        [name, ..] => format!("{kind} {}: {name}", scene.index),
        [] => format!("{kind} {}", scene.index),
    }
}

/// Names and colours; nothing where the file says nothing of them.
fn channels(scene: &SceneInfo) -> Option<String> {
    if scene.channels.iter().all(|c| c.name.is_empty() && c.color.is_none()) {
        return None;
    }
    let one = |channel: &microtome::Channel| {
        let name = if channel.name.is_empty() { "(no name)" } else { &channel.name };
        channel.color.as_ref().map_or_else(|| name.to_owned(), |color| format!("{name} #{color}"))
    };
    Some(scene.channels.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn pixel_size(size: &PixelSize) -> Option<String> {
    let axes = [(Axis::Z, size.z), (Axis::Y, size.y), (Axis::X, size.x)];
    let known = axes.into_iter().filter_map(|(axis, size)| Some(format!("{axis} {}", decimal(size?))));
    let known: Vec<String> = known.collect();
    let unit = size.unit.as_deref().map_or("(no unit)", symbol);
    (!known.is_empty()).then(|| format!("{} {unit}", known.join(" · ")))
}

/// Where the first pixel lies, if anywhere but at the origin.
fn position(scene: &SceneInfo) -> Option<String> {
    let at = &scene.position;
    let lengths =
        [(Axis::Z, at.z), (Axis::Y, at.y), (Axis::X, at.x)].map(|(axis, at)| format!("{axis} {}", decimal(at)));
    let unit = scene.pixel_size.unit.as_deref().map_or("(no unit)", symbol);
    let space = (at.z, at.y, at.x) != (0.0, 0.0, 0.0);
    let space = space.then(|| format!("{} {unit}", lengths.join(" · ")));
    let unit = scene.time_increment.as_ref().map_or("(no unit)", |time| symbol(&time.unit));
    let time = (at.t != 0.0).then(|| format!("T {} {unit}", decimal(at.t)));
    let parts: Vec<String> = time.into_iter().chain(space).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn objective_words(objective: &Objective) -> String {
    let magnification = objective.magnification.map(|times| format!("{}×", decimal(times)));
    let aperture = objective.numerical_aperture.map(|aperture| format!("NA {}", decimal(aperture)));
    let words = [Some(objective.name.clone()), magnification, aperture, Some(objective.immersion.to_lowercase())];
    let told: Vec<String> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    if told.is_empty() { "(nothing is said of it)".to_owned() } else { told.join(", ") }
}

fn stage_words(stage: &StagePosition) -> String {
    let axes = [(Axis::Z, stage.z), (Axis::Y, stage.y), (Axis::X, stage.x)];
    let known: Vec<String> = axes.iter().filter_map(|(axis, at)| Some(format!("{axis} {}", decimal((*at)?)))).collect();
    format!("{} {}", known.join(" · "), stage.unit.as_deref().map_or("(the stage's unit)", symbol))
}

/// When and where planes were taken: a line each, with what is known of any.
fn planes_words(planes: &[PlaneTaken]) -> String {
    if planes.is_empty() {
        return "\n    planes    nothing is said of when and where they were taken\n".to_owned();
    }
    let mut out = "\n    planes taken, at so many seconds, exposed for so many\n".to_owned();
    for plane in planes {
        let seconds =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{} s", decimal(value)));
        let stage = plane.stage.as_ref().map(|stage| format!(", stage {}", stage_words(stage))).unwrap_or_default();
        let (when, long) = (seconds(plane.delta_t), seconds(plane.exposure));
        let _ = writeln!(out, "    t={} c={} z={}: {when}, {long}{stage}", plane.t, plane.c, plane.z);
    }
    out
}

/// The usual symbol of a unit, or its name.
fn symbol(unit: &str) -> &str {
    match unit {
        "micrometer" => "µm",
        "nanometer" => "nm",
        "millimeter" => "mm",
        "second" => "s",
        "millisecond" => "ms",
        "minute" => "min",
        other => other,
    }
}

fn storage(storage: &StorageInfo) -> String {
    let tile = trailing(&storage.tile);
    let place = match (storage.kind, &storage.shard) {
        (StorageKind::Strips, _) => format!("strips of {tile}"),
        (StorageKind::Tiles, _) => format!("tiles of {tile}"),
        (StorageKind::Shards, Some(shard)) => format!("chunks of {tile} in shards of {}", trailing(shard)),
        (StorageKind::Chunks | StorageKind::Shards, _) => format!("chunks of {tile}"),
        (StorageKind::Memory, _) => "memory".to_owned(),
    };
    let codec = if storage.codec == "none" { "not compressed" } else { &storage.codec };
    format!("{place}, {codec}")
}

/// The counts, and what the rule of thumb is worth.
fn tasks(estimate: &Estimate, array: &LazyArray) -> (String, String) {
    let (graph, dask) = (count(estimate.tasks), count(estimate.dask_optimized));
    let tasks = format!("{graph} in the graph, {} to run; dask's optimised graph: {dask}", count(estimate.fused));
    let grid = array.grid();
    let factors: Vec<String> = grid.counts().0.iter().filter(|&&n| n > 1).map(|&n| count(n)).collect();
    let product = if factors.len() > 1 { format!(": {}", factors.join(" × ")) } else { String::new() };
    let thumb = count(estimate.rule_of_thumb);
    (tasks, format!("the rule of thumb Σ 2·size says {thumb}, a sum; but chunks are a product{product}"))
}

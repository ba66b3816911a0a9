//! The scenes of a folder: each multiscale is one, and each array outside any.

use std::collections::HashSet;
use std::path::PathBuf;

use microtome_array::Axis;
use microtome_io::{Downsample, LevelInfo, Limits, PixelSize, Position, ReadError, SceneInfo, SceneKind};
use serde_json::Value;

use super::axes;
use super::level::Level;
use super::meta::{ArrayMeta, Problem};
use super::ngff::{self, Dataset, Multiscale};
use super::order::natural;
use super::plate;
use super::series::Series;
use super::store::{Root, join};
use super::tree::{Node, Tree};

/// What a folder holds.
pub(super) struct Found {
    pub(super) format: String,
    pub(super) scenes: Vec<SceneInfo>,
    pub(super) levels: Vec<Vec<Level>>,
    pub(super) warnings: Vec<String>,
    /// What a plate names and that is not there.
    pub(super) missing: Vec<PathBuf>,
}

/// A scene on its way: sorted by kind and by the path of its first array.
struct Draft {
    path: String,
    info: SceneInfo,
    levels: Vec<Level>,
}

/// Finds all scenes; `series` says what OME-XML beside them tells of them.
pub(super) fn find(root: &Root, tree: &mut Tree, series: &Series, limits: &Limits) -> Result<Found, ReadError> {
    let problems = std::mem::take(&mut tree.problems);
    let mut search = Search {
        root,
        tree,
        limits,
        series,
        drafts: Vec::new(),
        warnings: Vec::new(),
        problems,
        covered: HashSet::new(),
        versions: Vec::new(),
    };
    for node in &tree.nodes {
        search.group(node);
    }
    for node in tree.nodes.iter().filter(|n| n.array.is_some()) {
        search.loose(node);
    }
    search.finish()
}

struct Search<'a> {
    root: &'a Root,
    tree: &'a Tree,
    limits: &'a Limits,
    series: &'a Series,
    drafts: Vec<Draft>,
    warnings: Vec<String>,
    problems: Vec<ReadError>,
    /// Paths of groups whose arrays are spoken for, and of arrays that are.
    covered: HashSet<String>,
    versions: Vec<String>,
}

impl Search<'_> {
    /// The multiscales of a group.
    fn group(&mut self, node: &Node) {
        if node.array.is_some() {
            return;
        }
        let version = if node.is_v05 { "0.5" } else { "" };
        let Some(multiscales) = ngff::multiscales(&node.attributes, version) else { return };
        for multiscale in multiscales {
            let scene = match multiscale {
                Ok(multiscale) => self.scene(node, &multiscale),
                Err(why) => Err(self.corrupt(&node.path, why)),
            };
            match scene {
                Ok(draft) => self.drafts.push(draft),
                Err(error) => {
                    self.covered.insert(node.path.clone());
                    self.problems.push(error);
                }
            }
        }
    }

    fn scene(&mut self, node: &Node, multiscale: &Multiscale) -> Result<Draft, ReadError> {
        let (levels, datasets) = self.levels(node, multiscale)?;
        let first = &levels[0];
        self.versions.push(multiscale.version.clone());
        let axes = multiscale.axes.as_deref().unwrap_or(&[]);
        let scale = datasets[0].scale.as_deref();
        let name = plate::name(self.tree, &node.path).unwrap_or(&multiscale.name);
        let mut info = describe(&node.path, name, &levels);
        if ngff::is_label(&node.attributes) {
            info.kind = SceneKind::Label;
        }
        for (level, dataset) in info.levels.iter_mut().zip(&datasets) {
            level.downsample = downsample(level, &levels[0], [datasets[0], dataset]);
            for (n, axis) in first.map.iter().enumerate() {
                if let Some(axis) = axis {
                    level.origin[axis.index()] = ngff::origin(datasets[0], dataset, n);
                }
            }
        }
        info.channels = ngff::channels(&node.attributes, first.extent(Axis::C), first.spec.dtype);
        info.well = plate::well(self.tree, &node.path);
        (info.pixel_size, info.position) = ngff::place(datasets[0], axes, &first.map);
        info.time_increment = ngff::time_increment(scale, axes, &first.map);
        self.series.complete(&node.path, &mut info);
        let path = first.path.clone();
        Ok(Draft { path, info, levels })
    }

    /// The levels of an image with what the metadata say of each. One below the first that is not there, or that
    /// cannot belong to the others, is left out.
    fn levels<'m>(
        &mut self,
        node: &Node,
        multiscale: &'m Multiscale,
    ) -> Result<(Vec<Level>, Vec<&'m Dataset>), ReadError> {
        let (mut levels, mut datasets): (Vec<Level>, Vec<&Dataset>) = (Vec::new(), Vec::new());
        for dataset in &multiscale.datasets {
            let path = join(&node.path, &dataset.path);
            self.covered.insert(path.clone());
            let document = self.tree.node(&path).and_then(|n| n.array.as_ref());
            let missing = || self.corrupt(&path, "is named as a level and is no array".to_owned());
            let axes = multiscale.axes.as_deref();
            let level = document.ok_or_else(missing).and_then(|document| self.level(&path, document, axes, true));
            match (level, levels.first()) {
                (Ok(level), Some(first)) if level.spec.dtype != first.spec.dtype => {
                    let why = format!("holds {} pixels where level 0 holds {}", level.spec.dtype, first.spec.dtype);
                    self.warnings.push(format!("left out: {}", self.corrupt(&path, why)));
                }
                (Ok(level), _) => {
                    levels.push(level);
                    datasets.push(dataset);
                }
                (Err(error), None) => return Err(error),
                (Err(error), Some(_)) => self.warnings.push(format!("left out: {error}")),
            }
        }
        Ok((levels, datasets))
    }

    /// An array that no group speaks for.
    fn loose(&mut self, node: &Node) {
        let spoken_for = |path: &str| self.covered.contains(path);
        let above = node.path.match_indices('/').map(|(at, _)| &node.path[..at]);
        if spoken_for(&node.path) || above.into_iter().chain([""]).any(|p| p != node.path && spoken_for(p)) {
            return;
        }
        let Some(document) = &node.array else { return };
        let document = &with_names(document, &node.attributes);
        match self.level(&node.path, document, None, false) {
            Ok(level) => {
                let levels = vec![level];
                let info = describe(&node.path, &node.path, &levels);
                self.drafts.push(Draft { path: node.path.clone(), info, levels });
            }
            Err(error) => self.problems.push(error),
        }
    }

    fn level(
        &self,
        path: &str,
        document: &Value,
        named: Option<&[axes::NamedAxis]>,
        ome: bool,
    ) -> Result<Level, ReadError> {
        let read = || {
            let meta = ArrayMeta::parse(document)?;
            let map = match named {
                Some(named) => axes::named(named, &meta.shape)?,
                None if ome => axes::implicit(&meta.shape)?,
                None => by_own_names(&meta)?,
            };
            Level::new(path.to_owned(), meta, map, self.limits)
        };
        read().map_err(|problem| self.problem(path, problem))
    }

    fn problem(&self, array: &str, problem: Problem) -> ReadError {
        let path = self.root.path().to_owned();
        let location = if array.is_empty() { String::new() } else { format!("array {array}") };
        match problem {
            Problem::Wrong(why) => self.corrupt(array, why),
            Problem::Unread(what) => {
                let hint = "convert the array with zarr-python to one that is".to_owned();
                ReadError::Unsupported { path, what, location, hint }
            }
            Problem::Over { what, found, limit } => {
                ReadError::OverLimit { path, what: what.to_owned(), location, found, limit }
            }
        }
    }

    fn corrupt(&self, path: &str, why: String) -> ReadError {
        let what = if path.is_empty() { "the metadata".to_owned() } else { format!("the metadata of {path}") };
        ReadError::Corrupt { path: self.root.path().to_owned(), what, location: String::new(), why }
    }

    fn finish(mut self) -> Result<Found, ReadError> {
        let is_label = |draft: &Draft| draft.info.kind == SceneKind::Label;
        self.drafts.sort_by(|a, b| is_label(a).cmp(&is_label(b)).then_with(|| natural(&a.path, &b.path)));
        let mut problems = self.problems.into_iter();
        if self.drafts.is_empty() {
            let why = "its Zarr metadata names no image and no array".to_owned();
            let path = self.root.path().to_owned();
            return Err(problems.next().unwrap_or(ReadError::NotAnImage { path, why }));
        }
        let missing = plate::missing(self.tree);
        let mut warnings = self.tree.warnings.clone();
        warnings.extend(problems.map(|problem| format!("left out: {problem}")));
        warnings.append(&mut self.warnings);
        if let Some(first) = missing.first() {
            warnings.push(format!("the plate names {} fields or wells that are not there, as {first}", missing.len()));
        }
        let missing = missing.iter().map(|path| self.root.at(path)).collect();
        let (mut scenes, mut levels) = (Vec::new(), Vec::new());
        for (index, draft) in self.drafts.into_iter().enumerate() {
            scenes.push(SceneInfo { index, ..draft.info });
            levels.push(draft.levels);
        }
        Ok(Found { format: format(&self.versions), scenes, levels, warnings, missing })
    }
}

/// The name of the format by the versions that its images state.
fn format(versions: &[String]) -> String {
    match versions.first().map(String::as_str) {
        None => "Zarr".to_owned(),
        Some("") => "OME-Zarr".to_owned(),
        Some(version) => format!("OME-Zarr {version}"),
    }
}

/// The document of an array of Zarr v2, which has no names of axes, with those that xarray's attribute gives it.
fn with_names(document: &Value, attributes: &Value) -> Value {
    let mut named = document.clone();
    let rank = |list: Option<&Value>| list.and_then(Value::as_array).map(Vec::len);
    let names = attributes.get("_ARRAY_DIMENSIONS").filter(|_| document.get("dimension_names").is_none());
    let names = names.filter(|names| rank(Some(names)) == rank(document.get("shape")));
    if let (Some(names), Some(object)) = (names, named.as_object_mut()) {
        object.insert("dimension_names".to_owned(), names.clone());
    }
    named
}

/// The axes of an array outside OME: by the dimension names of Zarr v3 where they tell which are Y and X, else by
/// position.
fn by_own_names(meta: &ArrayMeta) -> Result<axes::AxisMap, String> {
    let named =
        |name: &Option<String>| axes::NamedAxis { name: name.clone().unwrap_or_default(), ..Default::default() };
    let has = |letter: &str| meta.names.iter().flatten().any(|name| name.eq_ignore_ascii_case(letter));
    if has("y") && has("x") {
        axes::named(&meta.names.iter().map(named).collect::<Vec<_>>(), &meta.shape)
    } else {
        axes::unnamed(&meta.shape)
    }
}

fn describe(id: &str, name: &str, levels: &[Level]) -> SceneInfo {
    let first = &levels[0];
    let label = id.split('/').any(|part| part == "labels");
    SceneInfo {
        index: 0,
        id: id.to_owned(),
        name: if name.is_empty() { id.to_owned() } else { name.to_owned() },
        kind: if label { SceneKind::Label } else { SceneKind::Image },
        dtype: first.spec.dtype,
        channels: vec![microtome_io::Channel::default(); first.extent(Axis::C).min(1 << 16) as usize],
        pixel_size: PixelSize::default(),
        time_increment: None,
        well: None,
        position: Position::default(),
        objective: None,
        stage: None,
        levels: levels.iter().map(|level| level_info(first, level)).collect(),
        page_order: page_order(first),
        palette: Vec::new(),
    }
}

/// A level with factors from its extents, which are all that a file without scales has.
fn level_info(first: &Level, level: &Level) -> LevelInfo {
    let factor = |a: Axis| first.extent(a) as f64 / level.extent(a).max(1) as f64;
    // Halves that were rounded up show as 1.998: the whole number is meant.
    let whole = |f: f64| if (f - f.round()).abs() < 0.05 * f.round() && f > 1.0 { f.round() } else { f };
    let downsample = Axis::ALL.map(|a| whole(factor(a)));
    LevelInfo { shape: level.shape(), downsample, origin: [0.0; 6], storage: level.storage() }
}

/// Factors by the scales of the first level and this one, unless the extents say otherwise by more than a rounded pixel.
fn downsample(level: &LevelInfo, first: &Level, datasets: [&Dataset; 2]) -> Downsample {
    let [one, other] = datasets.map(|d| d.scale.as_deref());
    let mut factors = level.downsample;
    for (n, axis) in first.map.iter().enumerate() {
        let (Some(axis), Some(stated)) = (axis, ngff::factor(one, other, n)) else { continue };
        let pixels = first.extent(*axis) as f64 / stated;
        if (pixels - level.shape.get(*axis) as f64).abs() <= 1.0 {
            factors[axis.index()] = stated;
        }
    }
    factors
}

/// T, C and Z, fastest first, as the file has them.
fn page_order(level: &Level) -> [Axis; 3] {
    let stored = level.map.iter().rev().flatten().copied().filter(|a| matches!(a, Axis::T | Axis::C | Axis::Z));
    let mut order: Vec<Axis> = stored.collect();
    order.extend([Axis::Z, Axis::C, Axis::T].into_iter().filter(|a| !order.contains(a)).collect::<Vec<_>>());
    [order[0], order[1], order[2]]
}

//! `inspect` as JSON.

use std::path::{Path, PathBuf};

use microtome::{
    Channel, ChunkDims, Estimate, ImageInfo, LazyArray, LevelInfo, Objective, PixelSize, PlaneTaken, Position,
    Quantity, SceneInfo, SceneKind, Shape, ShownRange, StagePosition, StorageInfo, StorageKind, Well,
};
use serde::Serialize;

/// An image with its scenes.
#[derive(Debug, Serialize)]
pub(crate) struct ImageJson {
    path: String,
    format: String,
    bytes: u64,
    files: Vec<String>,
    missing_files: Vec<String>,
    warnings: Vec<String>,
    /// What the files hold that no output does.
    extras: Vec<String>,
    scenes: Vec<SceneJson>,
    /// Present if it was asked for; null if there is none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    xml: Option<XmlJson>,
}

#[derive(Debug, Serialize)]
struct XmlJson {
    ome_xml: Option<String>,
}

/// A scene.
#[derive(Debug, Serialize)]
pub(crate) struct SceneJson {
    index: usize,
    id: String,
    name: String,
    kind: SceneKind,
    axes: &'static str,
    shape: Vec<u64>,
    dtype: &'static str,
    channels: Vec<ChannelJson>,
    /// The range that a viewer shows of each channel, null where none is stated; null if of none.
    windows: Option<Vec<Option<ShownRange>>>,
    pixel_size: PixelSize,
    time_increment: Option<Quantity>,
    /// Null where the file says nothing, or zeros.
    position: Option<Position>,
    /// The place on a plate, or null.
    well: Option<Well>,
    /// Null where the file says nothing.
    objective: Option<Objective>,
    /// Where the stage was at the first plane; null where the file says nothing.
    stage: Option<StagePosition>,
    /// Present if they were asked for: those of which the file says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    planes: Option<Vec<PlaneTaken>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    palette: Vec<[u16; 3]>,
    levels: Vec<LevelJson>,
    storage: StorageJson,
    chunks: ChunksJson,
    tasks: Tasks,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ChannelJson {
    name: String,
    color: Option<String>,
}

impl ChannelJson {
    fn new(channel: &Channel) -> ChannelJson {
        ChannelJson { name: channel.name.clone(), color: channel.color.clone() }
    }
}

fn windows(scene: &SceneInfo) -> Option<Vec<Option<ShownRange>>> {
    let windows: Vec<Option<ShownRange>> = scene.channels.iter().map(|channel| channel.window).collect();
    windows.iter().any(Option::is_some).then_some(windows)
}

#[derive(Debug, Serialize)]
struct LevelJson {
    shape: Vec<u64>,
    downsample: Vec<f64>,
}

/// How the full resolution lies in the file.
#[derive(Debug, Serialize)]
struct StorageJson {
    kind: StorageKind,
    codec: String,
    tile: Vec<u64>,
    shard: Option<Vec<u64>>,
    /// The least box that is read without reading more.
    granule: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct ChunksJson {
    dims: String,
    shape: Vec<u64>,
    count: u64,
}

/// The four ways of counting.
#[derive(Debug, Serialize)]
pub(crate) struct Tasks {
    /// Nodes of the unfused graph.
    graph: u64,
    /// Tasks that run.
    fused: u64,
    /// Length of dask's optimised graph for reading the same chunks.
    dask_optimized: u64,
    /// Σ 2 · size over T, C and Z.
    rule_of_thumb: u64,
}

impl From<&Estimate> for Tasks {
    fn from(estimate: &Estimate) -> Tasks {
        Tasks {
            graph: estimate.tasks,
            fused: estimate.fused,
            dask_optimized: estimate.dask_optimized,
            rule_of_thumb: estimate.rule_of_thumb,
        }
    }
}

impl ImageJson {
    pub(crate) fn new(info: &ImageInfo, scenes: Vec<SceneJson>, ome_xml: bool) -> ImageJson {
        let texts = |paths: &[PathBuf]| paths.iter().map(|p| text(p)).collect();
        ImageJson {
            path: text(&info.path),
            format: info.format.clone(),
            bytes: info.bytes,
            files: texts(&info.files),
            missing_files: texts(&info.missing_files),
            warnings: info.warnings.clone(),
            extras: info.extras.clone(),
            scenes,
            xml: ome_xml.then(|| XmlJson { ome_xml: info.ome_xml.clone() }),
        }
    }
}

impl SceneJson {
    /// A scene, counted in the chunks `dims` of `array`, which is all of it.
    pub(crate) fn new(scene: &SceneInfo, dims: &ChunkDims, array: &LazyArray) -> SceneJson {
        let shape = scene.shape();
        let rank = shape.present().len();
        let extents = |shape: &Shape| shape.extents()[..rank].to_vec();
        let level = |level: &LevelInfo| LevelJson {
            shape: extents(&level.shape),
            downsample: level.downsample[..rank].to_vec(),
        };
        SceneJson {
            index: scene.index,
            id: scene.id.clone(),
            name: scene.name.clone(),
            kind: scene.kind,
            axes: shape.axes(),
            shape: extents(&shape),
            dtype: scene.dtype.name(),
            channels: scene.channels.iter().map(ChannelJson::new).collect(),
            windows: windows(scene),
            pixel_size: scene.pixel_size.clone(),
            time_increment: scene.time_increment.clone(),
            position: Some(scene.position).filter(|position| !position.is_origin()),
            well: scene.well.clone(),
            objective: scene.objective.clone(),
            stage: scene.stage.clone(),
            planes: None,
            palette: scene.palette.clone(),
            levels: scene.levels.iter().map(level).collect(),
            storage: StorageJson::new(&scene.levels[0].storage, extents),
            chunks: ChunksJson {
                dims: crate::human::chunk_axes(dims, &array.grid()),
                shape: extents(&array.grid().chunk()),
                count: array.grid().count(),
            },
            tasks: (&array.estimate()).into(),
            bytes: shape.bytes(scene.dtype),
        }
    }
}

impl SceneJson {
    /// The same with when and where its planes were taken.
    pub(crate) fn with_planes(self, planes: Vec<PlaneTaken>) -> SceneJson {
        SceneJson { planes: Some(planes), ..self }
    }
}

impl StorageJson {
    fn new(storage: &StorageInfo, extents: impl Fn(&Shape) -> Vec<u64>) -> StorageJson {
        StorageJson {
            kind: storage.kind,
            codec: storage.codec.clone(),
            tile: extents(&storage.tile),
            shard: storage.shard.as_ref().map(&extents),
            granule: extents(&storage.granule),
        }
    }
}

/// A path as text.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

//! A store as data: what a worker makes the same store from.
//!
//! *Invariant:* what a worker makes is the plan that was sent, or it is refused: the hashes of both are equal.

use std::path::{Path, PathBuf};

use microtome_array::{ChunkDims, Region, Shape};
use microtome_exec::{OnCluster, OnError, RunError, RunOptions};
use microtome_graph::{GraphError, LayerKind, LazyArray, Selection};
use microtome_io::{Durability, Io, Limits, Place, ReadError, Reader, SceneInfo, SourceSpec, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::collection::Part;
use crate::gathered::one_of_tiff;
use crate::renamed::reread;
use crate::{Store, StoreOptions};

/// A plan on its way to workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PlanData {
    /// Unlike that of any other run: what a worker has opened for one run is not used for another.
    pub(super) run: u64,
    /// The plan's hash.
    pub(super) hash: String,
    source: SourceData,
    layers: Vec<LayerData>,
    store: Recipe,
    on_error: OnError,
    durability: Durability,
    /// Bytes that a worker may use at most for each of its threads.
    memory: u64,
}

/// A part of an image, in chunks.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SourceData {
    spec: SourceSpec,
    reading: Option<String>,
    at: Place,
    region: Region,
    chunk: Shape,
    /// Whether it is another copy of the same files, with times of its own.
    is_copy: bool,
    /// Folders in which it may name files.
    allowed_roots: Vec<PathBuf>,
    io: Io,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum LayerData {
    Op { name: String, params: Value },
    Rechunk(Shape),
}

/// How a store is made from an array.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) how: How,
    pub(crate) path: PathBuf,
    pub(crate) options: StoreOptions,
}

/// Which kind of store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum How {
    /// An array with the names and sizes of a scene.
    Array(Option<Box<SceneInfo>>),
    /// A scene with what its group says of it, alone.
    Part(Box<PartData>),
    /// The same, in a folder among others.
    Inside(Box<PartData>),
    /// The same, the image of that number in an OME-TIFF of several.
    InTiff(Box<PartData>, usize),
}

/// A [`Part`] without its array.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartData {
    path: String,
    scene: SceneInfo,
    label: Value,
    windows: Vec<Value>,
}

impl From<&Part> for PartData {
    fn from(part: &Part) -> PartData {
        let Part { path, scene, label, windows, .. } = part.clone();
        PartData { path, scene, label, windows }
    }
}

impl PartData {
    fn of(self, array: &LazyArray) -> Part {
        let PartData { path, scene, label, windows } = self;
        Part { path, array: array.clone(), scene, label, windows }
    }
}

impl Recipe {
    /// The store of an array.
    pub(crate) fn store(&self, array: &LazyArray) -> Result<Store, WriteError> {
        let Recipe { how, path, options } = self;
        match how.clone() {
            How::Array(scene) => Store::of(array, path, scene.as_deref(), options),
            How::Part(part) => Store::of_part(&part.of(array), path, options),
            How::Inside(part) => Store::inside(&part.of(array), path, options),
            How::InTiff(part, number) => one_of_tiff((number, &part.of(array)), path, options),
        }
    }

    /// The same at another path.
    pub(crate) fn at(&self, path: &Path) -> Recipe {
        Recipe { path: path.to_owned(), ..self.clone() }
    }
}

/// A path as others find it: whole, unless it is a URL.
fn absolute(path: &Path) -> PathBuf {
    if microtome_zarr::is_url(path) { path.to_owned() } else { std::path::absolute(path).unwrap_or(path.to_owned()) }
}

/// A path as workers find it, and whether that is another one.
pub(crate) fn mapped(path: &Path, map: &OnCluster) -> (PathBuf, bool) {
    let path = absolute(path);
    let found = map.path_map.iter().find_map(|(from, to)| Some(to.join(path.strip_prefix(absolute(from)).ok()?)));
    // Joining nothing would put a slash behind a file's name.
    let found = found.map(|there| there.components().collect::<PathBuf>());
    found.map_or((path, false), |there| (there, true))
}

/// A path as workers of a cluster find it: absolute, and mapped by [`OnCluster::path_map`]. URLs are as they are.
///
/// # Examples
/// ```
/// use std::path::Path;
/// use microtome::{OnCluster, path_on_workers};
/// let on_cluster = OnCluster { path_map: vec![("/data".into(), "/mnt/lab".into())], ..OnCluster::default() };
/// assert_eq!(path_on_workers(Path::new("/data/a.tif"), &on_cluster), Path::new("/mnt/lab/a.tif"));
/// assert_eq!(path_on_workers(Path::new("/local/a.tif"), &on_cluster), Path::new("/local/a.tif"));
/// ```
pub fn path_on_workers(path: &Path, on_cluster: &OnCluster) -> PathBuf {
    mapped(path, on_cluster).0
}

impl PlanData {
    /// A store as data.
    ///
    /// # Errors
    /// [`RunError::Write`] for what does not travel.
    pub(super) fn of(store: &Store, memory: u64, options: &RunOptions) -> Result<PlanData, RunError> {
        let plan = store.plan();
        plan.check_sources()?;
        let mut chain = store.array().chain().into_iter();
        let source = chain.next().and_then(|first| source(&first, &options.cluster));
        let refused = |why: String| WriteError::Unsupported { path: store.path().to_owned(), why };
        let source = source.ok_or_else(|| refused("arrays of several images do not travel to a cluster".to_owned()))?;
        let layers = chain.map(|array| layer(&array)).collect::<Result<_, _>>()?;
        let recipe = store.recipe();
        let path = mapped(&recipe.path, &options.cluster).0;
        Ok(PlanData {
            run: fastrand(),
            hash: plan.hash_for(options),
            source,
            layers,
            store: recipe.at(&path),
            on_error: options.on_error,
            durability: options.durability,
            memory,
        })
    }

    /// The store again, on a worker.
    ///
    /// # Errors
    /// [`ReadError::Changed`] if the source is another one, and all that opening and planning gives.
    pub(super) fn store(&self) -> Result<Store, RunError> {
        let reader = self.source.open()?;
        let SourceData { at, region, chunk, .. } = self.source;
        let selection = Selection { at, region: Some(region) };
        let mut array = LazyArray::source(reader, &selection, &ChunkDims::Shape(chunk))?;
        for layer in &self.layers {
            array = match layer {
                LayerData::Op { name, params } => {
                    array.apply(microtome_ops::build(name, params).map_err(GraphError::Op)?)?
                }
                LayerData::Rechunk(chunk) => array.rechunk(&ChunkDims::Shape(*chunk))?,
            };
        }
        let store = self.store.store(&array)?;
        let hash = store.plan().hash_for(&self.options(self.memory));
        if hash != self.hash {
            let message = format!("the plan {hash} was made of what was sent as {}", self.hash);
            return Err(RunError::Panic { task: "run_batch".to_owned(), message });
        }
        Ok(store)
    }

    /// How an errand of it is run within a budget.
    pub(super) fn options(&self, memory: u64) -> RunOptions {
        RunOptions {
            threads: 1,
            memory: self.memory.min(memory),
            on_error: self.on_error,
            durability: self.durability,
            ..RunOptions::default()
        }
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }
}

/// A number that no other run has.
fn fastrand() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn source(array: &LazyArray, map: &OnCluster) -> Option<SourceData> {
    let stage = array.stage();
    let LayerKind::Source { reader, at, origin } = &stage.get(stage.top()).layer.kind else { return None };
    let spec = reader.source();
    let (path, is_copy) = mapped(Path::new(spec.uri.as_deref()?), map);
    let spec = SourceSpec { uri: Some(path.to_str()?.to_owned()), ..spec };
    let region = array.shape().region().shifted(origin);
    let allowed_roots = map.allowed_roots.iter().map(|root| mapped(root, map).0).collect();
    let (reading, chunk) = (reader.reading(), array.grid().chunk());
    Some(SourceData { spec, reading, at: *at, region, chunk, is_copy, allowed_roots, io: map.io })
}

fn layer(array: &LazyArray) -> Result<LayerData, RunError> {
    let stage = array.stage();
    Ok(match &stage.get(stage.top()).layer.kind {
        LayerKind::Op(op) => {
            let (name, params) = (op.name().to_owned(), op.params());
            // One that is not in the list is told here, not by a worker.
            microtome_ops::build(&name, &params).map_err(GraphError::Op)?;
            LayerData::Op { name, params }
        }
        _ => LayerData::Rechunk(array.grid().chunk()),
    })
}

impl SourceData {
    fn open(&self) -> Result<std::sync::Arc<dyn Reader>, RunError> {
        let path = PathBuf::from(self.spec.uri.clone().unwrap_or_default());
        let limits = Limits { allowed_roots: self.allowed_roots.clone(), io: self.io, ..Limits::default() };
        let reader = crate::open::open(&path, &limits).map_err(|error| unseen(error, &path))?;
        let changed = |why: &str| ReadError::Changed { path: path.clone(), why: why.to_owned() };
        let reader = reread(reader, self.reading.as_deref()).ok_or_else(|| changed("its axes are others"))?;
        let (sent, found) = (&self.spec, reader.source());
        let size = |spec: &SourceSpec| spec.stamp.map(|(size, _)| size);
        let same_stamp = if self.is_copy { size(sent) == size(&found) } else { sent.stamp == found.stamp };
        if sent.digest != found.digest {
            return Err(changed("what it says of its pixels differs from what the run has opened").into());
        }
        if !same_stamp {
            return Err(changed("its size or time differs from what the run has opened").into());
        }
        Ok(reader)
    }
}

/// What to do where a worker does not see a file.
fn unseen(error: ReadError, path: &Path) -> RunError {
    match error {
        ReadError::NotFound { .. } => RunError::Read(ReadError::Os {
            path: path.to_owned(),
            action: "find".to_owned(),
            source: std::io::Error::other(
                "no such file; the machines of a cluster must see the same storage, and --path-map FROM=TO says where it \
                 lies elsewhere on the workers",
            ),
        }),
        error => RunError::Read(error),
    }
}

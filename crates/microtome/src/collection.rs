//! Several scenes that are written together: in a Zarr an image with its labels, a plate, a folder of bioformats2raw; in an
//! OME-TIFF the images of a file.
//!
//! One lock keeps the whole; each image has a journal and a completion record of its own. So a run that goes on passes over
//! finished images at the price of one small file each and reads one journal, however many wells there are.
//!
//! *Invariant:* the output gets its name when every scene in it is whole.

use std::path::{Path, PathBuf};

use microtome_exec::{Lock, MostBad, OnError, Resume, RunError, RunOptions, RunReport};
use microtome_graph::{Estimate, GraphError, LazyArray};
use microtome_handler::Handler;
use microtome_io::{Durability, Limits, ReadError, SceneInfo, SceneKind, Standing, WriteError, ome};
use microtome_zarr::{Member, OutputMeta, Survey, ZarrCollection};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::gathered::Gathered;
use crate::losses::{Loss, Together, losses};
use crate::{Image, Store, StoreOptions};

/// A scene that is written, with what its group says of it.
#[derive(Clone, Debug)]
pub struct Part {
    /// The path of its group in the output; empty for the output itself.
    pub path: String,
    /// Its pixels.
    pub array: LazyArray,
    /// Its description.
    pub scene: SceneInfo,
    /// NGFF's `image-label` as found, `null` for an image.
    pub label: Value,
    /// The ranges that a viewer shows, a channel each; `null` where none is stated.
    pub windows: Vec<Value>,
}

impl Part {
    /// What the output says of it.
    pub(crate) fn meta(&self, options: &StoreOptions) -> OutputMeta {
        let same_type = self
            .array
            .reader()
            .is_some_and(|(reader, at, _)| reader.level(at).is_ok_and(|(scene, _)| scene.dtype == self.array.dtype()));
        let label = match self.scene.kind {
            SceneKind::Label => label_says(&self.label, options),
            SceneKind::Image => Value::Null,
        };
        let windows = if same_type { self.windows.clone() } else { Vec::new() };
        OutputMeta { label, windows, ..OutputMeta::from(&self.scene) }
    }

    /// The options that suit it: a way to make levels of images that does not suit labels is not meant for them.
    pub(crate) fn options(&self, options: &StoreOptions) -> StoreOptions {
        let fits = options.method(self.scene.kind).is_ok();
        StoreOptions { downsample: options.downsample.filter(|_| fits), ..options.clone() }
    }
}

/// NGFF's `image-label` in the words of the version that is written. A label is one by it, also where nothing more is said.
pub(crate) fn label_says(found: &Value, options: &StoreOptions) -> Value {
    let says = if found.is_object() { found.clone() } else { json!({}) };
    Survey::in_version(&json!({"image-label": says}), options.zarr.version)["image-label"].take()
}

/// The images of a Zarr folder, each with its group; `None` for other formats.
///
/// # Errors
/// [`ReadError`] if it cannot be opened again. The inner error says why its scenes cannot be told apart by their groups.
pub fn survey(image: &Image) -> Result<Option<Result<Survey, String>>, ReadError> {
    let path = &image.info().path;
    let is_zarr = microtome_zarr::is_url(path) || (path.is_dir() && microtome_zarr::is_zarr(path));
    if !is_zarr {
        return Ok(None);
    }
    Ok(Some(microtome_zarr::open(path, &Limits::default())?.survey()))
}

/// The scenes of another file as what they are in a folder as bioformats2raw makes it: numbered groups in the order of the
/// images of its OME-XML, which lies beside them. `None` for a single scene, and where no OME-XML describes just these scenes.
pub fn series(image: &Image) -> Option<Survey> {
    let info = image.info();
    let described = ome::parse(info.ome_xml.as_deref()?, &Limits::default()).ok()?.images.len();
    let count = info.scenes.len();
    if count < 2 || described != count {
        return None;
    }
    let paths: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    let member = |(scene, path): (usize, &String)| Member {
        scene,
        path: path.clone(),
        name: info.scenes[scene].name.clone(),
        label: Value::Null,
        windows: Vec::new(),
    };
    let groups = [("", json!({"bioformats2raw.layout": 3})), ("OME", json!({"series": paths}))];
    Some(Survey {
        members: paths.iter().enumerate().map(member).collect(),
        groups: groups.map(|(path, says)| (path.to_owned(), says)).into(),
    })
}

/// Runs the store of a scene.
type RunOne<'r> = dyn Fn(&Store, &RunOptions) -> Result<RunReport, RunError> + 'r;

/// Scenes with the place that they are to be stored at together.
#[derive(Debug)]
pub struct Collection {
    parts: Vec<Part>,
    options: StoreOptions,
    output: Gathered,
    together: Together,
    /// A store for each, for what is asked before the run.
    stores: Vec<Store>,
}

impl Collection {
    /// Scenes that are to be stored together, with what the groups say that hold them, and the OME-XML of all of them.
    ///
    /// # Errors
    /// [`WriteError`] if the output cannot hold one of them, or their folders would lie in each other's way.
    pub fn of(
        path: &Path,
        parts: Vec<Part>,
        groups: &[(String, Value)],
        ome_xml: Option<String>,
        options: &StoreOptions,
    ) -> Result<Collection, WriteError> {
        let none = || parts.is_empty().then(|| "it would hold no image".to_owned());
        if let Some(why) = none().or_else(|| in_the_way(&parts)) {
            return Err(WriteError::Unsupported { path: path.to_owned(), why });
        }
        in_a_bucket(path)?;
        let version = options.zarr.version;
        let groups: Vec<_> =
            groups.iter().map(|(path, says)| (path.clone(), Survey::in_version(says, version))).collect();
        let plate = groups.iter().any(|(_, says)| says.get("plate").is_some());
        let together = Together { plate, ome_xml: true };
        let output = Gathered::Zarr(ZarrCollection::new(path, &options.zarr, groups, ome_xml));
        Collection::gathered(output, parts, together, options)
    }

    /// Images that are to be stored in one OME-TIFF, in their order. The path of each is its number.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot hold one of them.
    pub fn tiff(path: &Path, parts: Vec<Part>, options: &StoreOptions) -> Result<Collection, WriteError> {
        in_a_bucket(path)?;
        let numbered = parts.into_iter().enumerate();
        let parts: Vec<Part> = numbered.map(|(n, part)| Part { path: n.to_string(), ..part }).collect();
        let output = Gathered::tiff(path, &parts, options)?;
        Collection::gathered(output, parts, Together::default(), options)
    }

    fn gathered(
        output: Gathered,
        parts: Vec<Part>,
        together: Together,
        options: &StoreOptions,
    ) -> Result<Collection, WriteError> {
        let store = |(n, part): (usize, &Part)| output.store((n, part), &output.path().join(&part.path), options);
        let stores = parts.iter().enumerate().map(store).collect::<Result<_, _>>()?;
        Ok(Collection { parts, options: options.clone(), output, together, stores })
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        self.output.path()
    }

    /// The path of each scene in the output, in order; empty for the output itself.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.path.as_str())
    }

    /// The scenes, each as it would be stored alone.
    pub fn stores(&self) -> &[Store] {
        &self.stores
    }

    /// What of its source the output will not hold, or not as it is.
    pub fn losses(&self) -> Vec<Loss> {
        losses(&self.stores.iter().filter_map(Store::stored).collect::<Vec<_>>(), self.together)
    }

    /// Hash of all that decides its bytes.
    pub fn hash_for(&self, options: &RunOptions) -> String {
        let each = self.parts.iter().zip(&self.stores);
        let images: Vec<_> = each.map(|(part, store)| json!([part.path, store.plan().hash_for(options)])).collect();
        let all = json!({"collection": self.output.parameters(), "images": images});
        format!("{:x}", Sha256::digest(all.to_string().as_bytes()))
    }

    /// What [`run`](Collection::run) would begin with; refuses what stands in its way. Nothing is changed.
    ///
    /// # Errors
    /// [`WriteError`] naming it.
    pub fn check(&self, options: &RunOptions) -> Result<Standing, WriteError> {
        self.output.look(&self.hash_for(options), options.resume != Resume::No)
    }

    /// The exact counts and sizes of a run, or why it is refused.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if one of the scenes does not fit the budget.
    pub fn estimate(&self, options: &RunOptions) -> Result<Estimate, GraphError> {
        let first = self.stores[0].estimate(options)?;
        self.stores[1..].iter().try_fold(first, |sum, store| Ok(sum.then(store.estimate(options)?)))
    }

    /// Computes and stores every scene; the output appears under its name when all are whole.
    ///
    /// # Errors
    /// As [`Store::run`].
    pub fn run(&self, options: &RunOptions) -> Result<RunReport, RunError> {
        self.run_by(&|store, options| store.run(options), options)
    }

    /// The same where a handler says, as [`Store::run_on`].
    ///
    /// # Errors
    /// As [`Store::run_on`].
    pub fn run_on(&self, handler: &Handler, options: &RunOptions) -> Result<RunReport, RunError> {
        self.run_by(&|store, options| store.run_on(handler, options), options)
    }

    fn run_by(&self, run: &RunOne<'_>, options: &RunOptions) -> Result<RunReport, RunError> {
        let _lock = Lock::take(self.path())?;
        let hash = self.hash_for(options);
        let standing = self.output.look(&hash, options.resume != Resume::No)?;
        if standing == Standing::Finished {
            self.output.clear(&hash)?;
            return self.finished(run, options);
        }
        self.stores.iter().try_for_each(|store| store.plan().admit(options).map(drop))?;
        let images: Vec<String> = self.parts.iter().map(|part| part.path.clone()).collect();
        let building = self.output.begin(&hash, standing, &images, options.durability != Durability::None)?;
        let resume = if standing == Standing::Unfinished { options.resume } else { Resume::No };
        match self.each(building.dir(), run, &RunOptions { resume, ..options.clone() }) {
            Ok(report) => building.finish().map(|()| report.clone()).map_err(|e| self.kept(e.into(), done(&report))),
            Err((error, 0)) => {
                building.abandon();
                Err(error)
            }
            Err((error, kept)) => Err(self.kept(error, kept)),
        }
    }

    /// The report of a collection that is finished: each scene says so of itself.
    fn finished(&self, run: &RunOne<'_>, options: &RunOptions) -> Result<RunReport, RunError> {
        let options = RunOptions { resume: Resume::Yes, ..options.clone() };
        for store in &self.stores {
            if store.check(&options)? != Standing::Finished {
                return Err(WriteError::OtherPlan { path: store.path().to_owned() }.into());
            }
        }
        self.each(self.path(), run, &options).map_err(|(error, _)| error)
    }

    /// Runs every scene into its folder below `dir`; an error comes with the write units that are kept.
    fn each(&self, dir: &Path, run: &RunOne<'_>, options: &RunOptions) -> Result<RunReport, (RunError, u64)> {
        let planes = self.stores.iter().map(|store| store.plan().planes()).sum();
        let mut report = RunReport::default();
        for (n, part) in self.parts.iter().enumerate() {
            let dir: PathBuf = if part.path.is_empty() { dir.to_owned() } else { dir.join(&part.path) };
            let left = RunOptions { on_error: left(options.on_error, planes, &report), ..options.clone() };
            let store = self.output.store((n, part), &dir, &self.options).map_err(RunError::from);
            report = match store.and_then(|store| run(&store, &left)) {
                Ok(next) => report.and(next),
                Err(RunError::Kept { error, kept, .. }) => {
                    return Err((of_all(*error, options.on_error, planes), done(&report) + kept));
                }
                Err(error) => return Err((of_all(error, options.on_error, planes), done(&report))),
            };
        }
        Ok(report)
    }

    fn kept(&self, error: RunError, kept: u64) -> RunError {
        let units = |store: &Store| {
            (0..store.output().arrays()).map(|n| store.output().array(n).spec().units.count()).sum::<u64>()
        };
        RunError::Kept { error: Box::new(error), kept, total: self.stores.iter().map(units).sum() }
    }
}

/// What is left to the next image of the planes that may be bad in all of them.
fn left(on_error: OnError, planes: u64, so_far: &RunReport) -> OnError {
    match on_error {
        OnError::Quarantine { most: MostBad::Any, .. } | OnError::Stop => on_error,
        OnError::Quarantine { most, bad_planes } => {
            let most = MostBad::Planes(most.of(planes).saturating_sub(so_far.quarantine.len() as u64));
            OnError::Quarantine { most, bad_planes }
        }
    }
}

/// An error of one image in the numbers of all of them.
fn of_all(error: RunError, on_error: OnError, planes: u64) -> RunError {
    match (error, on_error) {
        (RunError::TooManyBad { reason, .. }, OnError::Quarantine { most, .. }) => {
            RunError::TooManyBad { most: most.of(planes), planes, reason }
        }
        (error, _) => error,
    }
}

fn done(report: &RunReport) -> u64 {
    report.units_written + report.units_resumed
}

/// Refuses several images behind a URL.
fn in_a_bucket(path: &Path) -> Result<(), WriteError> {
    if !microtome_zarr::is_url(path) {
        return Ok(());
    }
    let why =
        "several images together are not written into a bucket; write them here and copy them, or take one image with \
               --region or --scene"
            .to_owned();
    Err(WriteError::Unsupported { path: path.to_owned(), why })
}

/// Why the folder of a scene would lie where another one has a level.
fn in_the_way(parts: &[Part]) -> Option<String> {
    let below = |outer: &Part, inner: &Part| {
        let rest = if outer.path.is_empty() {
            Some(&inner.path[..])
        } else {
            inner.path.strip_prefix(&format!("{}/", outer.path))
        };
        rest.is_some_and(|rest| {
            rest.split('/').next().is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    let pair =
        parts.iter().find_map(|outer| parts.iter().find(|inner| below(outer, inner)).map(|inner| (outer, inner)));
    pair.map(|(outer, inner)| {
        format!("the image {:?} lies where a level of {:?} would; choose one with --scene", inner.path, outer.path)
    })
}

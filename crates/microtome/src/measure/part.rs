//! A call: the planes of a small file, or some planes of a large image, and what was found of them.
//!
//! *Invariant:* of a plane that cannot be read there is a reason and no row; others are measured all the same.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use microtome_array::{ArraySpec, Axis, BufferPool, Pixels, Region};
use microtome_handler::this_worker;
use microtome_io::{Limits, Place, ReadContext, ReadError, Reader, SceneInfo, SceneKind};
use microtome_ops::{OpError, PlaneStatistics, Statistics};
use serde::{Deserialize, Serialize};

use super::Unmeasured;
use super::table::PlaneRow;
use crate::Image;

/// Rows of a plane that are read at a time, in bytes, where the budget allows.
const BAND: u64 = 4 << 20;
/// Images that a process keeps open.
const MOST_OPEN: usize = 4;

/// A call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) roots: Vec<PathBuf>,
    pub(super) what: What,
    pub(super) scene: Option<String>,
    /// Bytes that it may take at most.
    pub(super) memory: u64,
}

/// What is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum What {
    /// Every plane of the file.
    Whole,
    /// Planes of a scene, in the order T, C, Z; of the image whose index has this hash.
    Planes { scene: usize, planes: Range<u64>, digest: String },
    /// Nothing: it could not be opened.
    Unreadable(Unmeasured),
    /// Nothing: an image before it consists of the file too.
    Nothing,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) worker: String,
    pub(super) rows: Vec<PlaneRow>,
    pub(super) bad: Vec<Unmeasured>,
    pub(super) decoded: u64,
    pub(super) fetched: u64,
    /// Bytes that this process held at most while it was measured.
    pub(super) peak: u64,
    /// The files of an image of several.
    pub(super) files: Vec<PathBuf>,
    /// A file that is not what it was when opened, and why that is known.
    pub(super) changed: Option<(PathBuf, String)>,
}

/// Measures.
#[microtome_handler::function(crate = microtome_handler)]
pub(super) fn measure_part(part: Part) -> Found {
    run(&part)
}

pub(super) fn run(part: &Part) -> Found {
    let worker = this_worker().map(|here| here.address).unwrap_or_default();
    let mut found = Found { worker, ..Found::default() };
    let limits = Limits { allowed_roots: part.roots.clone(), ..Limits::default() };
    let measured = match &part.what {
        What::Nothing => Ok(()),
        What::Unreadable(bad) => {
            found.bad.push(bad.clone());
            Ok(())
        }
        What::Planes { scene, planes, digest } => opened(&part.path, &limits, digest)
            .map_err(Failure::from)
            .and_then(|reader| found.measure(&*reader, &[(*scene, planes.clone())], part.memory)),
        What::Whole => scenes(&part.path, &limits, part.scene.as_deref()).and_then(|(image, chosen)| {
            let planes = |scene| (scene, 0..count(&image.info().scenes[scene]));
            found.measure(&*image.reader(), &chosen.into_iter().map(planes).collect::<Vec<_>>(), part.memory)
        }),
    };
    match measured {
        Ok(()) => {}
        Err(Failure::Bad(bad)) => found.bad.push(*bad),
        Err(Failure::Changed(path, why)) => found.changed = Some((path, why)),
    }
    found
}

/// Why nothing is known of an image or a plane.
pub(super) enum Failure {
    /// It cannot be read.
    Bad(Box<Unmeasured>),
    /// It is not what was opened: nothing of it counts.
    Changed(PathBuf, String),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        match error {
            ReadError::Changed { path, why } => Failure::Changed(path, why),
            error => {
                let (page, offset) = error.position();
                Failure::Bad(Box::new(Unmeasured { page, offset, ..*bad(error.to_string()) }))
            }
        }
    }
}

impl From<OpError> for Failure {
    fn from(error: OpError) -> Failure {
        Failure::Bad(bad(error.to_string()))
    }
}

/// The calls of a large image.
pub(super) fn planes(path: &Path, limits: &Limits, scene: Option<&str>, bytes: u64) -> Result<Vec<What>, Failure> {
    let (image, chosen) = scenes(path, limits, scene)?;
    let digest = image.reader().source().digest;
    let mut all = Vec::new();
    for scene in chosen {
        let info = &image.info().scenes[scene];
        let step = (bytes / (info.shape().bytes(info.dtype) / count(info).max(1)).max(1)).max(1);
        let starts = (0..count(info)).step_by(step as usize);
        all.extend(starts.map(|start| What::Planes {
            scene,
            planes: start..(start + step).min(count(info)),
            digest: digest.clone(),
        }));
    }
    Ok(all)
}

/// Planes of a scene.
fn count(scene: &SceneInfo) -> u64 {
    [Axis::T, Axis::C, Axis::Z].iter().map(|&axis| scene.shape().get(axis)).product()
}

/// An image with the scenes that are measured: the one that is named, or all that are no labels.
fn scenes(path: &Path, limits: &Limits, scene: Option<&str>) -> Result<(Image, Vec<usize>), Failure> {
    let image = Image::open_within(path, limits)?;
    let chosen = if let Some(name) = scene {
        vec![image.scene_named(name).map_err(|error| Failure::Bad(bad(error.to_string())))?.place().scene]
    } else {
        let images = image.info().scenes.iter().filter(|scene| scene.kind == SceneKind::Image);
        images.map(|scene| scene.index).collect()
    };
    Ok((image, chosen))
}

fn bad(reason: String) -> Box<Unmeasured> {
    let (path, scene, page, offset) = (String::new(), None, None, None);
    Box::new(Unmeasured { path, scene, t: None, c: None, z: None, page, offset, reason })
}

/// An image that is open, with its path and the hash of its index.
type Opened = (PathBuf, String, Arc<dyn Reader>);

/// The images that were opened last, the newest last.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

/// Opens an image whose index has a hash, or takes the one that is open.
fn opened(path: &Path, limits: &Limits, digest: &str) -> Result<Arc<dyn Reader>, ReadError> {
    let mut all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, reader)) = all.iter().find(|(known, hash, _)| known == path && hash == digest) {
        reader.unchanged()?;
        return Ok(Arc::clone(reader));
    }
    let reader = Image::open_within(path, limits)?.reader();
    if reader.source().digest != digest {
        let why = "what it says of its pixels differs from what was opened first".to_owned();
        return Err(ReadError::Changed { path: path.to_owned(), why });
    }
    if all.len() >= MOST_OPEN {
        all.remove(0);
    }
    all.push((path.to_owned(), digest.to_owned(), Arc::clone(&reader)));
    Ok(reader)
}

/// Bytes for pixels and decoding in this process now.
static HELD: AtomicU64 = AtomicU64::new(0);

/// Some of them, until dropped.
struct Held(u64);

impl Held {
    /// Holds bytes; gives how many are held in all.
    fn take(bytes: u64) -> (Held, u64) {
        (Held(bytes), HELD.fetch_add(bytes, Ordering::Relaxed) + bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

impl Found {
    /// Measures planes of scenes, in the order T, C, Z, of a file that stays what it was.
    fn measure(&mut self, reader: &dyn Reader, planes: &[(usize, Range<u64>)], memory: u64) -> Result<(), Failure> {
        let files = &reader.info().files;
        if files.len() > 1 {
            self.files.clone_from(files);
        }
        for (scene, planes) in planes {
            let shape = reader.info().scenes[*scene].shape();
            let [count_c, count_z] = [Axis::C, Axis::Z].map(|axis| shape.get(axis));
            for plane in planes.clone() {
                let at = [plane / (count_c * count_z), plane / count_z % count_c, plane % count_z];
                self.measure_plane(reader, *scene, at, memory)?;
            }
        }
        Ok(reader.unchanged()?)
    }

    fn measure_plane(
        &mut self,
        reader: &dyn Reader,
        scene: usize,
        [t, c, z]: [u64; 3],
        memory: u64,
    ) -> Result<(), Failure> {
        let region = reader.info().scenes[scene].shape().region();
        let plane = region.with(Axis::T, t, t + 1).with(Axis::C, c, c + 1).with(Axis::Z, z, z + 1);
        match self.plane(reader, scene, &plane, memory) {
            Ok(samples) => {
                let row = |(s, statistics)| PlaneRow { scene, t, c, z, s, statistics };
                self.rows.extend((0..).zip(samples).map(row));
                Ok(())
            }
            Err(Failure::Bad(reason)) => {
                let (t, c, z) = (Some(t), Some(c), Some(z));
                self.bad.push(Unmeasured { scene: Some(scene), t, c, z, ..*reason });
                Ok(())
            }
            Err(changed) => Err(changed),
        }
    }

    fn plane(
        &mut self,
        reader: &dyn Reader,
        scene: usize,
        plane: &Region,
        memory: u64,
    ) -> Result<Vec<Statistics>, Failure> {
        let at = Place { scene, level: 0 };
        let (info, level) = reader.level(at)?;
        let (height, samples) = (level.shape.get(Axis::Y), level.shape.get(Axis::S));
        let row = (plane.shape().bytes(info.dtype) / height.max(1)).max(1);
        let granule = level.storage.granule.get(Axis::Y).clamp(1, height.max(1));
        // Whole stored tiles, so that none is decoded for each of its rows.
        let rows = (BAND.min(memory / 2) / row / granule * granule).max(granule).min(height);
        let band = |start: u64| plane.with(Axis::Y, start, (start + rows).min(height));
        let needed = row * rows + reader.scratch_bytes(at, &band(0));
        if needed > memory {
            return Err(Failure::Bad(bad(format!(
                "{rows} rows of a plane need {needed} bytes at once, and {memory} are allowed for each thread; give a larger \
                 --memory or fewer --threads"
            ))));
        }
        let (_held, held) = Held::take(needed);
        self.peak = self.peak.max(held);
        let pool = BufferPool::new(needed.saturating_mul(2));
        let mut statistics = PlaneStatistics::new(info.dtype, samples)?;
        for start in (0..height).step_by(rows.max(1) as usize) {
            let region = band(start);
            let spec = ArraySpec { shape: region.shape(), dtype: info.dtype };
            let mut pixels = Pixels::from_pool(spec, &pool);
            let count = reader.read(at, &region, &mut pixels.as_mut(), &ReadContext { pool: &pool })?;
            (self.decoded, self.fetched) = (self.decoded + count.decoded, self.fetched + count.fetched);
            statistics.add_rows(pixels.as_ref())?;
        }
        Ok(statistics.end())
    }
}

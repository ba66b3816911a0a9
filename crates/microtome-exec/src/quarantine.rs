//! What could not be read or made, where the user said to go on without it.
//!
//! Bad is what became of a read or of a task, not a value of pixels: every value carries the boxes of its pixels that depend
//! on something missing. Pixels that are lost hold the fill value (0), and what is made from them is lost in turn; a fold
//! may leave them out, and what it makes is then good, but made without them.
//!
//! *Invariant:* each bad plane that the result depends on is listed once, in an order and in words that no thread decides;
//! what is listed is never more than the user allowed.

mod travel;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use microtome_array::{Axis, Pixels, Region};
use microtome_io::{Place, ReadError};
use serde::{Deserialize, Serialize};

pub use self::travel::FoundBad;
use crate::error::RunError;

/// What is done about a plane that cannot be read, or a task that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum OnError {
    /// The run ends with the error.
    #[default]
    Stop,
    /// The plane, or the tiles of it that cannot be read, are left out and listed.
    Quarantine {
        /// How many planes at most.
        most: MostBad,
        /// What projections and summaries do about them. It decides bytes of the result, and so is part of the plan.
        bad_planes: BadPlanes,
    },
}

/// What a projection or a summary makes of planes some of which are bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BadPlanes {
    /// Nothing: a projected pixel is bad where one of its planes is, and a summary of bad pixels ends the run.
    #[default]
    Refuse,
    /// What it makes of the good ones, pixel by pixel: a mean divides by their number. A pixel is bad where all its planes
    /// are. Of floats, the result has the bits that the good planes alone would give, in their order.
    Skip,
}

/// How many planes may be bad before a run ends all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum MostBad {
    /// All but all of them.
    #[default]
    Any,
    /// So many.
    Planes(u64),
    /// So large a part of the planes, from 0 to 1.
    Part(f64),
}

impl MostBad {
    /// The number of planes, of so many.
    ///
    /// # Examples
    /// ```
    /// use microtome_exec::MostBad;
    /// assert_eq!(MostBad::Part(0.01).of(250), 2);
    /// assert_eq!(MostBad::Planes(7).of(250), 7);
    /// ```
    pub fn of(self, planes: u64) -> u64 {
        match self {
            MostBad::Any => u64::MAX,
            MostBad::Planes(planes) => planes,
            MostBad::Part(part) => (part * planes as f64).floor() as u64,
        }
    }
}

/// A plane that could not be read or made, all or some of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadPlane {
    /// The file of which something could not be read, as seen from the folder in which the image lies. `None` where a task failed.
    pub path: Option<String>,
    /// The scene that is read.
    pub scene: usize,
    /// Its time: in the scene; where a task failed, in what the task was to make.
    pub t: u64,
    /// Its channel.
    pub c: u64,
    /// Its depth.
    pub z: u64,
    /// Its page in a TIFF, where that is known.
    pub page: Option<u64>,
    /// Where in the file what cannot be read lies, where that is known.
    pub offset: Option<u64>,
    /// The task that failed: operation and chunk index t.c.z.y.x. `None` where a file could not be read.
    pub task: Option<String>,
    /// Why it is bad.
    pub reason: String,
}

/// What a plane is known by: image, scene, t, c, z, task. Planes are listed in this order.
type PlaneKey = (PathBuf, usize, [u64; 3], Option<String>);
/// What a part of a plane is known by: the plane, and the first pixel of the part.
type PartKey = (PlaneKey, [u64; 6]);

impl BadPlane {
    /// The plane at the start of a part that could not be read of an image.
    fn unread(at: Place, image: &Path, part: &Region, error: &ReadError) -> BadPlane {
        let [t, c, z] = position(part);
        let (page, offset) = error.position();
        let path = relative(error.path(), image);
        let reason = error.to_string().replace(&error.path().display().to_string(), &path);
        BadPlane { path: Some(path), scene: at.scene, t, c, z, page, offset, task: None, reason }
    }
}

/// The key of a part of a plane of an image.
fn part_key(at: Place, image: &Path, part: &Region) -> PartKey {
    ((image.to_owned(), at.scene, position(part), None), part.origin().0)
}

fn position(part: &Region) -> [u64; 3] {
    [Axis::T, Axis::C, Axis::Z].map(|axis| part.start(axis))
}

/// A file as seen from the folder in which an image lies: the same wherever that folder is.
fn relative(path: &Path, image: &Path) -> String {
    let folder = image.parent().unwrap_or(Path::new(""));
    let inside = path.strip_prefix(folder).ok().filter(|path| path.is_relative());
    let name = path.file_name().map(Path::new);
    inside.or(name).unwrap_or(path).display().to_string()
}

/// Why pixels are bad, in the list of a [`Quarantine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cause(usize);

/// The bad planes of a run.
#[derive(Debug)]
pub(crate) struct Quarantine {
    on_error: OnError,
    planes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All that was met, whether or not the result depends on it.
    causes: Vec<(PartKey, BadPlane)>,
    known: HashMap<PartKey, Cause>,
    /// What the result depends on: of each plane the first part speaks.
    listed: BTreeMap<PlaneKey, ([u64; 6], Cause)>,
    /// Flaws of stored arrays, which later passes read.
    stored: BTreeMap<usize, Vec<Flaw>>,
    tasks: u64,
}

impl State {
    fn cause(&mut self, key: PartKey, plane: BadPlane) -> Cause {
        if let Some(&cause) = self.known.get(&key) {
            return cause;
        }
        let cause = Cause(self.causes.len());
        tracing::warn!("left out: {}", plane.reason);
        self.known.insert(key.clone(), cause);
        self.causes.push((key, plane));
        cause
    }
}

impl Quarantine {
    /// Of a run that reads so many planes.
    pub(crate) fn new(on_error: OnError, planes: u64) -> Quarantine {
        Quarantine { on_error, planes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run goes on without what is bad.
    pub(crate) fn is_on(&self) -> bool {
        self.on_error != OnError::Stop
    }

    /// Whether folds and summaries leave out what is bad.
    pub(crate) fn skips(&self) -> bool {
        matches!(self.on_error, OnError::Quarantine { bad_planes: BadPlanes::Skip, .. })
    }

    /// How many planes may be bad.
    fn most(&self) -> u64 {
        match self.on_error {
            OnError::Stop => 0,
            OnError::Quarantine { most, .. } => most.of(self.planes),
        }
    }

    /// Whether a read that fails so is gone on without.
    pub(crate) fn takes_read(&self, error: &ReadError) -> bool {
        let about_pixels = matches!(
            error,
            ReadError::Corrupt { .. }
                | ReadError::Truncated { .. }
                | ReadError::OverLimit { .. }
                | ReadError::NotFound { .. }
                | ReadError::Os { .. }
        );
        self.is_on() && about_pixels
    }

    /// Whether a task that fails so is gone on without: what the system, the disk or the user said is not its own error.
    pub(crate) fn takes_task(&self, error: &RunError) -> bool {
        self.is_on() && matches!(error, RunError::Op { .. } | RunError::Internal { .. } | RunError::Panic { .. })
    }

    /// The cause of a part of a plane that could not be read.
    pub(crate) fn unread(&self, at: Place, image: &Path, part: &Region, error: &ReadError) -> Cause {
        self.state().cause(part_key(at, image, part), BadPlane::unread(at, image, part, error))
    }

    /// The cause of a part of a plane, if it is known that it cannot be read.
    pub(crate) fn known(&self, at: Place, image: &Path, part: &Region) -> Option<Cause> {
        self.state().known.get(&part_key(at, image, part)).copied()
    }

    /// The flaws of a box that a task was to make: one for each plane.
    pub(crate) fn unmade(&self, scene: usize, task: &str, region: &Region, reason: &str) -> Vec<Flaw> {
        let mut state = self.state();
        let flaw = |part: Region| {
            let ([t, c, z], task) = (position(&part), Some(task.to_owned()));
            let key = ((PathBuf::new(), scene, [t, c, z], task.clone()), [0; 6]);
            let (path, page, offset, reason) = (None, None, None, reason.to_owned());
            let plane = BadPlane { path, scene, t, c, z, page, offset, task, reason };
            Flaw { region: part, cause: state.cause(key, plane), is_lost: true }
        };
        planes(region).map(flaw).collect()
    }

    /// Lists what some pixels of the result depend on.
    ///
    /// # Errors
    /// [`RunError::TooManyBad`] if there is more than may be.
    pub(crate) fn list(&self, flaws: &[Flaw]) -> Result<(), RunError> {
        if flaws.is_empty() { Ok(()) } else { self.list_causes(flaws.iter().map(|flaw| flaw.cause)) }
    }

    fn list_causes(&self, found: impl Iterator<Item = Cause>) -> Result<(), RunError> {
        let mut state = self.state();
        let State { causes, listed, .. } = &mut *state;
        for cause in found {
            let ((plane, part), bad) = &causes[cause.0];
            if let Some(first) = listed.get_mut(plane) {
                *first = (*first).min((*part, cause));
                continue;
            }
            listed.insert(plane.clone(), (*part, cause));
            let most = self.most();
            if listed.len() as u64 > most {
                return Err(RunError::TooManyBad { most, planes: self.planes, reason: bad.reason.clone() });
            }
        }
        Ok(())
    }

    /// Why some pixels are bad, in words.
    pub(crate) fn reason(&self, cause: Cause) -> String {
        self.state().causes[cause.0].1.reason.clone()
    }

    /// Lists and remembers the flaws of a stored array.
    ///
    /// # Errors
    /// As [`list`](Quarantine::list).
    pub(crate) fn stored(&self, array: usize, flaws: &[Flaw]) -> Result<(), RunError> {
        self.list(flaws)?;
        if !flaws.is_empty() {
            let mut state = self.state();
            state.tasks += 1;
            state.stored.entry(array).or_default().extend_from_slice(flaws);
        }
        Ok(())
    }

    /// The flaws of a stored array that lie in a region.
    pub(crate) fn of_stored(&self, array: usize, region: &Region) -> Vec<Flaw> {
        let state = self.state();
        state.stored.get(&array).map_or_else(Vec::new, |flaws| within(flaws, region))
    }

    /// What was left out, in order; and the tasks that gave units with something missing.
    pub(crate) fn into_list(self) -> (Vec<BadPlane>, u64) {
        let State { causes, listed, tasks, .. } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (listed.into_values().map(|(_, cause)| causes[cause.0].1.clone()).collect(), tasks)
    }
}

/// Pixels that depend on something that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) region: Region,
    pub(crate) cause: Cause,
    /// Whether they hold the fill value. If not, they were made without what is missing.
    pub(crate) is_lost: bool,
}

/// Pixels, and what is missing in them.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) pixels: Pixels,
    pub(crate) flaws: Vec<Flaw>,
}

impl Made {
    /// Pixels all of which are good.
    pub(crate) fn good(pixels: Pixels) -> Made {
        Made { pixels, flaws: Vec::new() }
    }

    /// Pixels of a region some of which may be lost: those get the fill value.
    pub(crate) fn masked(mut pixels: Pixels, region: &Region, flaws: Vec<Flaw>) -> Made {
        let mut last = None;
        for flaw in flaws.iter().filter(|flaw| flaw.is_lost) {
            if last.replace(flaw.region) != Some(flaw.region) {
                blank(&mut pixels, region, &flaw.region);
            }
        }
        Made { pixels, flaws }
    }
}

/// The parts of flaws that lie in a region.
pub(crate) fn within(flaws: &[Flaw], region: &Region) -> Vec<Flaw> {
    let cut = flaws.iter().map(|flaw| Flaw { region: flaw.region.intersect(region), ..*flaw });
    cut.filter(|flaw| !flaw.region.is_empty()).collect()
}

/// The parts of a box that lie in one plane each.
fn planes(region: &Region) -> impl Iterator<Item = Region> + '_ {
    let range = |axis: Axis| region.start(axis)..region.end(axis);
    let plane = |t, c, z| region.with(Axis::T, t, t + 1).with(Axis::C, c, c + 1).with(Axis::Z, z, z + 1);
    range(Axis::T).flat_map(move |t| range(Axis::C).flat_map(move |c| range(Axis::Z).map(move |z| plane(t, c, z))))
}

/// Sets the pixels of `part`, which lies in `region`, to 0.
fn blank(pixels: &mut Pixels, region: &Region, part: &Region) {
    let element = pixels.spec().dtype.size() as u64;
    let mut out = pixels.as_mut();
    let bytes = out.bytes();
    let len = part.len(Axis::X) * part.len(Axis::S) * element;
    for row in rows(part) {
        let at = Axis::ALL.iter().fold(0, |at, &a| at * region.len(a) + (row[a.index()] - region.start(a)));
        let from = (at * element) as usize;
        bytes[from..from + len as usize].fill(0);
    }
}

/// The first pixel of each row of a box.
fn rows(part: &Region) -> impl Iterator<Item = [u64; 6]> + '_ {
    let range = |axis: Axis| part.start(axis)..part.end(axis);
    range(Axis::T).flat_map(move |t| {
        range(Axis::C).flat_map(move |c| {
            range(Axis::Z)
                .flat_map(move |z| range(Axis::Y).map(move |y| [t, c, z, y, part.start(Axis::X), part.start(Axis::S)]))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::{ArrayError, Axis, PixelType, Shape};
    use microtome_graph::GraphError;
    use microtome_io::WriteError;
    use microtome_ops::OpError;

    fn quarantine(most: MostBad) -> Quarantine {
        Quarantine::new(OnError::Quarantine { most, bad_planes: BadPlanes::Refuse }, 10)
    }

    fn corrupt(path: &str, offset: u64) -> ReadError {
        let (what, why) = (format!("strip 4 at offset {offset}"), "no zlib stream".to_owned());
        ReadError::Corrupt { path: path.into(), what, location: "page 7".to_owned(), why }
    }

    /// Rows of plane z.
    fn part(z: u64, y: u64) -> Region {
        Shape::new([1, 1, 9, 64, 64, 1]).unwrap().region().with(Axis::Z, z, z + 1).with(Axis::Y, y, y + 8)
    }

    #[test]
    fn a_tasks_own_errors_are_gone_on_without_and_no_others() {
        let (task, message) = ("max/0.0.0.0.0".to_owned(), "here".to_owned());
        let error = |axis| ArrayError::OutOfBounds { axis, start: 0, end: 2, extent: 1 };
        let own = [
            RunError::Op { task: task.clone(), source: OpError::Overflow { op: "sum", dtype: PixelType::U64 } },
            RunError::Internal { task: task.clone(), source: error(Axis::Y) },
            RunError::Panic { task, message },
        ];
        let full = std::io::Error::from_raw_os_error(28);
        let others = [
            RunError::Write(WriteError::os(Path::new("out"), "write", full)),
            RunError::Graph(GraphError::Array(error(Axis::X))),
            RunError::Cancelled { done: 1, total: 2 },
            RunError::Read(ReadError::Changed { path: "in".into(), why: "it is longer".to_owned() }),
            RunError::TooManyBad { most: 1, planes: 2, reason: "no zlib stream".to_owned() },
        ];
        let (on, off) = (quarantine(MostBad::Any), Quarantine::new(OnError::Stop, 10));
        assert!(own.iter().all(|error| on.takes_task(error) && !off.takes_task(error)));
        assert!(!others.iter().any(|error| on.takes_task(error)));
    }

    #[test]
    fn of_a_plane_the_first_part_speaks_whichever_is_met_first() {
        let image = Path::new("set/a.tif");
        for order in [[0, 8], [8, 0]] {
            let quarantine = quarantine(MostBad::Planes(1));
            for y in order {
                let cause = quarantine.unread(Place::default(), image, &part(3, y), &corrupt("set/b.tif", 100 + y));
                let flaw = Flaw { region: part(3, y), cause, is_lost: true };
                quarantine.list(&[flaw, flaw]).unwrap();
            }
            let unused = quarantine.unread(Place::default(), image, &part(5, 0), &corrupt("set/b.tif", 7));
            assert_eq!(quarantine.reason(unused), "b.tif: strip 4 at offset 7 in page 7: no zlib stream");
            let (listed, _) = quarantine.into_list();
            assert_eq!(listed.len(), 1, "nothing depends on the other plane");
            assert_eq!((listed[0].z, listed[0].page, listed[0].offset), (3, Some(7), Some(100)));
            assert_eq!(listed[0].path.as_deref(), Some("b.tif"), "wherever the folder is");
            assert_eq!(listed[0].reason, "b.tif: strip 4 at offset 100 in page 7: no zlib stream");
        }
    }

    #[test]
    fn a_box_that_could_not_be_made_is_listed_plane_by_plane() {
        let quarantine = quarantine(MostBad::Planes(2));
        let region = Shape::new([1, 1, 9, 4, 4, 1]).unwrap().region();
        let flaws = quarantine.unmade(0, "max/0.0.0.0.0", &region.with(Axis::Z, 4, 7), "task max/0.0.0.0.0: here");
        assert_eq!(flaws.iter().map(|flaw| flaw.region.start(Axis::Z)).collect::<Vec<_>>(), [4, 5, 6]);
        quarantine.list(&flaws[..2]).unwrap();
        let error = quarantine.list(&flaws).unwrap_err().to_string();
        assert!(error.starts_with("task max/0.0.0.0.0: here; more than 2 of 10 planes are bad"), "{error}");
    }
}

//! Planes that could not be read, where the user said to go on without them.
//!
//! Bad is what became of a read, not a value of pixels: every value carries the boxes of its pixels that depend on a bad
//! read, they hold the fill value (0), and whatever is made from them is bad in turn.
//!
//! *Invariant:* each bad plane is listed once, in an order that no thread decides; what is listed is never more than the
//! user allowed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use microtome_array::{Axis, Pixels, Region};
use microtome_io::{Place, ReadError};
use serde::Serialize;

use crate::error::RunError;

/// What is done about a plane that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OnError {
    /// The run ends with the error.
    #[default]
    Stop,
    /// The plane, or the tiles of it that cannot be read, are left out and listed.
    Quarantine {
        /// How many planes at most.
        most: MostBad,
    },
}

/// How many planes may be bad before a run ends all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    pub(crate) fn of(self, planes: u64) -> u64 {
        match self {
            MostBad::Any => u64::MAX,
            MostBad::Planes(planes) => planes,
            MostBad::Part(part) => (part * planes as f64).floor() as u64,
        }
    }
}

/// A plane that could not be read, all or some of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BadPlane {
    /// The file.
    pub path: String,
    /// The scene.
    pub scene: usize,
    /// Its time.
    pub t: u64,
    /// Its channel.
    pub c: u64,
    /// Its depth.
    pub z: u64,
    /// Its page in a TIFF, where that is known.
    pub page: Option<u64>,
    /// Where in the file what cannot be read lies, where that is known.
    pub offset: Option<u64>,
    /// Why it cannot be read.
    pub reason: String,
}

/// The bad planes of a run.
#[derive(Debug)]
pub(crate) struct Quarantine {
    most: Option<u64>,
    planes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listed: BTreeMap<(String, usize, u64, u64, u64), BadPlane>,
    /// Bad boxes of stored arrays, which later passes read.
    stored: BTreeMap<usize, Vec<Region>>,
    tasks: u64,
}

impl Quarantine {
    /// Of a run that reads so many planes.
    pub(crate) fn new(on_error: OnError, planes: u64) -> Quarantine {
        let most = match on_error {
            OnError::Stop => None,
            OnError::Quarantine { most } => Some(most.of(planes)),
        };
        Quarantine { most, planes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a read that fails so is gone on without.
    pub(crate) fn takes(&self, error: &ReadError) -> bool {
        let about_pixels = matches!(
            error,
            ReadError::Corrupt { .. }
                | ReadError::Truncated { .. }
                | ReadError::OverLimit { .. }
                | ReadError::NotFound { .. }
                | ReadError::Os { .. }
        );
        self.most.is_some() && about_pixels
    }

    /// Lists a plane.
    ///
    /// # Errors
    /// [`RunError::TooManyBad`] if there are more than may be.
    pub(crate) fn list(&self, at: Place, path: &str, plane: &Region, error: ReadError) -> Result<(), RunError> {
        let [t, c, z] = [Axis::T, Axis::C, Axis::Z].map(|axis| plane.start(axis));
        let mut state = self.state();
        let key = (path.to_owned(), at.scene, t, c, z);
        if state.listed.contains_key(&key) {
            return Ok(());
        }
        let bad = state.listed.len() as u64 + 1;
        if self.most.is_some_and(|most| bad > most) {
            let (most, planes) = (self.most.unwrap_or(0), self.planes);
            return Err(RunError::TooManyBad { most, planes, error: Box::new(error) });
        }
        let (page, offset) = error.position();
        let reason = error.to_string();
        tracing::warn!("left out: {reason}");
        state.listed.insert(key, BadPlane { path: path.to_owned(), scene: at.scene, t, c, z, page, offset, reason });
        Ok(())
    }

    /// Remembers bad boxes of a stored array.
    pub(crate) fn stored(&self, array: usize, bad: &[Region]) {
        if !bad.is_empty() {
            let mut state = self.state();
            state.tasks += 1;
            state.stored.entry(array).or_default().extend_from_slice(bad);
        }
    }

    /// The bad boxes of a stored array that lie in a region.
    pub(crate) fn of_stored(&self, array: usize, region: &Region) -> Vec<Region> {
        let state = self.state();
        state.stored.get(&array).map_or_else(Vec::new, |bad| within(bad, region))
    }

    /// What was left out, in order; and the tasks that gave units with something missing.
    pub(crate) fn into_list(self) -> (Vec<BadPlane>, u64) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.listed.into_values().collect(), state.tasks)
    }
}

/// Pixels, and the boxes of them that are bad.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) pixels: Pixels,
    pub(crate) bad: Vec<Region>,
}

impl Made {
    /// Pixels all of which are good.
    pub(crate) fn good(pixels: Pixels) -> Made {
        Made { pixels, bad: Vec::new() }
    }

    /// Pixels of a region some of which are bad: those get the fill value.
    pub(crate) fn masked(mut pixels: Pixels, region: &Region, bad: Vec<Region>) -> Made {
        for part in &bad {
            blank(&mut pixels, region, part);
        }
        Made { pixels, bad }
    }
}

/// The parts of boxes that lie in a region.
pub(crate) fn within(bad: &[Region], region: &Region) -> Vec<Region> {
    bad.iter().map(|part| part.intersect(region)).filter(|part| !part.is_empty()).collect()
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

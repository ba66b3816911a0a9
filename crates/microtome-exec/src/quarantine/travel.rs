//! What is bad, on its way between processes.
//!
//! *Invariant:* what has travelled is listed as if it had been met here: a bad plane is known by image, scene, plane and task,
//! wherever the image lies.

use std::path::{Path, PathBuf};

use microtome_array::Region;
use serde::{Deserialize, Serialize};

use super::{BadPlane, Cause, Flaw, Quarantine, State, within};
use crate::error::RunError;

/// What was found bad by another process, or what it must know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundBad {
    causes: Vec<BadCause>,
    /// Causes that something of the result depends on, by their places in `causes`.
    listed: Vec<usize>,
    stored: Vec<BadBox>,
    /// Tasks that gave units with something missing.
    tasks: u64,
}

/// A part of a plane that is bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BadCause {
    /// Whether it is of the image that the pass reads; else it is of a task.
    is_read: bool,
    part: [u64; 6],
    plane: BadPlane,
}

/// Pixels of a stored array that depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BadBox {
    array: u64,
    region: Region,
    cause: usize,
    is_lost: bool,
}

impl FoundBad {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        *self == FoundBad::default()
    }

    /// The place of a cause among those that travel.
    fn place(&mut self, state: &State, cause: Cause, known: &mut Vec<Option<usize>>) -> usize {
        known.resize(state.causes.len(), None);
        *known[cause.0].get_or_insert_with(|| {
            let ((plane_key, part), plane) = &state.causes[cause.0];
            self.causes.push(BadCause { is_read: plane_key.3.is_none(), part: *part, plane: plane.clone() });
            self.causes.len() - 1
        })
    }
}

impl Quarantine {
    /// What was found, and is stored in arrays from `first` on.
    pub(crate) fn found(&self, first: usize) -> FoundBad {
        let state = self.state();
        let (mut found, mut known) = (FoundBad { tasks: state.tasks, ..FoundBad::default() }, Vec::new());
        for (_, cause) in state.listed.values() {
            let place = found.place(&state, *cause, &mut known);
            found.listed.push(place);
        }
        for (&array, flaws) in state.stored.range(first..) {
            for flaw in flaws {
                let cause = found.place(&state, flaw.cause, &mut known);
                found.stored.push(BadBox { array: array as u64, region: flaw.region, cause, is_lost: flaw.is_lost });
            }
        }
        found
    }

    /// What is bad in a region of a stored array, for whoever reads it.
    pub(crate) fn of_stored_to_tell(&self, array: usize, region: &Region) -> FoundBad {
        let state = self.state();
        let (mut found, mut known) = (FoundBad::default(), Vec::new());
        for flaw in state.stored.get(&array).map_or_else(Vec::new, |flaws| within(flaws, region)) {
            let cause = found.place(&state, flaw.cause, &mut known);
            found.stored.push(BadBox { array: array as u64, region: flaw.region, cause, is_lost: flaw.is_lost });
        }
        found
    }

    /// Takes what another process has found, or tells. `image` is what the pass reads, by its name here.
    ///
    /// # Errors
    /// As [`list`](Quarantine::list).
    pub(crate) fn take(&self, found: FoundBad, image: &Path) -> Result<(), RunError> {
        let mut state = self.state();
        let causes: Vec<Cause> = found
            .causes
            .into_iter()
            .map(|BadCause { is_read, part, plane }| {
                let image = if is_read { image.to_owned() } else { PathBuf::new() };
                let key = ((image, plane.scene, [plane.t, plane.c, plane.z], plane.task.clone()), part);
                state.cause(key, plane)
            })
            .collect();
        state.tasks += found.tasks;
        for bad in found.stored {
            let Some(&cause) = causes.get(bad.cause) else { continue };
            let flaw = Flaw { region: bad.region, cause, is_lost: bad.is_lost };
            state.stored.entry(bad.array as usize).or_default().push(flaw);
        }
        drop(state);
        self.list_causes(found.listed.iter().filter_map(|place| causes.get(*place).copied()))
    }
}

#[cfg(test)]
mod tests {
    use microtome_array::{Axis, Shape};
    use microtome_io::{Place, ReadError};

    use super::*;
    use crate::quarantine::{BadPlanes, MostBad, OnError};

    fn quarantine(most: MostBad) -> Quarantine {
        Quarantine::new(OnError::Quarantine { most, bad_planes: BadPlanes::Refuse }, 10)
    }

    fn plane(z: u64) -> Region {
        Shape::new([1, 1, 9, 64, 64, 1]).unwrap().region().with(Axis::Z, z, z + 1)
    }

    /// What a process finds that reads an image at a path: planes that cannot be read, stored in array 1.
    fn found(image: &str, planes: &[u64]) -> FoundBad {
        let there = quarantine(MostBad::Any);
        for &z in planes {
            let (path, why) = (Path::new(image).with_file_name("b.tif"), "no zlib stream".to_owned());
            let error = ReadError::Corrupt { path, what: "strip 4".to_owned(), location: format!("page {z}"), why };
            let cause = there.unread(Place::default(), Path::new(image), &plane(z), &error);
            there.stored(1, &[Flaw { region: plane(z), cause, is_lost: true }]).unwrap();
        }
        let unused = there.unmade(0, "max/0.0.0.0.0", &plane(0), "here");
        assert_eq!(unused.len(), 1);
        let bytes = serde_json::to_vec(&there.found(0)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn what_two_workers_found_is_listed_once_by_its_name_here() {
        let here = quarantine(MostBad::Any);
        here.take(found("/one/a.tif", &[3, 5]), Path::new("mine/a.tif")).unwrap();
        here.take(found("/two/a.tif", &[5]), Path::new("mine/a.tif")).unwrap();
        let told = here.of_stored_to_tell(1, &plane(5));
        assert_eq!((told.stored.len(), told.causes.len(), told.tasks), (2, 1, 0));
        assert!(here.of_stored_to_tell(0, &plane(5)).is_empty() && here.of_stored_to_tell(1, &plane(4)).is_empty());
        let (listed, tasks) = here.into_list();
        assert_eq!((listed.iter().map(|plane| plane.z).collect::<Vec<_>>(), tasks), (vec![3, 5], 3));
        assert_eq!(listed[0].reason, "b.tif: strip 4 in page 3: no zlib stream");
    }

    #[test]
    fn the_limit_is_of_all_that_was_found() {
        let here = quarantine(MostBad::Planes(2));
        here.take(found("/one/a.tif", &[3]), Path::new("a.tif")).unwrap();
        here.take(found("/two/a.tif", &[3, 4]), Path::new("a.tif")).unwrap();
        let error = here.take(found("/two/a.tif", &[7]), Path::new("a.tif")).unwrap_err();
        assert!(matches!(error, RunError::TooManyBad { most: 2, planes: 10, .. }), "{error}");
    }

    #[test]
    fn who_is_told_knows_what_is_bad_below() {
        let here = quarantine(MostBad::Any);
        here.take(found("/one/a.tif", &[3, 5]), Path::new("a.tif")).unwrap();
        let there = quarantine(MostBad::Any);
        there.take(here.of_stored_to_tell(1, &plane(5)), Path::new("/out/0")).unwrap();
        let flaws = there.of_stored(1, &plane(5));
        assert_eq!((flaws.len(), flaws[0].region, there.of_stored(1, &plane(3)).len()), (1, plane(5), 0));
        assert!(there.found(2).is_empty(), "it has found nothing itself");
    }
}

//! Slides of scanners: a pyramid whose levels are pages of the chain, with planes of focus along Z, and pictures beside it.

use microtome_io::Objective;

use super::build::can_be_level;
use super::{Draft, pages};
use crate::page::Layout;
use crate::set::{PlaneRef, Set};

/// The pages of a pyramid, level by level.
#[derive(Default)]
pub(super) struct Slide {
    levels: Vec<Vec<u32>>,
}

/// More levels than any slide has: each is looked at for each page.
const MOST_LEVELS: usize = 64;

impl Slide {
    /// Takes a page as a plane of focus of a level that is there, or as a smaller level; `false` if it is neither.
    pub(super) fn take(&mut self, set: &Set, page: u32, layout: &Layout) -> bool {
        let index = &set.main().index;
        let of = |level: &Vec<u32>| level.first().and_then(|&p| index.layout(p));
        if let Some(level) = self.levels.iter_mut().find(|l| of(l).is_some_and(|l| l.same_plane(layout))) {
            level.push(page);
            return true;
        }
        let fits = match (self.levels.first().and_then(of), self.levels.last().and_then(of)) {
            (Some(full), Some(last)) => self.levels.len() < MOST_LEVELS && can_be_level(full, last, layout),
            _ => self.levels.is_empty(),
        };
        if fits {
            self.levels.push(vec![page]);
        }
        fits
    }

    /// The scene; `None` without pages.
    pub(super) fn draft(self, set: &mut Set) -> Option<Draft> {
        let refs = |level: &[u32]| level.iter().map(|&p| PlaneRef::new(0, p)).collect::<Vec<_>>();
        let (full, smaller) = self.levels.split_first()?;
        let mut draft = Draft::new([1, 1, full.len() as u64], refs(full));
        for level in smaller {
            if level.len() == full.len() {
                draft.levels.push(refs(level));
            } else {
                let (found, first) = (pages(level.len()), level[0]);
                let count = full.len();
                set.warn(format!(
                    "{found} from page {first} on are a smaller level of {count} planes of focus; they are left out"
                ));
            }
        }
        Some(draft)
    }
}

/// The objective of a slide, of which a file says how many times it magnifies.
pub(super) fn magnifying(magnification: Option<f64>) -> Option<Objective> {
    let magnification = Some(magnification.filter(|times| times.is_finite() && *times > 0.0)?);
    Some(Objective { magnification, ..Objective::default() })
}

/// A picture beside the slide: one page, one scene.
pub(super) fn picture(page: u32, name: &str) -> Draft {
    let mut draft = Draft::new([1, 1, 1], vec![PlaneRef::new(0, page)]);
    name.clone_into(&mut draft.name);
    draft
}

//! Hamamatsu NDPI: pages of a lens are levels and planes of focus, others are pictures of the slide.

use super::Draft;
use super::fit::micrometers;
use super::slide::{Slide, magnifying, picture};
use crate::set::Set;

pub(super) fn arrange(set: &mut Set) -> Option<Vec<Draft>> {
    let lenses = std::mem::take(&mut set.notes.lenses);
    let lens = |page: u32| lenses.binary_search_by_key(&page, |(of, _)| *of).ok().map(|at| lenses[at].1);
    let index = &set.main().index;
    let (mut levels, mut pictures, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for page in 0..index.chain() {
        match (index.kind(page), lens(page)) {
            (Err(why), _) => skipped.push(format!("page {page} is left out: {why}")),
            (Ok(_), Some(-1.0)) => pictures.push(picture(page, "Macro")),
            (Ok(_), Some(-2.0)) => pictures.push(picture(page, "Map")),
            (Ok(layout), _) => levels.push((page, layout)),
        }
    }
    levels.sort_by_key(|(page, layout)| (std::cmp::Reverse(layout.tags.width), *page));
    let mut slide = Slide::default();
    for (page, layout) in levels {
        if !slide.take(set, page, layout) {
            pictures.push(picture(page, ""));
        }
    }
    set.warnings.append(&mut skipped);
    let mut draft = slide.draft(set)?;
    "Baseline".clone_into(&mut draft.name);
    draft.pixel_size = pixel_size(set);
    if let Some(lens) = lens(0).filter(|lens| *lens > 0.0) {
        set.told.push(format!("the magnification of the objective ({lens})"));
        draft.objective = magnifying(Some(f64::from(lens)));
    }
    Some(std::iter::once(draft).chain(pictures).collect())
}

/// From the resolution, which scanners state truly, per centimetre or inch.
fn pixel_size(set: &Set) -> microtome_io::PixelSize {
    let unit = match set.first.resolution_unit {
        2 => 25_400.0,
        3 => 10_000.0,
        _ => return microtome_io::PixelSize::default(),
    };
    let [x, y] = set.first.resolution.map(|r| r.map(|per_unit| unit / per_unit));
    micrometers([None, y, x])
}

//! Pages laid into the sizes that metadata state: cut to what is there, and what is left over is left out, both told.

use microtome_array::Axis;
use microtome_io::PixelSize;

use super::ome_planes::{Plan, cut};
use super::{Draft, in_order, pages};
use crate::set::{PlaneRef, Set};

/// What metadata say about the planes of a scene.
pub(super) struct Said<'a> {
    /// What says it: `the LSM metadata`.
    pub(super) what: &'a str,
    /// Along T, C, Z; 0 is taken as 1.
    pub(super) size: [u64; 3],
    /// Fastest first.
    pub(super) order: [Axis; 3],
}

/// A scene of planes in file order, of which there is at least one.
pub(super) fn fit(set: &mut Set, said: &Said<'_>, mut planes: Vec<PlaneRef>) -> Draft {
    let wanted = said.size.map(|n| n.max(1));
    let found = planes.len() as u64;
    let size = cut(&Plan { size: wanted, order: said.order, samples: 1 }, found);
    let count = size.iter().fold(1u64, |p, &n| p.saturating_mul(n));
    let (what, is) = (said.what, pages(planes.len()));
    if size != wanted || found < count {
        set.warn(format!("{what} say {wanted:?} planes (T C Z), the file has {is}; the image is cut to {size:?}"));
    } else if found > count {
        set.warn(format!("{what} say {wanted:?} planes (T C Z), the file has {is}; the rest is left out"));
    }
    // A cut image may end within its slowest axis: what is missing there is an error when it is read.
    let missing = set.reason(format!("{} say that it is there, and the file has no page for it", said.what));
    planes.resize(count as usize, missing);
    let mut draft = Draft::new(size, in_order(&planes, said.order, size));
    draft.page_order = said.order;
    draft
}

/// Sizes in micrometres, without those that are none.
pub(super) fn micrometers([z, y, x]: [Option<f64>; 3]) -> PixelSize {
    let true_size = |v: Option<f64>| v.filter(|v| v.is_finite() && *v > 0.0);
    let sizes = [z, y, x].map(true_size);
    let unit = sizes.iter().any(Option::is_some).then(|| "micrometer".to_owned());
    let [z, y, x] = sizes;
    PixelSize { z, y, x, unit }
}

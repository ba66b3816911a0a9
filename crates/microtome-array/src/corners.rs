//! Boxes as two corners: what regions of pixels and boxes of chunk indices have in common.

use crate::{Axis, PerAxis};

/// First place on each axis, and one past the last.
pub(crate) type Corners = (PerAxis<u64>, PerAxis<u64>);

fn is_empty((start, end): &Corners) -> bool {
    Axis::ALL.iter().any(|&axis| end[axis] <= start[axis])
}

/// What is left of a box without another, as boxes that are not empty and do not overlap: at most two an axis.
pub(crate) fn without(whole: Corners, hole: Corners) -> impl Iterator<Item = Corners> {
    let low = PerAxis::from_fn(|axis| whole.0[axis].max(hole.0[axis]));
    let high = PerAxis::from_fn(|axis| whole.1[axis].min(hole.1[axis]));
    // A hole that lies elsewhere is none: all is left.
    let apart = is_empty(&(low, high)).then_some(whole);
    let axes = if apart.is_some() { &[][..] } else { &Axis::ALL[..] };
    let mut rest = whole;
    let sides = axes.iter().flat_map(move |&axis| {
        let below = (rest.0, rest.1.with(axis, low[axis]));
        let above = (rest.0.with(axis, high[axis]), rest.1);
        rest = (rest.0.with(axis, low[axis]), rest.1.with(axis, high[axis]));
        [below, above]
    });
    apart.into_iter().chain(sides).filter(|part| !is_empty(part))
}

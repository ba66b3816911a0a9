//! Files of tifffile with `{"shape": […]}` in the description: each such page starts a series of that shape.

use microtome_array::Axis;
use serde::Deserialize;

use super::Draft;
use crate::page::Layout;
use crate::set::{PlaneRef, Set};

#[derive(Deserialize)]
struct Description {
    shape: Vec<u64>,
    #[serde(default)]
    axes: Option<String>,
}

/// The scenes, or `None` with a warning if a description does not fit its pages.
pub(super) fn arrange(set: &mut Set, text: &str) -> Option<Vec<Draft>> {
    let later = std::mem::take(&mut set.later);
    let starts: Vec<(u32, String)> = std::iter::once((0, text.to_owned())).chain(later).collect();
    let chain = set.main().index.chain();
    let mut drafts = Vec::new();
    for (n, (start, text)) in starts.iter().enumerate() {
        let end = starts.get(n + 1).map_or(chain, |(next, _)| *next);
        match series(set, *start, end, text) {
            Ok(draft) => drafts.push(draft),
            Err(why) => {
                set.warn(format!("the shape in the description of page {start} is not used: {why}"));
                return None;
            }
        }
    }
    Some(drafts)
}

fn series(set: &mut Set, start: u32, end: u32, text: &str) -> Result<Draft, String> {
    let description: Description = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let layout = set.main().index.kind(start).as_ref().map_err(Clone::clone)?;
    let leading = leading(&description.shape, layout).ok_or("it does not end in the shape of a page")?;
    let count = leading.iter().try_fold(1u64, |p, &n| p.checked_mul(n)).filter(|&n| n > 0).ok_or("it is empty")?;
    let letters = description.axes.filter(|a| a.chars().count() == description.shape.len());
    let axes = assign(leading, letters.as_deref())?;
    let pages = pages(set, start, end, count)?;
    let mut size = [1; 3];
    for (axis, &extent) in axes.iter().zip(leading) {
        if let Some(axis) = axis {
            size[axis.index()] = extent;
        }
    }
    let mut order: Vec<Axis> = axes.iter().rev().flatten().copied().collect();
    order.extend([Axis::Z, Axis::C, Axis::T].into_iter().filter(|a| !axes.contains(&Some(*a))));
    let order: [Axis; 3] = order.try_into().map_err(|_| "its axes are not distinct".to_owned())?;
    let mut draft = Draft::new(size, super::in_order(&pages, order, size));
    draft.page_order = order;
    if letters.is_none() {
        draft.guessed = axes.into_iter().flatten().collect();
    }
    Ok(draft)
}

/// The extents before those of a page: `… Y X`, `… Y X S` or `… S Y X`.
fn leading<'a>(shape: &'a [u64], layout: &Layout) -> Option<&'a [u64]> {
    let (height, width, samples) = (layout.tags.height, layout.tags.width, layout.tags.samples);
    let ends: [&[u64]; 3] = [&[height, width, samples], &[samples, height, width], &[height, width]];
    let usable = if samples > 1 { &ends[..2] } else { &ends[..] };
    let found = usable.iter().find_map(|end| shape.strip_suffix(*end));
    // A page of one row or column may be given without it.
    found.or_else(|| (samples == 1 && height == 1).then(|| shape.strip_suffix(&[width])).flatten())
}

/// Axes of the leading extents: by letter where it is T, C or Z, else the first free of T, Z, C; `None` for extent 1.
fn assign(leading: &[u64], letters: Option<&str>) -> Result<Vec<Option<Axis>>, String> {
    let mut axes: Vec<Option<Axis>> = vec![None; leading.len()];
    for (axis, letter) in axes.iter_mut().zip(letters.unwrap_or("").chars()) {
        *axis = Axis::parse(letter).ok().filter(|a| matches!(a, Axis::T | Axis::C | Axis::Z));
    }
    for n in 0..axes.len() {
        if axes[n].is_some() && axes[..n].contains(&axes[n]) {
            axes[n] = None;
        }
    }
    for n in 0..axes.len() {
        if axes[n].is_none() && leading[n] > 1 {
            let free = [Axis::T, Axis::Z, Axis::C].into_iter().find(|a| !axes.contains(&Some(*a)));
            axes[n] = Some(free.ok_or("it has more than six axes longer than 1")?);
        }
    }
    Ok(axes)
}

/// The pages of a series: those of the chain, or what follows the only one without headers.
fn pages(set: &mut Set, start: u32, end: u32, count: u64) -> Result<Vec<PlaneRef>, String> {
    let there = u64::from(end - start);
    let refs = |range: std::ops::Range<u32>| range.map(|page| PlaneRef::new(0, page));
    if count <= there {
        return Ok(refs(start..start + count as u32).collect());
    }
    let size = set.main().source.size();
    let index = &mut set.files[0].index;
    let first = index.contiguous(start).filter(|_| there == 1);
    let fits = first.map_or(there, |s| size.saturating_sub(s.offset) / s.bytes);
    if count > fits || count > set.limits.pages {
        return Err(format!("it needs {count} pages, there are {}", fits.max(there)));
    }
    let next = index.len();
    index.push_contiguous(start, count as u32 - 1);
    Ok(refs(start..start + 1).chain(refs(next..next + count as u32 - 1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_axes_become_t_z_c() {
        assert_eq!(assign(&[5, 1, 3], None).unwrap(), [Some(Axis::T), None, Some(Axis::Z)]);
        assert_eq!(assign(&[5, 3], Some("QC")).unwrap(), [Some(Axis::T), Some(Axis::C)]);
        assert!(assign(&[2, 2, 2, 2], None).is_err());
    }
}

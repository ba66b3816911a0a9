//! `MetaMorph` STK: all planes follow the only page, and the tags UIC1 to UIC4 say what they are.

use microtome_array::Axis;
use microtome_io::ome::length_unit;
use microtome_io::{PixelSize, Quantity};

use super::Draft;
use super::fit::{Said, fit};
use crate::notes::Fields;
use crate::set::{PlaneRef, Set};

const UIC1: u16 = 33628;
/// The tag that has six numbers a plane, and by its count says how many planes there are.
pub(super) const UIC2: u16 = 33629;
const UIC3: u16 = 33630;

/// Numbers of values in UIC1: each is a number itself, or the offset of one.
mod id {
    pub(super) const CALIBRATED: u32 = 3;
    pub(super) const X: u32 = 4;
    pub(super) const Y: u32 = 5;
    pub(super) const UNIT: u32 = 6;
    pub(super) const NAME: u32 = 7;
}

/// Longest name or unit.
const MOST_TEXT: u64 = 1024;
const DAY: f64 = 86_400_000.0;

pub(super) fn arrange(set: &mut Set) -> Option<Vec<Draft>> {
    let stored = set.first.stored(UIC2)?;
    let (planes, stated) = (planes(set, stored.count)?, stored.count);
    // Six numbers a plane, which the type of the tag, fractions of two, does not tell.
    let times = set.fields(stored.offset, stated.checked_mul(24)?);
    if times.is_none() {
        set.warn("the tag UIC2 of MetaMorph ends beyond the file or is too long; planes are taken as frames");
    }
    let rows = |field: usize| -> Option<Vec<f64>> {
        let times = times.as_ref()?;
        (0..stated as usize).map(|n| times.u32(24 * n + field).map(f64::from)).collect()
    };
    let distances: Option<Vec<f64>> =
        times.as_ref().and_then(|times| (0..stated as usize).map(|n| times.fraction(24 * n)).collect());
    let made: Option<Vec<f64>> =
        rows(8).zip(rows(12)).map(|(days, ms)| days.iter().zip(&ms).map(|(day, ms)| day * DAY + ms).collect());
    let axis = axis(distances.as_deref(), made.as_deref(), wavelengths(set, stated).as_deref());
    let mut size = [1; 3];
    size[axis.index()] = stated;
    let order = match axis {
        Axis::C => [Axis::C, Axis::Z, Axis::T],
        Axis::T => [Axis::T, Axis::C, Axis::Z],
        _ => [Axis::Z, Axis::C, Axis::T],
    };
    let mut draft = fit(set, &Said { what: "the tags of MetaMorph", size, order }, planes);
    draft.name = text(set, id::NAME).unwrap_or_default();
    draft.pixel_size = pixel_size(set, distances.filter(|_| axis == Axis::Z).as_deref());
    draft.time_increment = made.filter(|_| axis == Axis::T).and_then(|made| increment(&made));
    Some(vec![draft])
}

/// The planes: as pages, or following the only one without headers of their own.
fn planes(set: &mut Set, stated: u64) -> Option<Vec<PlaneRef>> {
    let refs = |range: std::ops::Range<u32>| range.map(|page| PlaneRef::new(0, page));
    let size = set.main().source.size();
    let chain = set.main().index.chain();
    if stated <= 1 || chain > 1 {
        return Some(refs(0..chain).collect());
    }
    let Some(first) = set.main().index.contiguous(0) else {
        set.warn(format!("the file has {stated} planes that do not follow its page raw; the first one is shown"));
        return Some(refs(0..1).collect());
    };
    let fits = size.saturating_sub(first.offset) / first.bytes;
    let count = stated.min(fits.max(1)).min(set.limits.pages.saturating_sub(1));
    let index = &mut set.files[0].index;
    let next = index.len();
    let more = u32::try_from(count - 1).ok()?;
    index.push_contiguous(0, more);
    Some(refs(0..1).chain(refs(next..next + more)).collect())
}

/// What planes are along: Z if all lie apart, T if all were made one after the other, C if all have other wavelengths.
fn axis(distances: Option<&[f64]>, made: Option<&[f64]>, wavelengths: Option<&[f64]>) -> Axis {
    let distinct = |list: &[f64]| list.windows(2).all(|pair| pair[0] != pair[1]);
    if distances.is_some_and(|d| d.iter().all(|&z| z != 0.0)) {
        Axis::Z
    } else if made.is_none_or(distinct) || !wavelengths.is_some_and(distinct) {
        Axis::T
    } else {
        Axis::C
    }
}

fn wavelengths(set: &Set, count: u64) -> Option<Vec<f64>> {
    let stored = set.first.stored(UIC3).filter(|s| s.count == count)?;
    let fields = set.fields(stored.offset, stored.bytes)?;
    (0..count as usize).map(|n| fields.fraction(8 * n)).collect()
}

/// The mean distance in time, in milliseconds.
fn increment(made: &[f64]) -> Option<Quantity> {
    let value = (made.last()? - made.first()?) / (made.len().checked_sub(1).filter(|&n| n > 0)? as f64);
    (value > 0.0).then(|| Quantity { value, unit: "millisecond".to_owned() })
}

/// Where or what the value of a number of UIC1 is.
fn entry(set: &Set, id: u32) -> Option<u32> {
    let stored = set.first.stored(UIC1).filter(|s| s.kind == 4)?;
    // Each entry has two numbers, of which the count of the tag knows one.
    let list = set.fields(if stored.count == 1 { return None } else { stored.offset }, stored.count.checked_mul(8)?)?;
    (0..stored.count as usize).find(|&n| list.u32(8 * n) == Some(id)).and_then(|n| list.u32(8 * n + 4))
}

fn behind(set: &Set, id: u32, bytes: u64) -> Option<Fields> {
    let offset = entry(set, id).filter(|&o| o >= 8)?;
    set.fields_up_to(u64::from(offset), bytes)
}

/// A text that its length comes before.
fn text(set: &Set, id: u32) -> Option<String> {
    let fields = behind(set, id, MOST_TEXT)?;
    Some(fields.text(4, fields.u32(0)? as usize)).filter(|text| !text.is_empty())
}

/// Calibration along X and Y, and distances along Z, in the unit that the file names.
fn pixel_size(set: &mut Set, distances: Option<&[f64]>) -> PixelSize {
    let calibrated = entry(set, id::CALIBRATED) == Some(1);
    let number = |id| behind(set, id, 8).and_then(|f| f.fraction(0)).filter(|&v| calibrated && v > 0.0);
    let (x, y) = (number(id::X), number(id::Y));
    let unit = text(set, id::UNIT).filter(|_| calibrated).map(|text| length_unit(&text));
    let mean = distances.filter(|d| !d.is_empty()).map(|d| d.iter().sum::<f64>() / d.len() as f64);
    if let (Some(mean), Some(all)) = (mean, distances)
        && all.iter().any(|z| (z - mean).abs() > 1e-6 * mean.abs())
    {
        set.warn(format!("distances between planes are not alike; their mean is given, {mean}"));
    }
    let unit = unit.map(|unit| unit.name).or_else(|| mean.map(|_| "micrometer".to_owned()));
    PixelSize { z: mean, y, x, unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_along_what_tells_them_apart() {
        let (apart, together) = (&[1.0, 2.0][..], &[3.0, 3.0][..]);
        assert_eq!(axis(Some(apart), Some(apart), None), Axis::Z);
        assert_eq!(axis(Some(&[0.0, 0.0]), Some(apart), Some(apart)), Axis::T);
        assert_eq!(axis(Some(&[0.0, 0.0]), Some(together), Some(apart)), Axis::C);
        assert_eq!(axis(Some(&[0.0, 0.0]), Some(together), Some(together)), Axis::T);
        assert_eq!(axis(None, None, None), Axis::T);
    }
}

//! From the axes of a file to T C Z Y X S.
//!
//! Named axes keep their names; one of unknown name is placed by its type. Of an array without names the last two axes are Y and X, a last axis of 3 or 4 behind them
//! is S, and those before them are, like an axis of unknown name, the first free ones of T, Z, C.

use microtome_array::{Axis, PerAxis, Shape};

/// Which canonical axis each file axis is; `None` for an axis of extent 1 for which there is no room.
pub(super) type AxisMap = Vec<Option<Axis>>;

/// An axis as NGFF describes it.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedAxis {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) unit: Option<String>,
}

/// The axes of an array with names.
pub(super) fn named(axes: &[NamedAxis], shape: &[u64]) -> Result<AxisMap, String> {
    if axes.len() != shape.len() {
        return Err(format!("the metadata names {} axes, the array has {}", axes.len(), shape.len()));
    }
    let mut map: AxisMap = axes.iter().map(by_name).collect();
    for (n, axis) in map.iter().enumerate() {
        if axis.is_some() && map[..n].contains(axis) {
            return Err(format!("the axis {:?} is named twice", axes[n].name));
        }
    }
    for n in (0..axes.len()).rev() {
        let free = by_kind(&axes[n].kind).iter().copied().find(|&a| !map.contains(&Some(a)));
        map[n] = map[n].or(free);
    }
    place_unknown(&mut map, shape)?;
    Ok(map)
}

fn by_name(axis: &NamedAxis) -> Option<Axis> {
    let mut letters = axis.name.chars();
    let only = letters.next().filter(|_| letters.next().is_none())?;
    Axis::parse(only).ok()
}

/// What an axis of unknown name may be by its type, the most likely first: the last axis of space is X.
fn by_kind(kind: &str) -> &'static [Axis] {
    match kind {
        "time" => &[Axis::T],
        "channel" => &[Axis::C],
        "space" => &[Axis::X, Axis::Y, Axis::Z],
        _ => &[],
    }
}

/// The axes of an array without names: as OME-Zarr has them by position where there are five.
pub(super) fn unnamed(shape: &[u64]) -> Result<AxisMap, String> {
    let mut map: AxisMap = vec![None; shape.len()];
    let samples = shape.len() >= 3 && matches!(shape[shape.len() - 1], 3 | 4);
    if shape.len() == 5 && !samples {
        return implicit(shape);
    }
    let plane = if samples { &[Axis::S, Axis::X, Axis::Y][..] } else { &[Axis::X, Axis::Y] };
    for (slot, &axis) in map.iter_mut().rev().zip(plane) {
        *slot = Some(axis);
    }
    place_unknown(&mut map, shape)?;
    Ok(map)
}

/// The five axes of OME-Zarr before 0.4, by position.
pub(super) fn implicit(shape: &[u64]) -> Result<AxisMap, String> {
    if shape.len() == 5 { Ok(Axis::ALL[..5].iter().copied().map(Some).collect()) } else { unnamed(shape) }
}

fn place_unknown(map: &mut AxisMap, shape: &[u64]) -> Result<(), String> {
    for n in 0..map.len() {
        if map[n].is_some() {
            continue;
        }
        let free = [Axis::T, Axis::Z, Axis::C].into_iter().find(|&a| !map.contains(&Some(a)));
        if free.is_none() && shape[n] > 1 {
            return Err(format!(
                "no axis of T, Z, C is left for an axis of {} pixels; at most six can be read",
                shape[n]
            ));
        }
        map[n] = free;
    }
    Ok(())
}

/// Values along the file's axes as values along canonical ones; `absent` where the file has no such axis.
pub(super) fn canonical<T: Copy>(map: &AxisMap, values: &[T], absent: T) -> PerAxis<T> {
    let mut out = PerAxis::splat(absent);
    for (axis, &value) in map.iter().zip(values) {
        if let Some(axis) = axis {
            out[*axis] = value;
        }
    }
    out
}

/// Extents as a shape.
pub(super) fn shape(map: &AxisMap, extents: &[u64]) -> Result<Shape, String> {
    Shape::new(canonical(map, extents, 1).0).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(map: &AxisMap) -> String {
        map.iter().map(|a| a.map_or('-', Axis::letter)).collect()
    }

    #[test]
    fn arrays_without_names() {
        assert_eq!(letters(&unnamed(&[512, 512, 3]).unwrap()), "YXS");
        assert_eq!(letters(&unnamed(&[7, 512, 512]).unwrap()), "TYX");
        assert_eq!(letters(&unnamed(&[2, 3, 4, 8, 9]).unwrap()), "TCZYX");
        assert_eq!(letters(&unnamed(&[2, 3, 8, 9, 3]).unwrap()), "TZYXS");
        assert_eq!(letters(&unnamed(&[9]).unwrap()), "X");
        assert!(unnamed(&[2, 2, 2, 2, 8, 9]).is_err());
        assert_eq!(letters(&unnamed(&[2, 2, 2, 1, 8, 9]).unwrap()), "TZC-YX");
    }

    #[test]
    fn names_in_any_order_and_unknown_ones() {
        let axis = |name: &str, kind: &str| NamedAxis { name: name.into(), kind: kind.into(), unit: None };
        let map = named(
            &[axis("x", "space"), axis("angle", ""), axis("lambda", "channel"), axis("y", "space")],
            &[4, 2, 3, 5],
        );
        assert_eq!(letters(&map.unwrap()), "XTCY");
        assert!(named(&[axis("x", ""), axis("x", "")], &[1, 1]).is_err());
        let map = named(&[axis("depth", "space"), axis("row", "space"), axis("column", "space")], &[4, 5, 6]);
        assert_eq!(letters(&map.unwrap()), "ZYX");
        let two = [axis("c", "channel"), axis("lambda", "channel"), axis("y", "space"), axis("x", "space")];
        assert_eq!(letters(&named(&two, &[2, 3, 5, 4]).unwrap()), "CTYX");
    }
}

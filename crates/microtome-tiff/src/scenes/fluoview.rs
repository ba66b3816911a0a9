//! Olympus Fluoview: a header (tag 34361) of ten dimensions, fastest first, each with its size, step and unit.

use microtome_array::Axis;
use microtome_io::Quantity;
use microtome_io::ome::{length_unit, time_unit};

use super::Draft;
use super::fit::{Said, fit, micrometers};
use crate::notes::Fields;
use crate::set::{PlaneRef, Set};

/// The tag of the header.
pub(super) const HEADER: u16 = 34361;

/// Where dimensions begin, how many there are, and bytes of each: name, size, origin, step, unit.
const DIMENSIONS: usize = 284;
const COUNT: usize = 10;
const BYTES: usize = 100;

/// A dimension that is longer than one.
struct Dimension {
    name: String,
    size: u64,
    step: Option<f64>,
    unit: String,
}

pub(super) fn arrange(set: &mut Set) -> Option<Vec<Draft>> {
    let header = set.value(HEADER)?;
    let dimensions: Vec<Dimension> = (0..COUNT).filter_map(|n| dimension(&header, DIMENSIONS + n * BYTES)).collect();
    let planes: Vec<&Dimension> = dimensions.iter().filter(|d| !matches!(d.name.as_str(), "X" | "Y")).collect();
    let Some(order) = order(&planes) else {
        let names: Vec<&str> = planes.iter().map(|d| d.name.as_str()).collect();
        set.warn(format!("the Fluoview metadata have the dimensions {names:?}; pages are shown in file order"));
        return None;
    };
    let mut size = [1; 3];
    for (axis, dimension) in order.iter().zip(&planes) {
        size[axis.index()] = dimension.size;
    }
    let pages = (0..set.main().index.chain()).map(|page| PlaneRef::new(0, page)).collect();
    let mut draft = fit(set, &Said { what: "the Fluoview metadata", size, order }, pages);
    draft.name = header.text(3, 257);
    let step = |name: &str| {
        let dimension = dimensions.iter().find(|d| d.name == name)?;
        length_unit(&dimension.unit).to(&length_unit("um"), dimension.step?)
    };
    draft.pixel_size = micrometers(["Z", "Y", "X"].map(step));
    let time = planes.iter().zip(order).find(|(_, axis)| *axis == Axis::T).map(|(dimension, _)| dimension);
    draft.time_increment = time.filter(|d| matches!(d.name.as_str(), "T" | "TIME")).and_then(|d| {
        let value = d.step.filter(|&v| v > 0.0)?;
        Some(Quantity { value, unit: time_unit(&d.unit).name })
    });
    Some(vec![draft])
}

fn dimension(header: &Fields, at: usize) -> Option<Dimension> {
    let size = header.count(at + 16).filter(|&n| n > 1)?;
    let (name, unit) = (header.text(at, 16).to_uppercase(), header.text(at + 36, 64));
    Some(Dimension { name, size, step: header.f64(at + 28), unit })
}

/// The axes of dimensions by their names, others on the first that is free, and then those that are left.
fn order(planes: &[&Dimension]) -> Option<[Axis; 3]> {
    let mut axes: Vec<Option<Axis>> = planes.iter().map(|d| named(&d.name)).collect();
    for n in 0..axes.len() {
        if axes[n].is_none() || axes[..n].contains(&axes[n]) {
            axes[n] = [Axis::T, Axis::Z, Axis::C].into_iter().find(|&a| !axes.contains(&Some(a)));
            axes[n]?;
        }
    }
    let mut order: Vec<Axis> = axes.iter().flatten().copied().collect();
    order.extend([Axis::Z, Axis::C, Axis::T].into_iter().filter(|a| !axes.contains(&Some(*a))));
    order.try_into().ok()
}

fn named(name: &str) -> Option<Axis> {
    match name {
        "Z" => Some(Axis::Z),
        "T" | "TIME" => Some(Axis::T),
        "CH" | "WAVELENGTH" => Some(Axis::C),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(names: &[&str]) -> Option<[Axis; 3]> {
        let dimension = |name: &&str| Dimension { name: (*name).to_owned(), size: 2, step: None, unit: String::new() };
        let all: Vec<Dimension> = names.iter().map(dimension).collect();
        order(&all.iter().collect::<Vec<_>>())
    }

    #[test]
    fn dimensions_are_axes_fastest_first() {
        assert_eq!(axes(&["Z", "CH"]), Some([Axis::Z, Axis::C, Axis::T]));
        assert_eq!(axes(&["TIME", "EVENT"]), Some([Axis::T, Axis::Z, Axis::C]));
        assert_eq!(axes(&[]), Some([Axis::Z, Axis::C, Axis::T]));
        assert_eq!(axes(&["Z", "T", "CH", "XY"]), None);
    }
}

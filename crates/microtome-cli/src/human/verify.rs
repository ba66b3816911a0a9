//! `verify` for people.

use std::fmt::Write as _;
use std::path::Path;

use microtome::{Comparison, Scene, SceneKind, Shape, Verification, format_count};

use super::number::{bytes, things};
use super::shape::lettered;

/// Differences that are told one by one.
const MOST_TOLD: usize = 20;

/// An output beside its own record.
pub(crate) fn verified(path: &Path, found: &Verification) -> String {
    let (looked, name) = (format!("{} of {}", things(found.units, "write unit"), bytes(found.bytes)), path.display());
    let mut text = match found.different.len() as u64 {
        0 if found.is_right() => format!("{name} is as it was written: {looked}\n"),
        0 if found.units == 0 => format!("{name} differs so that its pixels could not be looked at\n"),
        0 => format!("{name} differs beside its pixels; looked at {looked}\n"),
        wrong => format!("{name} differs in {} of {looked}\n", things(wrong, "write unit")),
    };
    for part in &found.parts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {part}");
    }
    for difference in found.different.iter().take(MOST_TOLD) {
        let _ = writeln!(text, "  {difference}");
    }
    if let Some(more @ 1..) = found.different.len().checked_sub(MOST_TOLD) {
        let _ = writeln!(text, "  and {} more", format_count(more as u64));
    }
    if found.has_quarantine {
        let place = if path.is_dir() { "in .microtome/quarantine.json" } else { "in its completion record" };
        let _ = writeln!(text, "  planes were left out when it was made; they are listed {place}");
    }
    text
}

/// A scene by kind, number and name: `scene 0 cells`.
pub(crate) fn scene_title(scene: &Scene) -> String {
    let info = scene.info();
    let what = if info.kind == SceneKind::Label { "label" } else { "scene" };
    let name = if info.name.is_empty() { &info.id } else { &info.name };
    if name.is_empty() { format!("{what} {}", info.index) } else { format!("{what} {} {name}", info.index) }
}

/// Whether two scenes are equal, or where they are not.
pub(crate) fn compared(found: &Comparison) -> String {
    let ([a, b], [one, other]) = (found.shapes, found.dtypes);
    match (found.different, found.first, &found.values) {
        (Some(0), ..) => format!("equal, {}, {one}", extents(&a)),
        (Some(different), Some([t, c, z, y, x]), Some([left, right])) => {
            let share = format!("{} of {}", format_count(different), things(a.iter().product(), "pixel"));
            format!("{share} differ, the first at t={t} c={c} z={z} y={y} x={x}: {left} and {right}")
        }
        _ if a != b => format!("{} and {} cannot be compared", extents(&a), extents(&b)),
        _ => format!("{one} and {other} cannot be compared"),
    }
}

fn extents([t, c, z, y, x]: &[u64; 5]) -> String {
    Shape::new([*t, *c, *z, *y, *x, 1]).map_or_else(|_| String::new(), |shape| lettered(&shape))
}

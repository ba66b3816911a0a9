//! Scenes of files joined along the axes of their names.

use microtome_array::Axis;
use microtome_io::{Channel, ReadError};

use super::gather::Gathered;
use super::grid::Grid;
use super::pattern::{Field, Pattern};
use super::search::Found;
use crate::page::Layout;
use crate::scenes::Draft;
use crate::set::{PlaneRef, Set};

/// The scenes of the sequence.
pub(super) fn join(
    gathered: &mut Gathered,
    pattern: &Pattern,
    grid: &Grid,
    found: &[Found],
) -> Result<Vec<Draft>, ReadError> {
    let mut of_file = by_file(gathered, found)?;
    let taken = [(Field::T, Axis::T), (Field::Star, Axis::T), (Field::C, Axis::C), (Field::Z, Axis::Z)];
    let taken: Vec<Axis> = taken.into_iter().filter(|(field, _)| pattern.has(*field)).map(|(_, axis)| axis).collect();
    gathered.set.warnings.extend(grid.warnings.iter().cloned());
    let (mut scenes, mut hollow_scenes) = (Vec::new(), Vec::new());
    for (number, key) in grid.scenes.iter().enumerate() {
        let places = grid.of_scene(number);
        let count = scene_count(found, &of_file, places)?;
        let absent = absent(gathered, pattern, grid, number);
        for n in 0..count.max(1) {
            let mut members: Vec<Option<Draft>> = Vec::with_capacity(places.len());
            for file in places {
                let draft =
                    file.and_then(|file| of_file[file].get_mut(n)).map(|draft| std::mem::replace(draft, hollow()));
                members.push(draft.map(|draft| settle(draft, &taken)));
            }
            check(&gathered.set, found, places, &members)?;
            let mut draft = one(&gathered.set, grid, &absent, members)?;
            draft.well = key.well.clone().or(draft.well);
            if !key.name.is_empty() {
                draft.name = if count > 1 { format!("{} {}", key.name, draft.name) } else { key.name.clone() };
            }
            if grid.files.len() > 1 {
                draft.id = String::new();
            }
            if count == 0 {
                hollow_scenes.push(scenes.len());
            }
            scenes.push(draft);
        }
    }
    fill(&gathered.set, &mut scenes, &hollow_scenes);
    Ok(scenes)
}

/// Number of scenes in each file of a scene of the sequence; 0 if none can be read.
fn scene_count(found: &[Found], of_file: &[Vec<Draft>], places: &[Option<usize>]) -> Result<usize, ReadError> {
    let mut there = places.iter().flatten().copied().filter(|&file| !of_file[file].is_empty());
    let Some(first) = there.next() else { return Ok(0) };
    let count = of_file[first].len();
    match there.find(|&file| of_file[file].len() != count) {
        None => Ok(count),
        Some(odd) => {
            let why = format!("one has {count} scenes, the other {}", of_file[odd].len());
            Err(mismatch(found, first, odd, why))
        }
    }
}

/// What the planes of each file of a scene are if it is not there.
fn absent(gathered: &mut Gathered, pattern: &Pattern, grid: &Grid, scene: usize) -> Vec<PlaneRef> {
    let mut all = Vec::new();
    for (place, file) in grid.of_scene(scene).iter().enumerate() {
        let why = if let Some(file) = file {
            gathered.broken.get(file).map_or("no image lies in its file", String::as_str).to_owned()
        } else {
            let path = grid.name(pattern, scene, place);
            let why = format!("it lies in {}, which is missing", path.display());
            gathered.set.missing.push(path);
            why
        };
        all.push(gathered.set.reason(why));
    }
    all
}

/// Gives scenes none of whose files can be read the shape of the first other one, so that they are shown and not left out.
fn fill(set: &Set, scenes: &mut [Draft], hollow_scenes: &[usize]) {
    let whole = scenes.iter().enumerate().find(|(n, _)| !hollow_scenes.contains(n)).map(|(_, draft)| draft);
    let Some(whole) = whole else { return };
    let layout = whole.planes.iter().find_map(|&plane| set.layout(plane));
    let (size, channels) = (whole.size, whole.channels.clone());
    let fallback = layout.map(|layout| ([layout.tags.height, layout.tags.width], layout.dtype));
    let count = (size[0] * size[1] * size[2]) as usize;
    for &n in hollow_scenes {
        let draft = &mut scenes[n];
        let (outer, first) = (draft.planes.len().max(1), draft.planes.first().copied());
        let Some(first) = first else { continue };
        // Each file's planes say why that file is not read, where there are several.
        let planes = (0..count).map(|plane| draft.planes.get(plane * outer / count).copied().unwrap_or(first));
        draft.planes = planes.collect();
        (draft.size, draft.fallback) = (size, fallback);
        draft.channels.clone_from(&channels);
    }
}

/// What is left of a scene that was taken.
fn hollow() -> Draft {
    Draft::new([1; 3], Vec::new())
}

fn mismatch(found: &[Found], one: usize, other: usize, why: String) -> ReadError {
    ReadError::Mismatch { path: found[one].path.clone(), other: found[other].path.clone(), why }
}

/// The scenes of each file.
fn by_file(gathered: &mut Gathered, found: &[Found]) -> Result<Vec<Vec<Draft>>, ReadError> {
    let mut of_file: Vec<Vec<Draft>> = found.iter().map(|_| Vec::new()).collect();
    for (draft, home) in std::mem::take(&mut gathered.drafts) {
        match home {
            Some(file) => of_file[file].push(draft),
            None if draft.planes.iter().any(|plane| !plane.is_absent()) => {
                let path = gathered.set.path().to_owned();
                let why = "its metadata say how several files are one image, and so does the pattern; open it by its own name"
                    .to_owned();
                return Err(ReadError::NotAnImage { path, why });
            }
            None => {}
        }
    }
    Ok(of_file)
}

/// The scene with the axes that its file does not name moved to those that the pattern leaves.
fn settle(mut draft: Draft, taken: &[Axis]) -> Draft {
    let long: Vec<Axis> = draft.guessed.iter().copied().filter(|axis| draft.size[axis.index()] > 1).collect();
    if long.is_empty() || !long.iter().any(|axis| taken.contains(axis)) {
        return draft;
    }
    let named: Vec<Axis> = [Axis::T, Axis::C, Axis::Z]
        .into_iter()
        .filter(|axis| !long.contains(axis) && draft.size[axis.index()] > 1)
        .collect();
    let free = [Axis::T, Axis::Z, Axis::C].into_iter().filter(|axis| !taken.contains(axis) && !named.contains(axis));
    let free: Vec<Axis> = free.take(long.len()).collect();
    if free.len() < long.len() {
        return draft; // within the axis that the name has
    }
    let new = |axis: Axis| long.iter().position(|&old| old == axis).map_or(axis, |n| free[n]);
    let old_size = draft.size;
    let mut size = [1; 3];
    for axis in [Axis::T, Axis::C, Axis::Z].into_iter().filter(|axis| old_size[axis.index()] > 1) {
        size[new(axis).index()] = old_size[axis.index()];
    }
    let reorder = |planes: &[PlaneRef]| -> Vec<PlaneRef> {
        let mut out = planes.to_vec();
        for (number, &plane) in planes.iter().enumerate() {
            let old = split(number, old_size);
            let mut at = [0; 3];
            for axis in [Axis::T, Axis::C, Axis::Z].into_iter().filter(|axis| old_size[axis.index()] > 1) {
                at[new(axis).index()] = old[axis.index()];
            }
            out[flat(at, size)] = plane;
        }
        out
    };
    draft.planes = reorder(&draft.planes);
    draft.levels = draft.levels.iter().map(|level| reorder(level)).collect();
    draft.channels.resize_with(size[1] as usize, Channel::default);
    draft.page_order = [Axis::Z, Axis::C, Axis::T];
    draft.size = size;
    draft
}

/// T, C, Z of a plane by its number.
fn split(number: usize, size: [u64; 3]) -> [u64; 3] {
    let number = number as u64;
    [number / (size[1] * size[2]), number / size[2] % size[1], number % size[2]]
}

fn flat([t, c, z]: [u64; 3], size: [u64; 3]) -> usize {
    ((t * size[1] + c) * size[2] + z) as usize
}

/// Refuses files of a scene that differ in shape or type, naming two of them.
fn check(set: &Set, found: &[Found], places: &[Option<usize>], members: &[Option<Draft>]) -> Result<(), ReadError> {
    let layout = |draft: &Draft| draft.planes.iter().find_map(|&plane| set.layout(plane));
    let mut first: Option<(usize, &Draft, Option<&Layout>)> = None;
    for (file, draft) in places.iter().zip(members) {
        let (Some(file), Some(draft)) = (*file, draft) else { continue };
        let Some((one, reference, known)) = first else {
            first = Some((file, draft, layout(draft)));
            continue;
        };
        if draft.size != reference.size {
            let text = |[t, c, z]: [u64; 3]| format!("{t} × {c} × {z} planes (T C Z)");
            let why = format!("one has {}, the other {}", text(reference.size), text(draft.size));
            return Err(mismatch(found, one, file, why));
        }
        let (Some(known), Some(own)) = (known, layout(draft)) else { continue };
        if !own.same_plane(known) {
            let text = |l: &Layout| match l.tags.samples {
                1 => format!("{} × {} pixels of {}", l.tags.height, l.tags.width, l.dtype),
                n => format!("{} × {} pixels of {n} samples of {}", l.tags.height, l.tags.width, l.dtype),
            };
            return Err(mismatch(found, one, file, format!("one has {}, the other {}", text(known), text(own))));
        }
    }
    Ok(())
}

/// One scene of those of its files.
fn one(set: &Set, grid: &Grid, absent: &[PlaneRef], mut members: Vec<Option<Draft>>) -> Result<Draft, ReadError> {
    let outer = grid.size();
    let first = members.iter_mut().flatten().next();
    let mut draft = first.map_or_else(hollow, |first| {
        let (size, planes, levels) = (first.size, first.planes.clone(), first.levels.clone());
        std::mem::replace(first, Draft { levels, ..Draft::new(size, planes) })
    });
    let inner = draft.size;
    let size = [0, 1, 2].map(|n| outer[n].saturating_mul(inner[n]));
    let count = size.iter().try_fold(1u64, |p, &n| p.checked_mul(n)).unwrap_or(u64::MAX);
    if count > set.limits.pages {
        let (path, limit) = (set.path().to_owned(), set.limits.pages);
        let what = "number of planes of all files".to_owned();
        return Err(ReadError::OverLimit { path, what, location: String::new(), found: count, limit });
    }
    let levels = members.iter().flatten().map(|draft| draft.levels.len()).min().unwrap_or(0);
    let join = |level: Option<usize>| {
        let mut out = vec![absent[0]; count as usize];
        for (place, member) in members.iter().enumerate() {
            let at = split(place, outer);
            let own = member.as_ref().map(|draft| level.map_or(&draft.planes, |level| &draft.levels[level]));
            for n in 0..(inner[0] * inner[1] * inner[2]) as usize {
                let within = split(n, inner);
                let plane = [0, 1, 2].map(|axis| at[axis] * inner[axis] + within[axis]);
                out[flat(plane, size)] = own.map_or(absent[place], |own| own[n]);
            }
        }
        out
    };
    draft.planes = join(None);
    draft.levels = (0..levels).map(|level| join(Some(level))).collect();
    draft.size = size;
    draft.channels = channels(grid, &draft.channels, inner[1]);
    Ok(draft)
}

/// The channels by the names of files, each with those that the first file names.
fn channels(grid: &Grid, own: &[Channel], inner: u64) -> Vec<Channel> {
    let outer = &grid.axes[1];
    let mut all = Vec::new();
    for value in outer {
        for n in 0..inner as usize {
            let own = own.get(n).cloned().unwrap_or_default();
            let name = match (grid.names_channels, inner, own.name.as_str()) {
                (false, ..) => own.name.clone(),
                (true, 1, _) => value.clone(),
                (true, _, "") => format!("{value} {n}"),
                (true, _, name) => format!("{value} {name}"),
            };
            let color = own.color.filter(|_| outer.len() == 1);
            all.push(Channel { name, color, window: own.window });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_without_a_name_move_where_the_pattern_leaves_room() {
        let planes: Vec<PlaneRef> = (0..6).map(|n| PlaneRef::new(0, n)).collect();
        let guessed = || Draft { guessed: vec![Axis::T, Axis::Z], ..Draft::new([2, 1, 3], planes.clone()) };
        let moved = settle(guessed(), &[Axis::T]);
        assert_eq!(moved.size, [1, 3, 2]);
        let pages: Vec<u32> = moved.planes.iter().map(|plane| plane.page()).collect();
        assert_eq!(pages, [0, 3, 1, 4, 2, 5]);
        assert_eq!(settle(guessed(), &[Axis::C]).size, [2, 1, 3]);
    }
}

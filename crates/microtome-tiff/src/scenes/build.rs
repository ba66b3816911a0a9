//! From a draft to a scene: one shape and type for all planes, levels, and how the pixels are stored.

use std::sync::Arc;

use microtome_array::{Axis, PerAxis, PixelType, Shape};
use microtome_io::{LevelInfo, ReadError, SceneInfo, SceneKind, StorageInfo, StorageKind};

use sha2::{Digest, Sha256};

use super::Draft;
use crate::fetch::scratch;
use crate::page::Layout;
use crate::set::{PlaneRef, Set};

/// Where the planes of a scene lie, level by level.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) levels: Vec<Level>,
}

/// Where the planes of a level lie.
#[derive(Debug)]
pub(crate) struct Level {
    /// The planes in the order T, C, Z; shared by levels in SubIFDs.
    planes: Arc<[PlaneRef]>,
    /// The SubIFD of each plane that holds this level.
    sub: Option<u32>,
    /// Most scratch bytes a read takes.
    pub(crate) scratch: u64,
    /// Whether full-width reads of all planes take no scratch.
    pub(crate) direct: bool,
}

impl Level {
    /// The page of a plane.
    pub(crate) fn page(&self, set: &Set, plane: usize) -> PlaneRef {
        resolve(set, self.planes[plane], self.sub)
    }

    /// Adds which page each plane is to a hash.
    pub(crate) fn hash(&self, hash: &mut Sha256) {
        for plane in self.planes.iter() {
            hash.update([plane.file(), plane.page()].map(u32::to_le_bytes).concat());
        }
    }
}

/// The page itself, or its SubIFD.
fn resolve(set: &Set, plane: PlaneRef, sub: Option<u32>) -> PlaneRef {
    let Some(n) = sub.filter(|_| !plane.is_absent()) else { return plane };
    let index = &set.files[plane.file() as usize].index;
    index.sub(plane.page(), n).map_or(plane, |page| PlaneRef::new(plane.file(), page))
}

/// Makes a scene of a draft; `None`, with a warning, if nothing in it can be described.
pub(crate) fn build(set: &mut Set, mut draft: Draft, index: usize) -> Result<Option<(SceneInfo, Scene)>, ReadError> {
    let Some(reference) = draft.planes.iter().copied().find(|&p| set.layout(p).is_some()) else {
        return absent(set, draft, index);
    };
    unify(set, &mut draft.planes, reference);
    let [t, c, z] = draft.size;
    let layout = set.layout(reference).ok_or_else(|| unreachable_layout(set))?;
    let (dtype, doubtful, palette) = (layout.dtype, layout.has_doubtful_order(), layout.palette());
    let shape = shape(set, [t, c, z], layout)?;
    let planes: Arc<[PlaneRef]> = draft.planes.into();
    let mut levels = vec![level_info(shape, shape, layout)];
    let mut places = vec![level(set, Arc::clone(&planes), None)];
    for pages in draft.levels {
        let Some(layout) = pages.iter().find_map(|&p| set.layout(p)) else { continue };
        levels.push(level_info(self::shape(set, [t, c, z], layout)?, shape, layout));
        places.push(level(set, pages.into(), None));
    }
    for n in 0.. {
        let Some(layout) = sub_layout(set, &planes, reference, n) else { break };
        let smaller = levels.last().is_none_or(|l| shrinks(&l.shape, layout));
        if layout.dtype != dtype || layout.tags.samples != shape.get(Axis::S) || !smaller {
            set.warn(format!("SubIFDs from {n} on of scene {index} are no smaller levels of it; they are left out"));
            break;
        }
        levels.push(level_info(self::shape(set, [t, c, z], layout)?, shape, layout));
        places.push(level(set, Arc::clone(&planes), Some(n)));
    }
    if doubtful {
        set.warn(format!(
            "samples of 24 bits of scene {index} are read with the most significant byte first, as tifffile reads them; \
             libtiff reads them in the byte order of the file, which is the other one"
        ));
    }
    draft.channels.resize_with(c as usize, Default::default);
    let info = SceneInfo {
        index,
        id: draft.id,
        name: draft.name,
        kind: SceneKind::Image,
        dtype,
        channels: draft.channels,
        pixel_size: draft.pixel_size.stated(),
        time_increment: draft.time_increment,
        well: draft.well,
        position: draft.position,
        objective: draft.objective,
        stage: draft.stage,
        levels,
        page_order: draft.page_order,
        palette,
    };
    Ok(Some((info, Scene { levels: places })))
}

/// A scene all of whose planes lie in files that are missing: described by its metadata, not readable.
fn absent(set: &mut Set, draft: Draft, index: usize) -> Result<Option<(SceneInfo, Scene)>, ReadError> {
    let Some(([y, x], dtype)) = draft.fallback else {
        set.warn(format!("a scene {:?} has no page that is understood; it is left out", draft.name));
        return Ok(None);
    };
    let [t, c, z] = draft.size;
    let shape = new_shape(set, [t, c, z, y, x, 1])?;
    let tile = new_shape(set, [1, 1, 1, y, x, 1])?;
    let kind = StorageKind::Strips;
    let storage = StorageInfo { kind, tile, shard: None, granule: tile, codec: "unknown".to_owned() };
    let info = SceneInfo {
        index,
        id: draft.id,
        name: draft.name,
        kind: SceneKind::Image,
        dtype,
        channels: draft.channels,
        pixel_size: draft.pixel_size.stated(),
        time_increment: draft.time_increment,
        well: draft.well,
        position: draft.position,
        objective: draft.objective,
        stage: draft.stage,
        levels: vec![LevelInfo { shape, downsample: [1.0; 6], origin: [0.0; 6], storage }],
        page_order: draft.page_order,
        palette: Vec::new(),
    };
    let level = Level { planes: draft.planes.into(), sub: None, scratch: 0, direct: true };
    Ok(Some((info, Scene { levels: vec![level] })))
}

/// Marks planes that do not have the shape and type of the first one as absent.
fn unify(set: &mut Set, planes: &mut [PlaneRef], reference: PlaneRef) {
    let differs = |set: &Set, plane: PlaneRef| -> Option<String> {
        let file = &set.files[plane.file() as usize];
        let own = match file.index.kind(plane.page()) {
            Ok(layout) => layout,
            Err(why) => return Some(format!("page {} is not understood: {why}", plane.page())),
        };
        let first = set.layout(reference)?;
        let text = |l: &Layout| format!("{} × {} × {} {}", l.tags.height, l.tags.width, l.tags.samples, l.dtype);
        let fits = own.same_plane(first);
        (!fits).then(|| format!("page {} is {}, not {} as the others", plane.page(), text(own), text(first)))
    };
    // Pages share layouts, so that few of them need a closer look.
    let number = |set: &Set, p: PlaneRef| (p.file(), set.files[p.file() as usize].index.layout_number(p.page()));
    let mut good = number(set, reference);
    let mut first_bad = true;
    for plane in planes.iter_mut().filter(|p| !p.is_absent()) {
        let own = number(set, *plane);
        if own == good {
            continue;
        }
        let Some(why) = differs(set, *plane) else {
            good = own;
            continue;
        };
        if std::mem::take(&mut first_bad) {
            set.warn(format!("{why}; reading such planes is an error"));
        }
        *plane = set.reason(why);
    }
}

/// The layout of SubIFD `n`, if every plane has one alike.
fn sub_layout<'a>(set: &'a Set, planes: &[PlaneRef], reference: PlaneRef, n: u32) -> Option<&'a Layout> {
    let sub = |plane: PlaneRef| {
        let index = &set.files[plane.file() as usize].index;
        index.sub(plane.page(), n).and_then(|page| index.layout(page))
    };
    let first = sub(reference)?;
    let alike = |&plane: &PlaneRef| plane.is_absent() || sub(plane).is_some_and(|l| l.same_plane(first));
    planes.iter().all(alike).then_some(first)
}

/// Whether a page is smaller than a level along Y or X, and larger along neither.
fn shrinks(level: &Shape, layout: &Layout) -> bool {
    let (y, x) = (level.get(Axis::Y), level.get(Axis::X));
    let (height, width) = (layout.tags.height, layout.tags.width);
    height <= y && width <= x && (height < y || width < x)
}

fn level(set: &Set, planes: Arc<[PlaneRef]>, sub: Option<u32>) -> Level {
    let (mut most, mut direct) = (0, true);
    let mut last = None;
    for &plane in planes.iter().filter(|p| !p.is_absent()) {
        let page = resolve(set, plane, sub);
        let number = (page.file(), set.files[page.file() as usize].index.layout_number(page.page()));
        if last == Some(number) {
            continue;
        }
        last = Some(number);
        if let Some(layout) = set.layout(page) {
            most = most.max(scratch(layout));
            direct &= layout.is_raw() && layout.sample_planes == 1 && layout.across == 1;
        }
    }
    Level { planes, sub, scratch: most, direct }
}

fn shape(set: &Set, [t, c, z]: [u64; 3], layout: &Layout) -> Result<Shape, ReadError> {
    new_shape(set, [t, c, z, layout.tags.height, layout.tags.width, layout.tags.samples])
}

fn new_shape(set: &Set, extents: [u64; 6]) -> Result<Shape, ReadError> {
    Shape::new(extents).map_err(|source| ReadError::Array { path: set.path().to_owned(), source })
}

fn unreachable_layout(set: &Set) -> ReadError {
    let why = "none of its pages is understood".to_owned();
    ReadError::NotAnImage { path: set.path().to_owned(), why }
}

fn level_info(shape: Shape, full: Shape, layout: &Layout) -> LevelInfo {
    let tile = [1, 1, 1, layout.tile_height, layout.tile_width, layout.samples_together];
    let tile = Shape::new(tile).unwrap_or(shape);
    let granule = if layout.is_raw() { tile.with(Axis::Y, 1).unwrap_or(tile) } else { tile };
    let kind = if layout.is_tiled() { StorageKind::Tiles } else { StorageKind::Strips };
    let storage = StorageInfo { kind, tile, shard: None, granule, codec: layout.codec_name() };
    let downsample = PerAxis::from_fn(|axis| factor(full.get(axis), shape.get(axis))).0;
    LevelInfo { shape, downsample, origin: [0.0; 6], storage }
}

/// How many pixels of `full` one of `small` covers: a whole number where rounding explains the rest.
fn factor(full: u64, small: u64) -> f64 {
    let ratio = full as f64 / small.max(1) as f64;
    let whole = (ratio.round() as u64).max(1);
    let rounds = full / whole == small || full.div_ceil(whole) == small;
    if rounds { whole as f64 } else { ratio }
}

/// Whether pixels of this type can be a level of a scene of that type.
pub(super) fn can_be_level(full: &Layout, last: &Layout, page: &Layout) -> bool {
    let same = full.dtype == page.dtype && full.tags.samples == page.tags.samples;
    let smaller = page.tags.width < last.tags.width && page.tags.height < last.tags.height;
    // Both axes shrink by the same factor, where each size may have been rounded by a pixel, and by one per cent more.
    let factors = |full: u64, size: u64| {
        let (full, size) = (full as f64, size as f64);
        (full / (size + 1.0) * 0.99, full / (size - 1.0).max(0.01) * 1.01)
    };
    let (x, y) = (factors(full.tags.width, page.tags.width), factors(full.tags.height, page.tags.height));
    same && smaller && x.0 <= y.1 && y.0 <= x.1
}

/// The pixel type a scene without pages would have.
pub(super) fn fallback(size: [u64; 2], dtype: Option<PixelType>) -> Option<([u64; 2], PixelType)> {
    dtype.map(|dtype| (size, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_whole_where_rounding_explains_the_rest() {
        assert_eq!(factor(1001, 500), 2.0);
        assert_eq!(factor(1001, 501), 2.0);
        assert_eq!(factor(1000, 1000), 1.0);
        assert_eq!(factor(1000, 300), 10.0 / 3.0);
    }
}

//! What a computed array is called: names and sizes that follow the pixels through the operations.

use microtome_array::{Axis, ChunkDims, PerAxis, PixelType, Shape};
use microtome_graph::LazyArray;
use microtome_io::{Channel, LevelInfo, PixelSize, Position, SceneInfo, SceneKind, StorageInfo, StorageKind};
use microtome_zarr::OmeXml;

const WHOLE_PLANE: u64 = 64 << 20;
const PART_OF_PLANE: u64 = 16 << 20;

/// Planes, or parts of planes where these are too large to hold several.
pub(crate) fn default_chunks(level: &LevelInfo, dtype: PixelType) -> ChunkDims {
    let value = dtype.size() as u64;
    let plane = level.shape.get(Axis::Y) * level.shape.get(Axis::X) * level.shape.get(Axis::S) * value;
    if plane <= WHOLE_PLANE {
        return ChunkDims::default();
    }
    let mut extents = PerAxis::splat(1).with(Axis::S, level.shape.get(Axis::S));
    extents[Axis::X] = level.storage.tile.get(Axis::X);
    extents[Axis::Y] = level.storage.tile.get(Axis::Y);
    for axis in [Axis::X, Axis::Y] {
        let bytes = extents.0.iter().product::<u64>() * value;
        extents[axis] = (extents[axis] * (PART_OF_PLANE / bytes.max(1)).max(1)).min(level.shape.get(axis));
    }
    Shape::new(extents.0).map_or_else(|_| ChunkDims::default(), ChunkDims::Shape)
}

/// The description of a computed array, from the scene it was made of: channels and sizes of the axes that are still
/// there. `None` if it was not read from one scene.
pub fn describe(array: &LazyArray) -> Option<SceneInfo> {
    let (reader, at, _) = array.reader()?;
    let (scene, level) = reader.level(at).ok()?;
    let keeps = |axis: Axis| array.offset(axis).is_some();
    let scale =
        |size: Option<f64>, axis: Axis| size.filter(|_| keeps(axis)).map(|s| s * level.downsample[axis.index()]);
    let size = &scene.pixel_size;
    let pixel_size = PixelSize {
        z: scale(size.z, Axis::Z),
        y: scale(size.y, Axis::Y),
        x: scale(size.x, Axis::X),
        unit: size.unit.clone(),
    };
    let shape = array.shape();
    let tile = array.grid().chunk();
    let storage = StorageInfo { kind: StorageKind::Memory, tile, shard: None, granule: tile, codec: "none".to_owned() };
    Some(SceneInfo {
        index: 0,
        id: String::new(),
        name: scene.name.clone(),
        kind: if array.dtype() == scene.dtype { scene.kind } else { SceneKind::Image },
        dtype: array.dtype(),
        channels: channels(array, scene),
        pixel_size,
        time_increment: scene.time_increment.clone().filter(|_| keeps(Axis::T)),
        well: scene.well.clone(),
        position: position(array, scene, level),
        objective: scene.objective.clone(),
        stage: scene.stage.clone(),
        levels: vec![LevelInfo { shape, downsample: [1.0; 6], origin: [0.0; 6], storage }],
        page_order: scene.page_order,
        palette: Vec::new(), // what is computed of indices is no index
    })
}

/// Where the array's first pixel lies: further than the image's by what was cut off before it and by where its level lies.
/// Along an axis that was folded away it lies nowhere.
fn position(array: &LazyArray, scene: &SceneInfo, level: &LevelInfo) -> Position {
    let Position { t, z, y, x } = scene.position;
    let size = &scene.pixel_size;
    let along = |axis: Axis, start: f64, size: Option<f64>| {
        let (origin, factor) = (level.origin[axis.index()], level.downsample[axis.index()]);
        let pixels = array.offset(axis).map(|cut| origin + cut as f64 * factor);
        // Where no size is known, it counts pixels of the array.
        pixels.map_or(0.0, |pixels| size.map_or_else(|| (start + pixels) / factor, |size| start + pixels * size))
    };
    let time = scene.time_increment.as_ref().map(|increment| increment.value);
    Position {
        t: along(Axis::T, t, time),
        z: along(Axis::Z, z, size.z),
        y: along(Axis::Y, y, size.y),
        x: along(Axis::X, x, size.x),
    }
}

/// The OME-XML of the image that an array is read from. It describes the array, too, if that has all pixels of its only
/// scene.
pub(crate) fn ome_xml(array: &LazyArray) -> Option<OmeXml> {
    let (reader, at, _) = array.reader()?;
    let info = reader.info();
    let text = info.ome_xml.clone()?;
    let same = info.scenes.first().is_some_and(|s| s.shape() == array.shape() && s.dtype == array.dtype());
    Some(OmeXml { text, describes_output: same && info.scenes.len() == 1 && at.level == 0 })
}

/// The channels that are left, or one without a name where they were projected into one.
fn channels(array: &LazyArray, scene: &SceneInfo) -> Vec<Channel> {
    let count = array.shape().get(Axis::C) as usize;
    let Some(offset) = array.offset(Axis::C) else { return vec![Channel::default(); count] };
    let same_values = array.dtype() == scene.dtype;
    let kept = |n: usize| {
        let channel = scene.channels.get(offset as usize + n).cloned().unwrap_or_default();
        Channel { window: channel.window.filter(|_| same_values), ..channel }
    };
    (0..count).map(kept).collect()
}

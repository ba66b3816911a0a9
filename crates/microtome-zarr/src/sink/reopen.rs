//! Reading a stored level back while its output is unfinished, in the axes in which it was written.
//!
//! *Invariant:* the level is read as any Zarr array is, from its document and its files; samples, which are stored as
//! channels, become samples again.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, PixelsMut, Region, Shape};
use microtome_io::{
    ImageInfo, Limits, Place, ReadContext, ReadCount, ReadError, Reader, SceneInfo, SourceSpec, StorageInfo,
};

use super::level::ZarrLevel;
use crate::reader::{ZarrReader, open};
use crate::strided::{Block, c_strides};

/// Opens a level of an output that is being written.
pub(super) fn reopen(level: &ZarrLevel) -> Result<Arc<dyn Reader>, ReadError> {
    let folder = level.readable().map_err(|_| ReadError::NotFound { path: level.name().into() })?;
    let reader = open(&folder, &Limits::default())?;
    let samples = level.spec.array.shape.get(Axis::S);
    if samples == 1 {
        return Ok(Arc::new(reader));
    }
    let info = unfolded_info(reader.info(), &level.spec.array);
    Ok(Arc::new(Unfolded { reader, info, samples }))
}

/// A level whose channels are `C × S`, as C channels of S samples.
#[derive(Debug)]
struct Unfolded {
    reader: ZarrReader,
    info: ImageInfo,
    samples: u64,
}

fn unfolded_info(stored: &ImageInfo, array: &ArraySpec) -> ImageInfo {
    let samples = array.shape.get(Axis::S);
    let unfold = |shape: &Shape| {
        let [t, c, z, y, x, _] = shape.extents();
        Shape::new([t, (c / samples).max(1), z, y, x, samples]).unwrap_or(*shape)
    };
    let scene = |scene: &SceneInfo| {
        let mut scene = scene.clone();
        for level in &mut scene.levels {
            let StorageInfo { tile, shard, granule, .. } = &mut level.storage;
            (*tile, *granule) = (unfold(tile), unfold(granule));
            *shard = shard.as_ref().map(unfold);
            level.shape = array.shape;
        }
        scene.channels.truncate(array.shape.get(Axis::C) as usize);
        scene
    };
    ImageInfo { scenes: stored.scenes.iter().map(scene).collect(), ..stored.clone() }
}

impl Unfolded {
    /// The stored region that holds a region of pixels with samples.
    fn folded(&self, region: &Region) -> Region {
        let (start, end) = (region.start(Axis::C), region.end(Axis::C));
        region.with(Axis::S, 0, 1).with(Axis::C, start * self.samples, end * self.samples)
    }
}

impl Reader for Unfolded {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        self.reader.source()
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        let (scene, level) = self.level(at)?;
        let array = |source| ReadError::Array { path: self.info.path.clone(), source };
        region.check_inside(&level.shape).map_err(array)?;
        if region.len(Axis::S) != self.samples || out.shape() != region.shape() {
            let (expected, found) = (region.shape().bytes(scene.dtype), out.spec().bytes());
            return Err(array(microtome_array::ArrayError::Length { expected, found }));
        }
        let stored = ArraySpec { shape: self.folded(region).shape(), dtype: scene.dtype };
        let mut scratch = context.pool.take(stored.bytes() as usize);
        let mut pixels = PixelsMut::new(stored, scratch.bytes_mut()).map_err(array)?;
        let count = self.reader.read(at, &self.folded(region), &mut pixels, context)?;
        samples_last(region, scene.dtype.size()).copy(scratch.bytes(), out.bytes());
        Ok(count)
    }

    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        let Ok((scene, _)) = self.level(at) else { return 0 };
        let whole = BufferPool::charged(region.shape().bytes(scene.dtype));
        whole + self.reader.scratch_bytes(at, &self.folded(region))
    }
}

/// The copy from T, C and S as one, Z, Y, X to T, C, Z, Y, X, S.
fn samples_last(region: &Region, element: usize) -> Block {
    let counts = PerAxis(region.shape().dims());
    let mut step = element;
    let mut from = PerAxis::splat(0);
    for axis in [Axis::X, Axis::Y, Axis::Z, Axis::S, Axis::C, Axis::T] {
        from[axis] = step;
        step *= counts[axis];
    }
    Block { counts, from, to: c_strides(&counts, element), from_at: 0, to_at: 0, element }
}

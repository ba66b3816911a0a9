//! A part of a source to measure on: stored tiles of it, read by as many threads as a run would.
//!
//! *Invariant:* what is read is bounded by bytes, but for a single stored tile, which cannot be parted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use microtome_array::{ArraySpec, Axis, BufferPool, ChunkDims, PerAxis, Pixels, Region, Shape};
use microtome_graph::{GraphError, LayerKind, LazyArray, Rate, Selection};
use microtome_io::{MemoryReader, Place, ReadContext, ReadError, Reader, read_region};
use microtome_ops::Body;

/// Where in an image pixels are read.
#[derive(Debug)]
pub(super) struct Sample {
    reader: Arc<dyn Reader>,
    at: Place,
    /// In pixels of the level.
    region: Region,
    chunk: Shape,
    granule: Shape,
}

impl Sample {
    /// About so many bytes of the source of an array, beginning at a part (0 to 1) of what could be chosen; `None` if it has
    /// not one source. Axes that are folded stay longest.
    pub(super) fn of(array: &LazyArray, bytes: u64, place: f64) -> Option<Sample> {
        let (reader, at, origin) = array.reader()?;
        let chain = array.chain();
        let source = chain.first()?;
        let stage = array.stage();
        let is_folded = |axis: Axis| {
            stage.layers().iter().any(|layer| match &layer.layer.kind {
                LayerKind::Op(op) => matches!(op.body(), Body::Fold(fold) if fold.axis() == axis),
                _ => false,
            })
        };
        let (_, level) = reader.level(at).ok()?;
        let granule = level.storage.granule;
        let mut order = vec![Axis::T, Axis::C, Axis::Z];
        order.sort_by_key(|&axis| is_folded(axis));
        order.extend([Axis::Y, Axis::X]);
        let region = part(&source.spec(), &granule, &order, (bytes, place)).shifted(&origin);
        let chunk = source.grid().chunk();
        Some(Sample { reader, at, region, chunk, granule })
    }

    /// Bytes of its pixels.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.level(self.at).map_or(0, |(scene, _)| self.region.shape().bytes(scene.dtype))
    }

    /// Reads it on so many threads and forgets it: what a byte takes that is decoded.
    pub(super) fn read(&self, threads: usize) -> Result<Rate, ReadError> {
        let boxes = self.boxes(threads as u64);
        let dtype = self.reader.level(self.at)?.0.dtype;
        let pool = BufferPool::new(u64::MAX);
        let (next, decoded) = (AtomicUsize::new(0), AtomicU64::new(0));
        let failed: Mutex<Option<ReadError>> = Mutex::new(None);
        let work = || {
            while let Some(region) = boxes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut pixels = Pixels::from_pool(ArraySpec { shape: region.shape(), dtype }, &pool);
                match self.reader.read(self.at, region, &mut pixels.as_mut(), &ReadContext { pool: &pool }) {
                    Ok(count) => drop(decoded.fetch_add(count.decoded, Ordering::Relaxed)),
                    Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
                }
            }
        };
        let threads = threads.clamp(1, boxes.len().max(1));
        let start = Instant::now();
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let seconds = start.elapsed().as_secs_f64();
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let measured = decoded.into_inner();
        Ok(Rate { seconds: seconds / measured.max(1) as f64, at_once: threads as u64, measured })
    }

    /// Planes of it, or bands of a plane where there are fewer planes than threads.
    fn boxes(&self, threads: u64) -> Vec<Region> {
        let shape = self.region.shape();
        let planes: u64 = [Axis::T, Axis::C, Axis::Z].iter().map(|&axis| shape.get(axis)).product();
        let step = self.granule.get(Axis::Y).max(1);
        let bands = threads.div_ceil(planes.max(1)).max(1);
        let height = shape.get(Axis::Y).div_ceil(bands).next_multiple_of(step).max(1);
        let mut boxes = vec![self.region];
        for (axis, extent) in [(Axis::T, 1), (Axis::C, 1), (Axis::Z, 1), (Axis::Y, height)] {
            let cut = |region: Region| {
                let (start, end) = (region.start(axis), region.end(axis));
                (start..end).step_by(extent as usize).map(move |at| region.with(axis, at, end.min(at + extent)))
            };
            boxes = boxes.into_iter().flat_map(cut).collect();
        }
        boxes
    }

    /// Its pixels as an image in memory.
    pub(super) fn in_memory(&self) -> Result<LazyArray, GraphError> {
        let pixels = read_region(self.reader.as_ref(), self.at, &self.region)?;
        memory(pixels, &self.chunk)
    }
}

/// Pixels as an image.
pub(super) fn memory(pixels: Pixels, chunk: &Shape) -> Result<LazyArray, GraphError> {
    let shape = pixels.spec().shape;
    let dims = ChunkDims::Shape(chunk.cut_to(&shape));
    LazyArray::source(Arc::new(MemoryReader::new(pixels)), &Selection::default(), &dims)
}

/// A part of an array of at most so many bytes, of whole granules: the axes are cut in the given order.
fn part(spec: &ArraySpec, granule: &Shape, order: &[Axis], (bytes, place): (u64, f64)) -> Region {
    let whole = |axis: Axis| spec.shape.get(axis).max(1);
    let mut extents = PerAxis::from_fn(whole);
    for &axis in order {
        let all: u64 = extents.0.iter().product::<u64>().saturating_mul(spec.dtype.size() as u64);
        if all <= bytes {
            break;
        }
        let step = granule.get(axis).clamp(1, whole(axis));
        let fits = (u128::from(extents[axis]) * u128::from(bytes) / u128::from(all)) as u64;
        extents[axis] = (fits / step * step).max(step);
    }
    order.iter().fold(spec.shape.region(), |region, &axis| {
        let step = granule.get(axis).clamp(1, whole(axis));
        let room = whole(axis) - extents[axis];
        let start = (room as f64 * place) as u64 / step * step;
        region.with(axis, start, start + extents[axis])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::PixelType;
    use proptest::prelude::*;

    fn extent() -> impl Strategy<Value = u64> {
        prop_oneof![Just(1u64), 1u64..40, 100u64..5000]
    }

    proptest! {
        #[test]
        fn a_part_lies_inside_and_is_no_larger_than_allowed_but_for_one_tile(
            t in extent(), c in 1u64..5, z in extent(), y in extent(), x in extent(),
            tile in (1u64..600, 1u64..600), bytes in 1u64..1 << 24, place in 0.0f64..=1.0,
        ) {
            let spec = ArraySpec { shape: Shape::new([t, c, z, y, x, 1]).unwrap(), dtype: PixelType::U16 };
            let granule = Shape::new([1, 1, 1, tile.0, tile.1, 1]).unwrap();
            let order = [Axis::T, Axis::C, Axis::Z, Axis::Y, Axis::X];
            let found = part(&spec, &granule, &order, (bytes, place));
            prop_assert!(found.check_inside(&spec.shape).is_ok() && !found.is_empty());
            let one_tile = 2 * tile.0.min(y) * tile.1.min(x);
            prop_assert!(found.shape().bytes(spec.dtype) <= bytes.max(one_tile), "{found:?}");
        }
    }
}

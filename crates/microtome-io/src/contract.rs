//! What every [`Reader`] and every [`Output`](crate::Output) keeps, as tests that each format runs on its own images.

mod output;

use microtome_array::{ArraySpec, Axis, BufferPool, ChunkGrid, PerAxis, Pixels, Region, copy_region};

pub use output::output;

use crate::{Place, ReadContext, ReadError, Reader, read_region};

/// Checks that reading regions of an image agrees with reading all of it, that counts are sane, that errors are typed.
///
/// `seed` picks the regions. Meant for images up to some megabytes.
///
/// # Panics
/// If the reader breaks the contract: the message says how.
pub fn reader(reader: &dyn Reader, seed: u64) {
    let info = reader.info();
    assert!(!info.scenes.is_empty(), "{}: an opened image has a scene", info.path.display());
    for (scene_index, scene) in info.scenes.iter().enumerate() {
        assert_eq!(scene.index, scene_index, "scenes are numbered in order");
        for level in 0..scene.levels.len() {
            check_level(reader, Place { scene: scene_index, level }, seed);
        }
    }
    let place = Place { scene: info.scenes.len(), level: 0 };
    let region = info.scenes[0].shape().region();
    assert!(matches!(read_region(reader, place, &region), Err(ReadError::NoSuchPlace { .. })));
}

fn check_level(reader: &dyn Reader, at: Place, seed: u64) {
    let (scene, level) = reader.level(at).expect("the level exists");
    let shape = level.shape;
    for axis in Axis::ALL {
        let (tile, granule) = (level.storage.tile.get(axis), level.storage.granule.get(axis));
        assert!(granule >= 1 && tile >= 1, "tile and granule are not empty on {axis}");
    }
    let whole = read_region(reader, at, &shape.region()).expect("the whole level reads");
    let granules = ChunkGrid::new(shape, level.storage.granule).expect("a granule is not empty");
    let mut state = seed | 1;
    for _ in 0..12 {
        let region = random_region(&shape, &mut state);
        let spec = ArraySpec { shape: region.shape(), dtype: scene.dtype };
        let mut got = Pixels::zeroed(spec);
        got.as_mut().bytes().fill(0xa5); // a reader that leaves holes is caught
        let pool = BufferPool::new(1 << 20);
        let count = reader.read(at, &region, &mut got.as_mut(), &ReadContext { pool: &pool }).expect("a region reads");
        let mut expected = Pixels::zeroed(spec);
        let zero = PerAxis::splat(0);
        copy_region(whole.as_ref(), &zero, &mut expected.as_mut(), &region.origin(), &region).expect("inside");
        let same = got.as_ref().bytes() == expected.as_ref().bytes();
        assert!(same, "{at:?} {region} equals the same part of the whole");
        let touched = granules.box_region(&granules.covering(&region)).shape().bytes(scene.dtype);
        assert_eq!(count.decoded, touched, "{region}: what is counted is what a plan counts");
        let (stats, scratch) = (pool.stats(), reader.scratch_bytes(at, &region));
        assert_eq!(stats.lent, 0, "scratch buffers go back");
        assert!(stats.peak_lent <= scratch, "{region}: {} bytes of scratch, {scratch} announced", stats.peak_lent);
    }
    let outside = shape.region().shifted(&PerAxis::splat(0).with(Axis::Y, 1));
    assert!(read_region(reader, at, &outside).is_err(), "a region past the edge is refused");
}

/// A box inside `shape`, whole along S.
fn random_region(shape: &microtome_array::Shape, state: &mut u64) -> Region {
    let mut next = |below: u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below.max(1)
    };
    Axis::ALL.into_iter().filter(|&a| a != Axis::S).fold(shape.region(), |region, axis| {
        let extent = shape.get(axis);
        let start = next(extent);
        region.with(axis, start, start + 1 + next(extent - start))
    })
}

#[cfg(test)]
mod tests {
    use crate::{MemoryReader, MemorySink, SyntheticReader};
    use microtome_array::{ArraySpec, PixelType, Shape};

    #[test]
    fn an_output_in_memory_keeps_the_contract() {
        let array = ArraySpec { shape: Shape::new([2, 1, 3, 11, 13, 3]).unwrap(), dtype: PixelType::U16 };
        let unit = Shape::new([1, 1, 2, 8, 8, 3]).unwrap();
        super::output(|| MemorySink::new(array, unit).unwrap(), |sink, _| sink.pixels());
    }

    #[test]
    fn memory_and_synthetic_images_keep_the_contract() {
        for dtype in PixelType::ALL {
            let spec = ArraySpec { shape: Shape::new([2, 3, 4, 11, 13, 1]).unwrap(), dtype };
            let synthetic = SyntheticReader::new(spec);
            super::reader(&synthetic, 7);
            let pixels = crate::read_region(&synthetic, crate::Place::default(), &spec.shape.region()).unwrap();
            super::reader(&MemoryReader::new(pixels), 11);
        }
    }
}

//! Images some of whose tiles cannot be read.

use std::sync::atomic::{AtomicU32, Ordering};

use microtome::{
    ArraySpec, Axis, ChunkGrid, ImageInfo, PerAxis, PixelsMut, Place, ReadContext, ReadCount, ReadError, Reader,
    Region, Shape, SourceSpec, SyntheticReader,
};

use super::Case;

/// An image some of whose tiles cannot be read.
#[derive(Debug)]
pub struct Damaged {
    pub image: SyntheticReader,
    pub bad: Vec<Region>,
    /// Whether the system fails, and only at the first time.
    pub passing: Option<AtomicU32>,
}

impl Reader for Damaged {
    fn info(&self) -> &ImageInfo {
        self.image.info()
    }

    fn source(&self) -> SourceSpec {
        self.image.source()
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        let passes =
            |left: &AtomicU32| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        if self.passing.as_ref().is_some_and(passes) {
            let source = std::io::Error::from_raw_os_error(5);
            return Err(ReadError::Os { path: "damaged".into(), action: "read".to_owned(), source });
        }
        if self.bad.iter().any(|bad| !bad.intersect(region).is_empty()) {
            let what = "strip 4 at offset 1234".to_owned();
            let location = "page 7".to_owned();
            return Err(ReadError::Corrupt {
                path: "damaged".into(),
                what,
                location,
                why: "no zlib stream".to_owned(),
            });
        }
        self.image.read(at, region, out, context)
    }

    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        self.image.scratch_bytes(at, region)
    }
}

/// The image of a case with some bad tiles.
pub fn damaged(case: &Case, picks: &[u64]) -> Damaged {
    let shape = Shape::new(case.shape).unwrap();
    let tile = ChunkGrid::new(shape, Shape::new(case.tile).unwrap()).unwrap();
    let piece = PerAxis(tile.chunk().extents()).with(Axis::T, 1).with(Axis::C, 1).with(Axis::Z, 1);
    let pieces = ChunkGrid::new(shape, Shape::new(piece.0).unwrap()).unwrap();
    let bad = picks.iter().map(|pick| pieces.region(&pieces.index(pick % pieces.count())).unwrap()).collect();
    let spec = ArraySpec { shape, dtype: case.dtype };
    Damaged { image: SyntheticReader::new(spec).tiled(Shape::new(case.tile).unwrap()), bad, passing: None }
}

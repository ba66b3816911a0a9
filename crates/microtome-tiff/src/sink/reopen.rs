//! Reading a stored level back while its output is unfinished: the pages that it will have, made from what is known of its
//! tiles, read as those of any TIFF.

use std::sync::{Arc, OnceLock};

use microtome_array::Axis;
use microtome_io::{ImageInfo, Limits, ReadError, Reader};

use super::level::TiffLevel;
use crate::file::SourceFile;
use crate::index::PageIndex;
use crate::notes::PageNotes;
use crate::reader::TiffReader;
use crate::scenes::{Draft, build};
use crate::set::{PlaneRef, Set, TiffFile};
use crate::walk::FirstPage;

/// Opens a level of an output that is being written.
pub(super) fn reopen(level: &TiffLevel) -> Result<Arc<dyn Reader>, ReadError> {
    let path = level.part.path().ok_or_else(|| ReadError::NotFound { path: level.path() })?;
    let source = SourceFile::open(path)?;
    let (offsets, lengths) = level.part.tiles();
    let mut index = PageIndex::default();
    let per_plane = level.tiles_of_plane().max(1) as usize;
    for (offsets, lengths) in offsets.chunks(per_plane).zip(lengths.chunks(per_plane)) {
        index.push(&level.tags, offsets, lengths);
    }
    index.end_chain();
    index.shrink();
    let mut set = Set {
        files: vec![TiffFile { source, index }],
        companions: Vec::new(),
        missing: Vec::new(),
        absent: Vec::new(),
        warnings: Vec::new(),
        first: FirstPage::default(),
        notes: PageNotes::default(),
        told: Vec::new(),
        later: Vec::new(),
        limits: Limits::default(),
    };
    let shape = level.spec.array.shape;
    let size = [Axis::T, Axis::C, Axis::Z].map(|axis| shape.get(axis));
    let missing = || ReadError::NotFound { path: path.to_owned() };
    let planes: Vec<PlaneRef> = (0..size.iter().product()).map(|n: u64| PlaneRef::new(0, n as u32)).collect();
    if planes.len() as u32 != set.main().index.len() {
        return Err(missing());
    }
    let (mut scene, places) = build(&mut set, Draft::new(size, planes), 0)?.ok_or_else(missing)?;
    // What planning was told, also of raw tiles, of which rows could be read.
    scene.levels[0].storage.granule = level.spec.part;
    let info = ImageInfo { path: path.to_owned(), scenes: vec![scene], ..ImageInfo::default() };
    Ok(Arc::new(TiffReader { info, set, scenes: vec![places], digest: OnceLock::new() }))
}

//! A file: opened, and read.

use std::cell::RefCell;

use microtome_array::{Axis, Pixels, Region};
use microtome_io::{Place, Reader, read_region};
use microtome_tiff::TiffReader;
use tempfile::TempDir;

use crate::places;

/// Most bytes of a level that is read, and of all that is read of an input.
const MOST_LEVEL: u64 = 1 << 15;
const MOST_READ: u64 = 1 << 16;

thread_local! {
    /// The folder of the inputs, one after the other.
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Opens bytes as a file.
fn open(bytes: &[u8]) -> Option<TiffReader> {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(places::folder);
        let path = places::write(folder.path(), "input.tif", bytes);
        microtome_tiff::open(&path, &crate::limits()).ok()
    })
}

/// Reads the index of the pages of a file, and what it says of itself.
pub(crate) fn pages(bytes: &[u8]) {
    if let Some(reader) = open(bytes) {
        check(&reader);
    }
}

/// Opens a file and reads small levels of it: whole, and a part that must be a part of the whole.
pub(crate) fn open_and_read(bytes: &[u8]) {
    if let Some(reader) = open(bytes) {
        check(&reader);
        read(&reader);
    }
}

/// What holds for every description.
///
/// # Panics
/// If it does not.
pub(crate) fn check(reader: &TiffReader) {
    let info = reader.info();
    assert!(!info.scenes.is_empty());
    let limits = crate::limits();
    for scene in &info.scenes {
        let first = scene.levels.first().map(|level| level.shape.get(Axis::C));
        assert_eq!(Some(scene.channels.len() as u64), first, "{scene:?}");
        for level in &scene.levels {
            assert!(level.shape.extents().iter().all(|&n| n > 0), "{level:?}");
            assert!(level.shape.get(Axis::Y) * level.shape.get(Axis::X) <= limits.plane_pixels, "{level:?}");
        }
    }
    assert!(reader.source().stamp.is_some());
}

/// Reads small levels.
///
/// # Panics
/// If a part of a level has other pixels than the whole.
pub(crate) fn read(reader: &TiffReader) {
    let mut left = MOST_READ;
    for (scene, info) in reader.info().scenes.iter().enumerate() {
        for (level, described) in info.levels.iter().enumerate() {
            let bytes = described.shape.bytes(info.dtype);
            if bytes > MOST_LEVEL || bytes > left {
                continue;
            }
            left -= bytes;
            let at = Place { scene, level };
            let whole = described.shape.region();
            let Ok(pixels) = read_region(reader, at, &whole) else { continue };
            let part = part(&whole);
            match read_region(reader, at, &part) {
                Ok(found) => compare(&pixels, &found, &part),
                Err(error) => panic!("all of {at:?} is read, and a part is not: {error}"),
            }
        }
    }
}

/// The middle of the last plane.
fn part(whole: &Region) -> Region {
    let last = |region: Region, axis| region.with(axis, whole.end(axis) - 1, whole.end(axis));
    let middle = |region: Region, axis| {
        let (start, end) = (whole.len(axis) / 3, whole.len(axis).div_ceil(2));
        region.with(axis, start, end.max(start + 1))
    };
    let plane = [Axis::T, Axis::C, Axis::Z].into_iter().fold(*whole, last);
    [Axis::Y, Axis::X].into_iter().fold(plane, middle)
}

fn compare(whole: &Pixels, found: &Pixels, part: &Region) {
    let shape = whole.spec().shape;
    let pixel = shape.get(Axis::S) as usize * whole.spec().dtype.size();
    let [height, width] = [Axis::Y, Axis::X].map(|axis| shape.get(axis) as usize);
    let planes = whole.as_ref().bytes().len() / (height * width * pixel);
    let columns = part.start(Axis::X) as usize * pixel..part.end(Axis::X) as usize * pixel;
    let rows = part.start(Axis::Y) as usize..part.end(Axis::Y) as usize;
    for (y, row) in rows.zip(found.as_ref().bytes().chunks(columns.len())) {
        let at = ((planes - 1) * height + y) * width * pixel;
        assert_eq!(&whole.as_ref().bytes()[at..][columns.clone()], row, "row {y} of {part:?}");
    }
}

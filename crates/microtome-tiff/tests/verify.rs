//! No byte of a finished output can be changed, cut off or added unseen; what differs is named.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use microtome_array::{ArraySpec, BufferPool, PixelType, Pixels, Shape, copy_region};
use microtome_io::ome::OmeMeta;
use microtome_io::{
    Completion, Output, Place, Prepare, ReadError, StoredUnit, SyntheticReader, WriteContext, read_region,
};
use microtome_tiff::{TiffCompression, TiffOptions, create, verify};

const PLAN: &str = "0123456789abcdef";

/// A finished output of 2 × 3 planes of 40 × 50 pixels and a level of half their size: 36 tiles and 12.
fn finished(path: &Path, quarantine: Option<&str>) {
    let level = |y, x| ArraySpec { shape: Shape::new([1, 2, 3, y, x, 1]).unwrap(), dtype: PixelType::U8 };
    let levels = [level(40, 50), level(20, 25)];
    let options = TiffOptions { tile: Some([32, 16]), compression: TiffCompression::None, overwrite: true };
    let output = create(path, &levels, &OmeMeta::default(), &options).unwrap();
    output.prepare(&Prepare::fresh(PLAN)).unwrap();
    let pool = BufferPool::new(0);
    let mut units = vec![Vec::new(), Vec::new()];
    for (n, array) in levels.iter().enumerate() {
        let whole = read_region(&SyntheticReader::new(*array), Place::default(), &array.shape.region()).unwrap();
        let sink = output.array(n);
        for unit in sink.spec().units.all().iter() {
            let region = sink.spec().units.region(&unit).unwrap();
            let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), ..*array });
            copy_region(whole.as_ref(), &array.shape.region().origin(), &mut part.as_mut(), &region.origin(), &region)
                .unwrap();
            let mut writer = sink.begin(unit, &WriteContext { pool: &pool }).unwrap();
            writer.write(&region, part.as_ref()).unwrap();
            for receipt in writer.finish(true).unwrap() {
                units[n].push(StoredUnit::from(&receipt));
                output.settle(&[(n, receipt)]).unwrap();
            }
        }
    }
    output.finish(&Completion { plan: PLAN, units: &units, quarantine }).unwrap();
}

/// Bytes of a raw tile of 32 × 16.
const TILE: usize = 512;
/// Tiles of both levels.
const TILES: usize = 6 * (2 * 4 + 2);

/// What is told of a file with these bytes: each in a line; nothing if it is right.
fn told(path: &Path, bytes: &[u8]) -> Result<Vec<String>, String> {
    std::fs::write(path, bytes).unwrap();
    let found = verify(path, 2).map_err(|e| e.to_string())?;
    let name = path.display().to_string();
    let parts = found.parts.iter().map(ToString::to_string);
    let all: Vec<String> =
        parts.chain(found.different.iter().map(ToString::to_string)).map(|line| line.replace(&name, "F")).collect();
    assert_eq!(all.is_empty(), found.is_right());
    Ok(all)
}

#[test]
fn a_finished_output_is_right_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ome.tif");
    finished(&path, Some("[a plane]"));
    for threads in [1, 2, 9] {
        let found = verify(&path, threads).unwrap();
        assert!(found.is_right() && found.has_quarantine, "{found:?}");
        let size = std::fs::metadata(&path).unwrap().len();
        assert_eq!((found.units, found.bytes, found.plan_hash.as_str()), (TILES as u64, size, PLAN));
    }
}

#[test]
fn a_changed_byte_of_a_tile_names_level_plane_tile_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ome.tif");
    finished(&path, None);
    let whole = std::fs::read(&path).unwrap();
    // The header has 8 bytes; tiles follow each other: level, c, z, y, x.
    for (tile, place) in [
        (0, "level 0 unit t=0 c=0 z=0 y=0 x=0"),
        (7, "level 0 unit t=0 c=0 z=0 y=1 x=3"),
        (8 * 4 + 2, "level 0 unit t=0 c=1 z=1 y=0 x=2"),
        (48, "level 1 unit t=0 c=0 z=0 y=0 x=0"),
        (59, "level 1 unit t=0 c=1 z=2 y=0 x=1"),
    ] {
        let at = 8 + tile * TILE;
        for byte in [at, at + TILE / 2, at + TILE - 1] {
            let mut bytes = whole.clone();
            bytes[byte] ^= 4;
            let lines = told(&path, &bytes).unwrap();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(
                lines[0].starts_with(&format!("{place} (F at offset {at}): its bytes were changed")),
                "{}",
                lines[0]
            );
        }
    }
}

/// Where a run of bytes lies in others.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn what_stands_beside_the_pixels_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ome.tif");
    finished(&path, Some("[a plane]"));
    let whole = std::fs::read(&path).unwrap();
    let behind = 8 + TILES * TILE;
    let record = find(&whole, b"{\"format\":1");
    // The first tile's length in the list of tiles: 512, behind the record; the offsets of the first page: 8, 520, 1032.
    let list = record + find(&whole[record..], &[0, 2, 0, 0]);
    let offsets = find(&whole, &[8, 0, 0, 0, 8, 2, 0, 0, 8, 4, 0, 0]);
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        told(&path, &bytes)
    };
    let starts = |at: usize, start: &str| {
        let lines = flip(at).unwrap();
        assert!(lines.len() == 1 && lines[0].starts_with(start), "{at}: {lines:?}");
    };
    starts(find(&whole, b"<Pixels") + 3, "the OME-XML (F at offset ");
    starts(list + 4, &format!("the list of the tiles' checksums (F at offset {list}): its bytes were changed"));
    starts(record + 25, &format!("the tag tables or the record (F at offset {behind}): its bytes were changed"));
    starts(find(&whole, b"[a plane]") + 2, "the tag tables or the record (F");
    let moved = "level 0 unit t=0 c=0 z=0 y=0 x=1 (F at offset 520): the file says that it has 512 bytes at offset 521, \
                 not 512 at 520";
    assert_eq!(flip(offsets + 4).unwrap(), [moved]);
    // The width of the first page: its tiles are other ones.
    let width = behind + find(&whole[behind..], &[0, 1, 4, 0, 1, 0, 0, 0, 50, 0, 0, 0]) + 8;
    assert!(!flip(width).unwrap().is_empty());
    assert!(flip(record).unwrap_err().contains(&format!("the completion record at offset {record} in page 0")));
    assert!(flip(0).unwrap_err().contains("not those of a TIFF"));
    let cut = told(&path, &whole[..whole.len() - 9]).unwrap();
    assert!(cut[0].starts_with(&format!("what stands behind the pixels (F at offset {behind}): it has ")), "{cut:?}");
    let more = told(&path, &[&whole[..], &[0]].concat()).unwrap();
    assert!(more[0].starts_with("what stands behind the pixels (F"), "{more:?}");
    std::fs::write(&path, &whole[..behind]).unwrap();
    assert!(matches!(verify(&path, 2), Err(ReadError::Truncated { .. })));
}

#[test]
fn no_byte_can_be_changed_or_cut_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ome.tif");
    finished(&path, None);
    let whole = std::fs::read(&path).unwrap();
    let behind = 8 + TILES * TILE;
    // Of the pixels every 97th byte, of all else each.
    let places = (0..8).chain((8..behind).step_by(97)).chain(behind..whole.len());
    // The sixth bit makes capital letters of small ones.
    for (at, bit) in places.flat_map(|at| [(at, 1 << (at % 5)), (at, 0x20)]) {
        let mut bytes = whole.clone();
        bytes[at] ^= bit;
        let found = told(&path, &bytes);
        assert_ne!(found, Ok(Vec::new()), "byte {at}");
        if (8..behind).contains(&at) {
            assert_eq!(found.unwrap().len(), 1, "byte {at}");
        }
    }
    for end in (0..whole.len()).rev().step_by(101) {
        assert_ne!(told(&path, &whole[..end]), Ok(Vec::new()), "cut to {end}");
    }
}

#[test]
fn what_is_no_output_of_ours_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ome.tif");
    assert!(matches!(verify(&path, 1), Err(ReadError::NotFound { .. })));
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tiled-big.tif");
    let error = verify(&fixture, 1).unwrap_err().to_string();
    assert!(error.contains("it has no completion record (private tag 65333)"), "{error}");
}

//! The list of tiles in a record, read piece by piece: the place of each follows from the lengths of all before it.
//!
//! *Invariant:* a list is walked only if its own checksum is right.

use microtome_io::{HowDifferent, PartDifference, ReadError};

use super::sum;
use crate::file::SourceFile;
use crate::index::Segment;
use crate::sink::complete::{Found, TILE_BYTES};

/// Tiles that are read of the list at a time.
const PIECE: u64 = 512;

/// A list that is right.
pub(super) struct List {
    /// The levels of all images.
    levels: Vec<Level>,
    has_several: bool,
    /// Tiles of all levels.
    pub(super) tiles: u64,
    /// Where the list lies.
    at: Segment,
    /// Offset of the first tile.
    start: u64,
}

/// A level as it was recorded.
struct Level {
    image: usize,
    /// Its number in the image.
    number: usize,
    /// Tiles along t, c, z, y, x.
    tiles: [u64; 5],
    /// The page of the image's first plane.
    page: u64,
}

/// Where a tile belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belongs {
    /// The image, where there are several.
    pub(super) image: Option<usize>,
    pub(super) level: usize,
    /// Its place along t, c, z, y, x, in tiles.
    pub(super) unit: [u64; 5],
    /// The page of its plane in the full resolution.
    pub(super) page: u64,
    /// Its number in the plane.
    pub(super) of_plane: u64,
}

/// A tile as it was recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Its number in the list.
    pub(super) number: u64,
    pub(super) segment: Segment,
    pub(super) crc32c: u32,
}

/// How far a list was walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    next: u64,
    /// Offset of the next tile.
    pub(super) end: u64,
}

impl List {
    /// The list of a file; the inner error is how it differs from what was recorded of it.
    pub(super) fn of(file: &SourceFile, found: &Found) -> Result<Result<List, PartDifference>, ReadError> {
        let record = &found.record;
        let count = |level: &[u64; 5]| level.iter().try_fold(1, |n: u64, extent| n.checked_mul(*extent));
        let tiles = record.levels.iter().map(count).try_fold(0, |sum: u64, level| sum.checked_add(level?));
        let (bytes, expected) = record.units;
        let at = found.units.unwrap_or(Segment { offset: file.size(), bytes: 0 });
        let wrong = |how| PartDifference {
            part: "the list of the tiles' checksums".to_owned(),
            path: file.path().to_owned(),
            offset: Some(at.offset),
            how,
        };
        let fits = tiles.filter(|tiles| at.bytes == bytes && tiles.checked_mul(TILE_BYTES) == Some(bytes));
        let (Some(tiles), Some(levels)) = (fits, levels(&record.levels, &record.levels_of_images())) else {
            return Ok(Err(wrong(HowDifferent::Length { expected: bytes, found: at.bytes })));
        };
        let stored = sum(file, at, None)?;
        if stored.bytes != bytes {
            return Ok(Err(wrong(HowDifferent::Length { expected: bytes, found: stored.bytes })));
        }
        if stored.crc32c != expected {
            return Ok(Err(wrong(HowDifferent::Checksum { expected, found: stored.crc32c })));
        }
        let has_several = !record.images.is_empty();
        Ok(Ok(List { levels, has_several, tiles, at, start: found.start.len() as u64 }))
    }

    /// Before the first tile.
    pub(super) fn begin(&self) -> Walked {
        Walked { next: 0, end: self.start }
    }

    /// The next tiles; none at the end.
    pub(super) fn piece(&self, file: &SourceFile, walked: &mut Walked) -> Result<Vec<Tile>, ReadError> {
        let count = PIECE.min(self.tiles - walked.next);
        let mut bytes = vec![0; (count * TILE_BYTES) as usize];
        file.read_exact(&mut bytes, self.at.offset + walked.next * TILE_BYTES)?;
        let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
        let tile = |entry: &[u8]| {
            let bytes = u64::from(number(entry));
            let tile = Tile {
                number: walked.next,
                segment: Segment { offset: walked.end, bytes },
                crc32c: number(&entry[4..]),
            };
            (walked.next, walked.end) = (walked.next + 1, walked.end.saturating_add(bytes));
            tile
        };
        Ok(bytes.chunks_exact(TILE_BYTES as usize).map(tile).collect())
    }

    /// Where a tile belongs; `None` for one that there is not.
    pub(super) fn place(&self, number: u64) -> Option<Belongs> {
        let mut rest = number;
        for level in &self.levels {
            let tiles: u64 = level.tiles.iter().product();
            if rest >= tiles {
                rest -= tiles;
                continue;
            }
            let per_plane = (level.tiles[3] * level.tiles[4]).max(1);
            let (page, of_plane) = (level.page + rest / per_plane, rest % per_plane);
            let mut unit = [0; 5];
            for (at, count) in level.tiles.iter().enumerate().rev() {
                unit[at] = rest % count;
                rest /= count;
            }
            let image = self.has_several.then_some(level.image);
            return Some(Belongs { image, level: level.number, unit, page, of_plane });
        }
        None
    }
}

/// The levels of all images, of which each has so many; `None` if that does not come out even.
fn levels(all: &[[u64; 5]], of_images: &[usize]) -> Option<Vec<Level>> {
    let (mut rest, mut page, mut out) = (all, 0_u64, Vec::with_capacity(all.len()));
    for (image, count) in of_images.iter().enumerate() {
        let mine = rest.get(..*count)?;
        out.extend(mine.iter().enumerate().map(|(number, tiles)| Level { image, number, tiles: *tiles, page }));
        page = page.saturating_add(mine.first().map_or(0, |tiles| tiles[..3].iter().product()));
        rest = &rest[*count..];
    }
    rest.is_empty().then_some(out)
}

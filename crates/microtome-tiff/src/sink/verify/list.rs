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
    /// Tiles of each level along t, c, z, y, x.
    levels: Vec<[u64; 5]>,
    /// Tiles of all levels.
    pub(super) tiles: u64,
    /// Where the list lies.
    at: Segment,
    /// Offset of the first tile.
    start: u64,
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
        let levels = found.record.levels.clone();
        let count = |level: &[u64; 5]| level.iter().try_fold(1, |n: u64, extent| n.checked_mul(*extent));
        let tiles = levels.iter().map(count).try_fold(0, |sum: u64, level| sum.checked_add(level?));
        let (bytes, expected) = found.record.units;
        let at = found.units.unwrap_or(Segment { offset: file.size(), bytes: 0 });
        let wrong = |how| PartDifference {
            part: "the list of the tiles' checksums".to_owned(),
            path: file.path().to_owned(),
            offset: Some(at.offset),
            how,
        };
        let fits = tiles.filter(|tiles| at.bytes == bytes && tiles.checked_mul(TILE_BYTES) == Some(bytes));
        let Some(tiles) = fits else {
            return Ok(Err(wrong(HowDifferent::Length { expected: bytes, found: at.bytes })));
        };
        let stored = sum(file, at, None)?;
        if stored.bytes != bytes {
            return Ok(Err(wrong(HowDifferent::Length { expected: bytes, found: stored.bytes })));
        }
        if stored.crc32c != expected {
            return Ok(Err(wrong(HowDifferent::Checksum { expected, found: stored.crc32c })));
        }
        Ok(Ok(List { levels, tiles, at, start: found.start.len() as u64 }))
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

    /// The level of a tile, its place along t, c, z, y, x, and its number in the level.
    pub(super) fn place(&self, number: u64) -> (usize, [u64; 5], u64) {
        let mut rest = number;
        for (level, counts) in self.levels.iter().enumerate() {
            let tiles: u64 = counts.iter().product();
            if rest >= tiles {
                rest -= tiles;
                continue;
            }
            let (of_level, mut index) = (rest, [0; 5]);
            for (at, count) in counts.iter().enumerate().rev() {
                index[at] = rest % count;
                rest /= count;
            }
            return (level, index, of_level);
        }
        (self.levels.len(), [0; 5], rest)
    }

    /// Tiles of a plane of a level.
    pub(super) fn per_plane(&self, level: usize) -> u64 {
        self.levels.get(level).map_or(1, |counts| counts[3] * counts[4]).max(1)
    }
}

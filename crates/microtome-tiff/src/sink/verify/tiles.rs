//! The bytes of tiles against their checksums, on several threads.
//!
//! *Invariant:* each thread holds one block and one piece of the list; what differs is told in the order of tiles.

use std::sync::{Mutex, MutexGuard, PoisonError};

use microtome_io::{Difference, HowDifferent, ReadError, on_threads};

use super::list::{List, Tile, Walked};
use super::sum;
use crate::file::SourceFile;

/// What looking at all tiles found.
pub(super) struct Looked {
    /// Bytes that were read.
    pub(super) bytes: u64,
    /// What differs, in order.
    pub(super) different: Vec<Difference>,
    /// Where the last tile ends.
    pub(super) end: u64,
}

/// What the threads share.
struct Shared {
    walked: Walked,
    bytes: u64,
    different: Vec<(u64, Difference)>,
}

/// Looks at every tile.
pub(super) fn look_at_all(file: &SourceFile, list: &List, threads: usize) -> Result<Looked, ReadError> {
    let shared = Mutex::new(Shared { walked: list.begin(), bytes: 0, different: Vec::new() });
    let lock = || -> MutexGuard<'_, Shared> { shared.lock().unwrap_or_else(PoisonError::into_inner) };
    on_threads(threads.clamp(1, usize::try_from(list.tiles).unwrap_or(usize::MAX).max(1)), || {
        loop {
            let piece = list.piece(file, &mut lock().walked)?;
            if piece.is_empty() {
                return Ok(());
            }
            for tile in piece {
                let how = look_at(file, &tile)?;
                let mut shared = lock();
                shared.bytes += tile.segment.bytes;
                if let Some(how) = how {
                    shared.different.push((tile.number, difference(file, list, &tile, how)));
                }
            }
        }
    })?;
    let Shared { walked, bytes, mut different } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    different.sort_by_key(|(number, _)| *number);
    let different = different.into_iter().map(|(_, difference)| difference).collect();
    Ok(Looked { bytes, different, end: walked.end })
}

/// How a tile differs, if it does.
fn look_at(file: &SourceFile, tile: &Tile) -> Result<Option<HowDifferent>, ReadError> {
    let stored = sum(file, tile.segment, None)?;
    if stored.bytes != tile.segment.bytes {
        return Ok(Some(HowDifferent::Length { expected: tile.segment.bytes, found: stored.bytes }));
    }
    let (expected, found) = (tile.crc32c, stored.crc32c);
    Ok((expected != found).then_some(HowDifferent::Checksum { expected, found }))
}

/// What is told of a tile.
pub(super) fn difference(file: &SourceFile, list: &List, tile: &Tile, how: HowDifferent) -> Difference {
    let belongs = list.place(tile.number);
    let (image, array, unit) = belongs.map_or((None, 0, [0; 5]), |it| (it.image, it.level, it.unit));
    Difference { image, array, unit, path: file.path().to_owned(), offset: Some(tile.segment.offset), how }
}

//! Tiles that other processes have encoded, on their way to the one that appends them: a file each, in a folder beside the levels.
//!
//! *Invariant:* a file of a tile is whole or has another name; the tile is taken as its receipt says or not at all. The folder
//! goes with the partial one, and nobody makes that anew.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use microtome_io::{Receipt, StoredUnit, WriteError};

use super::level::TiffLevel;
use super::part::{Encoded, Placed};
use microtome_array::Buffer;

/// The name of the folder.
const FOLDER: &str = "spill";
/// How long a tile is waited for: file systems of several machines show what another has written after a while.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where tiles of a level are put.
#[derive(Debug)]
pub(super) struct Spill {
    dir: PathBuf,
    level: usize,
    /// What names bear while their files are written: no other process has it.
    mark: u64,
}

impl Spill {
    /// Joins the output that is built in a folder.
    pub(super) fn join(partial: &Path, level: usize) -> Result<Spill, WriteError> {
        let dir = partial.join(FOLDER);
        let start = Instant::now();
        loop {
            match fs::create_dir(&dir) {
                Ok(()) => break,
                Err(_) if dir.is_dir() => break,
                Err(_) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(100)),
                Err(e) => return Err(missing(&dir, &e.to_string())),
            }
        }
        Ok(Spill { dir, level, mark: RandomState::new().build_hasher().finish() })
    }

    /// Puts a tile where it will be taken from.
    pub(super) fn put(&self, tile: Encoded<'_>) -> Result<Placed, WriteError> {
        let path = self.dir.join(name(self.level, tile.tile));
        let temporary = path.with_extension(format!("{:016x}", self.mark));
        let os = |e| WriteError::os(&temporary, "write", e);
        fs::write(&temporary, tile.bytes).map_err(os)?;
        fs::rename(&temporary, &path).map_err(|e| WriteError::os(&path, "finish", e))?;
        let stored = StoredUnit { stored_bytes: tile.bytes.len() as u64, crc32c: crc32c::crc32c(tile.bytes) };
        Ok(Placed { tile: tile.tile, stored, whole: tile.whole })
    }
}

fn name(level: usize, tile: u64) -> String {
    format!("{level}-{tile}.tile")
}

fn missing(path: &Path, why: &str) -> WriteError {
    WriteError::Missing { path: path.to_owned(), why: why.to_owned() }
}

/// Appends tiles that others have put, as their receipts say; gives the receipts of those that have their place by it.
pub(super) fn adopt(
    levels: &[TiffLevel],
    partial: &Path,
    units: &[(usize, Receipt)],
    misused: impl Fn(&str) -> WriteError,
) -> Result<Vec<(usize, Receipt)>, WriteError> {
    let mut placed = Vec::new();
    for (n, receipt) in units {
        let level = levels.get(*n).ok_or_else(|| misused("there is no such array"))?;
        let tile = level.spec.units.linear(&receipt.unit);
        let path = partial.join(FOLDER).join(name(*n, tile));
        let bytes = awaited(&path, receipt)?;
        let tile = Encoded { tile, bytes: &bytes, whole: receipt.whole };
        let all = level.part.put(tile, &Buffer::zeroed)?;
        placed.extend(all.iter().map(|placed| (*n, level.receipt(placed))));
        fs::remove_file(&path).map_err(|e| WriteError::os(&path, "remove", e))?;
    }
    Ok(placed)
}

/// The bytes of a tile, waited for until they are as its receipt says.
fn awaited(path: &Path, receipt: &Receipt) -> Result<Vec<u8>, WriteError> {
    let start = Instant::now();
    loop {
        let found = fs::read(path);
        if let Ok(bytes) = &found
            && bytes.len() as u64 == receipt.stored_bytes
            && crc32c::crc32c(bytes) == receipt.crc32c
        {
            return Ok(found.unwrap_or_default());
        }
        if start.elapsed() >= PATIENCE {
            let found = found.map_or_else(|e| e.to_string(), |bytes| format!("there are {} bytes", bytes.len()));
            let (bytes, crc) = (receipt.stored_bytes, receipt.crc32c);
            return Err(missing(path, &format!("{found}, and {bytes} of CRC-32C {crc:08x} were written")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

//! The file of one level on its way: tiles one behind another in their order, whatever order they come in.
//!
//! A tile whose turn it is gets its place at the end of the file under a lock and is written outside of it. A tile that
//! comes early waits in a file without a name and is copied when its turn comes; nobody waits for anybody.
//!
//! *Invariant:* the bytes before [`Part::len`] are those of the first tiles in order, once the calls that placed them have
//! returned; the file's bytes do not depend on the order in which tiles came.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use microtome_array::Buffer;
use microtome_io::{Check, StoredUnit, WriteError};

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// A tile that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) tile: u64,
    pub(super) stored: StoredUnit,
    pub(super) whole: bool,
}

/// An encoded tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    pub(super) tile: u64,
    pub(super) bytes: &'a [u8],
    pub(super) whole: bool,
}

/// Gives a buffer of so many bytes.
pub(super) type Take<'a> = &'a dyn Fn(usize) -> Buffer;

/// A level's file.
#[derive(Debug)]
pub(super) struct Part {
    /// Offset of the first tile.
    start: u64,
    /// Most bytes of a tile: the distance of places in the file of those that wait.
    slot: u64,
    files: OnceLock<Files>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Files {
    path: PathBuf,
    file: File,
}

#[derive(Debug, Default)]
struct State {
    /// Where each tile ends that has its place, and its checksum.
    ends: Vec<u64>,
    crcs: Vec<u32>,
    /// Whether what an earlier run left behind the last tile is gone.
    is_cut: bool,
    /// Tiles that came early, by number.
    waiting: BTreeMap<u64, Waiting>,
    /// Where they wait, once there was one.
    aside: Option<Arc<File>>,
    free: Vec<u64>,
    slots: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: u64,
    placed: Placed,
}

/// What is to be done for a tile that was handed in.
enum Turn {
    /// It goes to this offset, and these that waited behind it.
    Now(u64, Vec<(u64, Waiting)>),
    /// It waits here.
    Later(Arc<File>, u64),
}

impl Part {
    /// A file that is not there yet, whose tiles begin at an offset.
    pub(super) fn new(start: u64, slot: u64) -> Part {
        Part { start, slot, files: OnceLock::new(), state: Mutex::default() }
    }

    /// Opens the file, which may hold what an earlier run left, and writes `header` at its start.
    pub(super) fn open(&self, path: &Path, header: &[u8]) -> Result<(), WriteError> {
        let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = open.map_err(|e| WriteError::os(path, "create", e))?;
        file.write_all_at(header, 0).map_err(|e| WriteError::os(path, "write the header of", e))?;
        self.files.get_or_init(|| Files { path: path.to_owned(), file });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> Result<&Files, WriteError> {
        let why = "it is not prepared: a bug in the caller".to_owned();
        self.files.get().ok_or_else(|| WriteError::Unsupported { path: PathBuf::from("a level"), why })
    }

    /// Its path, once it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.files.get().map(|files| files.path.as_path())
    }

    /// The open file, once there is one.
    pub(super) fn file(&self) -> Result<&File, WriteError> {
        Ok(&self.files()?.file)
    }

    /// Where its last tile ends, and how many tiles it holds.
    pub(super) fn len(&self) -> (u64, u64) {
        let state = self.state();
        (state.ends.last().copied().unwrap_or(self.start), state.ends.len() as u64)
    }

    /// Offsets and lengths of its tiles.
    pub(super) fn tiles(&self) -> (Vec<u64>, Vec<u64>) {
        let state = self.state();
        let starts = std::iter::once(&self.start).chain(&state.ends);
        state.ends.iter().zip(starts).map(|(end, start)| (*start, end - start)).unzip()
    }

    /// Lengths of its tiles.
    pub(super) fn lengths(&self) -> Vec<u64> {
        self.tiles().1
    }

    /// Takes a tile; gives those that are stored by it, in order. `take` gives room for one that waited.
    pub(super) fn put(&self, tile: Encoded<'_>, take: Take<'_>) -> Result<Vec<Placed>, WriteError> {
        let files = self.files()?;
        let stored = StoredUnit { stored_bytes: tile.bytes.len() as u64, crc32c: crc32c::crc32c(tile.bytes) };
        let placed = Placed { tile: tile.tile, stored, whole: tile.whole };
        let (aside, slot) = match self.turn(files, placed)? {
            Turn::Now(offset, behind) => return self.place(files, (offset, placed, tile.bytes), behind, take),
            Turn::Later(aside, slot) => (aside, slot),
        };
        write_at(&aside, &files.path, tile.bytes, slot * self.slot)?;
        match self.wait(Waiting { slot, placed }) {
            None => Ok(Vec::new()),
            Some((offset, behind)) => self.place(files, (offset, placed, tile.bytes), behind, take),
        }
    }

    /// Gives a tile its place, if it is its turn, or one to wait at.
    fn turn(&self, files: &Files, placed: Placed) -> Result<Turn, WriteError> {
        let mut state = self.state();
        if placed.tile == state.ends.len() as u64 {
            self.cut(files, &mut state)?;
            let (offset, behind) = state.advance(self.start, placed);
            return Ok(Turn::Now(offset, behind));
        }
        let aside = state.aside(files)?;
        let slot = state.free.pop().unwrap_or_else(|| {
            state.slots += 1;
            state.slots - 1
        });
        Ok(Turn::Later(aside, slot))
    }

    /// Lets a tile wait that is written aside, unless its turn came meanwhile.
    fn wait(&self, waiting: Waiting) -> Option<(u64, Vec<(u64, Waiting)>)> {
        let mut state = self.state();
        if waiting.placed.tile == state.ends.len() as u64 {
            state.free.push(waiting.slot);
            return Some(state.advance(self.start, waiting.placed));
        }
        state.waiting.insert(waiting.placed.tile, waiting);
        None
    }

    /// Removes what lies behind the last tile, once.
    fn cut(&self, files: &Files, state: &mut State) -> Result<(), WriteError> {
        if !state.is_cut {
            let end = state.ends.last().copied().unwrap_or(self.start);
            files.file.set_len(end).map_err(|e| WriteError::os(&files.path, "cut", e))?;
            state.is_cut = true;
        }
        Ok(())
    }

    /// Writes a tile at its place, and copies those that waited behind it to theirs.
    fn place(
        &self,
        files: &Files,
        (offset, first, bytes): (u64, Placed, &[u8]),
        behind: Vec<(u64, Waiting)>,
        take: Take<'_>,
    ) -> Result<Vec<Placed>, WriteError> {
        write_at(&files.file, &files.path, bytes, offset)?;
        let mut all = vec![first];
        let aside = self.state().aside.clone();
        for (offset, Waiting { slot, placed }) in behind {
            let mut room = take(placed.stored.stored_bytes as usize);
            let bytes = room.bytes_mut();
            let os = |e| WriteError::os(&files.path, "read a tile that came early of", e);
            aside.as_ref().map_or(Ok(()), |aside| aside.read_exact_at(bytes, slot * self.slot)).map_err(os)?;
            if crc32c::crc32c(bytes) != placed.stored.crc32c {
                let what = format!("tile {}", placed.tile);
                let why = "it is not read back as it was written; the disk is not to be trusted".to_owned();
                return Err(WriteError::Encode { path: files.path.clone(), what, why });
            }
            write_at(&files.file, &files.path, bytes, offset)?;
            self.state().free.push(slot);
            all.push(placed);
        }
        Ok(all)
    }

    /// Whether a tile is as it was recorded. Of what an earlier run left, the tile behind the last that is known becomes known
    /// by it.
    pub(super) fn check(&self, tile: u64, stored: &StoredUnit, how: Check) -> Result<bool, WriteError> {
        let files = self.files()?;
        let mut state = self.state();
        let known = state.ends.len() as u64;
        if tile > known || (tile == known && state.is_cut) {
            return Ok(false);
        }
        let start = tile.checked_sub(1).map_or(self.start, |before| state.ends[before as usize]);
        let end = start.saturating_add(stored.stored_bytes);
        if tile < known && (state.ends[tile as usize] != end || state.crcs[tile as usize] != stored.crc32c) {
            return Ok(false);
        }
        let os = |e| WriteError::os(&files.path, "look at", e);
        let there = files.file.metadata().map_err(os)?.len() >= end;
        let right = match how {
            _ if !there => false,
            Check::Length => true,
            Check::Bytes => crc_of(&files.file, start, stored.stored_bytes).map_err(os)? == stored.crc32c,
        };
        if right && tile == known {
            state.ends.push(end);
            state.crcs.push(stored.crc32c);
        }
        Ok(right)
    }

    /// Brings the file to the disk.
    pub(super) fn sync(&self) -> Result<(), WriteError> {
        let files = self.files()?;
        files.file.sync_data().map_err(|e| WriteError::os(&files.path, "bring to the disk", e))
    }
}

impl State {
    /// The file of tiles that come early.
    fn aside(&mut self, files: &Files) -> Result<Arc<File>, WriteError> {
        if let Some(aside) = &self.aside {
            return Ok(Arc::clone(aside));
        }
        let folder = files.path.parent().unwrap_or(Path::new("."));
        let made = tempfile::tempfile_in(folder);
        let made = made.map_err(|e| WriteError::os(folder, "create a file for tiles that come early in", e))?;
        Ok(Arc::clone(self.aside.insert(Arc::new(made))))
    }

    /// Gives the tile whose turn it is its place, and those that wait behind it theirs.
    fn advance(&mut self, start: u64, first: Placed) -> (u64, Vec<(u64, Waiting)>) {
        let offset = self.push(start, &first);
        let mut behind = Vec::new();
        while let Some(next) = self.waiting.remove(&(self.ends.len() as u64)) {
            behind.push((self.push(start, &next.placed), next));
        }
        (offset, behind)
    }

    fn push(&mut self, start: u64, placed: &Placed) -> u64 {
        let offset = self.ends.last().copied().unwrap_or(start);
        self.ends.push(offset + placed.stored.stored_bytes);
        self.crcs.push(placed.stored.crc32c);
        offset
    }
}

fn write_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
    let action = || format!("write {} bytes at offset {offset} of", bytes.len());
    file.write_all_at(bytes, offset).map_err(|e| WriteError::os(path, action(), e))
}

fn crc_of(file: &File, start: u64, len: u64) -> std::io::Result<u32> {
    let (mut block, mut crc, mut at) = (vec![0; BLOCK.min(len as usize)], 0, 0);
    while at < len {
        let step = (len - at).min(BLOCK as u64) as usize;
        file.read_exact_at(&mut block[..step], start + at)?;
        crc = crc32c::crc32c_append(crc, &block[..step]);
        at += step as u64;
    }
    Ok(crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILES: u64 = 300;

    fn tile(n: u64) -> Vec<u8> {
        (0..=n % 7 * 13).map(|at| (n * 31 + at) as u8).collect()
    }

    fn part(folder: &Path) -> Part {
        let part = Part::new(4, 100);
        part.open(&folder.join("0"), b"head").unwrap();
        part
    }

    fn put(part: &Part, n: u64) -> Vec<Placed> {
        part.put(Encoded { tile: n, bytes: &tile(n), whole: n != 5 }, &Buffer::zeroed).unwrap()
    }

    fn expected() -> Vec<u8> {
        b"head".iter().copied().chain((0..TILES).flat_map(tile)).collect()
    }

    #[test]
    fn tiles_stand_in_their_order_whatever_order_and_thread_they_come_in() {
        for threads in [1, 2, 7] {
            let folder = tempfile::tempdir().unwrap();
            let part = part(folder.path());
            let mut order: Vec<u64> = (0..TILES).collect();
            order.sort_by_key(|n| (n * 7919 + threads) % 301);
            let all = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for of_thread in order.chunks(order.len().div_ceil(threads as usize)) {
                    scope.spawn(|| of_thread.iter().for_each(|&n| all.lock().unwrap().extend(put(&part, n))));
                }
            });
            let mut all = all.into_inner().unwrap();
            all.sort_by_key(|placed| placed.tile);
            assert_eq!(all.iter().map(|p| p.tile).collect::<Vec<_>>(), (0..TILES).collect::<Vec<_>>());
            assert!(all.iter().all(|p| p.whole == (p.tile != 5)));
            assert_eq!(std::fs::read(folder.path().join("0")).unwrap(), expected(), "{threads} threads");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "what waited has no name");
            for placed in &all {
                assert!(part.check(placed.tile, &placed.stored, Check::Bytes).unwrap());
            }
        }
    }

    #[test]
    fn places_to_wait_at_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let part = part(folder.path());
        for n in (0..TILES).step_by(2) {
            assert!(put(&part, n + 1).is_empty());
            assert_eq!(put(&part, n).len(), 2);
        }
        assert_eq!(part.state().slots, 1);
    }

    #[test]
    fn what_was_left_is_taken_up_to_the_first_tile_that_is_missing_and_the_rest_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let first = part(folder.path());
        let placed: Vec<Placed> = (0..50).flat_map(|n| put(&first, n)).collect();
        drop(first);
        let again = part(folder.path());
        let known = |n: usize, how| again.check(placed[n].tile, &placed[n].stored, how).unwrap();
        assert!((0..20).all(|n| known(n, Check::Bytes)));
        assert!((21..50).all(|n| !known(n, Check::Length)), "tile 20 was not recorded");
        assert_eq!(again.len().1, 20);
        (20..TILES).for_each(|n| drop(put(&again, n)));
        assert_eq!(std::fs::read(folder.path().join("0")).unwrap(), expected());
        assert!(!again.check(TILES, &placed[3].stored, Check::Length).unwrap(), "nothing lies behind the last");
    }

    #[test]
    fn bytes_that_were_changed_or_cut_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let first = part(folder.path());
        let placed: Vec<Placed> = (0..9).flat_map(|n| put(&first, n)).collect();
        let path = folder.path().join("0");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let again = part(folder.path());
        let check = |n: usize, how| again.check(placed[n].tile, &placed[n].stored, how).unwrap();
        assert!(check(0, Check::Length));
        assert!(!check(1, Check::Bytes) && check(1, Check::Length), "only bytes tell");
        assert!((2..8).all(|n| check(n, Check::Bytes)) && !check(8, Check::Length), "the last is too short");
    }
}

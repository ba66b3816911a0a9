//! Fetching and decoding tiles.
//!
//! *Invariant:* a tile's encoded bytes are at most what its codecs can make of a whole tile, and it decodes into a buffer
//! of just a tile: what a file claims decides nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use microtome_array::{Axis, Buffer, BufferPool, Charge, PerAxis, PixelsMut, Region};
use microtome_io::{ReadCount, ReadError};

use super::level::Level;
use super::store::{Root, Stored, join};
use crate::codec::{Damage, Shelf, Tools};
use crate::strided::{Block, c_strides, offset, swap_bytes};

/// Offset and length of each tile of a shard; `u64::MAX` twice for one that is not stored.
type ShardIndex = Arc<Vec<[u64; 2]>>;

/// Entries that all cached shard indexes may have together (16 MiB), and how many indexes there may be.
const MOST_ENTRIES: usize = 1 << 20;
const MOST_INDEXES: usize = 256;

/// Shard indexes read lately, by the name of their file.
#[derive(Debug, Default)]
pub(super) struct IndexCache(Mutex<VecDeque<(String, ShardIndex)>>);

impl IndexCache {
    fn get(&self, key: &str) -> Option<ShardIndex> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(name, _)| name == key).map(|(_, index)| Arc::clone(index))
    }

    fn put(&self, key: String, index: ShardIndex) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(name, _)| *name != key);
        held.push_back((key, index));
        let mut entries: usize = held.iter().map(|(_, index)| index.len()).sum();
        while held.len() > 1 && (entries > MOST_ENTRIES || held.len() > MOST_INDEXES) {
            entries -= held.pop_front().map_or(0, |(_, index)| index.len());
        }
    }
}

/// Reads tiles of a level.
pub(super) struct Tiles<'a> {
    pub(super) root: &'a Root,
    pub(super) level: &'a Level,
    pub(super) cache: &'a IndexCache,
    pub(super) shelf: &'a Shelf,
    pub(super) pool: &'a BufferPool,
}

/// A file of the level that is open, with the indexes of the shards that were looked into last, outermost first.
struct Open {
    file: PerAxis<u64>,
    key: String,
    stored: Option<Stored>,
    /// Bytes of the file that are held in memory.
    _held: Charge,
    indexes: Vec<(Span, ShardIndex)>,
}

/// Where some bytes lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    at: u64,
    len: u64,
}

/// What one read works with and has counted.
struct Work<'t> {
    tools: &'t mut Tools,
    count: ReadCount,
    /// Whether a file was not there.
    missing: bool,
}

impl Tiles<'_> {
    /// Reads a region into `out`, tile by tile.
    pub(super) fn read(&self, region: &Region, out: &mut PixelsMut<'_>) -> Result<ReadCount, ReadError> {
        let mut lease = self.shelf.take();
        let _own = self.pool.charge(self.level.work_bytes());
        let mut work = Work { tools: lease.tools(), count: ReadCount::default(), missing: false };
        let mut open: Option<Open> = None;
        let covering = self.level.tiles.covering(region);
        for index in covering.iter() {
            let file = self.level.file_of(&index);
            if open.as_ref().is_none_or(|o| o.file != file) {
                drop(open.take());
                open = Some(self.open(file)?);
            }
            let Some(open) = &mut open else { continue };
            work.missing |= open.stored.is_none();
            self.tile(open, &index, region, out, &mut work)?;
        }
        if work.missing {
            self.check_still_there()?;
        }
        let decoded = self.level.tiles.box_region(&covering).shape().bytes(self.level.spec.dtype);
        Ok(ReadCount { decoded, ..work.count })
    }

    /// A chunk that is not there holds the fill value, unless the whole array is gone.
    fn check_still_there(&self) -> Result<(), ReadError> {
        for document in ["zarr.json", ".zarray"] {
            if self.root.holds(&join(&self.level.path, document))? {
                return Ok(());
            }
        }
        let why = "its metadata are no longer there".to_owned();
        Err(ReadError::Changed { path: self.root.at(&self.level.path), why })
    }

    fn open(&self, file: PerAxis<u64>) -> Result<Open, ReadError> {
        let key = join(&self.level.path, &self.level.meta.keys.name(&self.level.file_index(&file)));
        let stored = self.root.file(&key)?;
        let held = self.pool.charge(stored.as_ref().map_or(0, Stored::held));
        Ok(Open { file, key, stored, _held: held, indexes: Vec::new() })
    }

    /// The index of the shard of some depth whose bytes are `span`.
    fn index(&self, open: &mut Open, depth: usize, span: Span, count: &mut ReadCount) -> Result<ShardIndex, ReadError> {
        if let Some((_, index)) = open.indexes.get(depth).filter(|(at, _)| *at == span) {
            return Ok(Arc::clone(index));
        }
        let key = format!("{}@{depth}@{}", open.key, span.at);
        let index = match (self.cache.get(&key), &open.stored) {
            (Some(index), _) => index,
            (None, None) => return Ok(ShardIndex::default()),
            (None, Some(stored)) => {
                let index = self.read_index(stored, depth, span, count)?;
                self.cache.put(key, Arc::clone(&index));
                index
            }
        };
        open.indexes.truncate(depth);
        open.indexes.push((span, Arc::clone(&index)));
        Ok(index)
    }

    fn read_index(
        &self,
        stored: &Stored,
        depth: usize,
        span: Span,
        count: &mut ReadCount,
    ) -> Result<ShardIndex, ReadError> {
        let shard = &self.level.meta.shards[depth];
        let bytes = self.level.meta.index_bytes(depth);
        if bytes > span.len {
            return Err(truncated(stored, "the shard index".to_owned(), Span { at: span.at, len: bytes }));
        }
        let mut raw = self.pool.take(bytes as usize);
        stored.read_at(raw.bytes_mut(), if shard.at_end { span.at + span.len - bytes } else { span.at })?;
        count.fetched += bytes;
        let (table, sum) = raw.bytes().split_at(bytes as usize / 16 * 16);
        if shard.checksum {
            let (found, computed) = (u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]), crc32c::crc32c(table));
            if found != computed {
                let damage = Damage::Checksum { codec: "crc32c", stored: found, computed };
                return Err(corrupt(stored, "the shard index".to_owned(), &damage));
            }
        }
        let order = if shard.big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
        let word = |b: &[u8]| b.try_into().map_or(0, order);
        Ok(Arc::new(table.chunks_exact(16).map(|e| [word(&e[..8]), word(&e[8..])]).collect()))
    }

    /// Where a tile lies in its file, or `None` if it is not stored.
    fn place(&self, open: &mut Open, tile: &PerAxis<u64>, count: &mut ReadCount) -> Result<Option<Span>, ReadError> {
        let Some(stored) = &open.stored else { return Ok(None) };
        let mut span = Span { at: 0, len: stored.bytes };
        for depth in 0..self.level.meta.shards.len() {
            let index = self.index(open, depth, span, count)?;
            let entry = index.get(self.level.position_in_shard(tile, depth)).copied();
            let Some([at, len]) = entry.filter(|e| *e != [u64::MAX; 2]) else { return Ok(None) };
            let inner = Span { at: span.at.saturating_add(at), len };
            let end = at.checked_add(len).filter(|end| *end <= span.len);
            if let (None, Some(stored)) = (end, &open.stored) {
                return Err(truncated(stored, name(open, tile, inner), inner));
            }
            span = inner;
        }
        Ok(Some(span))
    }

    fn tile(
        &self,
        open: &mut Open,
        index: &PerAxis<u64>,
        region: &Region,
        out: &mut PixelsMut<'_>,
        work: &mut Work<'_>,
    ) -> Result<(), ReadError> {
        let Some(own) = self.level.tiles.region(index) else { return Ok(()) };
        let block = self.block(&own, region, out);
        let place = self.place(open, index, &mut work.count)?;
        let (Some(span), Some(stored)) = (place, &open.stored) else {
            let fill = self.native_fill();
            block.fill(&fill, out.bytes());
            return Ok(());
        };
        let what = || name(open, index, span);
        if span.len > self.level.most_encoded() {
            let (found, limit) = (span.len, self.level.most_encoded());
            let (path, location) = (stored.path.clone(), String::new());
            return Err(ReadError::OverLimit { path, what: format!("{} in bytes", what()), location, found, limit });
        }
        work.count.fetched += span.len;
        let direct = block.is_one_run() && block.bytes() == self.level.tile_bytes && block.from_at == 0;
        if direct {
            let target = &mut out.bytes()[block.to_at..block.to_at + self.level.tile_bytes];
            return self.decode(stored, span, target, work.tools, &what);
        }
        let mut scratch = self.pool.take(self.level.tile_bytes);
        self.decode(stored, span, scratch.bytes_mut(), work.tools, &what)?;
        block.copy(scratch.bytes(), out.bytes());
        Ok(())
    }

    /// The common part of a tile and the region, as a copy from the decoded tile.
    fn block(&self, own: &Region, region: &Region, out: &PixelsMut<'_>) -> Block {
        let piece = own.intersect(region);
        let element = self.level.spec.dtype.size();
        let to = c_strides(&PerAxis(out.shape().dims()), element);
        let apart = |from: &Region| PerAxis::from_fn(|a| (piece.start(a) - from.start(a)) as usize);
        Block {
            counts: PerAxis(piece.shape().dims()),
            from: self.level.strides,
            from_at: offset(&apart(own), &self.level.strides),
            to_at: offset(&apart(region), &to),
            to,
            element,
        }
    }

    /// Reads a tile's bytes and decodes them into `out`, which is a whole tile.
    fn decode(
        &self,
        stored: &Stored,
        Span { at, len }: Span,
        out: &mut [u8],
        tools: &mut Tools,
        what: &dyn Fn() -> String,
    ) -> Result<(), ReadError> {
        if self.level.meta.codecs.is_empty() {
            if len != out.len() as u64 {
                let damage = Damage::Length { codec: "none".to_owned(), expected: out.len(), found: len as usize };
                return Err(corrupt(stored, what(), &damage));
            }
            stored.read_at(out, at)?;
        } else {
            let mut encoded = self.pool.take(len as usize);
            stored.read_at(encoded.bytes_mut(), at)?;
            self.chain(encoded.bytes(), out, tools).map_err(|damage| corrupt(stored, what(), &damage))?;
        }
        self.to_native(out);
        Ok(())
    }

    /// Undoes the codecs, last first.
    fn chain(&self, encoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<(), Damage> {
        let codecs = &self.level.meta.codecs;
        let mut most: Vec<u64> = vec![out.len() as u64];
        most.extend(codecs.iter().scan(out.len() as u64, |bytes, codec| {
            *bytes = codec.most_encoded(*bytes);
            Some(*bytes)
        }));
        let mut held: Option<(Buffer, usize)> = None;
        let mut view = encoded;
        for (n, codec) in codecs.iter().enumerate().rev() {
            let current = held.take();
            let from = current.as_ref().map_or(view, |(buffer, len)| &buffer.bytes()[..*len]);
            if n == 0 {
                let found = codec.decode(from, out, tools)?;
                let length = || Damage::Length { codec: codec.name(), expected: out.len(), found };
                return if found == out.len() { Ok(()) } else { Err(length()) };
            }
            if current.is_none()
                && let Some(inner) = codec.view(view)?
            {
                view = inner;
                continue;
            }
            let mut buffer = self.pool.take(most[n] as usize);
            let found = codec.decode(from, buffer.bytes_mut(), tools)?;
            held = Some((buffer, found));
        }
        Ok(())
    }

    fn to_native(&self, bytes: &mut [u8]) {
        if self.level.meta.big_endian != cfg!(target_endian = "big") {
            swap_bytes(bytes, self.level.spec.dtype.component_size());
        }
    }

    fn native_fill(&self) -> Vec<u8> {
        let mut fill = self.level.meta.fill.clone();
        if cfg!(target_endian = "big") {
            swap_bytes(&mut fill, self.level.spec.dtype.component_size());
        }
        fill
    }
}

/// What a tile is called in errors.
fn name(open: &Open, index: &PerAxis<u64>, span: Span) -> String {
    let [t, c, z, y, x] = [Axis::T, Axis::C, Axis::Z, Axis::Y, Axis::X].map(|a| index[a]);
    let kind = if open.indexes.is_empty() { "chunk" } else { "chunk of the shard" };
    format!("{kind} t={t} c={c} z={z} y={y} x={x} (bytes {}..{})", span.at, span.at.saturating_add(span.len))
}

fn corrupt(stored: &Stored, what: String, damage: &Damage) -> ReadError {
    ReadError::Corrupt { path: stored.path.clone(), what, location: String::new(), why: damage.to_string() }
}

fn truncated(stored: &Stored, what: String, span: Span) -> ReadError {
    let (path, location) = (stored.path.clone(), String::new());
    ReadError::Truncated { path, what, location, offset: span.at, length: span.len, file_bytes: stored.bytes }
}

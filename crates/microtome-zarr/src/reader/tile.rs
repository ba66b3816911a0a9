//! Fetching and decoding tiles.
//!
//! *Invariant:* a tile's encoded bytes are at most what its codecs can make of a whole tile, and it decodes into a buffer
//! of just a tile: what a file claims decides nothing.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use microtome_array::{Axis, Buffer, BufferPool, Charge, IndexBox, PerAxis, PixelsMut, Region};
use microtome_io::{ReadCount, ReadError};

use super::chain::Shard;
use super::level::Level;
use super::store::{Root, Stored, join};
use crate::codec::{Damage, Shelf, Tools};
use crate::remote::Facts;
use crate::strided::{Block, c_strides, offset, swap_bytes};

/// The index of a shard.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Offset and length of each tile; `u64::MAX` twice for one that is not stored.
    entries: Vec<[u64; 2]>,
    /// What the object was that it was read from, where it is an object behind a URL.
    pub(super) facts: Facts,
}

pub(super) type ShardIndex = Arc<Index>;

/// Entries that all cached shard indexes may have together (16 MiB), and how many indexes there may be.
const MOST_ENTRIES: usize = 1 << 20;
const MOST_INDEXES: usize = 256;

/// Shard indexes read lately, by the name of their file.
#[derive(Debug, Default)]
pub(super) struct IndexCache(Mutex<VecDeque<(String, ShardIndex)>>);

impl IndexCache {
    pub(super) fn get(&self, key: &str) -> Option<ShardIndex> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(name, _)| name == key).map(|(_, index)| Arc::clone(index))
    }

    pub(super) fn put(&self, key: String, index: ShardIndex) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(name, _)| *name != key);
        held.push_back((key, index));
        let mut entries: usize = held.iter().map(|(_, index)| index.entries.len()).sum();
        while held.len() > 1 && (entries > MOST_ENTRIES || held.len() > MOST_INDEXES) {
            entries -= held.pop_front().map_or(0, |(_, index)| index.entries.len());
        }
    }
}

impl Index {
    /// From its bytes as stored.
    pub(super) fn decode(raw: &[u8], shard: &Shard, facts: Facts) -> Result<Index, Damage> {
        let (table, sum) = raw.split_at(raw.len() / 16 * 16);
        if shard.checksum {
            let (found, computed) = (u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]), crc32c::crc32c(table));
            if found != computed {
                return Err(Damage::Checksum { codec: "crc32c", stored: found, computed });
            }
        }
        let order = if shard.big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
        let word = |b: &[u8]| b.try_into().map_or(0, order);
        Ok(Index { entries: table.chunks_exact(16).map(|e| [word(&e[..8]), word(&e[8..])]).collect(), facts })
    }

    /// Where a tile lies in the file of a shard that is `span` of it; `None` if it is not stored. The error is where it would
    /// lie, outside of the shard.
    pub(super) fn place(&self, position: usize, span: Span) -> Result<Option<Span>, Span> {
        let entry = self.entries.get(position).copied();
        let Some([at, len]) = entry.filter(|e| *e != [u64::MAX; 2]) else { return Ok(None) };
        let inner = Span { at: span.at.saturating_add(at), len };
        let fits = at.checked_add(len).is_some_and(|end| end <= span.len);
        if fits { Ok(Some(inner)) } else { Err(inner) }
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
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) len: u64,
}

/// The encoded bytes of a tile.
#[derive(Clone, Copy)]
pub(super) enum Encoded<'a> {
    /// In a file.
    At { stored: &'a Stored, span: Span },
    /// Here, from the file of that name.
    Here { path: &'a Path, bytes: &'a [u8] },
}

impl<'a> Encoded<'a> {
    fn path(&self) -> &'a Path {
        match *self {
            Encoded::At { stored, .. } => &stored.path,
            Encoded::Here { path, .. } => path,
        }
    }

    fn len(&self) -> u64 {
        match *self {
            Encoded::At { span, .. } => span.len,
            Encoded::Here { bytes, .. } => bytes.len() as u64,
        }
    }
}

/// What one read works with and has counted.
pub(super) struct Work<'t> {
    tools: &'t mut Tools,
    pub(super) count: ReadCount,
    /// Whether a file was not there.
    pub(super) missing: bool,
}

impl Work<'_> {
    pub(super) fn new(tools: &mut Tools) -> Work<'_> {
        Work { tools, count: ReadCount::default(), missing: false }
    }
}

impl Tiles<'_> {
    /// Reads a region into `out`, tile by tile.
    pub(super) fn read(&self, region: &Region, out: &mut PixelsMut<'_>) -> Result<ReadCount, ReadError> {
        let mut lease = self.shelf.take();
        let _own = self.pool.charge(self.level.work_bytes());
        let mut work = Work::new(lease.tools());
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
            let place = self.place(open, &index, &mut work.count)?;
            let (Some(span), Some(stored)) = (place, &open.stored) else {
                self.fill(&index, region, out);
                continue;
            };
            let what = || name(!open.indexes.is_empty(), &index, span);
            if span.len > self.level.most_encoded() {
                return Err(over_limit(&stored.path, &what(), span.len, self.level.most_encoded()));
            }
            work.count.fetched += span.len;
            self.tile(Encoded::At { stored, span }, &what, (&index, region), out, &mut work)?;
        }
        self.done(&covering, &work)
    }

    /// What a read of these tiles counts, if the array is still there.
    pub(super) fn done(&self, covering: &IndexBox, work: &Work<'_>) -> Result<ReadCount, ReadError> {
        if work.missing {
            self.check_still_there()?;
        }
        let decoded = self.level.tiles.box_region(covering).shape().bytes(self.level.spec.dtype);
        Ok(ReadCount { decoded, ..work.count })
    }

    /// A chunk that is not there holds the fill value, unless the whole array is gone.
    fn check_still_there(&self) -> Result<(), ReadError> {
        if self.root.holds(&join(&self.level.path, self.level.meta.document))? {
            return Ok(());
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
            let needed = Span { at: span.at, len: bytes };
            return Err(truncated(&stored.path, "the shard index".to_owned(), needed, stored.bytes));
        }
        let mut raw = self.pool.take(bytes as usize);
        stored.read_at(raw.bytes_mut(), if shard.at_end { span.at + span.len - bytes } else { span.at })?;
        count.fetched += bytes;
        let index = Index::decode(raw.bytes(), shard, Facts::default());
        index.map(Arc::new).map_err(|damage| damaged_index(&stored.path, &damage))
    }

    /// Where a tile lies in its file, or `None` if it is not stored.
    fn place(&self, open: &mut Open, tile: &PerAxis<u64>, count: &mut ReadCount) -> Result<Option<Span>, ReadError> {
        let Some(stored) = &open.stored else { return Ok(None) };
        let mut span = Span { at: 0, len: stored.bytes };
        for depth in 0..self.level.meta.shards.len() {
            let index = self.index(open, depth, span, count)?;
            let place = index.place(self.level.position_in_shard(tile, depth), span);
            let place = place.map_err(|inner| {
                let file_bytes = open.stored.as_ref().map_or(0, |stored| stored.bytes);
                let path = open.stored.as_ref().map_or(Path::new(""), |stored| &stored.path);
                truncated(path, name(true, tile, inner), inner, file_bytes)
            })?;
            let Some(inner) = place else { return Ok(None) };
            span = inner;
        }
        Ok(Some(span))
    }

    /// Puts the fill value into the region's part of a tile that is not stored.
    pub(super) fn fill(&self, index: &PerAxis<u64>, region: &Region, out: &mut PixelsMut<'_>) {
        let Some(own) = self.level.tiles.region(index) else { return };
        let block = self.block(&own, region, out);
        block.fill(&self.native_fill(), out.bytes());
    }

    /// Decodes a tile, and puts the region's part of it into its place.
    pub(super) fn tile(
        &self,
        encoded: Encoded<'_>,
        what: &dyn Fn() -> String,
        (index, region): (&PerAxis<u64>, &Region),
        out: &mut PixelsMut<'_>,
        work: &mut Work<'_>,
    ) -> Result<(), ReadError> {
        let Some(own) = self.level.tiles.region(index) else { return Ok(()) };
        let block = self.block(&own, region, out);
        let direct = block.is_one_run() && block.bytes() == self.level.tile_bytes && block.from_at == 0;
        if direct {
            let target = &mut out.bytes()[block.to_at..block.to_at + self.level.tile_bytes];
            return self.decode(encoded, target, work.tools, what);
        }
        let mut scratch = self.pool.take(self.level.tile_bytes);
        self.decode(encoded, scratch.bytes_mut(), work.tools, what)?;
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

    /// Decodes a tile into `out`, which is a whole one, from where its bytes are.
    fn decode(
        &self,
        encoded: Encoded<'_>,
        out: &mut [u8],
        tools: &mut Tools,
        what: &dyn Fn() -> String,
    ) -> Result<(), ReadError> {
        let (path, len) = (encoded.path(), encoded.len());
        let raw = self.level.meta.codecs.is_empty();
        if raw && len != out.len() as u64 {
            let damage = Damage::Length { codec: "none".to_owned(), expected: out.len(), found: len as usize };
            return Err(corrupt(path, what(), &damage));
        }
        match encoded {
            Encoded::At { stored, span } if raw => stored.read_at(out, span.at)?,
            Encoded::Here { bytes, .. } if raw => out.copy_from_slice(bytes),
            Encoded::At { stored, span } => {
                let mut held = self.pool.take(len as usize);
                stored.read_at(held.bytes_mut(), span.at)?;
                self.chain(held.bytes(), out, tools).map_err(|damage| corrupt(path, what(), &damage))?;
            }
            Encoded::Here { bytes, .. } => {
                self.chain(bytes, out, tools).map_err(|damage| corrupt(path, what(), &damage))?;
            }
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
pub(super) fn name(sharded: bool, index: &PerAxis<u64>, span: Span) -> String {
    let [t, c, z, y, x] = [Axis::T, Axis::C, Axis::Z, Axis::Y, Axis::X].map(|a| index[a]);
    let kind = if sharded { "chunk of the shard" } else { "chunk" };
    format!("{kind} t={t} c={c} z={z} y={y} x={x} (bytes {}..{})", span.at, span.at.saturating_add(span.len))
}

fn corrupt(path: &Path, what: String, damage: &Damage) -> ReadError {
    ReadError::Corrupt { path: path.to_owned(), what, location: String::new(), why: damage.to_string() }
}

pub(super) fn damaged_index(path: &Path, damage: &Damage) -> ReadError {
    corrupt(path, "the shard index".to_owned(), damage)
}

pub(super) fn over_limit(path: &Path, what: &str, found: u64, limit: u64) -> ReadError {
    let (path, location) = (path.to_owned(), String::new());
    ReadError::OverLimit { path, what: format!("{what} in bytes"), location, found, limit }
}

pub(super) fn truncated(path: &Path, what: String, span: Span, file_bytes: u64) -> ReadError {
    let (path, location) = (path.to_owned(), String::new());
    ReadError::Truncated { path, what, location, offset: span.at, length: span.len, file_bytes }
}

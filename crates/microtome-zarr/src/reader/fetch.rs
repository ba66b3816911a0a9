//! Reading tiles that are objects behind a URL, or parts of such: a window of them at a time, all of it asked for together.
//!
//! A chunk that is an object takes one request. Of a shard its index is asked for once, then the chunks that are wanted, those
//! that lie near each other with one request.
//!
//! *Invariant:* what is held of a window is what [`window_bytes`] says, or less; it is bounded by metadata, not by what a
//! server sends.

use std::collections::HashMap;
use std::sync::Arc;

use microtome_array::{ChunkIndex, PixelsMut, Region};
use microtome_io::{ReadCount, ReadError};

use super::level::Level;
use super::store::join;
use super::tile::{Encoded, Index, ShardIndex, Span, Tiles, Work, damaged_index, name, truncated};
use crate::remote::{Answer, Distant, Facts, Got, Part, Want};

/// Bytes that are fetched before they are decoded, unless one tile has more.
const WINDOW: u64 = 16 << 20;
/// Tiles of a window.
const MOST_TILES: u64 = 32;
/// Bytes between two chunks of a shard that are fetched rather than asking twice.
const GAP: u64 = 64 << 10;

/// What one tile may add to a window: its bytes, and for a shard those between it and the one before, and the shard's
/// indexes, as stored and as numbers.
fn weight(level: &Level) -> u64 {
    let indexes: u64 = (0..level.meta.shards.len()).map(|depth| 2 * level.meta.index_bytes(depth)).sum();
    let gap = if level.meta.shards.is_empty() { 0 } else { GAP };
    level.most_encoded() + gap + indexes
}

/// Tiles that are fetched together.
fn tiles_at_once(level: &Level) -> u64 {
    (WINDOW / weight(level).max(1)).clamp(1, MOST_TILES)
}

/// Most bytes that a read of a region holds beside what a local read does.
pub(super) fn window_bytes(level: &Level, region: &Region) -> u64 {
    let tiles = level.tiles.covering(region).count();
    tiles.min(tiles_at_once(level)) * weight(level)
}

/// What shards were when they were first seen, by their keys.
type Shards = HashMap<Arc<str>, Facts>;

/// Indexes by their shard's key and where it begins; `None` for one whose shard is not there.
type Indexes = HashMap<(Arc<str>, u64), Option<ShardIndex>>;

/// A tile of a window.
struct Wanted {
    index: ChunkIndex,
    key: Arc<str>,
    /// Where it lies in its object, as far as is known: the innermost shard whose index was read. `None`: not stored.
    span: Option<Span>,
}

/// Bytes of an object from some offset.
struct Piece {
    at: u64,
    bytes: Vec<u8>,
}

impl Tiles<'_> {
    /// Reads a region into `out`, window by window.
    pub(super) fn fetch(
        &self,
        distant: &dyn Distant,
        region: &Region,
        out: &mut PixelsMut<'_>,
    ) -> Result<ReadCount, ReadError> {
        let mut lease = self.shelf.take();
        let _own = self.pool.charge(self.level.work_bytes());
        let _window = self.pool.charge(window_bytes(self.level, region));
        let mut work = Work::new(lease.tools());
        let covering = self.level.tiles.covering(region);
        let mut tiles = covering.iter().peekable();
        while tiles.peek().is_some() {
            let window: Vec<ChunkIndex> = tiles.by_ref().take(tiles_at_once(self.level) as usize).collect();
            if self.level.meta.shards.is_empty() {
                self.whole_objects(distant, &window, (region, out), &mut work)?;
            } else {
                self.parts_of_shards(distant, &window, (region, out), &mut work)?;
            }
        }
        self.done(&covering, &work)
    }

    fn key(&self, tile: &ChunkIndex) -> String {
        let file = self.level.file_of(tile);
        join(&self.level.path, &self.level.meta.keys.name(&self.level.file_index(&file)))
    }

    /// Tiles each of which is an object.
    fn whole_objects(
        &self,
        distant: &dyn Distant,
        window: &[ChunkIndex],
        (region, out): (&Region, &mut PixelsMut<'_>),
        work: &mut Work<'_>,
    ) -> Result<(), ReadError> {
        let most = self.level.most_encoded();
        let want = |tile| Want { key: self.key(tile), part: Part::Whole, most, tag: None };
        let wants: Vec<Want> = window.iter().map(want).collect();
        let keys: Vec<String> = wants.iter().map(|want| want.key.clone()).collect();
        for ((tile, key), got) in window.iter().zip(keys).zip(distant.fetch(wants)) {
            let Some(Got { bytes, .. }) = got? else {
                work.missing = true;
                self.fill(tile, region, out);
                continue;
            };
            let span = Span { at: 0, len: bytes.len() as u64 };
            let path = self.root.at(&key);
            let what = || name(false, tile, span);
            work.count.fetched += span.len;
            self.tile(Encoded::Here { path: &path, bytes: &bytes }, &what, (tile, region), out, work)?;
        }
        Ok(())
    }

    /// Tiles that lie in shards.
    fn parts_of_shards(
        &self,
        distant: &dyn Distant,
        window: &[ChunkIndex],
        (region, out): (&Region, &mut PixelsMut<'_>),
        work: &mut Work<'_>,
    ) -> Result<(), ReadError> {
        let (wanted, shards) = self.places(distant, window, work)?;
        let ranges = joined(&wanted);
        let want = |(key, span): &(Arc<str>, Span)| Want {
            key: key.to_string(),
            part: Part::Bytes(span.at..span.at + span.len),
            most: span.len,
            tag: shards.get(key).and_then(|facts| facts.tag.clone()),
        };
        let answers = distant.fetch(ranges.iter().map(want).collect());
        let mut pieces: HashMap<Arc<str>, Vec<Piece>> = HashMap::new();
        for ((key, span), got) in ranges.into_iter().zip(answers) {
            let gone = || self.changed(&key, "it was there before");
            let Got { bytes, facts } = got?.ok_or_else(gone)?;
            if shards.get(&key).is_some_and(|then| *then != facts) {
                return Err(self.changed(&key, "another object has its name, or it was written to"));
            }
            work.count.fetched += bytes.len() as u64;
            pieces.entry(key).or_default().push(Piece { at: span.at, bytes });
        }
        for Wanted { index, key, span } in &wanted {
            let held = |span: &Span| pieces.get(key)?.iter().find_map(|piece| piece.part(*span));
            let Some(span) = span else {
                self.fill(index, region, out);
                continue;
            };
            let path = self.root.at(key);
            // All that is wanted was asked for, and came whole.
            let bytes = held(span).ok_or_else(|| self.changed(key, "a part of it did not come"))?;
            let what = || name(true, index, *span);
            self.tile(Encoded::Here { path: &path, bytes }, &what, (index, region), out, work)?;
        }
        Ok(())
    }

    fn changed(&self, key: &str, why: &str) -> ReadError {
        ReadError::Changed { path: self.root.at(key), why: why.to_owned() }
    }

    /// Where the tiles of a window lie, by the indexes of their shards, from the outermost to the innermost; and what the
    /// shards were then.
    fn places(
        &self,
        distant: &dyn Distant,
        window: &[ChunkIndex],
        work: &mut Work<'_>,
    ) -> Result<(Vec<Wanted>, Shards), ReadError> {
        let mut shards = Shards::new();
        let whole = Some(Span { at: 0, len: u64::MAX });
        let wanted = |tile: &ChunkIndex| Wanted { index: *tile, key: self.key(tile).into(), span: whole };
        let mut all: Vec<Wanted> = window.iter().map(wanted).collect();
        for depth in 0..self.level.meta.shards.len() {
            let indexes = self.indexes(distant, depth, (&all, &mut shards), work)?;
            for wanted in &mut all {
                let Some(outer) = wanted.span else { continue };
                let Some(Some(index)) = indexes.get(&(Arc::clone(&wanted.key), outer.at)) else {
                    wanted.span = None;
                    work.missing = true;
                    continue;
                };
                let position = self.level.position_in_shard(&wanted.index, depth);
                let outer = if depth == 0 { Span { at: 0, len: index.facts.bytes } } else { outer };
                wanted.span = index.place(position, outer).map_err(|inner| {
                    let what = name(true, &wanted.index, inner);
                    truncated(&self.root.at(&wanted.key), what, inner, index.facts.bytes)
                })?;
            }
        }
        let most = self.level.most_encoded();
        let over = |w: &&Wanted| w.span.is_some_and(|span| span.len > most);
        match all.iter().find(over) {
            Some(Wanted { index, key, span: Some(span) }) => {
                Err(super::tile::over_limit(&self.root.at(key), &name(true, index, *span), span.len, most))
            }
            _ => Ok((all, shards)),
        }
    }

    /// The indexes of some depth that the tiles need, each asked for once; `None` for one whose shard is not there.
    fn indexes(
        &self,
        distant: &dyn Distant,
        depth: usize,
        (all, shards): (&[Wanted], &mut Shards),
        work: &mut Work<'_>,
    ) -> Result<Indexes, ReadError> {
        let mut found = Indexes::new();
        let mut asked: Vec<(Arc<str>, Span)> = Vec::new();
        for Wanted { key, span, .. } in all {
            let Some(span) = span else { continue };
            let place = (Arc::clone(key), span.at);
            if found.contains_key(&place) || asked.iter().any(|(k, s)| (k, s.at) == (key, span.at)) {
                continue;
            }
            match self.cache.get(&cached(key, depth, span.at)) {
                Some(index) => {
                    shards.entry(Arc::clone(key)).or_insert_with(|| index.facts.clone());
                    found.insert(place, Some(index));
                }
                None => asked.push((Arc::clone(key), *span)),
            }
        }
        let answers =
            distant.fetch(asked.iter().map(|(key, span)| self.index_want(key, depth, *span, shards)).collect());
        for ((key, span), answer) in asked.into_iter().zip(answers) {
            let index = self.index_of(&key, depth, span, answer)?;
            if let Some(index) = &index {
                work.count.fetched += self.level.meta.index_bytes(depth);
                self.cache.put(cached(&key, depth, span.at), Arc::clone(index));
                shards.insert(Arc::clone(&key), index.facts.clone());
            }
            found.insert((key, span.at), index);
        }
        Ok(found)
    }

    /// The request for the index of a shard: of an outermost one the length is not known yet.
    fn index_want(&self, key: &str, depth: usize, span: Span, shards: &Shards) -> Want {
        let (bytes, at_end) = (self.level.meta.index_bytes(depth), self.level.meta.shards[depth].at_end);
        let part = match (depth, at_end) {
            (0, true) => Part::Last(bytes),
            (_, false) => Part::Bytes(span.at..span.at.saturating_add(bytes)),
            (_, true) => {
                let end = span.at.saturating_add(span.len);
                Part::Bytes(end.saturating_sub(bytes).max(span.at)..end)
            }
        };
        Want { key: key.to_owned(), part, most: bytes, tag: shards.get(key).and_then(|facts| facts.tag.clone()) }
    }

    fn index_of(
        &self,
        key: &str,
        depth: usize,
        span: Span,
        answer: Answer<Got>,
    ) -> Result<Option<ShardIndex>, ReadError> {
        let path = self.root.at(key);
        let Some(Got { bytes, facts }) = answer? else {
            return if depth == 0 { Ok(None) } else { Err(self.changed(key, "it was there before")) };
        };
        let expected = self.level.meta.index_bytes(depth);
        if bytes.len() as u64 != expected || expected > span.len {
            let needed = Span { at: span.at, len: expected };
            return Err(truncated(&path, "the shard index".to_owned(), needed, facts.bytes));
        }
        let index = Index::decode(&bytes, &self.level.meta.shards[depth], facts);
        index.map(|index| Some(Arc::new(index))).map_err(|damage| damaged_index(&path, &damage))
    }
}

/// The name of an index in the cache.
fn cached(key: &str, depth: usize, at: u64) -> String {
    format!("{key}@{depth}@{at}")
}

/// The ranges of objects that hold all tiles: those that lie near each other in one.
fn joined(wanted: &[Wanted]) -> Vec<(Arc<str>, Span)> {
    let stored = wanted.iter().filter_map(|w| Some((Arc::clone(&w.key), w.span.filter(|span| span.len > 0)?)));
    let mut all: Vec<(Arc<str>, Span)> = stored.collect();
    all.sort_by(|(a, one), (b, other)| a.cmp(b).then(one.at.cmp(&other.at)));
    let mut ranges: Vec<(Arc<str>, Span)> = Vec::new();
    for (key, span) in all {
        let (at, end) = (span.at, span.at + span.len);
        match ranges.last_mut() {
            Some((last, range)) if *last == key && at <= range.at + range.len + GAP => {
                range.len = end.max(range.at + range.len) - range.at;
            }
            _ => ranges.push((key, span)),
        }
    }
    ranges
}

impl Piece {
    /// A part of the object, if it lies in here.
    fn part(&self, span: Span) -> Option<&[u8]> {
        let from = usize::try_from(span.at.checked_sub(self.at)?).ok()?;
        self.bytes.get(from..from.checked_add(usize::try_from(span.len).ok()?)?)
    }
}

//! One level of an output: an array in write units.
//!
//! *Invariant:* a file of a level is a write unit, so every file has one owner.

use std::path::PathBuf;
use std::sync::Arc;

use microtome_array::{ChunkGrid, ChunkIndex, Shape};
use microtome_io::{Check, Receipt, Sink, SinkSpec, UnitWriter, WriteContext, WriteError};
use serde_json::Value;

use super::building::{Building, PUTS_AT_ONCE, Site};
use super::file::UnitFile;
use super::unit::ZarrUnit;
use super::{document, scratch};
use crate::codec::{Codec, Shelf};
use crate::layout::Layout;
use crate::reader;
use crate::remote::PART;
use crate::{LevelSpec, ZarrOptions};
use microtome_io::disk;

/// Most bytes in one stored chunk: what every codec and reader takes.
const MOST_CHUNK_BYTES: u64 = 1 << 30;
/// Most stored chunks in a shard: an index of 16 MiB.
const MOST_PARTS: u64 = 1 << 20;

/// A level being written.
pub(super) struct ZarrLevel {
    /// Number of the level, which names its folder.
    pub(super) number: usize,
    pub(super) layout: Layout,
    pub(super) spec: SinkSpec,
    pub(super) codec: Option<Box<dyn Codec>>,
    pub(super) shelf: Shelf,
    pub(super) document: Value,
    pub(super) building: Arc<Building>,
    out: PathBuf,
    /// Whether it is written into a bucket.
    is_away: bool,
}

impl ZarrLevel {
    /// A level of an output at `out`, or why there cannot be one.
    pub(super) fn new(
        out: PathBuf,
        number: usize,
        level: &LevelSpec,
        options: &ZarrOptions,
        building: &Arc<Building>,
    ) -> Result<ZarrLevel, String> {
        let array = level.array;
        let layout = Layout::new(array, options)?;
        check_sizes(&layout)?;
        let units = ChunkGrid::new(array.shape, layout.unit()).map_err(|e| e.to_string())?;
        Ok(ZarrLevel {
            number,
            spec: SinkSpec { array, units, part: layout.chunk },
            codec: options.compression.codec(array.dtype.size()),
            shelf: Shelf::default(),
            document: document::array(&layout, options.compression),
            building: Arc::clone(building),
            is_away: crate::is_url(&out),
            out,
            layout,
        })
    }

    /// The name of its folder.
    pub(super) fn name(&self) -> String {
        self.number.to_string()
    }

    /// Its folder, once there is one.
    pub(super) fn folder(&self) -> Result<PathBuf, WriteError> {
        let why = "it is not prepared: a bug in the caller".to_owned();
        let site = self.building.site();
        let site = site.ok_or_else(|| WriteError::Unsupported { path: self.out.clone(), why })?;
        Ok(site.dir().join(self.name()))
    }

    /// Where it is read back from.
    pub(super) fn readable(&self) -> Result<PathBuf, WriteError> {
        let folder = self.folder()?;
        Ok(match self.building.site() {
            Some(Site::Away(spool)) => spool.url_of(&folder),
            _ => folder,
        })
    }

    /// Whether the file of a unit is as its receipt says. A unit that is all fill value has none.
    pub(super) fn check(&self, receipt: &Receipt, how: Check) -> Result<bool, WriteError> {
        let path = self.folder()?.join(self.layout.key(&receipt.unit));
        if let Some(Site::Away(spool)) = self.building.site() {
            return spool.check(&path, receipt, how);
        }
        let os = |e| WriteError::os(&path, "look at", e);
        let found = disk::found(&path).map_err(os)?;
        let Some(found) = found else { return Ok(receipt.stored_bytes == 0) };
        if receipt.stored_bytes == 0 || !found.is_file() || found.len() != receipt.stored_bytes {
            return Ok(false);
        }
        match how {
            Check::Length => Ok(true),
            Check::Bytes => Ok(disk::crc32c(&path).map_err(os)? == receipt.crc32c),
        }
    }

    /// Removes the file of a unit that has none.
    pub(super) fn clear(&self, unit: &ChunkIndex) -> Result<(), WriteError> {
        let path = self.folder()?.join(self.layout.key(unit));
        match self.building.site() {
            Some(Site::Away(spool)) => spool.remove(&path),
            _ => disk::remove(&path),
        }
    }
}

fn check_sizes(layout: &Layout) -> Result<(), String> {
    let bytes = layout.chunk.bytes(layout.array.dtype);
    if bytes > MOST_CHUNK_BYTES {
        return Err(format!("a chunk of {} pixels has {bytes} bytes, at most {MOST_CHUNK_BYTES}", layout.chunk));
    }
    let parts = layout.parts().0.iter().product::<u64>();
    if parts > MOST_PARTS {
        return Err(format!("a shard of {parts} chunks; give larger chunks or shards of at most {MOST_PARTS} chunks"));
    }
    Ok(())
}

impl Sink for ZarrLevel {
    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn scratch_bytes(&self, box_shape: &Shape) -> u64 {
        let puts = if self.is_away { PUTS_AT_ONCE as u64 * PART } else { 0 };
        scratch::bytes(&self.layout, self.codec.as_deref(), box_shape) + puts
    }

    fn read_scratch_bytes(&self) -> u64 {
        // What we write we can read; a plan that relied on it would otherwise be refused.
        reader::scratch_bytes(&self.document, self.is_away).unwrap_or(u64::MAX >> 1)
    }

    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        let path = self.folder()?.join(self.layout.key(&unit));
        let file = UnitFile::new(path.clone(), self.building.mark()?);
        let unit = ZarrUnit::new(self, unit, file, context.pool);
        Ok(Box::new(unit.map_err(|source| WriteError::Array { path, source })?))
    }
}

impl std::fmt::Debug for ZarrLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZarrLevel").field("number", &self.number).field("spec", &self.spec).finish_non_exhaustive()
    }
}

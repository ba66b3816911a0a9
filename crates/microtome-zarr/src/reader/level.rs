//! One stored array as a level of a scene: its axes, its grid of tiles, and how a tile's bytes lie.

use microtome_array::{ArraySpec, Axis, BufferPool, ChunkGrid, PerAxis, Shape};
use microtome_io::{Limits, StorageInfo, StorageKind};

use super::axes::{AxisMap, canonical, shape};
use super::meta::{ArrayMeta, Problem};

/// Most bytes of the index of a shard, which is held as long as its chunks are read: four million chunks.
const MOST_INDEX: u64 = 64 << 20;

/// A stored array.
#[derive(Debug)]
pub(super) struct Level {
    /// Its path below the root.
    pub(super) path: String,
    pub(super) meta: ArrayMeta,
    pub(super) map: AxisMap,
    pub(super) spec: ArraySpec,
    /// What is decoded at once.
    pub(super) tiles: ChunkGrid,
    /// What one file holds: chunks, or shards.
    pub(super) files: ChunkGrid,
    /// Strides of a decoded tile in bytes.
    pub(super) strides: PerAxis<usize>,
    pub(super) tile_bytes: usize,
}

impl Level {
    pub(super) fn new(path: String, meta: ArrayMeta, map: AxisMap, limits: &Limits) -> Result<Level, Problem> {
        let spec = ArraySpec { shape: shape(&map, &meta.shape)?, dtype: meta.dtype };
        let plane = spec.shape.get(Axis::Y) * spec.shape.get(Axis::X);
        let tile_bytes = meta.tile_bytes().unwrap_or(u64::MAX);
        let index_bytes = (0..meta.shards.len()).map(|depth| meta.index_bytes(depth)).max().unwrap_or(0);
        for (what, found, limit) in [
            ("the number of pixels of a plane", plane, limits.plane_pixels),
            ("the size of a decoded chunk in bytes", tile_bytes, limits.tile_bytes),
            ("the size of a shard's index in bytes", index_bytes, MOST_INDEX.min(limits.tile_bytes)),
        ] {
            if found > limit {
                return Err(Problem::Over { what, found, limit });
            }
        }
        let tile_bytes = tile_bytes as usize;
        let grid = |extents: &[u64]| {
            let chunk = shape(&map, extents)?;
            ChunkGrid::new(spec.shape, chunk).map_err(|e| e.to_string())
        };
        let mut along = vec![0; meta.tile.len()];
        let mut step = spec.dtype.size();
        for &axis in meta.order.iter().rev() {
            along[axis] = step;
            step *= meta.tile[axis] as usize;
        }
        Ok(Level {
            tiles: grid(&meta.tile)?,
            files: grid(&meta.outer)?,
            strides: canonical(&map, &along, 0),
            tile_bytes,
            path,
            meta,
            spec,
            map,
        })
    }

    pub(super) fn storage(&self) -> StorageInfo {
        let sharded = !self.meta.shards.is_empty();
        let tile = self.tiles.chunk();
        StorageInfo {
            kind: if sharded { StorageKind::Shards } else { StorageKind::Chunks },
            tile,
            shard: sharded.then(|| self.files.chunk()),
            granule: tile,
            codec: self.meta.codec_name(),
        }
    }

    /// An index along canonical axes as one along the file's, which counts files or tiles alike.
    pub(super) fn file_index(&self, index: &PerAxis<u64>) -> Vec<u64> {
        self.map.iter().map(|axis| axis.map_or(0, |a| index[a])).collect()
    }

    /// The most bytes that an encoded tile may have.
    pub(super) fn most_encoded(&self) -> u64 {
        self.meta.codecs.iter().fold(self.tile_bytes as u64, |bytes, codec| codec.most_encoded(bytes))
    }

    /// Position of a tile in the index of the shard of some depth that holds it.
    pub(super) fn position_in_shard(&self, tile: &PerAxis<u64>, depth: usize) -> usize {
        let (whole, shard) = (self.meta.whole_of(depth), &self.meta.shards[depth]);
        let at = self.file_index(tile);
        shard.order.iter().fold(0, |n, &axis| {
            let (whole, part, tile) = (whole[axis], shard.part[axis], self.meta.tile[axis]);
            n * (whole / part) + at[axis] * tile % whole / part
        }) as usize
    }

    /// The file that holds a tile.
    pub(super) fn file_of(&self, tile: &PerAxis<u64>) -> PerAxis<u64> {
        let ratio: Vec<u64> = self.meta.tiles_in_file().collect();
        let ratio = canonical(&self.map, &ratio, 1);
        PerAxis::from_fn(|a| tile[a] / ratio[a])
    }

    /// Most bytes from the pool, and by codecs themselves, while a tile is read.
    pub(super) fn scratch_bytes(&self) -> u64 {
        let mut bytes = self.tile_bytes as u64;
        let mut total = BufferPool::charged(bytes);
        for codec in &self.meta.codecs {
            total += codec.work_bytes(bytes);
            bytes = codec.most_encoded(bytes);
            total += BufferPool::charged(bytes);
        }
        // An index as stored is given back before a tile is read, but its numbers stay.
        let indexes = (0..self.meta.shards.len()).map(|depth| self.meta.index_bytes(depth));
        total.max(indexes.clone().map(BufferPool::charged).max().unwrap_or(0)) + indexes.sum::<u64>()
    }

    /// Bytes that codecs take by themselves while a tile is decoded.
    pub(super) fn work_bytes(&self) -> u64 {
        let mut bytes = self.tile_bytes as u64;
        let mut total = 0;
        for codec in &self.meta.codecs {
            total += codec.work_bytes(bytes);
            bytes = codec.most_encoded(bytes);
        }
        total
    }

    /// Extents at full size, for factors between levels.
    pub(super) fn shape(&self) -> Shape {
        self.spec.shape
    }

    /// Extent of a canonical axis.
    pub(super) fn extent(&self, axis: Axis) -> u64 {
        self.spec.shape.get(axis)
    }
}

//! Reading pixels of an opened image.

use std::fmt::Debug;

use microtome_array::{BufferPool, PixelsMut, Region};
use serde::{Deserialize, Serialize};

use crate::{ImageInfo, LevelInfo, ReadError, SceneInfo};

/// Which array of an image: a scene at a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Scene, from 0.
    pub scene: usize,
    /// Level of resolution, 0 is full.
    pub level: usize,
}

/// What a reader may use while it reads.
#[derive(Clone, Copy, Debug)]
pub struct ReadContext<'a> {
    /// Where scratch buffers come from.
    pub pool: &'a BufferPool,
}

/// What one read cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCount {
    /// Bytes taken from storage, as stored.
    pub fetched: u64,
    /// Bytes of the pixels of all granules that the region touches, cut to the array: what an estimate counts too.
    pub decoded: u64,
}

impl std::ops::AddAssign for ReadCount {
    fn add_assign(&mut self, other: ReadCount) {
        self.fetched += other.fetched;
        self.decoded += other.decoded;
    }
}

/// How a worker elsewhere finds the same source again, and how a plan knows that it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Path or URL; `None` for a source that exists only in this process.
    pub uri: Option<String>,
    /// Size in bytes and modification time in whole seconds, where the source has them; of several files the sum of their
    /// sizes and a hash of their times.
    pub stamp: Option<(u64, u64)>,
    /// Hash of the index (offsets, shapes, codecs; of Zarr: its metadata): what the pixels are read by.
    pub digest: String,
}

/// An opened image. Opening reads headers; pixels are read on demand, from any thread.
pub trait Reader: Debug + Send + Sync {
    /// The description of the image.
    fn info(&self) -> &ImageInfo;

    /// How to find this image again.
    fn source(&self) -> SourceSpec;

    /// What was asked of it beyond what its files say, as text for whoever opens it elsewhere; `None` if nothing was.
    fn reading(&self) -> Option<String> {
        None
    }

    /// Reads `region` (T C Z Y X S, in pixels of that level) into `out`, which has the region's shape and the scene's
    /// pixel type. Samples are never parted: the region spans the whole S axis. All of `out` is written on success.
    ///
    /// # Errors
    /// [`ReadError`] if the place does not exist, the file cannot be read, or what is stored there is damaged.
    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError>;

    /// Most bytes of scratch that one [`read`](Reader::read) of `region` takes beside `out`: encoded bytes, one decoded
    /// tile.
    fn scratch_bytes(&self, at: Place, region: &Region) -> u64;

    /// Whether the files are still those that were opened, as far as their names, sizes and times tell.
    ///
    /// # Errors
    /// [`ReadError::Changed`] naming the file that is not.
    fn unchanged(&self) -> Result<(), ReadError> {
        Ok(())
    }

    /// The scene and level of a place.
    ///
    /// # Errors
    /// [`ReadError::NoSuchPlace`] if there is none.
    fn level(&self, at: Place) -> Result<(&SceneInfo, &LevelInfo), ReadError> {
        let info = self.info();
        let missing = || ReadError::NoSuchPlace {
            path: info.path.clone(),
            place: at,
            scenes: info.scenes.len(),
            levels: info.scenes.get(at.scene).map_or(0, |s| s.levels.len()),
        };
        let scene = info.scenes.get(at.scene).ok_or_else(missing)?;
        let level = scene.levels.get(at.level).ok_or_else(missing)?;
        Ok((scene, level))
    }
}

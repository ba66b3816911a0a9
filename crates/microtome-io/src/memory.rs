//! A source and a sink in memory, for tests and for results that are to be looked at.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use microtome_array::{
    ArrayError, ArraySpec, Axis, BufferPool, ChunkGrid, ChunkIndex, PerAxis, Pixels, PixelsMut, PixelsRef, Region,
    Shape, copy_region,
};
use sha2::{Digest, Sha256};

use crate::{
    Check, Completion, ImageInfo, LevelInfo, Output, PixelSize, Place, Prepare, ReadContext, ReadCount, ReadError,
    Reader, Receipt, SceneInfo, SceneKind, Sink, SinkSpec, SourceSpec, Standing, StorageInfo, StorageKind, UnitWriter,
    WriteContext, WriteError,
};

/// One array in memory as an image of one scene and one level.
#[derive(Debug)]
pub struct MemoryReader {
    info: ImageInfo,
    pixels: Pixels,
    digest: String,
}

impl MemoryReader {
    /// An image over pixels; they are hashed, O(bytes), so that equal pixels are equal sources.
    pub fn new(pixels: Pixels) -> MemoryReader {
        let spec = pixels.spec();
        let digest = format!("{:x}", Sha256::digest(pixels.as_ref().bytes()));
        MemoryReader { info: memory_info(spec, "memory", "memory"), pixels, digest }
    }
}

/// The description of one array without a file.
pub(crate) fn memory_info(spec: ArraySpec, name: &str, format: &str) -> ImageInfo {
    let one = Shape::new(PerAxis::splat(1).with(Axis::S, spec.shape.get(Axis::S)).0).unwrap_or(spec.shape);
    let storage =
        StorageInfo { kind: StorageKind::Memory, tile: one, shard: None, granule: one, codec: "none".to_owned() };
    let level = LevelInfo { shape: spec.shape, downsample: [1.0; 6], origin: [0.0; 6], storage };
    let scene = SceneInfo {
        index: 0,
        id: String::new(),
        name: name.to_owned(),
        kind: SceneKind::Image,
        dtype: spec.dtype,
        channels: vec![crate::Channel::default(); spec.shape.get(Axis::C).min(1 << 16) as usize],
        pixel_size: PixelSize::default(),
        time_increment: None,
        well: None,
        position: crate::Position::default(),
        objective: None,
        stage: None,
        levels: vec![level],
        page_order: [Axis::Z, Axis::C, Axis::T],
        palette: Vec::new(),
    };
    ImageInfo { path: name.into(), format: format.to_owned(), scenes: vec![scene], ..ImageInfo::default() }
}

impl Reader for MemoryReader {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        SourceSpec { uri: None, stamp: None, digest: self.digest.clone() }
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        _context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        self.level(at)?;
        copy_region(self.pixels.as_ref(), &PerAxis::splat(0), out, &region.origin(), region)
            .map_err(|source| ReadError::Array { path: self.info.path.clone(), source })?;
        let bytes = region.shape().bytes(self.pixels.spec().dtype);
        Ok(ReadCount { fetched: bytes, decoded: bytes })
    }

    fn scratch_bytes(&self, _at: Place, _region: &Region) -> u64 {
        0
    }
}

/// A sink that keeps its array in memory.
#[derive(Debug)]
pub struct MemorySink {
    spec: SinkSpec,
    pixels: Mutex<Pixels>,
}

impl MemorySink {
    /// A sink for an array, with write units of shape `unit`. The whole array is allocated now.
    ///
    /// # Errors
    /// [`ArrayError`] if `unit` has an extent of 0.
    pub fn new(array: ArraySpec, unit: Shape) -> Result<MemorySink, ArrayError> {
        let units = ChunkGrid::new(array.shape, unit)?;
        let spec = SinkSpec { array, units, part: units.chunk() };
        Ok(MemorySink { spec, pixels: Mutex::new(Pixels::zeroed(array)) })
    }

    /// A copy of the pixels; those of units that were never written are 0.
    pub fn pixels(&self) -> Pixels {
        let whole = self.pixels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut copy = Pixels::zeroed(whole.spec());
        copy.as_mut().bytes().copy_from_slice(whole.as_ref().bytes());
        copy
    }

    /// The pixels; those of units that were never written are 0.
    pub fn into_pixels(self) -> Pixels {
        self.pixels.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for MemorySink {
    fn read_scratch_bytes(&self) -> u64 {
        0
    }

    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn scratch_bytes(&self, _box_shape: &Shape) -> u64 {
        0
    }

    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        _context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        Ok(Box::new(MemoryUnit { sink: self, unit, bytes: 0 }))
    }
}

/// An output of one array that is gone with the process: nothing to settle, nothing to go on from.
impl Output for MemorySink {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn arrays(&self) -> usize {
        1
    }

    fn array(&self, _n: usize) -> &dyn Sink {
        self
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({"sink": "memory"})
    }

    fn look(&self, _plan: &str, _resume: bool) -> Result<Standing, WriteError> {
        Ok(Standing::Fresh)
    }

    fn journal(&self, _plan: &str) -> Option<PathBuf> {
        None
    }

    fn prepare(&self, _how: &Prepare<'_>) -> Result<Standing, WriteError> {
        Ok(Standing::Fresh)
    }

    fn settle(&self, _units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        Ok(())
    }

    fn check(&self, _array: usize, _receipt: &Receipt, _how: Check) -> Result<bool, WriteError> {
        Ok(true)
    }

    /// A copy of the pixels.
    fn reopen(&self, _array: usize) -> Result<Arc<dyn Reader>, ReadError> {
        Ok(Arc::new(MemoryReader::new(self.pixels())))
    }

    fn finish(&self, _completion: &Completion<'_>) -> Result<(), WriteError> {
        Ok(())
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        Ok(None)
    }

    fn abandon(&self) {}
}

struct MemoryUnit<'a> {
    sink: &'a MemorySink,
    unit: ChunkIndex,
    bytes: u64,
}

impl UnitWriter for MemoryUnit<'_> {
    fn write(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), WriteError> {
        let mut whole = self.sink.pixels.lock().unwrap_or_else(PoisonError::into_inner);
        copy_region(pixels, &region.origin(), &mut whole.as_mut(), &PerAxis::splat(0), region)
            .map_err(|source| WriteError::Array { path: "memory".into(), source })?;
        self.bytes += pixels.spec().bytes();
        Ok(())
    }

    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        Ok(vec![Receipt { unit: self.unit, pixel_bytes: self.bytes, stored_bytes: self.bytes, crc32c: 0, whole }])
    }
}

/// Reads a region into fresh pixels: for tests and small previews.
///
/// # Errors
/// As [`Reader::read`].
pub fn read_region(reader: &dyn Reader, at: Place, region: &Region) -> Result<Pixels, ReadError> {
    let (scene, _) = reader.level(at)?;
    let mut pixels = Pixels::zeroed(ArraySpec { shape: region.shape(), dtype: scene.dtype });
    let pool = BufferPool::new(0);
    reader.read(at, region, &mut pixels.as_mut(), &ReadContext { pool: &pool })?;
    Ok(pixels)
}

//! An array that is stored for a while between two passes of a run: in a file without a name, which is gone with the process.
//!
//! Each write unit has its place in the file, in which its parts lie one after another, raw. A checksum of each part is kept
//! in memory, so a part is read as it was written or not at all.
//!
//! *Invariant:* a part that was never written is an error, never pixels.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use microtome_array::{
    ArraySpec, Axis, Buffer, BufferPool, ChunkGrid, ChunkIndex, PerAxis, PixelsMut, PixelsRef, Region, Shape,
    copy_region,
};

use crate::memory::memory_info;
use crate::{
    ImageInfo, Place, ReadContext, ReadCount, ReadError, Reader, Receipt, Sink, SinkSpec, SourceSpec, StorageInfo,
    StorageKind, UnitWriter, WriteContext, WriteError,
};

/// Set in the record of a part that was written; the other bits are its checksum.
const WRITTEN: u64 = 1 << 32;

/// An array in a file without a name: a [`Sink`], and a [`Reader`] of what was written. Made without a file it can be
/// planned with; [`open`](ScratchStore::open) gives it one.
#[derive(Debug)]
pub struct ScratchStore {
    spec: SinkSpec,
    info: ImageInfo,
    /// Parts of a whole unit along each axis.
    counts: PerAxis<u64>,
    opened: OnceLock<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Of every part of every unit: whether it was written, and its CRC-32C.
    parts: Vec<AtomicU64>,
}

impl ScratchStore {
    /// A store that is described and has no file yet. Samples are never parted.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{ArraySpec, ChunkGrid, PixelType, Shape};
    /// use microtome_io::{Reader, ScratchStore, SinkSpec};
    /// let array = ArraySpec { shape: Shape::new([1, 1, 8, 64, 64, 1])?, dtype: PixelType::U16 };
    /// let units = ChunkGrid::new(array.shape, Shape::new([1, 1, 4, 64, 64, 1])?)?; // four planes are written at once
    /// let part = Shape::new([1, 1, 4, 16, 16, 1])?; // columns of them are read
    /// let store = ScratchStore::new(SinkSpec { array, units, part });
    /// assert_eq!(store.info().scenes[0].levels[0].storage.granule, part);
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn new(spec: SinkSpec) -> ScratchStore {
        let counts = PerAxis::from_fn(|a| spec.units.chunk().get(a).div_ceil(spec.part.get(a)));
        let mut info = memory_info(spec.array, "intermediate", "scratch");
        info.path = "the intermediate store".into();
        info.scenes[0].levels[0].storage = StorageInfo {
            kind: StorageKind::Chunks,
            tile: spec.part,
            shard: Some(spec.units.chunk()),
            granule: spec.part,
            codec: "none".to_owned(),
        };
        ScratchStore { spec, info, counts, opened: OnceLock::new() }
    }

    /// Gives it a file in a folder. The file has no name there and takes room only for what is written.
    ///
    /// # Errors
    /// [`WriteError::Os`] if none can be created.
    pub fn open(&self, folder: &Path) -> Result<(), WriteError> {
        let file = tempfile::tempfile_in(folder).map_err(|e| WriteError::os(folder, "create a file in", e))?;
        let parts = (0..self.spec.units.count() * self.parts()).map(|_| AtomicU64::new(0)).collect();
        self.opened.get_or_init(|| Opened { file, parts });
        Ok(())
    }

    /// Parts of a unit.
    fn parts(&self) -> u64 {
        self.counts.0.iter().product()
    }

    fn part_bytes(&self) -> u64 {
        self.spec.part.bytes(self.spec.array.dtype)
    }

    fn unit_bytes(&self) -> u64 {
        self.parts() * self.part_bytes()
    }

    /// The parts of the whole array. Units hold whole parts, or end with the array.
    fn grid(&self) -> Result<ChunkGrid, microtome_array::ArrayError> {
        ChunkGrid::new(self.spec.array.shape, self.spec.part)
    }

    /// The place of a part: its unit, and its number in it.
    fn place(&self, part: &ChunkIndex) -> (u64, u64) {
        let unit = PerAxis::from_fn(|a| part[a] / self.counts[a]);
        let within = Axis::ALL.iter().fold(0, |n, &a| n * self.counts[a] + part[a] % self.counts[a]);
        (self.spec.units.linear(&unit), within)
    }

    fn corrupt(&self, part: &Region, why: &str) -> ReadError {
        ReadError::Corrupt {
            path: self.info.path.clone(),
            what: format!("the part {part}"),
            location: String::new(),
            why: why.to_owned(),
        }
    }

    /// Reads a part into as many bytes as it has.
    fn read_part(&self, index: &ChunkIndex, region: &Region, bytes: &mut [u8]) -> Result<(), ReadError> {
        let (unit, within) = self.place(index);
        let opened = self.opened.get().ok_or_else(|| ReadError::NotFound { path: self.info.path.clone() })?;
        let record = opened.parts[(unit * self.parts() + within) as usize].load(Ordering::Acquire);
        if record & WRITTEN == 0 {
            return Err(self.corrupt(region, "it was never written"));
        }
        let offset = unit * self.unit_bytes() + within * self.part_bytes();
        opened.file.read_exact_at(bytes, offset).map_err(|source| ReadError::Os {
            path: self.info.path.clone(),
            action: format!("read {} bytes at {offset} of", bytes.len()),
            source,
        })?;
        if u64::from(crc32c::crc32c(bytes)) | WRITTEN != record {
            return Err(self.corrupt(region, "its checksum is not that of what was written"));
        }
        Ok(())
    }
}

impl Sink for ScratchStore {
    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn scratch_bytes(&self, _box_shape: &Shape) -> u64 {
        BufferPool::charged(self.unit_bytes())
    }

    fn read_scratch_bytes(&self) -> u64 {
        BufferPool::charged(self.part_bytes())
    }

    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        let buffer = context.pool.take(self.unit_bytes() as usize);
        Ok(Box::new(ScratchUnit { store: self, unit, buffer, pixel_bytes: 0 }))
    }
}

/// A unit being filled, in the order of its parts.
struct ScratchUnit<'a> {
    store: &'a ScratchStore,
    unit: ChunkIndex,
    buffer: Buffer,
    pixel_bytes: u64,
}

impl ScratchUnit<'_> {
    fn array_error(&self, source: microtome_array::ArrayError) -> WriteError {
        WriteError::Array { path: self.store.info.path.clone(), source }
    }

    /// The bytes of a part in the unit's buffer.
    fn range(&self, index: &ChunkIndex, region: &Region) -> std::ops::Range<usize> {
        let (_, within) = self.store.place(index);
        let start = (within * self.store.part_bytes()) as usize;
        start..start + region.shape().bytes(self.store.spec.array.dtype) as usize
    }
}

impl UnitWriter for ScratchUnit<'_> {
    fn write(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), WriteError> {
        let grid = self.store.grid().map_err(|e| self.array_error(e))?;
        for index in grid.covering(region).iter() {
            let Some(part) = grid.region(&index) else { continue };
            let (range, spec) = (self.range(&index, &part), ArraySpec { shape: part.shape(), ..pixels.spec() });
            let copied = PixelsMut::new(spec, &mut self.buffer.bytes_mut()[range]).and_then(|mut out| {
                copy_region(pixels, &region.origin(), &mut out, &part.origin(), &part.intersect(region))
            });
            copied.map_err(|e| self.array_error(e))?;
        }
        self.pixel_bytes += pixels.spec().bytes();
        Ok(())
    }

    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        let store = self.store;
        let path = &store.info.path;
        let opened = store.opened.get().ok_or_else(|| {
            WriteError::os(path, "write to", std::io::Error::new(std::io::ErrorKind::NotFound, "it has no file"))
        })?;
        let grid = store.grid().map_err(|e| self.array_error(e))?;
        let unit = store.spec.units.linear(&self.unit);
        let at = unit * store.unit_bytes();
        let region = store.spec.units.region(&self.unit).unwrap_or_else(|| Region::of(store.spec.array.shape));
        let mut end = 0;
        let mut records = Vec::new();
        for index in grid.covering(&region).iter() {
            let Some(part) = grid.region(&index) else { continue };
            let range = self.range(&index, &part);
            end = end.max(range.end);
            let crc = crc32c::crc32c(&self.buffer.bytes()[range]);
            records.push((unit * store.parts() + store.place(&index).1, u64::from(crc) | WRITTEN));
        }
        opened.file.write_all_at(&self.buffer.bytes()[..end], at).map_err(|e| WriteError::os(path, "write to", e))?;
        for (part, record) in records {
            opened.parts[part as usize].store(record, Ordering::Release);
        }
        let (pixel_bytes, stored_bytes) = (self.pixel_bytes, end as u64);
        Ok(vec![Receipt { unit: self.unit, pixel_bytes, stored_bytes, crc32c: 0, whole }])
    }
}

impl Reader for ScratchStore {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        SourceSpec { uri: None, stamp: None, digest: String::new() }
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        let (scene, level) = self.level(at)?;
        let array = |source| ReadError::Array { path: self.info.path.clone(), source };
        region.check_inside(&level.shape).map_err(array)?;
        let grid = self.grid().map_err(array)?;
        let mut count = ReadCount::default();
        for index in grid.covering(region).iter() {
            let Some(part) = grid.region(&index) else { continue };
            let spec = ArraySpec { shape: part.shape(), dtype: scene.dtype };
            if part == *region && out.spec() == spec {
                self.read_part(&index, &part, out.bytes())?;
            } else {
                let mut bytes = context.pool.take(spec.bytes() as usize);
                self.read_part(&index, &part, bytes.bytes_mut())?;
                let pixels = PixelsRef::new(spec, bytes.bytes()).map_err(array)?;
                let overlap = part.intersect(region);
                copy_region(pixels, &part.origin(), out, &region.origin(), &overlap).map_err(array)?;
            }
            count += ReadCount { fetched: spec.bytes(), decoded: spec.bytes() };
        }
        Ok(count)
    }

    fn scratch_bytes(&self, _at: Place, _region: &Region) -> u64 {
        self.read_scratch_bytes()
    }
}

#[cfg(test)]
mod tests {
    use microtome_array::{PixelType, Pixels};
    use proptest::prelude::*;

    use super::*;
    use crate::{contract, read_region};

    fn pixels(shape: Shape) -> Pixels {
        let mut pixels = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::U16 });
        for (n, value) in pixels.as_mut().slice_mut::<u16>().unwrap().iter_mut().enumerate() {
            *value = (n * 7 + 1) as u16;
        }
        pixels
    }

    /// A store with all units written, in boxes of a shape.
    fn stored(pixels: &Pixels, unit: Shape, part: Shape, step: Shape, folder: &Path) -> ScratchStore {
        let array = pixels.spec();
        let units = ChunkGrid::new(array.shape, unit).unwrap();
        let store = ScratchStore::new(SinkSpec { array, units, part });
        store.open(folder).unwrap();
        let pool = BufferPool::new(0);
        for index in units.all().iter() {
            let region = units.region(&index).unwrap();
            let mut writer = store.begin(index, &WriteContext { pool: &pool }).unwrap();
            let boxes = ChunkGrid::new(region.shape(), step).unwrap();
            for at in boxes.all().iter().map(|i| boxes.region(&i).unwrap().shifted(&region.origin())) {
                let mut part = Pixels::zeroed(ArraySpec { shape: at.shape(), ..array });
                copy_region(pixels.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &at.origin(), &at).unwrap();
                writer.write(&at, part.as_ref()).unwrap();
            }
            assert_eq!(writer.finish(true).unwrap()[0].pixel_bytes, region.shape().bytes(array.dtype));
            assert!(pool.stats().peak_lent <= Sink::scratch_bytes(&store, &step));
        }
        store
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_whatever_the_shapes(
            z in 1u64..9, y in 1u64..20, x in 1u64..20,
            part in [1u64..4, 1..7, 1..7], times in [1u64..3, 1..4, 1..4], step in [1u64..5, 1..9, 1..30],
        ) {
            let whole = Shape::new([1, 2, z, y, x, 2]).unwrap();
            let shape = |[z, y, x]: [u64; 3]| Shape::new([1, 1, z, y, x, 2]).unwrap();
            let unit = shape([part[0] * times[0], part[1] * times[1], part[2] * times[2]]);
            let (pixels, folder) = (pixels(whole), tempfile::tempdir().unwrap());
            let store = stored(&pixels, unit, shape(part), shape(step), folder.path());
            let all = read_region(&store, Place::default(), &whole.region()).unwrap();
            prop_assert_eq!(all.as_ref().bytes(), pixels.as_ref().bytes());
            contract::reader(&store, z * 31 + y * 7 + x);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
        }
    }

    #[test]
    fn a_part_that_was_not_written_or_was_changed_is_an_error() {
        let array = ArraySpec { shape: Shape::new([1, 1, 2, 8, 8, 1]).unwrap(), dtype: PixelType::U16 };
        let plane = Shape::new([1, 1, 1, 8, 8, 1]).unwrap();
        let units = ChunkGrid::new(array.shape, plane).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = ScratchStore::new(SinkSpec { array, units, part: plane });
        let first = plane.region();
        let fails = |store: &ScratchStore| read_region(store, Place::default(), &first).unwrap_err().to_string();
        assert!(fails(&store).contains("does not exist"), "{}", fails(&store));
        store.open(folder.path()).unwrap();
        assert!(fails(&store).ends_with("it was never written"), "{}", fails(&store));
        let pool = BufferPool::new(0);
        let mut writer = store.begin(units.index(0), &WriteContext { pool: &pool }).unwrap();
        writer.write(&first, pixels(plane).as_ref()).unwrap();
        writer.finish(true).unwrap();
        read_region(&store, Place::default(), &first).unwrap();
        store.opened.get().unwrap().file.write_all_at(&[255], 17).unwrap();
        assert!(fails(&store).contains("its checksum is not that"), "{}", fails(&store));
    }

    #[test]
    fn a_full_disk_is_an_error_that_says_so() {
        let full = Path::new("/dev/full");
        let array = ArraySpec { shape: Shape::new([1, 1, 1, 8, 8, 1]).unwrap(), dtype: PixelType::U16 };
        let units = ChunkGrid::new(array.shape, array.shape).unwrap();
        let store = ScratchStore::new(SinkSpec { array, units, part: array.shape });
        let file = File::options().write(true).open(full).unwrap();
        store.opened.get_or_init(|| Opened { file, parts: vec![AtomicU64::new(0)] });
        let pool = BufferPool::new(0);
        let mut writer = store.begin(units.index(0), &WriteContext { pool: &pool }).unwrap();
        writer.write(&array.shape.region(), pixels(array.shape).as_ref()).unwrap();
        let error = writer.finish(true).unwrap_err().to_string();
        assert!(error.starts_with("cannot write to the intermediate store: No space left on device"), "{error}");
    }
}

//! One plane as PNG, every value as it is.
//!
//! *Invariant:* the file appears under its name when it is whole, and says itself that it is; equal plans give equal bytes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use microtome_array::{
    ArraySpec, Buffer, BufferPool, ChunkGrid, ChunkIndex, PixelsMut, PixelsRef, Region, Shape, copy_region,
};
use microtome_io::disk::{self, parent, sync_folder};
use microtome_io::{
    Check, Completion, Durability, MemoryReader, Output, Prepare, ReadError, Reader, Receipt, Sink, SinkSpec, Standing,
    UnitWriter, WriteContext, WriteError,
};

use crate::PngOptions;
use crate::encode::Kind;
use crate::place::{Partial, Place, plain};
use crate::record;

/// A plane that is written as PNG: grey of 1, 8 or 16 bits, or samples (grey and alpha, RGB, RGBA) of 8 or 16.
///
/// The plane is one write unit and is held while it is encoded. Names, sizes and levels have no place in it.
#[derive(Debug)]
pub struct PngOutput {
    place: Place,
    spec: SinkSpec,
    kind: Kind,
    begun: OnceLock<(Partial, Durability)>,
}

impl PngOutput {
    /// Describes it; nothing is touched on disk.
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] for more than one plane and for pixels that PNG has not.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{ArraySpec, PixelType, Shape};
    /// use microtome_picture::{PngOptions, PngOutput};
    /// let plane = ArraySpec { shape: Shape::new([1, 1, 1, 480, 640, 1])?, dtype: PixelType::U16 };
    /// assert!(PngOutput::new("plane.png".as_ref(), plane, &PngOptions::default()).is_ok());
    /// let stack = ArraySpec { shape: Shape::new([1, 2, 9, 480, 640, 1])?, ..plane };
    /// let refused = PngOutput::new("stack.png".as_ref(), stack, &PngOptions::default()).unwrap_err().to_string();
    /// assert!(refused.starts_with("stack.png cannot hold this: a PNG is one plane, and this has T 1, C 2, Z 9"));
    /// assert!(refused.contains("--region c=1,z=4"));
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn new(path: &Path, array: ArraySpec, options: &PngOptions) -> Result<PngOutput, WriteError> {
        let out = plain(path);
        let kind = Kind::of(&array).map_err(|why| WriteError::Unsupported { path: out.clone(), why })?;
        let array_error = |source| WriteError::Array { path: path.to_owned(), source };
        let units = ChunkGrid::new(array.shape, array.shape).map_err(array_error)?;
        let spec = SinkSpec { array, units, part: array.shape };
        Ok(PngOutput { place: Place { out, overwrite: options.overwrite }, spec, kind, begun: OnceLock::new() })
    }

    fn misused(&self, why: &str) -> WriteError {
        WriteError::Unsupported { path: self.place.out.clone(), why: format!("{why}: a bug in the caller") }
    }

    fn begun(&self) -> Result<(&Partial, bool), WriteError> {
        let begun = self.begun.get().ok_or_else(|| self.misused("it is not prepared"))?;
        Ok((&begun.0, begun.1 != Durability::None))
    }

    /// Encodes the plane into the partial file.
    fn encode(&self, pixels: &[u8]) -> Result<(u64, u32), WriteError> {
        let (partial, _) = self.begun()?;
        let path = &partial.file;
        let file = File::create(path).map_err(|e| WriteError::os(path, "create", e))?;
        self.kind.encode(pixels, &file, path)
    }

    /// Puts the record and the last chunk behind the plane.
    fn complete(&self, completion: &Completion<'_>) -> Result<(), WriteError> {
        let (partial, syncs) = self.begun()?;
        let plane = completion.units.first().and_then(|units| units.first());
        let bytes = plane.ok_or_else(|| self.misused("it is finished and its plane is not stored"))?.stored_bytes;
        let written = OpenOptions::new().write(true).open(&partial.file).and_then(|mut file| {
            file.set_len(bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            file.write_all(&record::tail(completion))?;
            if syncs { file.sync_all() } else { Ok(()) }
        });
        written.map_err(|e| WriteError::os(&partial.file, "write the end of", e))
    }
}

impl Sink for PngOutput {
    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn scratch_bytes(&self, _box_shape: &Shape) -> u64 {
        BufferPool::charged(self.spec.array.bytes()) + self.kind.scratch_bytes(&self.spec.array)
    }

    fn read_scratch_bytes(&self) -> u64 {
        0
    }

    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        let plane = context.pool.take(self.spec.array.bytes() as usize);
        Ok(Box::new(Plane { output: self, unit, pixels: plane }))
    }
}

/// The plane being filled.
struct Plane<'a> {
    output: &'a PngOutput,
    unit: ChunkIndex,
    pixels: Buffer,
}

impl UnitWriter for Plane<'_> {
    fn write(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), WriteError> {
        let spec = self.output.spec.array;
        let copied = PixelsMut::new(spec, self.pixels.bytes_mut()).and_then(|mut plane| {
            copy_region(pixels, &region.origin(), &mut plane, &spec.shape.region().origin(), region)
        });
        copied.map_err(|source| WriteError::Array { path: self.output.place.out.clone(), source })
    }

    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        let (stored_bytes, crc32c) = self.output.encode(self.pixels.bytes())?;
        let pixel_bytes = self.output.spec.array.bytes();
        Ok(vec![Receipt { unit: self.unit, pixel_bytes, stored_bytes, crc32c, whole }])
    }
}

impl Output for PngOutput {
    fn path(&self) -> &Path {
        &self.place.out
    }

    fn arrays(&self) -> usize {
        1
    }

    fn array(&self, _n: usize) -> &dyn Sink {
        self
    }

    fn files(&self, _n: usize) -> u64 {
        1
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({"sink": "png"})
    }

    fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        self.place.look(plan, resume)
    }

    fn journal(&self, plan: &str) -> Option<PathBuf> {
        microtome_io::beside::journal(&self.place.out, plan).ok()
    }

    fn prepare(&self, how: &Prepare<'_>) -> Result<Standing, WriteError> {
        let standing = self.place.look(how.plan, how.resume)?;
        if standing == Standing::Finished {
            self.place.partial(how.plan)?.remove()?;
            return Ok(standing);
        }
        let partial = self.place.begin(how.plan, standing)?;
        self.begun.set((partial, how.durability)).map_err(|_| self.misused("it is prepared twice"))?;
        Ok(standing)
    }

    fn settle(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        let (partial, syncs) = self.begun()?;
        if units.is_empty() || !syncs {
            return Ok(());
        }
        let synced = File::open(&partial.file).and_then(|file| file.sync_all());
        synced.map_err(|e| WriteError::os(&partial.file, "bring to the disk", e))?;
        sync_folder(parent(&self.place.out))
    }

    fn check(&self, _array: usize, receipt: &Receipt, how: Check) -> Result<bool, WriteError> {
        let (partial, _) = self.begun()?;
        let bytes = receipt.stored_bytes;
        let checked = || -> std::io::Result<bool> {
            let file = match File::open(&partial.file) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                opened => opened?,
            };
            if file.metadata()?.len() < bytes || how == Check::Length {
                return Ok(file.metadata()?.len() >= bytes);
            }
            Ok(disk::crc32c_of(file.take(bytes))? == receipt.crc32c)
        };
        checked().map_err(|e| WriteError::os(&partial.file, "read", e))
    }

    fn reopen(&self, _array: usize) -> Result<Arc<dyn Reader>, ReadError> {
        let (partial, _) = self.begun().map_err(|_| ReadError::NotFound { path: self.place.out.clone() })?;
        let path = &partial.file;
        let mut bytes = std::fs::read(path).map_err(|e| ReadError::os(path, "read", e))?;
        // What the file lacks until it is finished.
        bytes.extend(record::END);
        let pixels = self.kind.decode(self.spec.array, &bytes);
        let wrong = |why: String| ReadError::Corrupt {
            path: path.clone(),
            what: "the plane".to_owned(),
            location: String::new(),
            why,
        };
        Ok(Arc::new(MemoryReader::new(pixels.map_err(wrong)?)))
    }

    fn finish(&self, completion: &Completion<'_>) -> Result<(), WriteError> {
        self.complete(completion)?;
        let (partial, syncs) = self.begun()?;
        self.place.publish(partial, syncs)
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        Ok(record::read(&self.place.out).and_then(|record| record.quarantine))
    }

    fn abandon(&self) {
        if let Some((partial, _)) = self.begun.get() {
            let _ = partial.remove();
        }
    }
}

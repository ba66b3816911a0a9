//! One plane as PNG, every value as it is.
//!
//! *Invariant:* the file appears under its name when it is whole; a value that PNG cannot hold is refused before anything is
//! computed, never rounded.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use microtome_array::{
    ArraySpec, Buffer, BufferPool, ChunkGrid, ChunkIndex, PixelType, PixelsMut, PixelsRef, Region, Shape, copy_region,
};
use microtome_io::disk::{parent, sync_folder};
use microtome_io::{
    Check, Completion, Durability, Output, Prepare, ReadError, Reader, Receipt, Sink, SinkSpec, Standing, UnitWriter,
    WriteContext, WriteError,
};
use tempfile::TempPath;

use crate::file;

/// A plane that is written as PNG: grey of 1, 8 or 16 bits, or samples (grey and alpha, RGB, RGBA) of 8 or 16.
///
/// The plane is one write unit and is held while it is encoded. There is nothing to go on from: a run that ends early
/// leaves no file. A list of what could not be read is in the answer of the run alone.
#[derive(Debug)]
pub struct PngOutput {
    path: PathBuf,
    overwrite: bool,
    spec: SinkSpec,
    color: png::ColorType,
    depth: png::BitDepth,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    durability: Durability,
    /// The file while it has no name of its own.
    written: Option<TempPath>,
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
    /// use microtome_picture::PngOutput;
    /// let plane = ArraySpec { shape: Shape::new([1, 1, 1, 480, 640, 1])?, dtype: PixelType::U16 };
    /// assert!(PngOutput::new("plane.png".as_ref(), plane, false).is_ok());
    /// let stack = ArraySpec { shape: Shape::new([1, 1, 9, 480, 640, 1])?, ..plane };
    /// let refused = PngOutput::new("stack.png".as_ref(), stack, false).unwrap_err().to_string();
    /// assert!(refused.starts_with("stack.png cannot hold this: a PNG is one plane, and this has T 1, C 1, Z 9"));
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn new(path: &Path, array: ArraySpec, overwrite: bool) -> Result<PngOutput, WriteError> {
        let refused = |why: String| WriteError::Unsupported { path: path.to_owned(), why };
        let [t, c, z, y, x, samples] = array.shape.extents();
        if t * c * z != 1 {
            return Err(refused(format!(
                "a PNG is one plane, and this has T {t}, C {c}, Z {z}; choose one with --region t=0,c=0,z=0, or see \
                 microtome thumbnail"
            )));
        }
        if y.max(x) > u64::from(u32::MAX >> 1) || y.min(x) == 0 {
            return Err(refused(format!("{y} × {x} pixels are not between 1 and 2147483647 a side")));
        }
        let depth = match array.dtype {
            PixelType::Bool if samples == 1 => png::BitDepth::One,
            PixelType::U8 => png::BitDepth::Eight,
            PixelType::U16 => png::BitDepth::Sixteen,
            other => {
                return Err(refused(format!(
                    "PNG has pixels of uint8 and uint16, not of {other}; convert with --dtype, or see microtome thumbnail"
                )));
            }
        };
        let color = match samples {
            1 => png::ColorType::Grayscale,
            2 => png::ColorType::GrayscaleAlpha,
            3 => png::ColorType::Rgb,
            4 => png::ColorType::Rgba,
            more => return Err(refused(format!("PNG has at most 4 samples a pixel, not {more}"))),
        };
        let array_error = |source| WriteError::Array { path: path.to_owned(), source };
        let units = ChunkGrid::new(array.shape, array.shape).map_err(array_error)?;
        let spec = SinkSpec { array, units, part: array.shape };
        Ok(PngOutput { path: path.to_owned(), overwrite, spec, color, depth, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands_in_the_way(&self) -> Result<(), WriteError> {
        match std::fs::symlink_metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(WriteError::os(&self.path, "look at", e)),
            Ok(found) if found.is_dir() => {
                Err(WriteError::NotReplaced { path: self.path.clone(), why: "it is a folder".to_owned() })
            }
            Ok(_) if self.overwrite => Ok(()),
            Ok(_) => Err(WriteError::Exists { path: self.path.clone() }),
        }
    }

    /// Encodes the plane into a file beside the output.
    fn encode(&self, pixels: &[u8]) -> Result<(TempPath, u64, u32), WriteError> {
        let os = |action: &'static str| move |e| WriteError::os(&self.path, action, e);
        let file = file::beside(&self.path)?;
        let encoded = |e: png::EncodingError| match e {
            png::EncodingError::IoError(e) => WriteError::os(&self.path, "write", e),
            other => {
                WriteError::Encode { path: self.path.clone(), what: "the plane".to_owned(), why: other.to_string() }
            }
        };
        let [.., y, x, _] = self.spec.array.shape.extents();
        let mut counted = Counted { out: BufWriter::new(file.as_file()), bytes: 0, crc32c: 0 };
        let mut encoder = png::Encoder::new(&mut counted, x as u32, y as u32);
        encoder.set_color(self.color);
        encoder.set_depth(self.depth);
        let mut writer = encoder.write_header().map_err(encoded)?;
        let mut rows = writer.stream_writer().map_err(encoded)?;
        let row = pixels.len() / y.max(1) as usize;
        for row in pixels.chunks_exact(row.max(1)) {
            rows.write_all(&self.ordered(row)).map_err(os("write"))?;
        }
        rows.finish().map_err(encoded)?;
        writer.finish().map_err(encoded)?;
        counted.flush().map_err(os("write"))?;
        let (bytes, crc32c) = (counted.bytes, counted.crc32c);
        drop(counted);
        if self.state().durability != Durability::None {
            file.as_file().sync_all().map_err(os("bring to the disk"))?;
        }
        Ok((file.into_temp_path(), bytes, crc32c))
    }

    /// A row as PNG has it: samples of 16 bits with the high byte first, bits packed.
    fn ordered(&self, row: &[u8]) -> Vec<u8> {
        match self.depth {
            png::BitDepth::Sixteen => {
                row.chunks_exact(2).flat_map(|value| u16::from_ne_bytes([value[0], value[1]]).to_be_bytes()).collect()
            }
            png::BitDepth::One => row
                .chunks(8)
                .map(|bits| bits.iter().enumerate().fold(0, |byte, (n, bit)| byte | (u8::from(*bit != 0) << (7 - n))))
                .collect(),
            _ => row.to_vec(),
        }
    }
}

/// Counts what goes through, and takes its checksum.
struct Counted<W> {
    out: W,
    bytes: u64,
    crc32c: u32,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.bytes += taken as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Sink for PngOutput {
    fn spec(&self) -> &SinkSpec {
        &self.spec
    }

    fn scratch_bytes(&self, _box_shape: &Shape) -> u64 {
        BufferPool::charged(self.spec.array.bytes())
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
        copied.map_err(|source| WriteError::Array { path: self.output.path.clone(), source })
    }

    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        let (file, stored_bytes, crc32c) = self.output.encode(self.pixels.bytes())?;
        self.output.state().written = Some(file);
        let pixel_bytes = self.output.spec.array.bytes();
        Ok(vec![Receipt { unit: self.unit, pixel_bytes, stored_bytes, crc32c, whole }])
    }
}

impl Output for PngOutput {
    fn path(&self) -> &Path {
        &self.path
    }

    fn arrays(&self) -> usize {
        1
    }

    fn array(&self, _n: usize) -> &dyn Sink {
        self
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({"sink": "png"})
    }

    fn look(&self, _plan: &str, _resume: bool) -> Result<Standing, WriteError> {
        self.stands_in_the_way().map(|()| Standing::Fresh)
    }

    fn journal(&self, _plan: &str) -> Option<PathBuf> {
        None
    }

    fn prepare(&self, how: &Prepare<'_>) -> Result<Standing, WriteError> {
        self.state().durability = how.durability;
        self.stands_in_the_way().map(|()| Standing::Fresh)
    }

    fn settle(&self, _units: &[(usize, Receipt)]) -> Result<(), WriteError> {
        Ok(())
    }

    fn check(&self, _array: usize, _receipt: &Receipt, _how: Check) -> Result<bool, WriteError> {
        Ok(false)
    }

    fn reopen(&self, _array: usize) -> Result<Arc<dyn Reader>, ReadError> {
        Err(ReadError::NotFound { path: self.path.clone() })
    }

    fn finish(&self, _completion: &Completion<'_>) -> Result<(), WriteError> {
        let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "it was never written");
        let file = self.state().written.take().ok_or_else(|| WriteError::os(&self.path, "finish", missing()))?;
        file::name(file, &self.path, self.overwrite)?;
        if self.state().durability == Durability::None {
            return Ok(());
        }
        sync_folder(parent(&self.path))
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        Ok(None)
    }

    fn abandon(&self) {
        self.state().written = None;
    }
}

#[cfg(test)]
mod tests {
    use microtome_array::{Axis, PerAxis, Pixels};

    use super::*;

    fn spec(y: u64, x: u64, samples: u64, dtype: PixelType) -> ArraySpec {
        ArraySpec { shape: Shape::new([1, 1, 1, y, x, samples]).unwrap(), dtype }
    }

    /// Writes a plane in boxes; gives what a decoder makes of the file, expanded to bytes of its depth.
    fn written(array: ArraySpec, pixels: &Pixels) -> (png::ColorType, png::BitDepth, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane.png");
        let output = PngOutput::new(&path, array, false).unwrap();
        output.prepare(&Prepare::fresh("abc")).unwrap();
        let pool = BufferPool::new(0);
        let mut writer = output.begin(PerAxis::splat(0), &WriteContext { pool: &pool }).unwrap();
        let step = Shape::new([1, 1, 1, 3, 5, array.shape.get(Axis::S)]).unwrap();
        let boxes = ChunkGrid::new(array.shape, step).unwrap();
        for region in boxes.all().iter().map(|i| boxes.region(&i).unwrap()) {
            let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), ..array });
            copy_region(pixels.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), &region).unwrap();
            writer.write(&region, part.as_ref()).unwrap();
        }
        let receipts = writer.finish(true).unwrap();
        assert!(!path.exists(), "nothing stands under the name before the end");
        output.settle(&[(0, receipts[0].clone())]).unwrap();
        output.finish(&Completion { plan: "abc", units: &[], quarantine: None }).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        let stored = std::fs::read(&path).unwrap();
        assert_eq!((stored.len() as u64, crc32c::crc32c(&stored)), (receipts[0].stored_bytes, receipts[0].crc32c));
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut out = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut out).unwrap();
        (info.color_type, info.bit_depth, out)
    }

    #[test]
    fn every_value_of_every_kind_is_kept() {
        for (samples, color) in [
            (1, png::ColorType::Grayscale),
            (2, png::ColorType::GrayscaleAlpha),
            (3, png::ColorType::Rgb),
            (4, png::ColorType::Rgba),
        ] {
            let array = spec(7, 11, samples, PixelType::U16);
            let mut pixels = Pixels::zeroed(array);
            pixels.as_mut().slice_mut::<u16>().unwrap().iter_mut().enumerate().for_each(|(n, v)| *v = (n * 523) as u16);
            let (found, depth, bytes) = written(array, &pixels);
            assert_eq!((found, depth), (color, png::BitDepth::Sixteen));
            let values: Vec<u16> = bytes.chunks(2).map(|v| u16::from_be_bytes([v[0], v[1]])).collect();
            assert_eq!(values, pixels.as_ref().slice::<u16>().unwrap());

            let array = spec(7, 11, samples, PixelType::U8);
            let mut pixels = Pixels::zeroed(array);
            pixels.as_mut().bytes().iter_mut().enumerate().for_each(|(n, v)| *v = (n * 7) as u8);
            assert_eq!(written(array, &pixels), (color, png::BitDepth::Eight, pixels.as_ref().bytes().to_vec()));
        }
    }

    #[test]
    fn bits_are_packed() {
        let array = spec(2, 11, 1, PixelType::Bool);
        let mut pixels = Pixels::zeroed(array);
        pixels.as_mut().bytes().iter_mut().enumerate().for_each(|(n, v)| *v = u8::from(n % 3 == 0));
        let (_, depth, bytes) = written(array, &pixels);
        assert_eq!((depth, bytes), (png::BitDepth::One, vec![0b1001_0010, 0b0100_0000, 0b0100_1001, 0b0010_0000]));
    }

    #[test]
    fn what_png_has_not_is_refused_with_what_to_do() {
        let path = Path::new("a.png");
        for (array, words) in [
            (
                spec(7, 11, 1, PixelType::F32),
                "PNG has pixels of uint8 and uint16, not of float32; convert with --dtype",
            ),
            (spec(7, 11, 5, PixelType::U8), "PNG has at most 4 samples a pixel, not 5"),
            (spec(0, 11, 1, PixelType::U8), "0 × 11 pixels are not between"),
        ] {
            let refused = PngOutput::new(path, array, false).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn what_is_there_stays_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plane.png");
        std::fs::write(&path, b"mine").unwrap();
        let output = |overwrite| PngOutput::new(&path, spec(2, 2, 1, PixelType::U8), overwrite).unwrap();
        assert!(matches!(output(false).look("abc", false), Err(WriteError::Exists { .. })));
        assert!(output(true).look("abc", false).is_ok());
        // It came while the run went on.
        let late = output(false);
        let (pool, other) = (BufferPool::new(0), folder.path().join("other.png"));
        std::fs::rename(&path, &other).unwrap();
        late.prepare(&Prepare::fresh("abc")).unwrap();
        late.begin(PerAxis::splat(0), &WriteContext { pool: &pool }).unwrap().finish(true).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let ended = late.finish(&Completion { plan: "abc", units: &[], quarantine: None });
        assert!(matches!(ended, Err(WriteError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        drop(late);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the file without a name is gone");
    }
}

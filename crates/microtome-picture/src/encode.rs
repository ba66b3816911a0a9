//! From a plane to the bytes of a PNG, up to its last chunk.
//!
//! *Invariant:* a value is stored as it is, or the kind of pixels is refused before anything is computed.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Write};
use std::path::Path;

use microtome_array::{ArraySpec, BufferPool, PixelType, Pixels};
use microtome_io::WriteError;

/// What the encoder holds beside some rows: its compressor and what waits to be written.
const BESIDE: u64 = 1 << 20;
/// Rows that it holds.
const ROWS: u64 = 5;

/// How a plane is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) color: png::ColorType,
    pub(crate) depth: png::BitDepth,
}

impl Kind {
    /// How an array is stored, or why PNG cannot hold it.
    pub(crate) fn of(array: &ArraySpec) -> Result<Kind, String> {
        let [t, c, z, y, x, samples] = array.shape.extents();
        if t * c * z != 1 {
            return Err(one_plane([t, c, z]));
        }
        let side = |pixels: u64| u32::try_from(pixels).ok().filter(|pixels| (1..=u32::MAX >> 1).contains(pixels));
        let (Some(width), Some(height)) = (side(x), side(y)) else {
            return Err(format!("{y} × {x} pixels are not between 1 and 2147483647 a side"));
        };
        let depth = match array.dtype {
            PixelType::Bool if samples == 1 => png::BitDepth::One,
            PixelType::U8 => png::BitDepth::Eight,
            PixelType::U16 => png::BitDepth::Sixteen,
            other => {
                return Err(format!(
                    "PNG has pixels of uint8 and uint16, not of {other}; convert with --dtype, or see microtome thumbnail"
                ));
            }
        };
        let color = match samples {
            1 => png::ColorType::Grayscale,
            2 => png::ColorType::GrayscaleAlpha,
            3 => png::ColorType::Rgb,
            4 => png::ColorType::Rgba,
            more => return Err(format!("PNG has at most 4 samples a pixel, not {more}")),
        };
        Ok(Kind { width, height, color, depth })
    }

    /// Most bytes that encoding takes beside the plane.
    pub(crate) fn scratch_bytes(self, array: &ArraySpec) -> u64 {
        ROWS * BufferPool::charged(array.bytes() / u64::from(self.height)) + BESIDE
    }

    /// Encodes a plane into a file, but for the last chunk of a PNG; gives length and CRC-32C of what was written.
    pub(crate) fn encode(self, pixels: &[u8], file: &File, path: &Path) -> Result<(u64, u32), WriteError> {
        let encoded = |e: png::EncodingError| match e {
            png::EncodingError::IoError(e) => WriteError::os(path, "write", e),
            other => WriteError::Encode { path: path.to_owned(), what: "the plane".to_owned(), why: other.to_string() },
        };
        let ended = Cell::new(false);
        let mut counted = Counted { out: BufWriter::new(file), bytes: 0, crc32c: 0, ended: &ended };
        let mut encoder = png::Encoder::new(&mut counted, self.width, self.height);
        encoder.set_color(self.color);
        encoder.set_depth(self.depth);
        let mut writer = encoder.write_header().map_err(encoded)?;
        let mut rows = writer.stream_writer().map_err(encoded)?;
        let row = pixels.len() / self.height as usize;
        for row in pixels.chunks_exact(row.max(1)) {
            rows.write_all(&self.ordered(row)).map_err(|e| WriteError::os(path, "write", e))?;
        }
        rows.finish().map_err(encoded)?;
        // The last chunk follows behind the record.
        ended.set(true);
        writer.finish().map_err(encoded)?;
        counted.flush().map_err(|e| WriteError::os(path, "write", e))?;
        Ok((counted.bytes, counted.crc32c))
    }

    /// The plane that a PNG in memory holds.
    pub(crate) fn decode(self, array: ArraySpec, stored: &[u8]) -> Result<Pixels, String> {
        let mut reader = png::Decoder::new(Cursor::new(stored)).read_info().map_err(|e| e.to_string())?;
        let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
        let info = reader.next_frame(&mut bytes).map_err(|e| e.to_string())?;
        let found = Kind { width: info.width, height: info.height, color: info.color_type, depth: info.bit_depth };
        if found != self {
            return Err(format!("it is {found:?}, not {self:?}"));
        }
        let mut pixels = Pixels::zeroed(array);
        let row = array.bytes() as usize / self.height as usize;
        let mut rows = pixels.as_mut();
        for (out, stored) in rows.bytes().chunks_exact_mut(row).zip(bytes.chunks_exact(info.line_size)) {
            self.native(stored, out);
        }
        Ok(pixels)
    }

    /// A row of a PNG as values in memory.
    fn native(self, stored: &[u8], out: &mut [u8]) {
        match self.depth {
            png::BitDepth::Sixteen => {
                for (out, stored) in out.chunks_exact_mut(2).zip(stored.chunks_exact(2)) {
                    out.copy_from_slice(&u16::from_be_bytes([stored[0], stored[1]]).to_ne_bytes());
                }
            }
            png::BitDepth::One => {
                out.iter_mut().enumerate().for_each(|(n, out)| *out = stored[n / 8] >> (7 - n % 8) & 1);
            }
            _ => out.copy_from_slice(stored),
        }
    }

    /// A row as PNG has it: samples of 16 bits with the high byte first, bits packed.
    fn ordered(self, row: &[u8]) -> Vec<u8> {
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

/// Why several planes are refused, and how one of them is chosen: the axes that are too long are named with a place on each.
fn one_plane([t, c, z]: [u64; 3]) -> String {
    let long = [("t", t), ("c", c), ("z", z)].into_iter().filter(|(_, extent)| *extent > 1);
    let chosen: Vec<String> = long.map(|(axis, extent)| format!("{axis}={}", extent / 2)).collect();
    format!(
        "a PNG is one plane, and this has T {t}, C {c}, Z {z}; choose one with --region {}, or see microtome thumbnail",
        chosen.join(",")
    )
}

/// Counts what goes through, and takes its checksum.
struct Counted<'a, W> {
    out: W,
    bytes: u64,
    crc32c: u32,
    /// Whether what comes is thrown away.
    ended: &'a Cell<bool>,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ended.get() {
            return Ok(bytes.len());
        }
        let taken = self.out.write(bytes)?;
        self.bytes += taken as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

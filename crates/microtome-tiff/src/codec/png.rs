//! PNG: 1 to 4 samples of 1 to 16 bits; 16 bits are stored with the most significant byte first.

use std::io::Cursor;

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use super::{Chunk, Codec, Fault, Gives, Size, guarded};
use crate::page::{Refusal, Tags};
use crate::pixels::swap;

pub(super) const CODEC: Codec = Codec {
    codes: &[34933],
    name: "png",
    gives: Gives::Pictures,
    predicts: false,
    most_ratio: 1100,
    // Rows that are unfiltered, the window of zlib, the picture where it is cut.
    work: |chunk| (chunk.values() * chunk.dtype.size() as u64).saturating_add(ROWS + (1 << 20)),
    accepts,
    decode,
};

/// Most bytes that the decoder may keep of rows and metadata.
const ROWS: u64 = 8 << 20;

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    let together = if tags.planar == 2 { 1 } else { tags.samples };
    if matches!(tags.bits, 8 | 16) && tags.format != 3 && matches!(together, 1..=4) {
        return Ok(());
    }
    let what = format!("PNG of {together} samples of {} bits", tags.bits);
    Err(Refusal { what, hint: "rewrite it with none, deflate or zstd" })
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let bad = |e: DecodingError| Fault::Bad(e.to_string());
    let mut decoder = Decoder::new_with_limits(Cursor::new(encoded), Limits { bytes: ROWS as usize });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.ignore_checksums(false);
    let info = guarded("png", || decoder.read_header_info().cloned().map_err(bad))?;
    let size = Size { width: u64::from(info.width), height: u64::from(info.height) };
    let samples = match info.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err(Fault::Bad("it is a PNG with a palette".to_owned())),
    };
    chunk.admit(size, samples)?;
    let bits = match info.bit_depth {
        BitDepth::Eight => 8,
        BitDepth::Sixteen => 16,
        other => other as u64,
    };
    if bits != chunk.dtype.size() as u64 * 8 {
        return Err(Fault::Bad(format!("it has samples of {bits} bits, the page asks for {}", chunk.dtype)));
    }
    let filled = chunk.fill(size, out, |picture| {
        guarded("png", || {
            let mut reader = decoder.read_info().map_err(bad)?;
            let found = reader.next_frame(picture).map_err(bad)?;
            let whole = found.buffer_size() == picture.len();
            whole.then_some(()).ok_or_else(|| Fault::Bad("it has too few pixels".to_owned()))
        })
    })?;
    if bits == 16 {
        swap(out, 2);
    }
    Ok(filled)
}

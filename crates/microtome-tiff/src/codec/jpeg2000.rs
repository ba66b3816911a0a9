//! JPEG 2000: codestreams bare or in a JP2 file, integers of up to 16 bits, signed or not.
//!
//! The decoder computes in `f32`, which is exact for reversible streams of 16 bits.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use microtome_array::PixelType;

use super::codestream::Codestream;
use super::colour::ycbcr_to_rgb;
use super::{Chunk, Codec, Fault, Gives, guarded};
use crate::page::{Refusal, Tags};

pub(super) const CODEC: Codec = Codec {
    codes: &[33003, 33004, 33005, 34712],
    name: "jpeg2000",
    gives: Gives::Pictures,
    predicts: false,
    most_ratio: u64::MAX, // an empty packet, of one bit, may stand for many pixels
    // Samples and coefficients of four bytes and one component more, what is noted of blocks, the cut picture.
    work: |chunk| chunk.values().saturating_mul(20).saturating_add(blocks(chunk)),
    accepts,
    decode,
};

/// Most bytes for code-blocks, layers and precincts.
fn blocks(chunk: &Chunk<'_>) -> u64 {
    chunk.values().saturating_mul(8).saturating_add(4 << 20)
}

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    if matches!((tags.format, tags.bits), (1 | 2 | 4, 8..=16)) {
        return Ok(());
    }
    let what = format!("JPEG 2000 of samples of {} bits in sample format {}", tags.bits, tags.format);
    Err(Refusal { what, hint: "rewrite it with none, deflate or zstd, for example with tifffile" })
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let stream = Codestream::find(encoded).map_err(Fault::Bad)?;
    chunk.admit(stream.size, stream.components)?;
    chunk.admit_bits(u64::from(stream.bits))?;
    stream.check_memory(blocks(chunk)).map_err(Fault::Bad)?;
    chunk.fill(stream.size, out, |picture| guarded("jpeg2000", || run(chunk, &stream, picture)))
}

fn run(chunk: &Chunk<'_>, stream: &Codestream<'_>, picture: &mut [u8]) -> Result<(), Fault> {
    let bad = |e: hayro_jpeg2000::DecodeError| Fault::Bad(e.to_string());
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let image = Image::new(stream.bytes, &settings).map_err(bad)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(bad)?;
    let planes: Vec<&[f32]> = decoded.components().iter().map(hayro_jpeg2000::ComponentData::samples).collect();
    let pixels = picture.len() / chunk.pixel().max(1);
    if planes.len() as u64 != chunk.samples || planes.iter().any(|p| p.len() != pixels) {
        return Err(Fault::Bad(format!("it decodes to {} planes of other sizes", planes.len())));
    }
    // The decoder adds half the range to signed samples too.
    let low = if stream.signed { f32::from(1u16 << (stream.bits - 1)) } else { 0.0 };
    match chunk.dtype {
        PixelType::U8 => interleave(&planes, picture, |v| [(v - low).round() as u8]),
        PixelType::I8 => interleave(&planes, picture, |v| ((v - low).round() as i8).to_ne_bytes()),
        PixelType::I16 => interleave(&planes, picture, |v| ((v - low).round() as i16).to_ne_bytes()),
        _ => interleave(&planes, picture, |v| ((v - low).round() as u16).to_ne_bytes()),
    }
    if chunk.tags.compression == APERIO_YCBCR && !stream.transformed && !stream.subsampled && chunk.pixel() == 3 {
        ycbcr_to_rgb(picture);
    }
    Ok(())
}

/// Aperio's number for streams of YCbCr without a colour transform of JPEG 2000, which does not say what they are.
const APERIO_YCBCR: u64 = 33003;

fn interleave<const N: usize>(planes: &[&[f32]], picture: &mut [u8], value: impl Fn(f32) -> [u8; N]) {
    let (out, _) = picture.as_chunks_mut::<N>();
    for (sample, plane) in planes.iter().enumerate() {
        for (out, &v) in out[sample..].iter_mut().step_by(planes.len()).zip(*plane) {
            *out = value(v);
        }
    }
}

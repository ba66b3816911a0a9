//! JPEG as TIFF has it today, tables in the page or in each strip: baseline and progressive of 8 bits, baseline of 12,
//! lossless of 2 to 16.

use libjpeg_turbo_rs::precision::{decompress_12bit_with_limits, decompress_lossless_arbitrary};
use libjpeg_turbo_rs::{ColorSpace, DecodeLimits, Decoder, JpegError};
use tiff::tags::PhotometricInterpretation;

use super::jpeg_header::{Frame, close, join};
use super::{Chunk, Codec, Fault, Gives, guarded};
use crate::page::{Refusal, Tags};

pub(super) const CODEC: Codec = Codec {
    codes: &[7, 33007, 34892],
    name: "jpeg",
    gives: Gives::Pictures,
    predicts: false,
    most_ratio: 4096,
    work: memory,
    accepts,
    decode,
};

/// What the decoder may take: planes of components, planes scaled up, coefficients of two bytes, and tables; all samples
/// once more where they are wide or the picture is cut.
fn memory(chunk: &Chunk<'_>) -> u64 {
    let wide = if chunk.dtype.size() > 1 { 8 } else { 6 };
    chunk.values().saturating_mul(wide).saturating_add(2 << 20)
}

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    let hint = "rewrite it with none, deflate or zstd, for example with tifffile or bfconvert";
    if !matches!(tags.bits, 2..=16) || !matches!(tags.format, 1 | 4) {
        return Err(Refusal { what: format!("JPEG of samples of {} bits (tag 258 BitsPerSample)", tags.bits), hint });
    }
    let together = if tags.planar == 2 { 1 } else { tags.samples };
    if !matches!(together, 1 | 3 | 4) {
        return Err(Refusal { what: format!("JPEG of {together} samples (tag 277 SamplesPerPixel)"), hint });
    }
    Ok(())
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let tables = chunk.tags.tables.as_deref();
    let joined =
        if chunk.tags.restarts { Some(close(tables.unwrap_or_default(), encoded)) } else { join(tables, encoded) };
    let stream = joined.as_deref().unwrap_or(encoded);
    let frame = Frame::find(stream).map_err(Fault::Bad)?;
    frame.check()?;
    chunk.admit(frame.size, frame.components)?;
    chunk.admit_bits(u64::from(frame.precision))?;
    chunk.fill(frame.size, out, |picture| {
        guarded("jpeg", || match (frame.process, frame.precision) {
            (3, _) => lossless(&frame, stream, picture),
            (_, 12) => twelve_bits(chunk, &frame, stream, picture),
            _ => eight_bits(chunk, &frame, stream, picture),
        })
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn bad(error: JpegError) -> Fault {
    Fault::Bad(error.to_string())
}

fn limits(chunk: &Chunk<'_>) -> DecodeLimits {
    DecodeLimits { max_scans: MOST_SCANS, max_memory: Some(memory(chunk)), ..DecodeLimits::default() }
}

/// Each scan walks over the whole picture; progressive writers make some ten.
const MOST_SCANS: usize = 200;

fn eight_bits(chunk: &Chunk<'_>, frame: &Frame, stream: &[u8], picture: &mut [u8]) -> Result<(), Fault> {
    let mut decoder = Decoder::new_with_limits(stream, limits(chunk)).map_err(bad)?;
    if decoder.jpeg_color_space() == ColorSpace::YCbCr && !is_rgb_wanted(chunk.tags, frame) {
        decoder.set_output_colorspace(ColorSpace::YCbCr);
    }
    let found = decoder.decode_image_into(picture).map_err(bad)?;
    let pixels = found.width * found.height;
    if pixels * found.pixel_format.bytes_per_pixel() != picture.len() {
        return Err(Fault::Bad(format!("it decodes to {pixels} pixels of another kind")));
    }
    Ok(())
}

/// Whether a stream of YCbCr is to become RGB: where the page says YCbCr, and where it says RGB though the stream is JFIF,
/// which is YCbCr; else the components are the page's own (Aperio writes RGB without a marker that says so).
fn is_rgb_wanted(tags: &Tags, frame: &Frame) -> bool {
    let is = |p: PhotometricInterpretation| tags.photometric == u64::from(p.to_u16());
    let converts = is(PhotometricInterpretation::YCbCr) || (is(PhotometricInterpretation::RGB) && frame.jfif);
    converts && tags.extra == 0
}

fn twelve_bits(chunk: &Chunk<'_>, frame: &Frame, stream: &[u8], picture: &mut [u8]) -> Result<(), Fault> {
    if frame.process == 2 || (frame.components == 3 && !is_rgb_wanted(chunk.tags, frame)) {
        return Err(Fault::Bad("it is a progressive JPEG of 12 bits, or one of colours that are not YCbCr".to_owned()));
    }
    let found = decompress_12bit_with_limits(stream, &limits(chunk)).map_err(bad)?;
    write_wide(found.data.iter().map(|&v| v as u16), found.data.len(), picture)
}

fn lossless(frame: &Frame, stream: &[u8], picture: &mut [u8]) -> Result<(), Fault> {
    let found = decompress_lossless_arbitrary(stream).map_err(bad)?;
    let values = found.data.iter().copied();
    if frame.precision > 8 {
        return write_wide(values, found.data.len(), picture);
    }
    check_count(found.data.len(), picture.len())?;
    picture.iter_mut().zip(values).for_each(|(out, value)| *out = value as u8);
    Ok(())
}

fn write_wide(values: impl Iterator<Item = u16>, count: usize, picture: &mut [u8]) -> Result<(), Fault> {
    let (out, _) = picture.as_chunks_mut::<2>();
    check_count(count, out.len())?;
    out.iter_mut().zip(values).for_each(|(out, value)| *out = value.to_ne_bytes());
    Ok(())
}

fn check_count(found: usize, expected: usize) -> Result<(), Fault> {
    let equal = found == expected;
    equal.then_some(()).ok_or_else(|| Fault::Bad(format!("it decodes to {found} values, expected {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_converted_where_the_page_asks_for_it() {
        let frame = |jfif| Frame { jfif, ..Frame::default() };
        let tags = |photometric, extra| Tags { photometric, extra, samples: 3, ..Tags::default() };
        assert!(is_rgb_wanted(&tags(6, 0), &frame(false)));
        assert!(!is_rgb_wanted(&tags(2, 0), &frame(false)));
        assert!(is_rgb_wanted(&tags(2, 0), &frame(true)));
        assert!(!is_rgb_wanted(&tags(6, 1), &frame(false)));
    }

    #[test]
    fn samples_that_jpeg_has_not_are_refused_by_name() {
        let why = accepts(&Tags { bits: 32, ..Tags::default() }).unwrap_err();
        assert!(why.what.contains("32 bits"));
    }
}

//! WebP, lossy and lossless, 8 bits of RGB or RGBA.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::{Chunk, Codec, Fault, Gives, Size, guarded};
use crate::page::{Refusal, Tags};

pub(super) const CODEC: Codec = Codec {
    codes: &[50001, 34927],
    name: "webp",
    gives: Gives::Pictures,
    predicts: false,
    most_ratio: u64::MAX, // an entropy code of one symbol takes no bits
    // Lossless: four bytes a pixel beside the picture; lossy: planes of Y, U and V; the picture where it is cut.
    work: |chunk| chunk.values().saturating_mul(4).saturating_add(4 << 20),
    accepts,
    decode,
};

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    if tags.bits == 8 && tags.format == 1 && tags.planar != 2 && matches!(tags.samples, 3 | 4) {
        return Ok(());
    }
    let what = format!("WebP of {} samples of {} bits", tags.samples, tags.bits);
    Err(Refusal { what, hint: "rewrite it with none, deflate or zstd" })
}

/// The size the frame of a still picture states, found in the chunks of the container.
fn frame_size(stream: &[u8]) -> Option<Size> {
    let mut rest = stream.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WEBP")?;
    loop {
        let (name, body) = (rest.get(..4)?, rest.get(8..)?);
        let length = u32::from_le_bytes(*rest.get(4..8)?.first_chunk()?) as usize;
        match name {
            b"VP8 " => {
                let &[w0, w1, h0, h1] = body.get(6..)?.first_chunk()?;
                let [width, height] = [[w0, w1], [h0, h1]].map(|b| u64::from(u16::from_le_bytes(b) & 0x3fff));
                return Some(Size { width, height });
            }
            b"VP8L" => {
                let bits = u32::from_le_bytes(*body.get(1..)?.first_chunk()?);
                let [width, height] = [bits, bits >> 14].map(|b| u64::from(b & 0x3fff) + 1);
                return Some(Size { width, height });
            }
            _ => rest = body.get(length.checked_add(length % 2)?..)?,
        }
    }
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let size = frame_size(encoded).ok_or_else(|| Fault::Bad("it has no frame of WebP".to_owned()))?;
    chunk.admit(size, chunk.samples)?;
    chunk.fill(size, out, |picture| guarded("webp", || run(chunk, size, encoded, picture)))
}

fn run(chunk: &Chunk<'_>, size: Size, encoded: &[u8], picture: &mut [u8]) -> Result<(), Fault> {
    let bad = |e: image_webp::DecodingError| Fault::Bad(e.to_string());
    let mut decoder = WebPDecoder::new(Cursor::new(encoded)).map_err(bad)?;
    decoder.set_memory_limit(picture.len().saturating_mul(2));
    let (width, height) = decoder.dimensions();
    if (u64::from(width), u64::from(height)) != (size.width, size.height) || decoder.is_animated() {
        return Err(Fault::Bad(format!("its frame has not the size of its canvas, {height} × {width}")));
    }
    match (decoder.has_alpha(), chunk.samples) {
        (true, 4) | (false, 3) => decoder.read_image(picture).map_err(bad),
        // A tile without transparency is written without alpha, which is then opaque everywhere.
        (false, _) => {
            let mut rgb = vec![0; picture.len() / 4 * 3];
            decoder.read_image(&mut rgb).map_err(bad)?;
            for (pixel, rgb) in picture.chunks_exact_mut(4).zip(rgb.chunks_exact(3)) {
                pixel.copy_from_slice(&[rgb[0], rgb[1], rgb[2], 255]);
            }
            Ok(())
        }
        (true, _) => {
            let mut rgba = vec![0; picture.len() / 3 * 4];
            decoder.read_image(&mut rgba).map_err(bad)?;
            for (pixel, rgba) in picture.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
                pixel.copy_from_slice(&rgba[..3]);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_found_behind_other_chunks() {
        let lossless = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0VP8L\x05\0\0\0\x2f\x02\x40\0\0";
        assert_eq!(frame_size(lossless), Some(Size { width: 3, height: 2 }));
        let lossy = b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x05\0\x07\0";
        assert_eq!(frame_size(lossy), Some(Size { width: 5, height: 7 }));
        for len in 0..lossy.len() {
            assert_eq!(frame_size(&lossy[..len]), None, "{len}");
        }
    }
}

//! JPEG XL, integers of 8 to 16 bits and floating point numbers of 32 (those of 16 do not come out exact).

use std::io::Cursor;

use jxl_oxide::{AllocTracker, JxlImage, JxlThreadPool, PixelFormat};
use microtome_array::PixelType;

use super::{Chunk, Codec, Fault, Gives, Size, guarded};
use crate::page::{Refusal, Tags};

pub(super) const CODEC: Codec = Codec {
    codes: &[50002, 52546],
    name: "jpegxl",
    gives: Gives::Pictures,
    predicts: false,
    most_ratio: u64::MAX, // a cluster of one symbol takes no bits
    work: |chunk| memory(chunk).saturating_add(chunk.values() * 8),
    accepts,
    decode,
};

/// What the decoder may hold: some planes of four bytes a value, padded to its groups.
fn memory(chunk: &Chunk<'_>) -> u64 {
    chunk.values().saturating_mul(40).saturating_add(32 << 20)
}

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    let together = if tags.planar == 2 { 1 } else { tags.samples };
    let known = matches!((tags.format, tags.bits), (1 | 4, 8..=16) | (3, 32));
    if known && matches!(together, 1..=4) {
        return Ok(());
    }
    let what = format!("JPEG XL of {together} samples of {} bits in sample format {}", tags.bits, tags.format);
    Err(Refusal { what, hint: "rewrite it with none, deflate or zstd" })
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    guarded("jpegxl", || {
        let bad = |e: Box<dyn std::error::Error + Send + Sync>| Fault::Bad(e.to_string());
        let tracker = AllocTracker::with_limit(memory(chunk) as usize);
        let builder = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(tracker);
        let image = builder.read(Cursor::new(encoded)).map_err(bad)?;
        let size = Size { width: u64::from(image.width()), height: u64::from(image.height()) };
        let samples = match image.pixel_format() {
            PixelFormat::Gray => 1,
            PixelFormat::Graya => 2,
            PixelFormat::Rgb => 3,
            PixelFormat::Rgba | PixelFormat::Cmyk => 4,
            PixelFormat::Cmyka => 5,
        };
        chunk.admit(size, samples)?;
        chunk.fill(size, out, |picture| render(chunk, &image, picture))
    })
}

fn render(chunk: &Chunk<'_>, image: &JxlImage, picture: &mut [u8]) -> Result<(), Fault> {
    if !image.is_loading_done() || image.num_loaded_keyframes() != 1 {
        return Err(Fault::Bad("it is cut, or has several frames".to_owned()));
    }
    let frame = image.render_frame(0).map_err(|e| Fault::Bad(e.to_string()))?;
    let planes = frame.image_all_channels();
    let most = f32::from(u16::MAX >> (16 - chunk.tags.bits.clamp(1, 16)));
    let whole = |v: f32| (v * most).round().clamp(0.0, most);
    let values = planes.buf();
    if values.len() * chunk.dtype.size() != picture.len() {
        return Err(Fault::Bad(format!("it decodes to {} values, expected {}", values.len(), chunk.values())));
    }
    match chunk.dtype {
        PixelType::U8 => picture.iter_mut().zip(values).for_each(|(out, &v)| *out = whole(v) as u8),
        PixelType::U16 => {
            let (out, _) = picture.as_chunks_mut::<2>();
            out.iter_mut().zip(values).for_each(|(out, &v)| *out = (whole(v) as u16).to_ne_bytes());
        }
        _ => {
            let (out, _) = picture.as_chunks_mut::<4>();
            out.iter_mut().zip(values).for_each(|(out, &v)| *out = v.to_ne_bytes());
        }
    }
    Ok(())
}

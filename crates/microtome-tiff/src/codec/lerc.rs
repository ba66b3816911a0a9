//! LERC, versions 1 and 2, alone or within Deflate or Zstandard (tag 50674).

use lerc_core::BandLayout;
use lerc_reader::{BandElement, decode_band_set_into, inspect_first};
use microtome_array::PixelType;

use super::{Chunk, Codec, Fault, Gives, Size, deflate, guarded, zstd};
use crate::page::{Refusal, Tags};

pub(super) const CODEC: Codec = Codec {
    codes: &[34887],
    name: "lerc",
    gives: Gives::Pictures,
    predicts: false,
    most_ratio: u64::MAX, // a constant picture is a header
    // The values as the decoder has them, once more where they lie in bands, masks, and the stream within Deflate.
    work: |chunk| (chunk.values() * chunk.dtype.size() as u64).saturating_mul(4).saturating_add(1 << 20),
    accepts,
    decode,
};

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    let hint = "rewrite it with none, deflate or zstd";
    if !matches!((tags.format, tags.bits), (1 | 2 | 4, 8 | 16 | 32) | (3, 32 | 64)) {
        return Err(Refusal { what: format!("LERC of samples of {} bits", tags.bits), hint });
    }
    if tags.lerc > 2 {
        return Err(Refusal {
            what: format!("LERC within compression {} (tag 50674 LercParameters)", tags.lerc),
            hint,
        });
    }
    Ok(())
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    if chunk.tags.lerc == 0 {
        return blob(chunk, encoded, out);
    }
    // A blob is hardly larger than the pixels it holds: a header, masks and bits.
    let most = (chunk.values() * chunk.dtype.size() as u64).saturating_mul(5) / 4 + (64 << 10);
    let mut inner = vec![0; most as usize];
    let unpack = if chunk.tags.lerc == 1 { deflate::CODEC.decode } else { zstd::CODEC.decode };
    let found = unpack(chunk, encoded, &mut inner)?;
    blob(chunk, &inner[..found], out)
}

fn blob(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    guarded("lerc", || {
        let size = stated(encoded)?;
        chunk.admit(size, chunk.samples)?;
        let info = inspect_first(encoded).map_err(|e| Fault::Bad(e.to_string()))?;
        // Samples are the depth of one picture, or pictures one after the other.
        let bands = if u64::from(info.depth) == chunk.samples { 1 } else { chunk.samples };
        chunk.admit(size, u64::from(info.depth) * bands)?;
        let encoded = bands_of(encoded, bands, size)?;
        chunk.fill(size, out, |picture| match chunk.dtype {
            PixelType::U8 => run(encoded, picture, |v: &u8| [*v]),
            PixelType::I8 => run(encoded, picture, |v: &i8| v.to_ne_bytes()),
            PixelType::U16 => run(encoded, picture, |v: &u16| v.to_ne_bytes()),
            PixelType::I16 => run(encoded, picture, |v: &i16| v.to_ne_bytes()),
            PixelType::U32 => run(encoded, picture, |v: &u32| v.to_ne_bytes()),
            PixelType::I32 => run(encoded, picture, |v: &i32| v.to_ne_bytes()),
            PixelType::F32 => run(encoded, picture, |v: &f32| v.to_ne_bytes()),
            _ => run(encoded, picture, |v: &f64| v.to_ne_bytes()),
        })
    })
}

/// The size that a blob states: the library looks at all of its pixels before it tells.
fn stated(blob: &[u8]) -> Result<Size, Fault> {
    let number = |at: usize| Some(u64::from(u32::from_le_bytes(*blob.get(at..)?.first_chunk()?)));
    let after = match blob {
        [b'L', b'e', b'r', b'c', b'2', b' ', version, ..] if *version < 3 => 10,
        [b'L', b'e', b'r', b'c', b'2', b' ', ..] => 14, // a checksum lies before it
        _ => 18,                                        // version 1 begins with ten letters and two numbers
    };
    let size = number(after).zip(number(after + 4)).map(|(height, width)| Size { width, height });
    size.ok_or_else(|| Fault::Bad("its header is cut".to_owned()))
}

/// The blobs of so many bands, all of the same size, and nothing behind them.
fn bands_of(encoded: &[u8], bands: u64, size: Size) -> Result<&[u8], Fault> {
    let mut end = 0;
    for band in 0..bands {
        let blob = &encoded[end..];
        if stated(blob)? != size {
            return Err(Fault::Bad(format!("band {band} has another size than the first")));
        }
        let bytes = inspect_first(blob).map_err(|e| Fault::Bad(e.to_string()))?.blob_size;
        end += bytes.min(blob.len());
    }
    Ok(&encoded[..end])
}

/// Decodes all bands as pixels of several samples.
fn run<T: BandElement + Default + Clone, const N: usize>(
    encoded: &[u8],
    picture: &mut [u8],
    bytes: impl Fn(&T) -> [u8; N],
) -> Result<(), Fault> {
    let (out, _) = picture.as_chunks_mut::<N>();
    let mut values = vec![T::default(); out.len()];
    decode_band_set_into(encoded, BandLayout::Interleaved, &mut values).map_err(|e| Fault::Bad(e.to_string()))?;
    out.iter_mut().zip(&values).for_each(|(out, value)| *out = bytes(value));
    Ok(())
}

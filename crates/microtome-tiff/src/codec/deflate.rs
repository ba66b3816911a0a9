//! Deflate with a zlib header, under its number of today and the one of before.

use std::cell::RefCell;

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

use super::{Chunk, Codec, Fault, Gives};

pub(super) const CODEC: Codec = Codec {
    codes: &[8, 32946],
    name: "deflate",
    gives: Gives::Bytes,
    predicts: true,
    most_ratio: 1040,
    work: |_| 0, // each thread keeps its context
    accepts: |_| Ok(()),
    decode,
};

thread_local! {
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

fn decode(_: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    DECOMPRESSOR.with_borrow_mut(|d| d.zlib_decompress(encoded, out)).map_err(|e| match e {
        DecompressionError::InsufficientSpace => Fault::TooLong,
        DecompressionError::BadData => Fault::Bad("the zlib stream is damaged or cut".to_owned()),
    })
}

/// What a context of libdeflate takes up to level 9.
pub(super) const WORK: u64 = 2 << 20;

pub(super) fn compressor(level: i32) -> Result<Compressor, String> {
    Ok(Compressor::new(CompressionLvl::new(level).map_err(|e| format!("deflate level {level}: {e:?}"))?))
}

pub(super) fn most_encoded(decoded: u64) -> u64 {
    decoded + decoded / 8 + 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;
    use crate::page::Tags;

    fn encode(pixels: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut out = vec![0; compressor.zlib_compress_bound(pixels.len())];
        let n = compressor.zlib_compress(pixels, &mut out).unwrap();
        out.truncate(n);
        out
    }

    #[test]
    fn more_than_fits_is_told_from_damage() {
        let encoded = encode(&[3; 1000]);
        assert_eq!(decode(&plain(&Tags::default()), &encoded, &mut [0; 1000]), Ok(1000));
        assert_eq!(decode(&plain(&Tags::default()), &encoded, &mut [0; 999]), Err(Fault::TooLong));
        assert!(matches!(decode(&plain(&Tags::default()), &encoded[..5], &mut [0; 1000]), Err(Fault::Bad(_))));
    }
}

//! Zstandard, one frame a strip.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::{Codec, Fault};

pub(super) const CODEC: Codec =
    Codec { codes: &[50000, 34926], name: "zstd", predicts: true, most_ratio: 1 << 17, decode };

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decode(encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let bad = |e: std::io::Error| Fault::Bad(e.to_string());
        let decompressor = match slot {
            Some(d) => d,
            None => slot.insert(Decompressor::new().map_err(bad)?),
        };
        decompressor.decompress_to_buffer(encoded, out).map_err(|e| match e.to_string().as_str() {
            "Destination buffer is too small" => Fault::TooLong,
            other => Fault::Bad(other.to_owned()),
        })
    })
}

pub(super) fn compressor(level: i32) -> Result<Compressor<'static>, String> {
    Compressor::new(level).map_err(|e| format!("zstd level {level}: {e}"))
}

pub(super) fn most_encoded(decoded: u64) -> u64 {
    decoded + decoded / 128 + 1024
}

/// Logarithms of the chain and hash tables at levels 1 to 22 (zstd 1.5.7, `clevels.h`, large inputs).
const TABLES: [(u32, u32); 22] = [
    (13, 14),
    (15, 16),
    (16, 17),
    (18, 18),
    (18, 19),
    (18, 19),
    (19, 20),
    (19, 20),
    (20, 21),
    (21, 22),
    (21, 22),
    (22, 23),
    (22, 22),
    (22, 23),
    (23, 23),
    (22, 22),
    (23, 22),
    (23, 22),
    (24, 22),
    (25, 23),
    (26, 24),
    (27, 25),
];

/// The most bytes that a context takes at a level.
pub(super) fn encoder_bytes(level: i32) -> u64 {
    let (chain, hash) = TABLES[(level.clamp(1, 22) - 1) as usize];
    (4 << chain) + (5 << hash) + (3 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_fits_is_told_from_damage() {
        let encoded = zstd::bulk::compress(&[3; 1000], 3).unwrap();
        assert_eq!(decode(&encoded, &mut [0; 1000]), Ok(1000));
        assert_eq!(decode(&encoded, &mut [0; 999]), Err(Fault::TooLong));
        assert!(matches!(decode(&encoded[..8], &mut [0; 1000]), Err(Fault::Bad(_))));
    }
}

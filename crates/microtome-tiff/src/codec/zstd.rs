//! Zstandard, one frame a strip.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::{Chunk, Codec, Fault, Gives};

pub(super) const CODEC: Codec = Codec {
    codes: &[50000, 34926],
    name: "zstd",
    gives: Gives::Bytes,
    predicts: true,
    most_ratio: 1 << 17,
    work: |_| 0, // each thread keeps its context
    accepts: |_| Ok(()),
    decode,
};

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decode(_: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;
    use crate::page::Tags;

    #[test]
    fn more_than_fits_is_told_from_damage() {
        let encoded = zstd::bulk::compress(&[3; 1000], 3).unwrap();
        assert_eq!(decode(&plain(&Tags::default()), &encoded, &mut [0; 1000]), Ok(1000));
        assert_eq!(decode(&plain(&Tags::default()), &encoded, &mut [0; 999]), Err(Fault::TooLong));
        assert!(matches!(decode(&plain(&Tags::default()), &encoded[..8], &mut [0; 1000]), Err(Fault::Bad(_))));
    }
}

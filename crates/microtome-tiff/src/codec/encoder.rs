//! Encoding tiles: the compressions that are written, with contexts that are lent and kept.
//!
//! *Invariant:* equal bytes and an equal level give equal encoded bytes, on whatever thread and in whatever order.

use std::sync::{Mutex, PoisonError};

use super::{deflate, lzw, zstd};
use crate::TiffCompression;

/// A context of a compression, which is dear to make.
pub(super) enum Context {
    Deflate(::libdeflater::Compressor),
    Lzw(Box<weezl::encode::Encoder>),
    Zstd(::zstd::bulk::Compressor<'static>),
}

/// Encodes tiles, on many threads at once.
pub(crate) struct Encoder {
    compression: TiffCompression,
    /// Contexts that nobody uses; there are never more than there were calls at once.
    idle: Mutex<Vec<Context>>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.compression.fmt(f)
    }
}

impl Encoder {
    pub(crate) fn new(compression: TiffCompression) -> Encoder {
        Encoder { compression, idle: Mutex::new(Vec::new()) }
    }

    /// Whether what is stored are the pixels themselves.
    pub(crate) fn is_none(&self) -> bool {
        self.compression == TiffCompression::None
    }

    /// Most bytes that so many can become.
    pub(crate) fn most_encoded(&self, decoded: u64) -> u64 {
        match self.compression {
            TiffCompression::None => decoded,
            TiffCompression::Deflate { .. } => deflate::most_encoded(decoded),
            TiffCompression::Lzw => lzw::most_encoded(decoded),
            TiffCompression::Zstd { .. } => microtome_io::zstd_most_encoded(decoded),
        }
    }

    /// Bytes that a context takes.
    pub(crate) fn work_bytes(&self) -> u64 {
        match self.compression {
            TiffCompression::None => 0,
            TiffCompression::Deflate { .. } => deflate::WORK,
            TiffCompression::Lzw => lzw::WORK,
            TiffCompression::Zstd { level } => microtome_io::zstd_encoder_bytes(level),
        }
    }

    /// Encodes into `out` and gives the number of bytes.
    pub(crate) fn encode(&self, decoded: &[u8], out: &mut [u8]) -> Result<usize, String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut context = match (taken, self.compression) {
            (Some(context), _) => context,
            (None, TiffCompression::None) => {
                out[..decoded.len()].copy_from_slice(decoded);
                return Ok(decoded.len());
            }
            (None, TiffCompression::Deflate { level }) => Context::Deflate(deflate::compressor(level)?),
            (None, TiffCompression::Lzw) => Context::Lzw(Box::new(lzw::encoder())),
            (None, TiffCompression::Zstd { level }) => Context::Zstd(zstd::compressor(level)?),
        };
        let found = match &mut context {
            Context::Deflate(compressor) => compressor.zlib_compress(decoded, out).map_err(|e| format!("deflate: {e}")),
            Context::Lzw(encoder) => lzw::encode(encoder, decoded, out),
            Context::Zstd(compressor) => compressor.compress_to_buffer(decoded, out).map_err(|e| format!("zstd: {e}")),
        };
        idle().push(context);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;
    use crate::codec::find;
    use crate::page::Tags;

    fn samples() -> Vec<Vec<u8>> {
        let noise = |n: u64| {
            let mut state = n | 1;
            let next = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            std::iter::repeat_with(next)
        };
        let ramp: Vec<u8> = (0..100_000u32).map(|n| (n / 700) as u8).collect();
        vec![vec![], vec![7], vec![0; 70_000], ramp, noise(1).take(100_000).collect(), noise(2).take(513).collect()]
    }

    #[test]
    fn what_is_encoded_is_decoded_and_no_longer_than_announced() {
        let deflate = [0, 1, 4, 9].map(|level| TiffCompression::Deflate { level });
        let zstd = [1, 3, 19, 22].map(|level| TiffCompression::Zstd { level });
        for compression in [TiffCompression::None, TiffCompression::Lzw].into_iter().chain(deflate).chain(zstd) {
            let encoder = Encoder::new(compression);
            let codec = find(compression.code()).unwrap();
            for decoded in samples() {
                let mut out = vec![0; encoder.most_encoded(decoded.len() as u64) as usize];
                let len = encoder.encode(&decoded, &mut out).unwrap();
                let mut again = vec![1; decoded.len()];
                let found = (codec.decode)(&plain(&Tags::default()), &out[..len], &mut again);
                assert_eq!((found, &again), (Ok(decoded.len()), &decoded), "{compression:?}");
                let mut second = vec![0; out.len()];
                assert_eq!(encoder.encode(&decoded, &mut second), Ok(len), "{compression:?}");
                assert_eq!(out[..len], second[..len], "a used context gives the same bytes, {compression:?}");
            }
        }
    }
}

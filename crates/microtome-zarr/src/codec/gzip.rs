//! `gzip` and `zlib`: deflate in either wrapping, by libdeflate, which decodes into a buffer of known size.

use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde_json::Value;

use super::{Codec, Damage, Tools, integer};

/// What contexts of libdeflate take up to level 9.
const WORK: u64 = 2 << 20;

/// The codec.
#[derive(Debug)]
pub(crate) struct Gzip {
    /// Effort, 0 to 9.
    pub(crate) level: i32,
    /// Whether the wrapping is zlib's.
    pub(crate) zlib: bool,
}

pub(super) fn build_gzip(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    Ok(Box::new(Gzip { level: level(parameters), zlib: false }))
}

pub(super) fn build_zlib(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    Ok(Box::new(Gzip { level: level(parameters), zlib: true }))
}

fn level(parameters: &Value) -> i32 {
    integer(parameters, "level").unwrap_or(1).clamp(0, 9) as i32
}

impl Gzip {
    fn damage(&self, why: impl std::fmt::Display) -> Damage {
        Damage::Codec { codec: if self.zlib { "zlib" } else { "gzip" }, why: why.to_string() }
    }
}

impl Codec for Gzip {
    fn name(&self) -> String {
        if self.zlib { "zlib" } else { "gzip" }.to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + decoded / 8 + 1024
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        WORK
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage> {
        let decoder = tools.deflate_decoder.get_or_insert_with(Decompressor::new);
        let found =
            if self.zlib { decoder.zlib_decompress(encoded, out) } else { decoder.gzip_decompress(encoded, out) };
        found.map_err(|e| match e {
            libdeflater::DecompressionError::InsufficientSpace => {
                self.damage(format_args!("decodes to more than the {} bytes expected", out.len()))
            }
            libdeflater::DecompressionError::BadData => self.damage("the deflate data are damaged"),
        })
    }

    fn encode(&self, decoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage> {
        if !matches!(&tools.deflate_encoder, Some((level, _)) if *level == self.level) {
            let level = CompressionLvl::new(self.level).map_err(|e| self.damage(format_args!("level {e:?}")))?;
            tools.deflate_encoder = Some((self.level, Compressor::new(level)));
        }
        let Some((_, encoder)) = &mut tools.deflate_encoder else { return Ok(0) };
        let found = if self.zlib { encoder.zlib_compress(decoded, out) } else { encoder.gzip_compress(decoded, out) };
        found.map_err(|e| self.damage(e))
    }
}

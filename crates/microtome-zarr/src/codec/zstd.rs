//! `zstd`: frames of RFC 8878, decoded into a buffer of the array's own size.

use microtome_io::{zstd_encoder_bytes, zstd_most_encoded};
use serde_json::Value;

use super::{Codec, Damage, Tools, integer};

/// What a decoding context of libzstd takes when output goes straight to its end (measured 96 KiB, 1.5.7).
const DECODER: u64 = 256 << 10;

/// The codec.
#[derive(Debug)]
pub(crate) struct Zstd {
    /// Effort, 1 to 22.
    pub(crate) level: i32,
}

pub(super) fn build(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let level = integer(parameters, "level").unwrap_or(0);
    Ok(Box::new(Zstd { level: level.clamp(-100, 22) as i32 }))
}

fn damage(why: &std::io::Error) -> Damage {
    Damage::Codec { codec: "zstd", why: why.to_string() }
}

impl Codec for Zstd {
    fn name(&self) -> String {
        "zstd".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        zstd_most_encoded(decoded)
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        DECODER.max(zstd_encoder_bytes(self.level))
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage> {
        if tools.zstd_decoder.is_none() {
            tools.zstd_decoder = Some(zstd::bulk::Decompressor::new().map_err(|e| damage(&e))?);
        }
        let Some(decoder) = &mut tools.zstd_decoder else { return Ok(0) };
        decoder.decompress_to_buffer(encoded, out).map_err(|e| damage(&e))
    }

    fn encode(&self, decoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage> {
        if !matches!(&tools.zstd_encoder, Some((level, _)) if *level == self.level) {
            let encoder = zstd::bulk::Compressor::new(self.level).map_err(|e| damage(&e))?;
            tools.zstd_encoder = Some((self.level, encoder));
        }
        let Some((_, encoder)) = &mut tools.zstd_encoder else { return Ok(0) };
        encoder.compress_to_buffer(decoded, out).map_err(|e| damage(&e))
    }
}

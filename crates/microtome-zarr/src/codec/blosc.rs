//! `blosc`: the container of c-blosc 1, whose 16-byte header is checked against the array before the library sees it.
//!
//! The library is called through `zarrs`, which wraps it without threads of its own; it gives a fresh vector, which is
//! copied (`docs` of [`crate`] say what that costs).

use serde_json::Value;
use zarrs::array::codec::bytes_to_bytes::blosc::{
    BloscCompressionLevel, BloscCompressor, BloscShuffleMode, blosc_compress_bytes, blosc_decompress_bytes,
};

use super::{Codec, Damage, Tools, integer};

const HEADER: usize = 16;

/// The compressor inside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    BloscLz,
    Lz4,
    Lz4Hc,
    Snappy,
    Zlib,
    Zstd,
}

impl Inner {
    const ALL: [Inner; 6] = [Inner::BloscLz, Inner::Lz4, Inner::Lz4Hc, Inner::Snappy, Inner::Zlib, Inner::Zstd];

    /// Blosc's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Inner::BloscLz => "blosclz",
            Inner::Lz4 => "lz4",
            Inner::Lz4Hc => "lz4hc",
            Inner::Snappy => "snappy",
            Inner::Zlib => "zlib",
            Inner::Zstd => "zstd",
        }
    }

    const fn library(self) -> BloscCompressor {
        match self {
            Inner::BloscLz => BloscCompressor::BloscLZ,
            Inner::Lz4 => BloscCompressor::LZ4,
            Inner::Lz4Hc => BloscCompressor::LZ4HC,
            Inner::Snappy => BloscCompressor::Snappy,
            Inner::Zlib => BloscCompressor::Zlib,
            Inner::Zstd => BloscCompressor::Zstd,
        }
    }
}

/// The codec.
#[derive(Debug)]
pub(crate) struct Blosc {
    /// Compressor inside.
    pub(crate) inner: Inner,
    /// Effort, 0 to 9.
    pub(crate) level: u8,
    /// Rearrangement of bytes before compression.
    pub(crate) shuffle: BloscShuffleMode,
    /// Size of what is rearranged.
    pub(crate) typesize: usize,
}

impl Blosc {
    /// Shuffled by bytes, where a pixel has several.
    pub(crate) fn shuffled(inner: Inner, level: u8, typesize: usize) -> Blosc {
        let shuffle = if typesize > 1 { BloscShuffleMode::Shuffle } else { BloscShuffleMode::NoShuffle };
        Blosc { inner, level, shuffle, typesize }
    }

    /// The word of Zarr v3 for the rearrangement.
    pub(crate) const fn shuffle_name(&self) -> &'static str {
        match self.shuffle {
            BloscShuffleMode::NoShuffle => "noshuffle",
            BloscShuffleMode::Shuffle => "shuffle",
            BloscShuffleMode::BitShuffle => "bitshuffle",
        }
    }
}

pub(super) fn build(element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let cname = parameters.get("cname").and_then(Value::as_str).unwrap_or("lz4");
    let inner = Inner::ALL.into_iter().find(|i| i.name() == cname);
    let inner = inner.ok_or_else(|| format!("blosc with the compressor {cname:?}"))?;
    let shuffle = match parameters.get("shuffle") {
        Some(Value::String(word)) if word == "shuffle" => BloscShuffleMode::Shuffle,
        Some(Value::String(word)) if word == "bitshuffle" => BloscShuffleMode::BitShuffle,
        Some(Value::Number(n)) if n.as_i64() == Some(1) => BloscShuffleMode::Shuffle,
        Some(Value::Number(n)) if n.as_i64() == Some(2) => BloscShuffleMode::BitShuffle,
        _ => BloscShuffleMode::NoShuffle,
    };
    let typesize = integer(parameters, "typesize").and_then(|n| usize::try_from(n).ok()).unwrap_or(element);
    let level = integer(parameters, "clevel").unwrap_or(5).clamp(0, 9) as u8;
    Ok(Box::new(Blosc { inner, level, shuffle, typesize: typesize.clamp(1, 255) }))
}

fn damage(why: impl ToString) -> Damage {
    Damage::Codec { codec: "blosc", why: why.to_string() }
}

/// Checks that the header announces just these encoded bytes, and no more decoded ones than `most`.
fn check_header(encoded: &[u8], most: usize) -> Result<usize, Damage> {
    let Some(header) = encoded.first_chunk::<HEADER>() else {
        return Err(damage(format_args!("{} bytes are too few for a header of {HEADER}", encoded.len())));
    };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (version, decoded, block, stored) = (header[0], word(4) as usize, word(8), word(12) as usize);
    if version != 2 {
        return Err(damage(format_args!("version {version} of the container, expected 2")));
    }
    if stored != encoded.len() {
        return Err(damage(format_args!("the header announces {stored} encoded bytes, there are {}", encoded.len())));
    }
    if decoded > most {
        return Err(Damage::Length { codec: "blosc".to_owned(), expected: most, found: decoded });
    }
    if block == 0 && decoded > 0 {
        return Err(damage("a block size of 0"));
    }
    Ok(decoded)
}

impl Codec for Blosc {
    fn name(&self) -> String {
        format!("blosc({})", self.inner.name())
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + decoded / 128 + 1024
    }

    /// A block and its shuffled copy, at worst both as long as the chunk; the vector of the result; zstd's context.
    fn work_bytes(&self, decoded: u64) -> u64 {
        let inner = if self.inner == Inner::Zstd {
            microtome_io::zstd_encoder_bytes(i32::from(self.level) * 2 + 1)
        } else {
            1 << 20
        };
        3 * decoded + (64 << 10) + inner
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let len = check_header(encoded, out.len())?;
        if len == 0 {
            return Ok(0);
        }
        let decoded = blosc_decompress_bytes(encoded, len, 1).map_err(|_| damage("the blocks are damaged"))?;
        out[..decoded.len()].copy_from_slice(&decoded);
        Ok(decoded.len())
    }

    fn encode(&self, decoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let level = BloscCompressionLevel::try_from(self.level).map_err(damage)?;
        let encoded = blosc_compress_bytes(decoded, level, self.shuffle, self.typesize, self.inner.library(), 0, 1)
            .map_err(damage)?;
        let expected = out.len();
        let target = out.get_mut(..encoded.len());
        let target = target.ok_or_else(|| Damage::Length { codec: self.name(), expected, found: encoded.len() })?;
        target.copy_from_slice(&encoded);
        Ok(encoded.len())
    }
}

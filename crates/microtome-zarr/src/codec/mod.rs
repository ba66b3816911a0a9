//! Bytes to bytes and back: one file a codec, and [`LIST`], which names them all.
//!
//! *Invariant:* the length of what a codec may write is decided before it runs (the buffer it is given), so a chunk that
//! claims to hold more than its array says costs nothing but an error. Nothing here knows of files or arrays.
#![allow(clippy::unnecessary_wraps, reason = "the list has one signature for making any codec")]
#![allow(clippy::needless_pass_by_value, reason = "messages are made where they are wrong, and only then")]

mod blosc;
mod bz2;
mod checksum;
mod convert;
mod gzip;
mod lz4;
mod lzma;
mod number;
mod packbits;
mod rounded;
mod shuffle;
mod swap;
mod tools;
mod zstd;

use std::fmt::Debug;

use serde_json::Value;

pub(crate) use blosc::{Blosc, Inner as BloscInner};

pub(crate) use gzip::Gzip;
pub(crate) use packbits::build_registered as registered_packbits;
pub(crate) use swap::Swap;
pub(crate) use tools::{Lease, Shelf, Tools};
pub(crate) use zstd::Zstd;

/// Stored bytes that do not decode to what they should, or pixels that a codec refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    /// The codec's library says no.
    #[error("{codec}: {why}")]
    Codec { codec: &'static str, why: String },
    /// Another length than the array's.
    #[error("decodes to {found} bytes, expected {expected} ({codec})")]
    Length { codec: String, expected: usize, found: usize },
    /// A checksum that does not match.
    #[error("{codec} stored is {stored:08x}, computed is {computed:08x}")]
    Checksum { codec: &'static str, stored: u32, computed: u32 },
    /// A codec that only reads.
    #[error("microtome reads {codec} and does not write it")]
    ReadOnly { codec: String },
}

/// A codec from bytes to bytes.
pub(crate) trait Codec: Debug + Send + Sync {
    /// Its name for people, with what matters of its parameters: `blosc(lz4)`.
    fn name(&self) -> String;

    /// The most bytes that `decoded` bytes may have when encoded; more are refused before they are read.
    fn most_encoded(&self, decoded: u64) -> u64;

    /// The most bytes the codec allocates by itself while it works on `decoded` bytes.
    fn work_bytes(&self, decoded: u64) -> u64;

    /// Size of an element after encoding, of one of `decoded` bytes before.
    fn element(&self, decoded: usize) -> usize {
        decoded
    }

    /// Whether each element is encoded alone and stays in its place, so that a change of axes may come before or after.
    fn keeps_places(&self) -> bool {
        true
    }

    /// The decoded bytes where they are a part of the encoded ones, else `None`.
    fn view<'a>(&self, _encoded: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
        Ok(None)
    }

    /// Decodes into `out` and returns how many bytes that were; never more than `out` holds.
    fn decode(&self, encoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage>;

    /// Encodes into `out`, which holds [`most_encoded`](Codec::most_encoded), and returns how many bytes that were.
    fn encode(&self, _decoded: &[u8], _out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        Err(Damage::ReadOnly { codec: self.name() })
    }
}

/// How a codec of the list is made from its parameters: the pixel's size, and the codec's JSON object.
type Build = fn(usize, &Value) -> Result<Box<dyn Codec>, String>;

/// What a codec takes and gives, which decides where it may stand in Zarr v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Pixels: before they are turned into bytes.
    Pixels,
    /// Bytes.
    Bytes,
}

/// A codec and its names: `name` of Zarr v3 and `id` of Zarr v2 alike, without the prefix `numcodecs.`.
struct Entry {
    names: &'static [&'static str],
    stage: Stage,
    build: Build,
}

const fn of(stage: Stage, names: &'static [&'static str], build: Build) -> Entry {
    Entry { names, stage, build }
}

/// Every codec. A new one is a file and a line here.
const LIST: &[Entry] = &[
    of(Stage::Bytes, &["adler32"], checksum::build_adler32),
    of(Stage::Pixels, &["astype"], convert::build_type),
    of(Stage::Pixels, &["bitround", "quantize"], rounded::build),
    of(Stage::Bytes, &["blosc"], blosc::build),
    of(Stage::Bytes, &["bz2"], bz2::build),
    of(Stage::Bytes, &["crc32"], checksum::build_crc32),
    of(Stage::Bytes, &["crc32c"], checksum::build_crc32c),
    of(Stage::Pixels, &["delta"], convert::build_delta),
    of(Stage::Pixels, &["fixedscaleoffset"], convert::build_scale_offset),
    of(Stage::Bytes, &["fletcher32"], checksum::build_fletcher32),
    of(Stage::Bytes, &["gzip"], gzip::build_gzip),
    of(Stage::Bytes, &["lz4"], lz4::build),
    of(Stage::Bytes, &["lzma"], lzma::build),
    of(Stage::Pixels, &["packbits"], packbits::build),
    of(Stage::Bytes, &["shuffle"], shuffle::build),
    of(Stage::Bytes, &["zlib"], gzip::build_zlib),
    of(Stage::Bytes, &["zstd"], zstd::build),
];

fn entry(name: &str) -> Option<&'static Entry> {
    let short = name.strip_prefix("numcodecs.").unwrap_or(name);
    LIST.iter().find(|e| e.names.contains(&short))
}

/// The codec of a name, or why there is none.
pub(crate) fn build(name: &str, element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    (entry(name).ok_or_else(|| "unknown codec".to_owned())?.build)(element, parameters)
}

/// Where the codec of a name stands.
pub(crate) fn stage(name: &str) -> Stage {
    entry(name).map_or(Stage::Bytes, |e| e.stage)
}

/// The names of all codecs, for messages.
pub(crate) fn known() -> String {
    LIST.iter().flat_map(|e| e.names).copied().collect::<Vec<_>>().join(", ")
}

/// A whole-number parameter.
fn integer(parameters: &Value, key: &str) -> Option<i64> {
    parameters.get(key).and_then(Value::as_i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn every_codec() -> Vec<Box<dyn Codec>> {
        let mut all: Vec<Box<dyn Codec>> = Vec::new();
        for (name, parameters) in [
            ("zstd", json!({"level": 1})),
            ("gzip", json!({"level": 1})),
            ("zlib", json!({"level": 1})),
            ("numcodecs.crc32c", json!({})),
            ("crc32c", json!({"location": "start"})),
            ("crc32", json!({})),
            ("adler32", json!({})),
            ("fletcher32", json!({"location": "end"})),
            ("shuffle", json!({"elementsize": 2})),
            ("blosc", json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2})),
            ("blosc", json!({"cname": "zstd", "clevel": 1, "shuffle": 2})),
            ("blosc", json!({"cname": "blosclz", "clevel": 9, "shuffle": 0})),
            ("blosc", json!({"cname": "zlib", "clevel": 3, "shuffle": "noshuffle"})),
            ("blosc", json!({"cname": "snappy", "clevel": 5, "shuffle": 1, "typesize": 2})),
            ("blosc", json!({"cname": "lz4hc", "clevel": 3, "shuffle": "bitshuffle", "typesize": 2})),
        ] {
            all.push(build(name, 2, &parameters).unwrap());
        }
        all
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len as u32).map(|n| ((n.wrapping_mul(2_654_435_761) >> 27) + n / 512) as u8).collect()
    }

    fn encoded(codec: &dyn Codec, plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0; codec.most_encoded(plain.len() as u64) as usize];
        let len = codec.encode(plain, &mut out, &mut Tools::default()).unwrap();
        out.truncate(len);
        out
    }

    /// What is read and not written, with its bytes as others write them.
    fn read_only(plain: &[u8]) -> Vec<(Box<dyn Codec>, Vec<u8>)> {
        use std::io::Read;
        let all = |mut read: Box<dyn Read + '_>| {
            let mut out = Vec::new();
            read.read_to_end(&mut out).unwrap();
            out
        };
        let raw = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let mut filters = liblzma::stream::Filters::new();
        filters.delta_properties(&[1]).unwrap().lzma2(&raw);
        let stream = liblzma::stream::Stream::new_raw_encoder(&filters).unwrap();
        let filters = json!([{"id": 3, "dist": 2}, {"id": 0x21, "preset": 1}]);
        let alone = liblzma::stream::Stream::new_lzma_encoder(&raw).unwrap();
        let small = bzip2::Compression::fast();
        let found = [
            ("bz2", json!({}), all(Box::new(bzip2::read::BzEncoder::new(plain, small)))),
            ("lz4", json!({}), lz4_flex::block::compress_prepend_size(plain)),
            ("lzma", json!({}), all(Box::new(liblzma::read::XzEncoder::new(plain, 1)))),
            ("lzma", json!({"format": 2}), all(Box::new(liblzma::read::XzEncoder::new_stream(plain, alone)))),
            (
                "lzma",
                json!({"format": 3, "filters": filters}),
                all(Box::new(liblzma::read::XzEncoder::new_stream(plain, stream))),
            ),
        ];
        found.into_iter().map(|(name, parameters, bytes)| (build(name, 2, &parameters).unwrap(), bytes)).collect()
    }

    /// Every codec with some bytes that it decodes to `plain`.
    fn samples(plain: &[u8]) -> Vec<(Box<dyn Codec>, Vec<u8>)> {
        let written = every_codec().into_iter().map(|codec| {
            let bytes = encoded(codec.as_ref(), plain);
            (codec, bytes)
        });
        written.chain(read_only(plain)).collect()
    }

    #[test]
    fn every_codec_gives_back_what_it_took() {
        for len in [2, 100, 65_536, 200_002] {
            let plain = sample(len);
            for (codec, stored) in samples(&plain) {
                let mut out = vec![0; len];
                let found = codec.decode(&stored, &mut out, &mut Tools::default()).unwrap();
                assert_eq!((found, out == plain), (len, true), "{}", codec.name());
                assert!(stored.len() as u64 <= codec.most_encoded(len as u64), "{}", codec.name());
            }
        }
    }

    #[test]
    fn no_codec_writes_past_a_smaller_buffer_or_panics_on_damage() {
        for (codec, stored) in samples(&sample(50_000)) {
            let mut small = vec![0; 40_000];
            let found = codec.decode(&stored, &mut small, &mut Tools::default());
            assert!(found.is_err(), "{}: {found:?}", codec.name());
            let mut out = vec![0; 50_000];
            for cut in [0, 1, 3, 15, 16, 17, 40, stored.len() / 2, stored.len() - 1] {
                drop(codec.decode(&stored[..cut], &mut out, &mut Tools::default()));
            }
            for at in (0..stored.len()).step_by(stored.len() / 97 + 1) {
                let mut flipped = stored.clone();
                flipped[at] ^= 0x55;
                drop(codec.decode(&flipped, &mut out, &mut Tools::default()));
            }
        }
    }

    #[test]
    fn a_dictionary_that_is_too_large_is_refused_before_it_is_allocated() {
        let options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        let alone = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut stored = Vec::new();
        let plain = [7; 16];
        std::io::Read::read_to_end(&mut liblzma::read::XzEncoder::new_stream(&plain[..], alone), &mut stored).unwrap();
        // Bytes 1 to 4 of the header are the size of the dictionary.
        stored[1..5].copy_from_slice(&(1u32 << 31).to_le_bytes());
        let codec = build("lzma", 1, &json!({"format": 2})).unwrap();
        assert!(codec.decode(&stored, &mut [0; 16], &mut Tools::default()).is_err());
        assert!(
            build("lzma", 1, &json!({"format": 3, "filters": [{"id": 0x21, "dict_size": 1_500_000_000}]})).is_err()
        );
        assert!(build("lzma", 1, &json!({"format": 3})).is_err());
    }

    #[test]
    fn a_length_that_lies_decodes_to_nothing_large() {
        let lz4 = build("lz4", 1, &json!({})).unwrap();
        for announced in [0u32, 15, 17, u32::MAX] {
            let mut stored = lz4_flex::block::compress_prepend_size(&[7; 16]);
            stored[..4].copy_from_slice(&announced.to_le_bytes());
            assert!(lz4.decode(&stored, &mut [0; 16], &mut Tools::default()).is_err(), "{announced}");
        }
    }

    #[test]
    fn an_unknown_codec_is_refused() {
        assert!(build("doesnotexist", 2, &json!({})).is_err());
        assert!(build("blosc", 2, &json!({"cname": "lzo"})).is_err());
    }
}

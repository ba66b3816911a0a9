//! Bytes to bytes and back: one file a codec, and [`LIST`], which names them all.
//!
//! *Invariant:* the length of what a codec may write is decided before it runs (the buffer it is given), so a chunk that
//! claims to hold more than its array says costs nothing but an error. Nothing here knows of files or arrays.
#![allow(clippy::unnecessary_wraps, reason = "the list has one signature for making any codec")]
#![allow(clippy::needless_pass_by_value, reason = "messages are made where they are wrong, and only then")]

mod blosc;
mod bz2;
mod crc;
mod gzip;
mod shuffle;
mod tools;
mod zstd;

use std::fmt::Debug;

use serde_json::Value;

pub(crate) use blosc::{Blosc, Inner as BloscInner};

pub(crate) use gzip::Gzip;
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
    #[error("crc32c stored is {stored:08x}, computed is {computed:08x}")]
    Checksum { stored: u32, computed: u32 },
}

/// A codec from bytes to bytes.
pub(crate) trait Codec: Debug + Send + Sync {
    /// Its name for people, with what matters of its parameters: `blosc(lz4)`.
    fn name(&self) -> String;

    /// The most bytes that `decoded` bytes may have when encoded; more are refused before they are read.
    fn most_encoded(&self, decoded: u64) -> u64;

    /// The most bytes the codec allocates by itself while it works on `decoded` bytes.
    fn work_bytes(&self, decoded: u64) -> u64;

    /// The decoded bytes where they are a part of the encoded ones, else `None`.
    fn view<'a>(&self, _encoded: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
        Ok(None)
    }

    /// Decodes into `out` and returns how many bytes that were; never more than `out` holds.
    fn decode(&self, encoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage>;

    /// Encodes into `out`, which holds [`most_encoded`](Codec::most_encoded), and returns how many bytes that were.
    fn encode(&self, decoded: &[u8], out: &mut [u8], tools: &mut Tools) -> Result<usize, Damage>;
}

/// How a codec of the list is made from its parameters: the pixel's size, and the codec's JSON object.
type Build = fn(usize, &Value) -> Result<Box<dyn Codec>, String>;

/// A codec and its names: `name` of Zarr v3 and `id` of Zarr v2 alike, without the prefix `numcodecs.`.
struct Entry {
    names: &'static [&'static str],
    build: Build,
}

/// Every codec. A new one is a file and a line here.
const LIST: &[Entry] = &[
    Entry { names: &["blosc"], build: blosc::build },
    Entry { names: &["bz2"], build: bz2::build },
    Entry { names: &["crc32c"], build: crc::build },
    Entry { names: &["gzip"], build: gzip::build_gzip },
    Entry { names: &["zlib"], build: gzip::build_zlib },
    Entry { names: &["shuffle"], build: shuffle::build },
    Entry { names: &["zstd"], build: zstd::build },
];

/// The codec of a name, or why there is none.
pub(crate) fn build(name: &str, element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let short = name.strip_prefix("numcodecs.").unwrap_or(name);
    let entry = LIST.iter().find(|e| e.names.contains(&short));
    (entry.ok_or_else(|| "unknown codec".to_owned())?.build)(element, parameters)
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
            ("shuffle", json!({"elementsize": 2})),
            ("blosc", json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2})),
            ("blosc", json!({"cname": "zstd", "clevel": 1, "shuffle": 2})),
            ("blosc", json!({"cname": "blosclz", "clevel": 9, "shuffle": 0})),
            ("blosc", json!({"cname": "zlib", "clevel": 3, "shuffle": "noshuffle"})),
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

    #[test]
    fn every_codec_gives_back_what_it_took() {
        for codec in every_codec() {
            for len in [2, 100, 65_536, 200_002] {
                let plain = sample(len);
                let stored = encoded(codec.as_ref(), &plain);
                let mut out = vec![0; len];
                let found = codec.decode(&stored, &mut out, &mut Tools::default()).unwrap();
                assert_eq!((found, out == plain), (len, true), "{}", codec.name());
            }
        }
    }

    #[test]
    fn no_codec_writes_past_a_smaller_buffer_or_panics_on_damage() {
        for codec in every_codec() {
            let stored = encoded(codec.as_ref(), &sample(50_000));
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
    fn an_unknown_codec_is_refused() {
        assert!(build("doesnotexist", 2, &json!({})).is_err());
        assert!(build("blosc", 2, &json!({"cname": "snappy"})).is_err());
    }
}

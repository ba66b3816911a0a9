//! Small files that would become large: each ends in a typed error, and the whole process stays below 256 MiB.
//!
//! One test alone, for what is measured is the most memory that its process ever had.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

mod folder;
mod manifest;

use std::io::{Read, repeat};

use folder::{Folder, v2, v3, whole, with};
use manifest::{corpus, table};
use microtome_io::{Limits, Place, ReadError, Reader};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
/// What the bombs become, if somebody lets them.
const BLAST: u64 = 320 * MIB;

fn read_all(mut reader: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    reader.read_to_end(&mut out).unwrap();
    out
}

/// A 16-byte frame of zstd that announces 1 TiB.
fn zstd_announcement() -> Vec<u8> {
    [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 40).to_le_bytes(), &[1, 0, 0]].concat()
}

fn deflated(wrap: impl Fn(&mut libdeflater::Compressor, &[u8], &mut [u8]) -> usize) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
    let plain = vec![0; 64 << 20];
    let mut out = vec![0; 1 << 20];
    let len = wrap(&mut compressor, &plain, &mut out);
    out.truncate(len);
    out
}

/// A header of Blosc that announces 2 GiB, before blocks that hold nothing.
fn blosc_announcement() -> Vec<u8> {
    let sizes = [i32::MAX as u32, 1 << 16, 32].map(u32::to_le_bytes).concat();
    [&[2, 1, 0x21, 1][..], &sizes, &[0; 16]].concat()
}

/// Chunks by the codecs that decode them.
fn bombs() -> Vec<(Value, Vec<u8>)> {
    let zeros = || repeat(0).take(BLAST);
    let lz4 = lz4_flex::block::compress_prepend_size(&vec![0; 128 << 20]);
    let alone =
        liblzma::stream::Stream::new_lzma_encoder(&liblzma::stream::LzmaOptions::new_preset(0).unwrap()).unwrap();
    vec![
        (json!({"id": "zstd"}), zstd_announcement()),
        (json!({"id": "zstd"}), read_all(zstd::stream::read::Encoder::new(zeros(), 1).unwrap())),
        (json!({"id": "gzip"}), deflated(|c, plain, out| c.gzip_compress(plain, out).unwrap())),
        (json!({"id": "zlib"}), deflated(|c, plain, out| c.zlib_compress(plain, out).unwrap())),
        (json!({"id": "bz2"}), read_all(bzip2::read::BzEncoder::new(zeros(), bzip2::Compression::fast()))),
        (json!({"id": "lzma"}), read_all(liblzma::read::XzEncoder::new(zeros(), 0))),
        (json!({"id": "lzma", "format": 2}), read_all(liblzma::read::XzEncoder::new_stream(zeros(), alone))),
        (json!({"id": "lz4"}), lz4),
        (json!({"id": "lz4"}), [&u32::MAX.to_le_bytes()[..], &[0; 12]].concat()),
        (json!({"id": "blosc"}), blosc_announcement()),
    ]
}

fn is_typed(error: &ReadError) -> bool {
    matches!(
        error,
        ReadError::Corrupt { .. }
            | ReadError::OverLimit { .. }
            | ReadError::Truncated { .. }
            | ReadError::Unsupported { .. }
            | ReadError::NotAnImage { .. }
    )
}

/// Chunks that become large, alone and behind a second codec that has the same to say.
fn chunks() {
    for (codec, bytes) in bombs() {
        let name = codec["id"].as_str().unwrap().to_owned();
        for chain in [json!([]), json!([codec])] {
            let array = with(with(v2(json!([16, 16]), json!([16, 16])), "compressor", codec.clone()), "filters", chain);
            // Refused by its length, or as it is decoded.
            for len in [bytes.len(), bytes.len().min(300)] {
                let folder = Folder::new().json(".zarray", &array).put("0.0", &bytes[..len]);
                let error = whole(&folder.open().unwrap(), 0).unwrap_err();
                assert!(is_typed(&error), "{name}: {error:?}");
            }
        }
    }
}

/// Documents of 16 MiB, and arrays that announce more than there can be.
fn documents() {
    for part in ["[],", "1,", r#"{"":0},"#, r#""","#] {
        let text = format!(r#"{{"multiscales": [{}0]}}"#, part.repeat((15 << 20) / part.len()));
        let error =
            Folder::new().put(".zattrs", text).json("0/.zarray", &v2(json!([1]), json!([1]))).open().unwrap_err();
        assert!(matches!(error, ReadError::OverLimit { .. }), "{part}: {error:?}");
    }
    let index = json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1],
        "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "bytes"}]}}]);
    for chunk in [json!([1u64 << 13, 1u64 << 13]), json!([1u64 << 32, 1u64 << 30])] {
        let error = Folder::new().json("zarr.json", &v3(json!([4, 4]), chunk, index.clone())).open().unwrap_err();
        assert!(is_typed(&error), "{error:?}");
    }
}

/// What others made to hurt.
fn hostile() -> usize {
    let Some(corpus) = corpus().map(|corpus| corpus.join("hostile")) else { return 0 };
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.csv")).unwrap();
    let rows: Vec<_> = table(&manifest).into_iter().filter(|row| row["kind"] == "zarr").collect();
    for row in &rows {
        let opened = microtome_zarr::open(&corpus.join(&row["path"]), &Limits::default());
        let read = opened.and_then(|reader| {
            let scenes = 0..reader.info().scenes.len();
            scenes.into_iter().try_for_each(|scene| manifest::whole(&reader, Place { scene, level: 0 }).map(drop))
        });
        match read {
            Ok(()) => assert_ne!(row["expected"], "error", "{}", row["path"]),
            Err(error) => assert!(is_typed(&error), "{}: {error:?}", row["path"]),
        }
    }
    rows.len()
}

/// The most memory this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn what_becomes_large_is_refused_in_little_memory() {
    documents();
    chunks();
    eprintln!("{} hostile folders of the corpus", hostile());
    let peak = peak();
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
}

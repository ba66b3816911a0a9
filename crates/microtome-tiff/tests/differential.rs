//! Files of the `tiff` crate's encoder, and its decoder as a second opinion on our pixels.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::fs::File;
use std::path::Path;

use microtome_io::{Limits, contract};
use support::read_all;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::{Compression, DeflateLevel, Predictor, TiffEncoder, TiffKindBig, colortype};

/// Values that compress a little and use all bits.
fn values(count: usize) -> Vec<u16> {
    (0..count as u32).map(|n| (n / 3).wrapping_mul(2_654_435_761).rotate_left(n % 5) as u16).collect()
}

fn second_opinion(path: &Path, page: usize) -> Vec<u8> {
    let mut decoder = Decoder::new(File::open(path).unwrap()).unwrap();
    decoder.seek_to_image(page).unwrap();
    match decoder.read_image().unwrap() {
        DecodingResult::U16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DecodingResult::U8(values) => values,
        other => panic!("unexpected type of {other:?}"),
    }
}

fn write(path: &Path, compression: Compression, predictor: Predictor, rows_per_strip: u32) {
    let file = File::create(path).unwrap();
    let encoder = TiffEncoder::<_, TiffKindBig>::new_generic(file).unwrap();
    let mut encoder = encoder.with_compression(compression).with_predictor(predictor);
    for page in 0..3 {
        let mut image = encoder.new_image::<colortype::RGB16>(61, 43).unwrap();
        image.rows_per_strip(rows_per_strip).unwrap();
        let mut pixels = values(61 * 43 * 3);
        pixels[0] = page;
        image.write_data(&pixels).unwrap();
    }
}

#[test]
fn pages_of_the_tiff_crate_read_as_it_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let compressions = [
        ("none", Compression::Uncompressed),
        ("lzw", Compression::Lzw),
        ("deflate", Compression::Deflate(DeflateLevel::Balanced)),
        ("packbits", Compression::Packbits),
    ];
    for (name, compression) in compressions {
        for predictor in [Predictor::None, Predictor::Horizontal] {
            // The crate's PackBits and raw encoders and our reader agree that a predictor belongs to a compression.
            if predictor == Predictor::Horizontal
                && matches!(compression, Compression::Uncompressed | Compression::Packbits)
            {
                continue;
            }
            for rows in [1, 7, 43] {
                let path = dir.path().join(format!("{name}-{predictor:?}-{rows}.tif"));
                write(&path, compression, predictor, rows);
                let reader = microtome_tiff::open(&path, &Limits::default()).unwrap();
                let pixels = read_all(&reader, 0).unwrap();
                let plane = 61 * 43 * 6;
                for page in 0..3 {
                    let ours = &pixels.as_ref().bytes()[page * plane..][..plane];
                    assert!(ours == second_opinion(&path, page), "{} page {page}", path.display());
                }
                contract::reader(&reader, 9);
            }
        }
    }
}

//! What is written is read equal by zarr-python and by tensorstore: pixel types, shapes, chunks, shards, codecs, versions and
//! levels in turn and at random.

mod cli;

use cli::Bench;
use microtome::ops::contract::random::Random;
use microtome::{
    ArraySpec, ChunkDims, Compression, Compute, Downsample, Factors, LazyArray, Levels, NgffVersion, PixelType,
    RunOptions, Selection, Shape, ShardChoice, Shrink, StoreOptions, SyntheticReader, ZarrOptions,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Images; each has one to three arrays.
const IMAGES: usize = 100;

fn options(n: usize, array: &ArraySpec, random: &mut Random) -> StoreOptions {
    let version = if n.is_multiple_of(2) { NgffVersion::V05 } else { NgffVersion::V04 };
    let mut chunk = [1, 1, 1, 1, 1, array.shape.extents()[5]];
    for (axis, most) in [2, 2, 3, 40, 40].into_iter().enumerate() {
        chunk[axis] = (1 + random.below(most)).min(array.shape.extents()[axis]);
    }
    let mut shard = chunk;
    for times in &mut shard[..5] {
        *times *= 1 + random.below(3);
    }
    let shape = |extents| Shape::new(extents).unwrap();
    let shard = match (version, random.below(3)) {
        (NgffVersion::V04, _) | (NgffVersion::V05, 0) => ShardChoice::None,
        (NgffVersion::V05, 1) => ShardChoice::Auto,
        (NgffVersion::V05, _) => ShardChoice::Shape(shape(shard)),
    };
    let codec = ["none", "zstd", "gzip", "blosc", "blosc-lz4"][n / 2 % 5];
    let chunk = if random.below(4) == 0 && shard == ShardChoice::Auto { None } else { Some(shape(chunk)) };
    let zarr =
        ZarrOptions { version, chunk, shard, compression: Compression::parse(codec, None).unwrap(), overwrite: false };
    let levels = if array.dtype.is_complex() { 1 } else { 1 + random.below(3) as u32 };
    StoreOptions {
        zarr,
        levels: Levels::Count(levels),
        downsample: Some(Shrink::ALL[n % 5]),
        ..StoreOptions::default()
    }
}

/// Writes an image, and the pixels that its levels must have.
fn image(n: usize, folder: &Path, random: &mut Random) -> Value {
    let extents = [2, 2, 4, 90, 110].map(|most| 1 + random.below(most));
    let [t, c, z, y, x] = extents;
    let samples = if random.below(5) == 0 { 3 } else { 1 };
    // A plane of several pixels has as many levels as are asked for.
    let shape = Shape::new([t, c, z, y + 8, x + 8, samples]).unwrap();
    let spec = ArraySpec { shape, dtype: PixelType::ALL[n / 2 % PixelType::ALL.len()] };
    let options = options(n, &spec, random);
    let array =
        LazyArray::source(Arc::new(SyntheticReader::new(spec)), &Selection::default(), &ChunkDims::default()).unwrap();
    let run = RunOptions { threads: 2, ..RunOptions::default() };
    array.store(folder.join(format!("{n}.ome.zarr")), options.clone()).unwrap().run(&run).unwrap();
    let Levels::Count(count) = options.levels else { unreachable!("levels are counted") };
    let (mut level, mut shapes) = (array, Vec::new());
    for number in 0..count {
        if number > 0 {
            let factor = Factors { y: 2, x: 2, ..Factors::default() };
            level = level.apply(Arc::new(Downsample { factor, method: options.downsample.unwrap() })).unwrap();
        }
        let pixels = level.compute(&run).unwrap();
        std::fs::write(folder.join(format!("{n}-{number}.bin")), pixels.as_ref().bytes()).unwrap();
        shapes.push(json!(level.shape().extents()));
    }
    let zarr_format = if options.zarr.version == NgffVersion::V04 { 2 } else { 3 };
    json!({"n": n, "dtype": spec.dtype.name(), "zarr_format": zarr_format, "levels": shapes})
}

#[test]
fn a_hundred_images_are_read_equal_by_zarr_python_and_tensorstore() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.path("written");
    std::fs::create_dir(&folder).unwrap();
    let mut random = Random::new(55);
    let cases: Vec<Value> = (0..IMAGES).map(|n| image(n, &folder, &mut random)).collect();
    let arrays: usize = cases.iter().map(|case| case["levels"].as_array().unwrap().len()).sum();
    std::fs::write(folder.join("cases.json"), json!(cases).to_string()).unwrap();
    let Some(found) = bench.python("read_written.py", &["written"]) else { return };
    assert!(arrays > 150, "{arrays} arrays");
    assert_eq!(found, json!({"equal": arrays}));
}

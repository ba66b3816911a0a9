//! Outputs of several levels: they appear together, say where their pixels lie, and are read back while they are built.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::Path;

use microtome_array::{ArraySpec, Axis, PixelType, Pixels, Shape};
use microtome_io::{
    Limits, Output, PixelSize, Place, Prepare, ReadError, Reader, Sink, WriteContext, contract, read_region,
};
use microtome_zarr::NgffVersion::{V04, V05};
use microtome_zarr::{LevelSpec, OutputMeta, ShardChoice, ZarrOptions, ZarrOutput, create, default_layout};
use serde_json::{Value, json};
use support::{cut, numbered, spec};

fn pyramid(full: ArraySpec) -> Vec<LevelSpec> {
    let level = |f| LevelSpec::reduced(full, [1, 1, 1, f, f, 1]).unwrap();
    vec![LevelSpec::full(full), level(2), level(4)]
}

fn meta() -> OutputMeta {
    OutputMeta {
        pixel_size: PixelSize { z: Some(0.5), y: Some(0.2), x: Some(0.1), unit: Some("micrometer".to_owned()) },
        downsampling: Some("mean".to_owned()),
        ..OutputMeta::default()
    }
}

fn at(out: &Path, array: ArraySpec) -> ZarrOutput {
    create(out, &pyramid(array), &meta(), &ZarrOptions { overwrite: true, ..ZarrOptions::default() }).unwrap()
}

#[test]
fn every_level_keeps_the_contract_with_samples_and_without() {
    for array in [spec([1, 2, 5, 150, 171, 1], PixelType::U16), spec([2, 2, 1, 67, 90, 3], PixelType::U8)] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.ome.zarr");
        let chunk = Some(Shape::new([1, 1, 1, 32, 32, 3]).unwrap());
        for (shard, version) in [(ShardChoice::Auto, V05), (ShardChoice::None, V05), (ShardChoice::Auto, V04)] {
            let options = ZarrOptions { version, chunk, shard, overwrite: true, ..ZarrOptions::default() };
            contract::output(
                || create(&out, &pyramid(array), &meta(), &options).unwrap(),
                |output, level| published(&out, level, output.array(level)),
            );
        }
    }
}

/// The pixels of a level as our reader finds them in the finished image, whose samples are channels.
fn published(out: &Path, level: usize, sink: &dyn Sink) -> Pixels {
    let reader = microtome_zarr::open(out, &Limits::default()).unwrap();
    let array = sink.spec().array;
    let [t, c, z, y, x, s] = array.shape.extents();
    let stored = reader.info().scenes[0].levels[level].shape;
    assert_eq!(stored.extents(), [t, c * s, z, y, x, 1]);
    let mut pixels = Pixels::zeroed(array);
    let (size, plane) = (array.dtype.size(), (z * y * x) as usize);
    let bytes = read_region(&reader, Place { scene: 0, level }, &stored.region()).unwrap();
    for (n, pixel) in bytes.as_ref().bytes().chunks(size).enumerate() {
        let (channel, at) = (n / plane, n % plane);
        let to = ((channel / s as usize * plane + at) * s as usize + channel % s as usize) * size;
        pixels.as_mut().bytes()[to..to + size].copy_from_slice(pixel);
    }
    pixels
}

#[test]
fn the_group_says_where_the_pixels_of_each_level_lie() {
    let output = at(Path::new("out.zarr"), spec([1, 2, 5, 150, 171, 1], PixelType::U16));
    let parameters = output.parameters();
    let multiscale = &parameters["group"]["attributes"]["ome"]["multiscales"][0];
    assert_eq!(multiscale["type"], "mean");
    assert_eq!(multiscale["metadata"]["method"], "mean");
    let transformations = |n: usize| multiscale["datasets"][n]["coordinateTransformations"].clone();
    assert_eq!(transformations(0), json!([{"type": "scale", "scale": [1.0, 1.0, 0.5, 0.2, 0.1]}]));
    // The middle of the first 4 × 4 pixels is one and a half pixels from the middle of the first pixel.
    let expected = json!([
        {"type": "scale", "scale": [1.0, 1.0, 0.5, 0.8, 0.4]},
        {"type": "translation", "translation": [0.0, 0.0, 0.0, 0.2 * 3.0 / 2.0, 0.1 * 3.0 / 2.0]},
    ]);
    assert_eq!(transformations(2), expected);
    let shapes: Vec<&Value> = (0..3).map(|n| &parameters["arrays"][n]["shape"]).collect();
    assert_eq!(json!(shapes), json!([[1, 2, 5, 150, 171], [1, 2, 5, 75, 86], [1, 2, 5, 38, 43]]));
}

#[test]
fn an_image_of_one_level_says_nothing_of_downsampling() {
    let array = spec([1, 1, 1, 8, 8, 1], PixelType::U8);
    let output = create(Path::new("out.zarr"), &[LevelSpec::full(array)], &meta(), &ZarrOptions::default()).unwrap();
    let multiscale = &output.parameters()["group"]["attributes"]["ome"]["multiscales"][0];
    assert_eq!((multiscale.get("type"), multiscale.get("metadata")), (None, None));
}

#[test]
fn chunks_and_shards_of_a_level_follow_from_its_own_shape() {
    let output = at(Path::new("out.zarr"), spec([1, 1, 40, 2048, 2048, 1], PixelType::U16));
    for n in 0..3 {
        let found = output.array(n).spec();
        let (chunk, shard) = default_layout(&found.array);
        assert_eq!((found.part, found.units.chunk()), (chunk, shard.unwrap_or(chunk)));
    }
    assert_eq!(output.array(2).spec().part.extents(), [1, 1, 1, 512, 512, 1]);
}

#[test]
fn levels_that_do_not_belong_together_are_refused() {
    let full = spec([1, 1, 1, 8, 8, 1], PixelType::U8);
    let half = LevelSpec::reduced(full, [1, 1, 1, 2, 2, 1]).unwrap();
    let other = LevelSpec { array: ArraySpec { dtype: PixelType::U16, ..half.array }, ..half };
    for levels in [&[][..], &[half], &[LevelSpec::full(full), other]] {
        assert!(create(Path::new("out.zarr"), levels, &meta(), &ZarrOptions::default()).is_err());
    }
}

#[test]
fn a_level_in_zarr_v2_is_read_back_in_its_own_axes() {
    let folder = tempfile::tempdir().unwrap();
    // By position alone, T Z C would be guessed, and a last axis of 3 to be samples.
    let array = spec([1, 2, 3, 4, 3, 1], PixelType::U8);
    let options = ZarrOptions { version: V04, ..ZarrOptions::default() };
    let output = create(&folder.path().join("o.zarr"), &pyramid(array), &meta(), &options).unwrap();
    output.prepare(&Prepare::fresh("abc")).unwrap();
    assert_eq!(output.reopen(0).unwrap().info().scenes[0].shape(), array.shape);
}

#[test]
fn a_level_is_read_back_while_the_next_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let array = spec([1, 1, 2, 40, 50, 3], PixelType::U8);
    let output = at(&out, array);
    assert!(matches!(output.reopen(0), Err(ReadError::NotFound { .. })));
    output.prepare(&Prepare::fresh("abc")).unwrap();
    let (sink, pixels) = (output.array(0), numbered(array));
    let pool = microtome_array::BufferPool::new(0);
    for unit in sink.spec().units.all().iter() {
        let region = sink.spec().units.region(&unit).unwrap();
        let mut writer = sink.begin(unit, &WriteContext { pool: &pool }).unwrap();
        writer.write(&region, cut(&pixels, &region).as_ref()).unwrap();
        output.settle(&[(0, writer.finish(true).unwrap().remove(0))]).unwrap();
    }
    contract::reader(output.reopen(0).unwrap().as_ref(), 5);
    let half = array.shape.region().with(Axis::Y, 7, 33);
    let again = read_region(output.reopen(0).unwrap().as_ref(), Place::default(), &half).unwrap();
    assert_eq!(again.as_ref().bytes(), cut(&pixels, &half).as_ref().bytes());
    let unfinished = folder.path().join("out.zarr.partial-abc");
    assert!(unfinished.join("0/zarr.json").exists() && !unfinished.join("zarr.json").exists(), "no image yet");
}

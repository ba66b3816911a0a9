//! Outputs: the same bytes however pixels come, read back by an independent reader, and nothing under the final name
//! before it is whole.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::fs;
use std::path::Path;

use microtome_array::{ArraySpec, BufferPool, PixelType, Pixels, PixelsRef, Shape};
use microtome_io::{Output, Prepare, Standing, WriteContext, WriteError, contract};
use microtome_zarr::{
    BloscCompressor, Compression, LevelSpec, NgffVersion, OutputMeta, ShardChoice, ZarrOptions, ZarrOutput,
};
use support::{cut, numbered, oracle, spec, tree, write_all};

const COMPRESSIONS: [Compression; 5] = [
    Compression::None,
    Compression::Zstd { level: 3 },
    Compression::Gzip { level: 1 },
    Compression::Blosc { inner: BloscCompressor::Lz4, level: 5 },
    Compression::Blosc { inner: BloscCompressor::Zstd, level: 1 },
];

fn options(chunk: [u64; 6], shard: Option<[u64; 6]>, compression: Compression) -> ZarrOptions {
    let shape = |e| Shape::new(e).unwrap();
    let shard = shard.map_or(ShardChoice::None, |s| ShardChoice::Shape(shape(s)));
    ZarrOptions { chunk: Some(shape(chunk)), shard, compression, overwrite: true, ..ZarrOptions::default() }
}

fn create(out: &Path, array: ArraySpec, meta: &OutputMeta, options: &ZarrOptions) -> Result<ZarrOutput, WriteError> {
    microtome_zarr::create(out, &[LevelSpec::full(array)], meta, options)
}

fn prepare(output: &ZarrOutput, plan: &str) -> Result<Standing, WriteError> {
    output.prepare(&Prepare::fresh(plan))
}

/// Runs the contract on an output and checks each time that `zarrs` reads the pixels.
fn check(array: ArraySpec, options: &ZarrOptions) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.ome.zarr");
    contract::output(
        || create(&out, array, &OutputMeta::default(), options).unwrap(),
        |_, _| {
            let bytes = oracle(&out, array);
            let mut pixels = Pixels::zeroed(array);
            pixels.as_mut().bytes().copy_from_slice(&bytes);
            pixels
        },
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["out.ome.zarr"], "nothing but the output is left");
}

#[test]
fn every_compression_keeps_the_contract_sharded_or_not() {
    let array = spec([2, 2, 5, 150, 170, 1], PixelType::U16);
    for compression in COMPRESSIONS {
        check(array, &options([1, 1, 1, 64, 64, 1], None, compression));
        check(array, &options([1, 1, 2, 64, 64, 1], Some([1, 2, 4, 128, 192, 1]), compression));
        check(array, &in_v2(&options([1, 1, 2, 64, 64, 1], None, compression)));
    }
}

fn in_v2(options: &ZarrOptions) -> ZarrOptions {
    ZarrOptions { version: NgffVersion::V04, ..options.clone() }
}

#[test]
fn zarr_v2_has_a_file_a_chunk_and_no_shards() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let array = spec([1, 1, 2, 30, 40, 1], PixelType::U16);
    let sink = create(&out, array, &OutputMeta::default(), &in_v2(&ZarrOptions::default())).unwrap();
    write_all(&sink, &numbered(array), 1);
    let files =
        [".microtome/complete.json", ".zattrs", ".zgroup", "0/.zarray", "0/.zattrs", "0/0/0/0/0/0", "0/0/0/1/0/0"];
    assert_eq!(tree(&out).keys().collect::<Vec<_>>(), files);
    let sharded = in_v2(&options([1, 1, 1, 8, 8, 1], Some([1, 1, 1, 16, 16, 1]), Compression::None));
    let refused = create(&out, array, &OutputMeta::default(), &sharded).unwrap_err();
    assert!(refused.to_string().contains("OME-Zarr 0.4 has no shards"), "{refused}");
}

#[test]
fn every_pixel_type_keeps_the_contract() {
    for dtype in PixelType::ALL {
        let array = spec([1, 2, 3, 20, 33, 1], dtype);
        check(array, &options([1, 1, 2, 8, 16, 1], Some([1, 1, 4, 16, 48, 1]), Compression::default()));
        check(array, &in_v2(&options([1, 1, 2, 8, 16, 1], None, Compression::default())));
    }
}

#[test]
fn samples_are_stored_as_channels() {
    let array = spec([1, 2, 2, 100, 90, 3], PixelType::U8);
    check(array, &options([1, 1, 1, 64, 64, 3], Some([1, 2, 1, 128, 128, 3]), Compression::default()));
    check(array, &ZarrOptions { overwrite: true, ..ZarrOptions::default() });
}

#[test]
fn the_bytes_of_the_output_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let array = spec([2, 3, 9, 130, 140, 1], PixelType::U16);
    let options = options([1, 1, 1, 64, 64, 1], Some([1, 1, 3, 128, 192, 1]), Compression::default());
    let trees: Vec<_> = [1, 2, 7]
        .into_iter()
        .map(|threads| {
            let out = folder.path().join(format!("{threads}.zarr"));
            let sink = create(&out, array, &OutputMeta::default(), &options).unwrap();
            write_all(&sink, &numbered(array), threads);
            tree(&out)
        })
        .collect();
    assert!(trees[0].len() > 6);
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[0], trees[2]);
}

#[test]
fn what_is_all_fill_value_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("empty.zarr");
    let array = spec([1, 1, 4, 64, 64, 1], PixelType::F32);
    let sink = create(&out, array, &OutputMeta::default(), &ZarrOptions::default()).unwrap();
    let receipts = write_all(&sink, &Pixels::zeroed(array), 1);
    assert_eq!((receipts[0].stored_bytes, receipts[0].crc32c), (0, 0));
    assert_eq!(tree(&out).keys().collect::<Vec<_>>(), [".microtome/complete.json", "0/zarr.json", "zarr.json"]);
    assert!(oracle(&out, array).iter().all(|&b| b == 0));
}

#[test]
fn a_receipt_is_of_the_stored_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let array = spec([1, 1, 4, 64, 64, 1], PixelType::U16);
    let sink = create(&out, array, &OutputMeta::default(), &ZarrOptions::default()).unwrap();
    let receipts = write_all(&sink, &numbered(array), 1);
    let stored = fs::read(out.join("0/c/0/0/0/0/0")).unwrap();
    assert_eq!((receipts[0].stored_bytes, receipts[0].crc32c), (stored.len() as u64, crc32c::crc32c(&stored)));
}

#[test]
fn scratch_is_bounded_where_every_stored_chunk_is_begun_before_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let array = spec([1, 1, 1, 301, 24 * 301, 1], PixelType::U16);
    let layout = options([1, 1, 1, 301, 301, 1], Some([1, 1, 1, 301, 24 * 301, 1]), Compression::None);
    let sink = create(&folder.path().join("out.zarr"), array, &OutputMeta::default(), &layout).unwrap();
    prepare(&sink, "abc").unwrap();
    let (pool, pixels) = (BufferPool::new(0), numbered(array));
    let unit = sink.array(0).spec().units.index(0);
    let mut writer = sink.array(0).begin(unit, &WriteContext { pool: &pool }).unwrap();
    for y in 0..301 {
        let row = array.shape.region().with(microtome_array::Axis::Y, y, y + 1);
        writer.write(&row, cut(&pixels, &row).as_ref()).unwrap();
    }
    writer.finish(true).unwrap();
    let (peak, most) =
        (pool.stats().peak_lent, sink.array(0).scratch_bytes(&Shape::new([1, 1, 1, 1, 24 * 301, 1]).unwrap()));
    assert!(peak >= 24 * 301 * 301 * 2, "every chunk is open at once: {peak}");
    assert!(peak <= most, "{peak} bytes lent, {most} announced");
}

fn small(out: &Path, overwrite: bool) -> ZarrOutput {
    let options = ZarrOptions { overwrite, ..ZarrOptions::default() };
    create(out, spec([1, 1, 1, 8, 8, 1], PixelType::U8), &OutputMeta::default(), &options).unwrap()
}

#[test]
fn an_output_that_is_there_is_refused_or_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let array = spec([1, 1, 1, 8, 8, 1], PixelType::U8);
    write_all(&small(&out, false), &Pixels::zeroed(array), 1);
    assert!(matches!(prepare(&small(&out, false), "abc"), Err(WriteError::Exists { .. })));
    fs::write(out.join("old"), "old").unwrap();
    write_all(&small(&out, true), &numbered(array), 1);
    assert!(!out.join("old").exists() && out.join("0/c/0/0/0/0/0").exists());
}

#[test]
fn overwriting_does_not_remove_a_folder_that_is_no_zarr() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("thesis");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("chapter1.tex"), "…").unwrap();
    let refused = prepare(&small(&out, true), "abc").unwrap_err();
    assert!(refused.to_string().contains("no Zarr"), "{refused}");
    assert!(out.join("chapter1.tex").exists());
}

#[test]
fn overwriting_does_not_remove_a_folder_that_only_holds_a_zarr() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("experiment");
    fs::create_dir_all(out.join("cells.zarr")).unwrap();
    fs::write(out.join("cells.zarr/.zgroup"), r#"{"zarr_format": 2}"#).unwrap();
    fs::write(out.join("notes.txt"), "…").unwrap();
    assert!(prepare(&small(&out, true), "abc").is_err());
    assert!(out.join("notes.txt").exists() && out.join("cells.zarr/.zgroup").exists());
}

#[test]
fn an_unfinished_output_is_refused_until_it_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let first = small(&out, false);
    prepare(&first, "0123456789abcdef").unwrap();
    assert!(folder.path().join("out.zarr.partial-0123456789ab").is_dir());
    assert!(!out.exists(), "nothing under the final name yet");
    assert!(matches!(prepare(&small(&out, false), "other"), Err(WriteError::Unfinished { .. })));
    prepare(&small(&out, true), "other").unwrap();
    assert!(!folder.path().join("out.zarr.partial-0123456789ab").exists());
}

#[test]
fn abandoning_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sink = small(&folder.path().join("out.zarr"), false);
    prepare(&sink, "abc").unwrap();
    let pool = BufferPool::new(0);
    let unit = sink.array(0).spec().units.index(0);
    let mut writer = sink.array(0).begin(unit, &WriteContext { pool: &pool }).unwrap();
    writer
        .write(
            &sink.array(0).spec().array.shape.region(),
            PixelsRef::new(sink.array(0).spec().array, &[1; 64]).unwrap(),
        )
        .unwrap();
    drop(writer);
    sink.abandon();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_unit_without_all_of_its_pixels_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let sink = small(&folder.path().join("out.zarr"), false);
    prepare(&sink, "abc").unwrap();
    let pool = BufferPool::new(0);
    let unit = sink.array(0).spec().units.index(0);
    let mut writer = sink.array(0).begin(unit, &WriteContext { pool: &pool }).unwrap();
    let half = sink.array(0).spec().array.shape.region().with(microtome_array::Axis::Y, 0, 4);
    let array = ArraySpec { shape: half.shape(), dtype: PixelType::U8 };
    writer.write(&half, PixelsRef::new(array, &[1; 32]).unwrap()).unwrap();
    assert!(matches!(writer.finish(true), Err(WriteError::Encode { .. })));
}

#[test]
fn a_place_that_cannot_be_written_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below_a_file = prepare(&small(&file.join("out.zarr"), false), "abc").unwrap_err();
    assert!(matches!(below_a_file, WriteError::Os { .. }), "{below_a_file}");
    let nowhere = prepare(&small(&folder.path().join("no/such/folder/out.zarr"), false), "abc").unwrap_err();
    assert!(matches!(nowhere, WriteError::Os { .. }), "{nowhere}");
    let nameless = prepare(&small(Path::new("/"), false), "abc").unwrap_err();
    assert!(matches!(nameless, WriteError::Unsupported { .. }), "{nameless}");
}

#[test]
fn a_unit_that_cannot_be_stored_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let sink = small(&out, false);
    prepare(&sink, "abc").unwrap();
    fs::write(folder.path().join("out.zarr.partial-abc/0/c"), "in the way").unwrap();
    let pool = BufferPool::new(0);
    let mut writer = sink.array(0).begin(sink.array(0).spec().units.index(0), &WriteContext { pool: &pool }).unwrap();
    let array = sink.array(0).spec().array;
    let failed = writer.write(&array.shape.region(), PixelsRef::new(array, &[1; 64]).unwrap()).unwrap_err();
    assert!(matches!(failed, WriteError::Os { .. }), "{failed}");
}

#[test]
fn levels_and_shards_that_there_are_not_are_refused() {
    let array = spec([1, 1, 1, 200, 200, 1], PixelType::U8);
    let out = Path::new("out.zarr");
    let bad = [
        ZarrOptions { compression: Compression::Zstd { level: 99 }, ..ZarrOptions::default() },
        options([1, 1, 1, 64, 64, 1], Some([1, 1, 1, 100, 64, 1]), Compression::None),
    ];
    for options in bad {
        let refused = create(out, array, &OutputMeta::default(), &options).unwrap_err();
        assert!(matches!(refused, WriteError::Unsupported { .. }), "{refused}");
    }
}

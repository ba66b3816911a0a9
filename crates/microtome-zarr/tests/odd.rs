//! Folders that are rare, wrong or meant to hurt, each built here: what is understood, and which error the rest gives.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(clippy::needless_pass_by_value, reason = "JSON that is written in the call is given away")]

mod folder;

use std::fs;
use std::path::Path;

use folder::{Folder, extents, multiscales, sharded, shards_in_shards, v2, v3, whole, with};
use microtome_array::{BufferPool, Pixels, Shape};
use microtome_io::{Place, ReadContext, ReadError, Reader, SceneKind, StorageKind, contract};
use serde_json::{Value, json};

#[test]
fn an_array_alone_is_an_image_and_chunks_that_are_not_there_hold_the_fill_value() {
    let folder = Folder::new().json(".zarray", &v2(json!([3, 4]), json!([2, 3]))).put("0.1", [1, 9, 9, 2, 9, 9]);
    let reader = folder.open().unwrap();
    assert_eq!((reader.info().format.as_str(), extents(&reader)), ("Zarr", [1, 1, 1, 3, 4, 1]));
    assert_eq!(whole(&reader, 0).unwrap(), [7, 7, 7, 1, 7, 7, 7, 2, 7, 7, 7, 7]);
    contract::reader(&reader, 1);
}

#[test]
fn a_document_that_is_written_to_or_gone_is_noticed() {
    let document = v2(json!([4, 4]), json!([4, 4]));
    let folder = Folder::new().json(".zarray", &document);
    let reader = folder.open().unwrap();
    reader.unchanged().unwrap();
    fs::write(folder.path().join(".zarray"), with(document, "fill_value", json!(10)).to_string()).unwrap();
    assert!(matches!(reader.unchanged(), Err(ReadError::Changed { .. })));
    fs::remove_file(folder.path().join(".zarray")).unwrap();
    assert!(reader.unchanged().unwrap_err().to_string().contains("gone"));
}

#[test]
fn a_folder_that_is_gone_is_not_taken_for_fill_values() {
    let folder = Folder::new().json(".zarray", &v2(json!([3, 4]), json!([2, 3])));
    let reader = folder.open().unwrap();
    assert_eq!(whole(&reader, 0).unwrap(), [7; 12]);
    fs::remove_dir_all(folder.path()).unwrap();
    let error = whole(&reader, 0).unwrap_err();
    assert!(matches!(error, ReadError::Changed { .. }), "{error}");
}

#[test]
fn a_row_a_point_and_a_rank_of_seven_are_placed_on_six_axes() {
    let of = |shape: Value| Folder::new().json(".zarray", &v2(shape.clone(), shape)).open();
    assert_eq!(extents(&of(json!([9])).unwrap()), [1, 1, 1, 1, 9, 1]);
    assert_eq!(extents(&of(json!([])).unwrap()), [1; 6]);
    assert_eq!(extents(&of(json!([2, 3, 4, 1, 5, 6, 3])).unwrap()), [2, 4, 3, 5, 6, 3]);
    let seven = of(json!([2, 2, 2, 2, 5, 6, 3])).unwrap_err();
    assert!(matches!(seven, ReadError::Corrupt { .. }) && seven.to_string().contains("at most six"), "{seven}");
}

#[test]
fn zero_pixels_are_an_image_too() {
    let reader = Folder::new().json(".zarray", &v2(json!([0, 4]), json!([2, 3]))).open().unwrap();
    assert_eq!(whole(&reader, 0).unwrap(), [0; 0]);
}

#[test]
fn axes_may_be_words_and_scales_of_level_and_image_multiply() {
    let scale = |s: Value| json!([{"type": "scale", "scale": s}]);
    let image = json!({"multiscales": [{"version": "0.3", "axes": ["t", "y", "x"],
        "datasets": [{"path": "a", "coordinateTransformations": scale(json!([2.0, 0.5, 0.25]))},
                     {"path": "b", "coordinateTransformations": scale(json!([2.0, 1.25, 0.625]))}],
        "coordinateTransformations": scale(json!([1.0, 2.0, 2.0]))}]});
    let array = |n: u64| v2(json!([2, n, n]), json!([1, n, n]));
    let folder = Folder::new().json(".zattrs", &image).json("a/.zarray", &array(10)).json("b/.zarray", &array(4));
    let reader = folder.open().unwrap();
    let scene = &reader.info().scenes[0];
    assert_eq!((reader.info().format.as_str(), extents(&reader)), ("OME-Zarr 0.3", [2, 1, 1, 10, 10, 1]));
    assert_eq!((scene.pixel_size.z, scene.pixel_size.y, scene.pixel_size.x), (None, Some(1.0), Some(0.5)));
    assert_eq!(scene.pixel_size.unit, None);
    assert_eq!(scene.levels[1].downsample, [1.0, 1.0, 1.0, 2.5, 2.5, 1.0]);
}

#[test]
fn axes_of_other_names_are_placed_by_type_and_units_become_words_of_ngff() {
    let axis = |name: &str, kind: &str, unit: &str| json!({"name": name, "type": kind, "unit": unit});
    let axes = json!([axis("frame", "time", "ms"), axis("row", "space", "nm"), axis("column", "space", "um")]);
    let datasets = json!([{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [40, 250, 0.5]}]}]);
    let folder = Folder::new().json(".zattrs", &multiscales(axes, datasets));
    let reader = folder.json("0/.zarray", &v2(json!([4, 5, 6]), json!([1, 5, 6]))).open().unwrap();
    let scene = &reader.info().scenes[0];
    assert_eq!(extents(&reader), [4, 1, 1, 5, 6, 1]);
    assert_eq!((scene.pixel_size.y, scene.pixel_size.unit.as_deref()), (Some(0.25), Some("micrometer")));
    let increment = scene.time_increment.as_ref().unwrap();
    assert_eq!((increment.value, increment.unit.as_str()), (40.0, "millisecond"));
}

#[test]
fn dimension_names_place_axes_where_they_tell_y_and_x() {
    let array = |names: Value| {
        with(v3(json!([3, 5, 6]), json!([3, 5, 6]), json!([{"name": "bytes"}])), "dimension_names", names)
    };
    let of = |names: Value| extents(&Folder::new().json("zarr.json", &array(names)).open().unwrap());
    assert_eq!(of(json!(["c", "y", "x"])), [1, 3, 1, 5, 6, 1]);
    assert_eq!(of(json!(["X", null, "Y"])), [5, 1, 1, 6, 3, 1]);
    assert_eq!(of(json!(["a", "b", "c"])), [3, 1, 1, 5, 6, 1]);
}

#[test]
fn a_label_opened_alone_is_a_label() {
    let mut group = multiscales(json!(["y", "x"]), json!([{"path": "0"}]));
    group["image-label"] = json!({"version": "0.4"});
    let folder = Folder::new().json(".zattrs", &group).json("0/.zarray", &v2(json!([2, 2]), json!([2, 2])));
    assert_eq!(folder.open().unwrap().info().scenes[0].kind, SceneKind::Label);
}

#[test]
fn what_is_not_read_is_named_with_its_array() {
    let bytes = || json!([{"name": "bytes"}]);
    let array = || v3(json!([4, 4]), json!([2, 2]), bytes());
    let codecs = |list: Value| v3(json!([4, 4]), json!([2, 2]), list);
    let cases = [
        (codecs(json!([{"name": "bytes"}, {"name": "lz77"}])), "lz77"),
        (codecs(json!([{"name": "numcodecs.zfpy"}])), "zfpy"),
        (
            codecs(json!([{"name": "numcodecs.delta", "configuration": {"dtype": "|u1"}},
                       {"name": "transpose", "configuration": {"order": [1, 0]}}, {"name": "bytes"}])),
            "transpose",
        ),
        (codecs(sharded(json!([1, 1]), json!({"index_codecs": [{"name": "gzip"}]}))), "gzip"),
        (with(array(), "data_type", json!("string")), "string"),
        (with(array(), "data_type", json!({"name": "struct"})), "struct"),
        (with(array(), "chunk_grid", json!({"name": "rectilinear"})), "rectilinear"),
        (with(array(), "chunk_key_encoding", json!({"name": "zigzag"})), "zigzag"),
        (with(array(), "storage_transformers", json!([{"name": "x"}])), "storage transformer"),
        (with(array(), "zarr_format", json!(4)), "version 4"),
    ];
    for (document, word) in cases {
        let error = Folder::new().json("zarr.json", &json!({"zarr_format": 3, "node_type": "group"}));
        let error = error.json("deep/array/zarr.json", &document).open().unwrap_err();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{word}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(word) && text.contains("array deep/array"), "{word}: {text}");
    }
}

#[test]
fn metadata_that_contradict_themselves_are_corrupt() {
    let codecs = |list: Value| v3(json!([4, 4]), json!([2, 2]), list);
    let bytes = || json!([{"name": "bytes"}]);
    let cases = [
        v3(json!([4, 4]), json!([0, 2]), bytes()),
        v3(json!([4, 4]), json!([2]), bytes()),
        v3(json!([4, -4]), json!([2, 2]), bytes()),
        v3(json!([1u64 << 40, 1u64 << 40]), json!([2, 2]), bytes()),
        v3(json!([4, 4]), json!([1u64 << 40, 1u64 << 40]), bytes()),
        codecs(json!([])),
        codecs(json!([{"name": "gzip"}])),
        codecs(json!([{"name": "bytes"}, {"name": "bytes"}])),
        codecs(json!([{"name": "transpose", "configuration": {"order": [0, 0]}}, {"name": "bytes"}])),
        codecs(sharded(json!([2, 3]), json!({}))),
        codecs(sharded(json!([1, 1]), json!({"index_location": "middle"}))),
        with(codecs(bytes()), "fill_value", json!(300)),
    ];
    for document in cases {
        let error = Folder::new().json("zarr.json", &document).open().unwrap_err();
        assert!(matches!(error, ReadError::Corrupt { .. }), "{document}: {error:?}");
    }
}

#[test]
fn what_is_too_much_is_refused_when_opened() {
    let bytes = || json!([{"name": "bytes"}]);
    let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let many: Vec<Value> = vec![json!({"name": "bytes"}); 100_000];
    let cases = [
        v3(json!(vec![1; 1000]), json!(vec![1; 1000]), bytes()),
        v3(json!([4, 4]), json!([2, 2]), json!(many)),
        v3(json!([4, 4]), json!([1u64 << 16, 1u64 << 15]), bytes()),
        v3(json!([1u64 << 20, 1u64 << 20]), json!([2, 2]), bytes()),
        v3(json!([4, 4]), json!([1u64 << 20, 1u64 << 20]), sharded(json!([1, 1]), json!({}))),
        // An index of 64 MiB and one chunk more.
        v3(json!([4, 4]), json!([1u64, (1u64 << 22) + 1]), sharded(json!([1, 1]), json!({}))),
        v3(json!([4, 4]), json!([1, 1]), shards_in_shards(9)),
        with(v3(json!([4, 4]), json!([2, 2]), bytes()), "attributes", nested),
    ];
    for document in cases {
        let error = Folder::new().json("zarr.json", &document).open().unwrap_err();
        assert!(matches!(error, ReadError::OverLimit { .. }), "{error:?}");
    }
    let long = Folder::new().put("zarr.json", vec![b' '; 17 << 20]).open().unwrap_err();
    assert!(matches!(long, ReadError::OverLimit { .. }), "{long:?}");
}

#[test]
fn nothing_outside_the_folder_is_read() {
    let array = || v2(json!([2, 2]), json!([2, 2]));
    let folder = Folder::new().json(".zarray", &array());
    let outside = folder.0.path().join("secret");
    fs::write(&outside, [1, 2, 3, 4]).unwrap();
    std::os::unix::fs::symlink(&outside, folder.path().join("0.0")).unwrap();
    let error = whole(&folder.open().unwrap(), 0).unwrap_err();
    assert!(error.to_string().contains("leads out"), "{error}");

    let folder = Folder::new().json(".zgroup", &json!({"zarr_format": 2}));
    let outside = folder.0.path().join("other.json");
    fs::write(&outside, array().to_string()).unwrap();
    std::os::unix::fs::symlink(&outside, folder.path().join(".zattrs")).unwrap();
    assert!(folder.open().unwrap_err().to_string().contains("leads out"));

    for path in ["/etc", "../x", "0/../../x", "a//b", "."] {
        let group = multiscales(json!(["y", "x"]), json!([{"path": path}]));
        let error = Folder::new().json(".zattrs", &group).json("0/.zarray", &array()).open().unwrap_err();
        assert!(error.to_string().contains("leads out"), "{path}: {error}");
    }
}

#[test]
fn a_chunk_that_is_a_folder_or_a_pipe_is_not_waited_for() {
    let folder = Folder::new().json(".zarray", &v2(json!([2, 2]), json!([2, 2])));
    let pipe = folder.path().join("0.0");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = whole(&folder.open().unwrap(), 0).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

/// A shard of 2 × 2 tiles of 2 × 2 pixels with the index at its end.
fn shard(entries: [[u64; 2]; 4], tiles: &[u8]) -> Vec<u8> {
    let index = entries.iter().flatten().flat_map(|n| n.to_le_bytes());
    tiles.iter().copied().chain(index).collect()
}

fn shard_folder(bytes: &[u8]) -> Folder {
    let array = v3(json!([4, 4]), json!([4, 4]), sharded(json!([2, 2]), json!({})));
    Folder::new().json("zarr.json", &array).put("c/0/0", bytes)
}

#[test]
fn tiles_of_a_shard_may_be_missing_and_lie_in_any_order() {
    const NONE: [u64; 2] = [u64::MAX; 2];
    let folder = shard_folder(&shard([[4, 4], NONE, [0, 4], NONE], &[5, 6, 7, 8, 1, 2, 3, 4]));
    let reader = folder.open().unwrap();
    let storage = &reader.info().scenes[0].levels[0].storage;
    assert_eq!((storage.kind, storage.tile.extents()), (StorageKind::Shards, [1, 1, 1, 2, 2, 1]));
    assert_eq!(storage.shard, Some(Shape::new([1, 1, 1, 4, 4, 1]).unwrap()));
    assert_eq!(whole(&reader, 0).unwrap(), [1, 2, 7, 7, 3, 4, 7, 7, 5, 6, 7, 7, 7, 8, 7, 7]);
    contract::reader(&reader, 2);
}

#[test]
fn codecs_before_big_endian_bytes_compute_with_pixels() {
    let codecs = json!([{"name": "numcodecs.delta", "configuration": {"dtype": "<u2", "astype": "<i4"}},
                        {"name": "bytes", "configuration": {"endian": "big"}}]);
    let array = with(v3(json!([1, 3]), json!([1, 3]), codecs), "data_type", json!("uint16"));
    let stored: Vec<u8> = [300i32, -45, 1].into_iter().flat_map(i32::to_be_bytes).collect();
    let folder = Folder::new().json("zarr.json", &array).put("c/0/0", stored);
    let expected: Vec<u8> = [300u16, 255, 256].into_iter().flat_map(u16::to_ne_bytes).collect();
    assert_eq!(whole(&folder.open().unwrap(), 0).unwrap(), expected);
}

#[test]
fn booleans_may_be_packed_in_place_of_bytes() {
    let codecs = json!([{"name": "packbits", "configuration": {"padding_encoding": "first_byte"}}]);
    let array = with(v3(json!([2, 5]), json!([2, 5]), codecs), "data_type", json!("bool"));
    let array = with(array, "fill_value", json!(false));
    let folder = Folder::new().json("zarr.json", &array).put("c/0/0", [6, 0b1001_0110, 0b11]);
    assert_eq!(whole(&folder.open().unwrap(), 0).unwrap(), [0, 1, 1, 0, 1, 0, 0, 1, 1, 1]);
}

#[test]
fn the_index_of_a_transposed_shard_counts_along_its_own_axes() {
    // 4 × 2 pixels, seen as 2 × 4: chunks of one column and two rows.
    let codecs = sharded(json!([1, 2]), json!({}));
    let transpose = json!({"name": "transpose", "configuration": {"order": [1, 0]}});
    let array = v3(json!([4, 2]), json!([4, 2]), json!([transpose, codecs[0]]));
    let index = [[0u64, 2], [2, 2], [4, 2], [6, 2]];
    let index: Vec<u8> = index.iter().flatten().flat_map(|n| n.to_le_bytes()).collect();
    let folder = Folder::new().json("zarr.json", &array).put("c/0/0", [&[1, 2, 3, 4, 5, 6, 7, 8][..], &index].concat());
    assert_eq!(whole(&folder.open().unwrap(), 0).unwrap(), [1, 5, 2, 6, 3, 7, 4, 8]);
}

#[test]
fn of_a_shard_in_a_shard_only_the_chunks_asked_for_are_read() {
    const NONE: [u64; 2] = [u64::MAX; 2];
    let index = |entries: [[u64; 2]; 4]| entries.iter().flatten().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    // 8 × 8 pixels: shards of 4 × 4 with their index before, of chunks of 2 × 2.
    let inner = |pixels: [u8; 3]| {
        let chunks = pixels.iter().flat_map(|&p| [p; 4]).collect::<Vec<u8>>();
        [index([[64, 4], [68, 4], NONE, [72, 4]]), chunks].concat()
    };
    let parts = [inner([1, 2, 3]), inner([4, 5, 6])].concat();
    let (len, big) = (parts.len() as u64 / 2, json!([{"name": "bytes", "configuration": {"endian": "big"}}]));
    let file = [parts, index([NONE, [0, len], [len, len], NONE])].concat();
    let inner = sharded(json!([2, 2]), json!({"index_location": "start", "index_codecs": big}));
    let codecs = sharded(json!([4, 4]), json!({"codecs": inner, "index_codecs": big}));
    let folder = Folder::new().json("zarr.json", &v3(json!([8, 8]), json!([8, 8]), codecs)).put("c/0/0", &file);
    let reader = folder.open().unwrap();
    let rows = whole(&reader, 0).unwrap();
    assert_eq!(rows[..8], [7, 7, 7, 7, 1, 1, 2, 2]);
    assert_eq!(rows[16..24], [7, 7, 7, 7, 7, 7, 3, 3]);
    assert_eq!(rows[56..], [7, 7, 6, 6, 7, 7, 7, 7]);
    contract::reader(&reader, 4);

    let reader = folder.open().unwrap();
    let region = reader.info().scenes[0].shape().region().with(microtome_array::Axis::Y, 6, 8);
    let region = region.with(microtome_array::Axis::X, 2, 4);
    let (pool, spec) = (BufferPool::new(0), reader.info().scenes[0].dtype);
    let mut out = Pixels::zeroed(microtome_array::ArraySpec { shape: region.shape(), dtype: spec });
    let context = ReadContext { pool: &pool };
    let count = reader.read(Place::default(), &region, &mut out.as_mut(), &context).unwrap();
    assert_eq!((out.as_ref().bytes(), count.fetched), (&[6; 4][..], 64 + 64 + 4));
}

#[test]
fn an_index_that_points_anywhere_is_an_error() {
    let tiles = [0; 8];
    for entry in [[1 << 40, 4], [u64::MAX - 1, 4], [0, 1 << 50], [0, u64::MAX], [u64::MAX, 4], [0, 3], [70, 4]] {
        let folder = shard_folder(&shard([entry, [0, 4], [0, 4], [4, 4]], &tiles));
        let error = whole(&folder.open().unwrap(), 0).unwrap_err();
        let typed =
            matches!(error, ReadError::Truncated { .. } | ReadError::Corrupt { .. } | ReadError::OverLimit { .. });
        assert!(typed && error.to_string().contains("c/0/0"), "{entry:?}: {error}");
    }
    let folder = shard_folder(&[0; 63]);
    let short = whole(&folder.open().unwrap(), 0).unwrap_err();
    assert!(matches!(short, ReadError::Truncated { .. }), "{short}");
}

#[test]
fn an_image_whose_second_scene_is_not_read_is_opened_with_a_warning() {
    let folder = Folder::new().json("good/.zarray", &v2(json!([2, 2]), json!([2, 2])));
    let folder = folder.json("bad/.zarray", &with(v2(json!([2, 2]), json!([2, 2])), "dtype", json!("|S5")));
    let reader = folder.json(".zgroup", &json!({"zarr_format": 2})).open().unwrap();
    assert_eq!(reader.info().scenes.len(), 1);
    assert!(reader.info().warnings[0].contains("|S5"), "{:?}", reader.info().warnings);
}

#[test]
fn the_digest_is_of_the_metadata_and_not_of_the_place() {
    let build = |fill: u64| {
        let folder = Folder::new().json(".zarray", &with(v2(json!([2, 2]), json!([2, 2])), "fill_value", json!(fill)));
        (folder.open().unwrap().source().digest, folder)
    };
    let ((one, folder), (same, _), (other, _)) = (build(1), build(1), build(2));
    assert_eq!(one, same);
    assert_ne!(one, other);
    let source = folder.open().unwrap().source();
    assert_eq!(source.uri.as_deref().map(Path::new), Some(folder.path().as_path()));
}

#[test]
fn scratch_is_what_was_announced_or_less() {
    let chain = json!([{"name": "transpose", "configuration": {"order": [1, 0]}}, {"name": "bytes"},
                       {"name": "gzip", "configuration": {"level": 0}}, {"name": "crc32c"},
                       {"name": "zstd", "configuration": {"level": 1}}]);
    let folder = Folder::new().json("zarr.json", &v3(json!([300, 400]), json!([256, 300]), chain));
    let plain: Vec<u8> = (0..256 * 300u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut stored = gzip(&plain);
    stored.extend(crc32c::crc32c(&stored).to_le_bytes());
    let folder = folder.put("c/0/0", zstd::bulk::compress(&stored, 1).unwrap());
    let reader = folder.open().unwrap();
    let shape = reader.info().scenes[0].shape();
    for region in [shape.region(), shape.region().with(microtome_array::Axis::X, 10, 30)] {
        let pool = BufferPool::new(0);
        let spec = microtome_array::ArraySpec { shape: region.shape(), dtype: reader.info().scenes[0].dtype };
        let mut out = Pixels::zeroed(spec);
        reader.read(Place::default(), &region, &mut out.as_mut(), &ReadContext { pool: &pool }).unwrap();
        let most = reader.scratch_bytes(Place::default(), &region);
        assert!(pool.stats().peak_lent <= most, "{} lent, {most} announced", pool.stats().peak_lent);
        assert!(pool.stats().peak_lent > 0);
    }
    // The chunk is stored column by column.
    assert_eq!(whole(&reader, 0).unwrap()[1], plain[256]);
}

/// A gzip member of stored blocks.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(0).unwrap());
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let len = compressor.gzip_compress(plain, &mut out).unwrap();
    out.truncate(len);
    out
}

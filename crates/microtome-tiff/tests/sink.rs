//! Outputs: the same bytes however pixels come, read back by our reader, and nothing under the final name before it is whole.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use microtome_array::{ArraySpec, Axis, BufferPool, PerAxis, PixelType, Pixels, PixelsRef, Region, Shape, copy_region};
use microtome_io::ome::OmeMeta;
use microtome_io::{
    Check, Completion, Durability, Limits, Output, Place, Prepare, Reader, Receipt, Standing, StoredUnit,
    SyntheticReader, WriteContext, WriteError, contract, read_region,
};
use microtome_tiff::{TiffCompression, TiffOptions, TiffOutput, create, open};
use proptest::prelude::*;

const COMPRESSIONS: [TiffCompression; 4] = [
    TiffCompression::None,
    TiffCompression::Deflate { level: 1 },
    TiffCompression::Lzw,
    TiffCompression::Zstd { level: 1 },
];
const TYPES: [PixelType; 8] = [
    PixelType::U8,
    PixelType::I8,
    PixelType::U16,
    PixelType::I16,
    PixelType::U32,
    PixelType::I32,
    PixelType::F32,
    PixelType::F64,
];

fn spec(extents: [u64; 6], dtype: PixelType) -> ArraySpec {
    ArraySpec { shape: Shape::new(extents).unwrap(), dtype }
}

fn options(tile: [u64; 2], compression: TiffCompression) -> TiffOptions {
    TiffOptions { tile: Some(tile), compression, overwrite: true }
}

/// An array and levels of it, each half as wide and high as the one before.
fn levels(full: ArraySpec, count: u32) -> Vec<ArraySpec> {
    let half = |n: u32, axis: Axis| full.shape.get(axis).div_ceil(1 << n);
    let shape = |n| full.shape.with(Axis::Y, half(n, Axis::Y)).and_then(|s| s.with(Axis::X, half(n, Axis::X)));
    (0..count).map(|n| ArraySpec { shape: shape(n).unwrap(), ..full }).collect()
}

/// Pixels of a level, all different from those of others.
fn pixels(array: ArraySpec) -> Pixels {
    read_region(&SyntheticReader::new(array), Place::default(), &array.shape.region()).unwrap()
}

fn cut(whole: &Pixels, region: &Region) -> Pixels {
    let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), ..whole.spec() });
    copy_region(whole.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &region.origin(), region).unwrap();
    part
}

fn read_back(out: &Path, level: usize) -> Pixels {
    let reader = open(out, &Limits::default()).unwrap();
    assert_eq!(reader.info().warnings, Vec::<String>::new());
    let place = Place { scene: 0, level };
    let region = reader.level(place).unwrap().1.shape.region();
    read_region(&reader, place, &region).unwrap()
}

/// Writes some units of an array on some threads; gives the receipts.
fn write_units(output: &TiffOutput, array: usize, units: impl Iterator<Item = u64>, threads: u64) -> Vec<Receipt> {
    let sink = output.array(array);
    let pixels = pixels(sink.spec().array);
    let numbers: Vec<u64> = units.collect();
    let (next, receipts) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let pool = BufferPool::new(64 << 20);
    let work = || {
        while let Some(&n) = numbers.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let unit = sink.spec().units.index(n);
            let region = sink.spec().units.region(&unit).unwrap();
            let mut writer = sink.begin(unit, &WriteContext { pool: &pool }).unwrap();
            writer.write(&region, cut(&pixels, &region).as_ref()).unwrap();
            receipts.lock().unwrap().extend(writer.finish(true).unwrap());
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut receipts = receipts.into_inner().unwrap();
    receipts.sort_by_key(|receipt: &Receipt| receipt.unit);
    let settled: Vec<(usize, Receipt)> = receipts.iter().map(|receipt| (array, receipt.clone())).collect();
    output.settle(&settled).unwrap();
    receipts
}

/// Writes all units of all levels, the later ones first, and publishes.
fn write_all(output: &TiffOutput, plan: &str, threads: u64) -> Vec<Vec<StoredUnit>> {
    let how = Prepare { durability: Durability::None, ..Prepare::fresh(plan) };
    output.prepare(&how).unwrap();
    let write = |n: usize| {
        let units = output.array(n).spec().units.count();
        let mut order: Vec<u64> = (0..units).collect();
        order.sort_by_key(|u| u.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
        write_units(output, n, order.into_iter(), threads)
    };
    let units: Vec<Vec<StoredUnit>> =
        (0..output.arrays()).map(|n| write(n).iter().map(StoredUnit::from).collect()).collect();
    output.finish(&Completion { plan, units: &units, quarantine: None }).unwrap();
    units
}

/// Runs the contract on an output and checks each time that our reader reads the pixels.
fn check(full: ArraySpec, count: u32, options: &TiffOptions) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.ome.tif");
    contract::output(
        || create(&out, &levels(full, count), &OmeMeta::default(), options).unwrap(),
        |_, level| read_back(&out, level),
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["out.ome.tif"], "nothing but the output is left");
}

#[test]
fn every_compression_keeps_the_contract() {
    for compression in COMPRESSIONS {
        check(spec([2, 2, 3, 70, 90, 1], PixelType::U16), 3, &options([32, 48], compression));
    }
    check(spec([1, 1, 1, 5, 3, 1], PixelType::U8), 2, &TiffOptions { overwrite: true, ..TiffOptions::default() });
}

#[test]
fn every_pixel_type_keeps_the_contract_with_samples_too() {
    for dtype in TYPES {
        check(spec([1, 2, 1, 40, 33, 1], dtype), 1, &options([16, 32], TiffCompression::default()));
        check(spec([1, 1, 2, 40, 33, 3], dtype), 2, &options([32, 16], TiffCompression::Lzw));
    }
    for samples in [2, 4, 5] {
        check(spec([1, 1, 1, 40, 33, samples], PixelType::U8), 1, &options([16, 16], TiffCompression::default()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_is_written_is_read_whatever_its_shape(
        dtype in 0..TYPES.len(), compression in 0..COMPRESSIONS.len(), tile in [1u64..5, 1..5],
        planes in [1u64..3, 1..3, 1..4], y in 1u64..100, x in 1u64..100, s in 1u64..5, count in 1u32..4, threads in 1u64..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.tif");
        let full = spec([planes[0], planes[1], planes[2], y, x, s], TYPES[dtype]);
        let count = if y.max(x) < 8 { 1 } else { count };
        let all = levels(full, count);
        let options = options(tile.map(|n| n * 16), COMPRESSIONS[compression]);
        write_all(&create(&out, &all, &OmeMeta::default(), &options).unwrap(), "abc", threads);
        let reader = open(&out, &Limits::default()).unwrap();
        prop_assert_eq!(reader.info().scenes[0].levels.len(), all.len());
        for (level, array) in all.iter().enumerate() {
            prop_assert!(read_back(&out, level).as_ref().bytes() == pixels(*array).as_ref().bytes());
        }
        contract::reader(&reader, y * 31 + x);
    }
}

#[test]
fn the_bytes_of_the_output_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let array = spec([2, 3, 4, 130, 140, 1], PixelType::U16);
    let files: Vec<_> = [1, 2, 7]
        .into_iter()
        .map(|threads| {
            let out = folder.path().join(format!("{threads}.tif"));
            let options = options([48, 64], TiffCompression::default());
            write_all(&create(&out, &levels(array, 2), &OmeMeta::default(), &options).unwrap(), "abc", threads);
            fs::read(&out).unwrap()
        })
        .collect();
    assert!(files[0] == files[1] && files[0] == files[2]);
}

#[test]
fn a_receipt_is_of_the_stored_bytes_which_follow_the_header_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.tif");
    let array = spec([1, 1, 4, 64, 64, 1], PixelType::U16);
    let output = create(&out, &[array], &OmeMeta::default(), &options([32, 32], TiffCompression::Lzw)).unwrap();
    let units = write_all(&output, "abc", 2);
    let file = fs::read(&out).unwrap();
    let mut at = 8;
    for unit in &units[0] {
        let end = at + unit.stored_bytes as usize;
        assert_eq!(crc32c::crc32c(&file[at..end]), unit.crc32c);
        at = end;
    }
}

#[test]
fn offsets_are_long_only_where_the_file_may_be_large() {
    let folder = tempfile::tempdir().unwrap();
    let first = |extents, name: &str| {
        let out = folder.path().join(name);
        let output =
            create(&out, &[spec(extents, PixelType::U8)], &OmeMeta::default(), &TiffOptions::default()).unwrap();
        output.prepare(&Prepare::fresh("abc")).unwrap();
        fs::read(folder.path().join(format!("{name}.partial-abc/0"))).unwrap()[..4].to_vec()
    };
    assert_eq!(first([1, 1, 1, 40_000, 50_000, 1], "small"), *b"II*\0");
    assert_eq!(first([1, 1, 2, 40_000, 50_000, 1], "large"), *b"II+\0");
    // So many planes that their tables alone might pass 4 GiB.
    assert_eq!(first([1, 1, 900_000, 1, 2, 1], "many"), *b"II+\0");
}

#[test]
fn a_finished_output_is_known_again_with_what_is_missing_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.tif");
    let array = spec([1, 1, 1, 8, 8, 1], PixelType::U8);
    let make = |overwrite| {
        let options = TiffOptions { overwrite, ..TiffOptions::default() };
        create(&out, &[array], &OmeMeta::default(), &options).unwrap()
    };
    let output = make(false);
    output.prepare(&Prepare::fresh("abc")).unwrap();
    let units: Vec<StoredUnit> = write_units(&output, 0, 0..1, 1).iter().map(StoredUnit::from).collect();
    output.finish(&Completion { plan: "abc", units: &[units], quarantine: Some("[\"ä\"]") }).unwrap();
    assert_eq!(make(false).look("abc", true).unwrap(), Standing::Finished);
    assert_eq!(make(false).quarantine().unwrap().as_deref(), Some("[\"ä\"]"));
    assert!(matches!(make(false).look("abc", false), Err(WriteError::Exists { .. })));
    assert!(matches!(make(false).look("def", true), Err(WriteError::OtherPlan { .. })));
    assert_eq!(make(true).look("def", true).unwrap(), Standing::Fresh);
    let whole = fs::read(&out).unwrap();
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&out, &bytes).unwrap();
        // Whatever is damaged: a list that is given is the right one.
        if let Ok(Some(list)) = make(true).quarantine() {
            assert_eq!(list, "[\"ä\"]", "byte {at}");
        }
    }
    fs::write(&out, &whole).unwrap();
    write_all(&make(true), "def", 1);
    assert_eq!(make(false).look("def", true).unwrap(), Standing::Finished);
    assert_eq!(make(false).quarantine().unwrap(), None);
}

#[test]
fn what_was_left_is_gone_on_with_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (gold, out) = (folder.path().join("gold.tif"), folder.path().join("out.tif"));
    let array = spec([1, 2, 3, 70, 90, 1], PixelType::U16);
    let make = |path: &Path| {
        create(path, &levels(array, 2), &OmeMeta::default(), &options([32, 32], TiffCompression::default())).unwrap()
    };
    write_all(&make(&gold), "abc", 1);
    let gold = fs::read(&gold).unwrap();
    let resume = Prepare { resume: true, ..Prepare::fresh("abc") };
    for kept in [0, 1, 20, 54] {
        let first = make(&out);
        first.prepare(&Prepare::fresh("abc")).unwrap();
        // Tile 20 is stored and not recorded, as one in which something is missing.
        let receipts = write_units(&first, 0, 0..54, 3);
        drop(first);
        let again = make(&out);
        assert_eq!(again.prepare(&resume).unwrap(), Standing::Unfinished);
        let mut units = BTreeMap::new();
        for receipt in receipts.iter().take(kept).filter(|r| again.array(0).spec().units.linear(&r.unit) != 20) {
            if again.check(0, receipt, Check::Bytes).unwrap() {
                units.insert(receipt.unit, StoredUnit::from(receipt));
            }
        }
        let known = units.len() as u64;
        assert_eq!(known, kept.min(20) as u64);
        units.extend(write_units(&again, 0, known..54, 2).iter().map(|r| (r.unit, StoredUnit::from(r))));
        let lower = write_units(&again, 1, 0..again.array(1).spec().units.count(), 2);
        let units = [units.into_values().collect(), lower.iter().map(StoredUnit::from).collect()];
        again.finish(&Completion { plan: "abc", units: &units, quarantine: None }).unwrap();
        assert!(fs::read(&out).unwrap() == gold, "{kept} tiles were kept");
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn a_folder_or_a_link_is_treated_with_care() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.tif");
    let array = spec([1, 1, 1, 8, 8, 1], PixelType::U8);
    let make = || {
        let options = TiffOptions { overwrite: true, ..TiffOptions::default() };
        create(&out, &[array], &OmeMeta::default(), &options).unwrap()
    };
    fs::create_dir(&out).unwrap();
    assert!(matches!(make().prepare(&Prepare::fresh("abc")), Err(WriteError::NotReplaced { .. })));
    fs::remove_dir(&out).unwrap();
    fs::write(folder.path().join("other"), "kept").unwrap();
    std::os::unix::fs::symlink("other", &out).unwrap();
    write_all(&make(), "abc", 1);
    assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"kept", "a link is replaced, not followed");
    assert_eq!(read_back(&out, 0).as_ref().bytes(), pixels(array).as_ref().bytes());
}

#[test]
fn what_a_tiff_cannot_hold_is_refused_with_what_to_do() {
    let refused =
        |array, options: &TiffOptions| match create(Path::new("a.tif"), &[array], &OmeMeta::default(), options) {
            Err(WriteError::Unsupported { why, .. }) => why,
            other => panic!("{other:?}"),
        };
    let small = |dtype| spec([1, 1, 1, 8, 8, 1], dtype);
    for (dtype, hint) in [
        (PixelType::U64, "--dtype uint32 or float64"),
        (PixelType::I64, "--dtype int32 or float64"),
        (PixelType::F16, "--dtype float32"),
        (PixelType::Bool, "--dtype uint8"),
        (PixelType::C64, "write OME-Zarr"),
    ] {
        let why = refused(small(dtype), &TiffOptions::default());
        assert!(why.contains(hint), "{why}");
    }
    let why = refused(small(PixelType::U8), &options([100, 64], TiffCompression::None));
    assert_eq!(why, "a tile of 100 along Y is no multiple of 16, as TIFF wants it; give 96 or 112");
    let why = refused(small(PixelType::U8), &options([16, 16], TiffCompression::Zstd { level: 23 }));
    assert_eq!(why, "zstd has levels 1 to 22, not 23");
    assert!(refused(spec([1, 1, 0, 8, 8, 1], PixelType::U8), &TiffOptions::default()).contains("no pixels"));
}

#[test]
fn a_tile_without_all_of_its_pixels_or_with_some_twice_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let array = spec([1, 1, 1, 8, 8, 1], PixelType::U8);
    let output = create(&folder.path().join("a.tif"), &[array], &OmeMeta::default(), &TiffOptions::default()).unwrap();
    output.prepare(&Prepare::fresh("abc")).unwrap();
    let pool = BufferPool::new(0);
    let sink = output.array(0);
    let half = array.shape.region().with(Axis::Y, 0, 4);
    let spec = ArraySpec { shape: half.shape(), ..array };
    let mut writer = sink.begin(sink.spec().units.index(0), &WriteContext { pool: &pool }).unwrap();
    writer.write(&half, PixelsRef::new(spec, &[1; 32]).unwrap()).unwrap();
    assert!(matches!(writer.finish(true), Err(WriteError::Encode { .. })));
    let mut writer = sink.begin(sink.spec().units.index(0), &WriteContext { pool: &pool }).unwrap();
    let whole = pixels(array);
    writer.write(&array.shape.region(), whole.as_ref()).unwrap();
    assert!(matches!(writer.write(&half, PixelsRef::new(spec, &[1; 32]).unwrap()), Err(WriteError::Encode { .. })));
    drop(writer);
    output.abandon();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

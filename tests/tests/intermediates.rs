//! Storing pixels for a while on the way changes no byte, moves what planning said, and is done where that is less.

mod cases;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cases::damaged::Damaged;
use cases::{build, case};
use microtome::{
    ArraySpec, Axis, BadPlanes, ChunkDims, Compute, Estimate, Fusing, Intermediates, LazyArray, LevelSpec, MemorySink,
    MostBad, OnError, OutputMeta, PixelType, Pixels, Plan, Resume, RunOptions, Selection, Shape, ShardChoice, Sigma,
    SyntheticReader, ZarrOptions, create_zarr,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn options(threads: usize, memory: u64, intermediate: Intermediates) -> RunOptions {
    RunOptions { threads, memory, intermediate, ..RunOptions::default() }
}

fn shape(z: u64, y: u64, x: u64) -> Shape {
    Shape::new([1, 1, z, y, x, 1]).unwrap()
}

/// A stack of planes, stored in rows of tiles.
fn planes(whole: Shape) -> LazyArray {
    let reader = SyntheticReader::new(ArraySpec { shape: whole, dtype: PixelType::U16 }).tiled(shape(1, 64, 512));
    LazyArray::source(Arc::new(reader), &Selection::default(), &ChunkDims::default()).unwrap()
}

#[test]
fn planes_become_columns_through_a_store_where_reading_again_would_cost_more() {
    let array = planes(shape(64, 512, 512));
    let bytes = array.spec().bytes();
    let sink = || MemorySink::new(array.spec(), shape(64, 32, 32)).unwrap();
    let expected = array.compute(&options(1, 1 << 30, Intermediates::Auto)).unwrap();
    // Columns of 32 × 32 of tiles of 64 × 512: each tile would be read for 32 of them. Stored once, it is moved three times.
    let found = sink();
    let plan = Plan::store(&array, &found);
    let tight = options(2, 8 << 20, Intermediates::Auto);
    let estimate = plan.estimate_for(&tight).unwrap();
    assert_eq!((estimate.bytes_read, estimate.intermediate_bytes), (2 * bytes, bytes));
    assert_eq!(
        (estimate.units, estimate.bytes_written),
        (256, bytes),
        "what is stored on the way is not in the output"
    );
    let report = plan.run(&tight).unwrap();
    assert_eq!((report.tasks_run, report.bytes_read), (estimate.fused, estimate.bytes_read));
    assert_eq!((report.units_written, report.bytes_written, report.intermediate_bytes), (256, bytes, bytes));
    assert!(report.peak_memory <= report.projected_peak && report.projected_peak <= 8 << 20);
    assert!(found.pixels().as_ref().bytes() == expected.as_ref().bytes());
    let text = plan.explain(&tight).to_string();
    for words in [
        "pass 1 of 2: stores the pixels of read for a while",
        "32.0 MiB of read are stored for a while, beside the output: written in units of 1 × 1 × 4 × 512 × 512, read in parts of 1 × 1 × 4 × 32 × 32",
        "96.0 MiB are moved this way; read by region, again and again, 1.00 GiB would be decoded",
        "pass 2 of 2: stores level 0",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    // Where memory holds the planes, or reading again is no more than storing, nothing is stored.
    let roomy = plan_bytes(&array, &options(2, 1 << 30, Intermediates::Auto), shape(64, 32, 32));
    assert_eq!(roomy, (bytes, 0));
    let half = plan_bytes(&array, &options(2, 8 << 20, Intermediates::Auto), shape(64, 64, 256));
    assert_eq!(half, (2 * bytes, 0), "read twice is less than stored and read back");
    let never = plan_bytes(&array, &options(2, 8 << 20, Intermediates::Never), shape(64, 32, 32));
    assert_eq!(never, (32 * bytes, 0));
}

/// Bytes that a plan reads, and stores on the way.
fn plan_bytes(array: &LazyArray, options: &RunOptions, unit: Shape) -> (u64, u64) {
    let sink = MemorySink::new(array.spec(), unit).unwrap();
    let estimate = Plan::store(array, &sink).estimate_for(options).unwrap();
    (estimate.bytes_read, estimate.intermediate_bytes)
}

#[test]
fn what_is_dear_to_make_is_stored_after_it_was_made() {
    // Bytes are stored rather than the floats or wide integers that they are made from or become.
    let array = planes(shape(64, 512, 512)).cast(PixelType::U8).unwrap();
    let sink = MemorySink::new(array.spec(), shape(64, 64, 64)).unwrap();
    let plan = Plan::store(&array, &sink);
    let tight = options(2, 4 << 20, Intermediates::Auto);
    let passes = plan.passes(&tight).unwrap();
    let stored = passes[0].intermediate.as_ref().unwrap();
    assert_eq!((stored.layer.as_str(), stored.bytes), ("cast", array.spec().bytes()));
    let expected = array.compute(&options(1, 1 << 30, Intermediates::Auto)).unwrap();
    plan.run(&tight).unwrap();
    assert!(sink.into_pixels().as_ref().bytes() == expected.as_ref().bytes());
}

#[test]
fn on_random_plans_no_byte_depends_on_it_and_counts_are_what_was_planned() {
    let cases = if std::env::var_os("MICROTOME_DEEP").is_some() { 3000 } else { 400 };
    let used = AtomicU64::new(0);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(case(), 1usize..5), |(case, threads)| {
            let array = build(&case);
            let sink = || cases::sink(&array, case.unit);
            let Some(whole) = sink() else { return Ok(()) };
            // A sum may overflow, and then nothing is to be compared.
            let Ok(_) = Plan::store(&array, &whole).run(&options(1, 1 << 30, Intermediates::Never)) else {
                return Ok(());
            };
            let expected = whole.into_pixels();
            let out = sink().unwrap();
            let plan = Plan::store(&array, &out);
            let Err(microtome::GraphError::Memory { needed, .. }) = plan.admit(&options(1, 0, Intermediates::Always))
            else {
                panic!("no memory is enough");
            };
            let tight = options(threads, needed, Intermediates::Always);
            let passes = plan.passes(&tight);
            prop_assert!(passes.is_ok(), "the budget that is named does: {:?}", passes.err());
            used.fetch_add(u64::from(passes.unwrap()[0].intermediate.is_some()), Ordering::Relaxed);
            let estimate = plan.estimate_for(&tight).unwrap();
            let report = plan.run(&tight).unwrap();
            prop_assert_eq!(report.tasks_run, estimate.fused);
            prop_assert_eq!(report.bytes_read, estimate.bytes_read);
            prop_assert_eq!(report.bytes_written, estimate.bytes_written);
            prop_assert_eq!(report.intermediate_bytes, estimate.intermediate_bytes);
            prop_assert!(report.peak_memory <= needed);
            let stored = out.into_pixels();
            prop_assert_eq!(
                stored.as_ref().bytes(),
                expected.as_ref().bytes(),
                "{} threads, {} bytes",
                threads,
                needed
            );
            Ok(())
        })
        .unwrap();
    let used = used.into_inner();
    assert!(used > u64::from(cases) / 20, "{used} of {cases} plans stored something on the way");
}

#[test]
fn bad_planes_are_bad_behind_the_store() {
    let whole = shape(64, 512, 512);
    let image = SyntheticReader::new(ArraySpec { shape: whole, dtype: PixelType::U16 }).tiled(shape(1, 64, 512));
    let bad = [3, 41].map(|z| whole.region().with(Axis::Z, z, z + 1)).to_vec();
    let damaged = Arc::new(Damaged { image, bad, passing: None });
    let array = LazyArray::source(damaged, &Selection::default(), &ChunkDims::default()).unwrap();
    let smooth = array.gaussian(Sigma { z: 1.0, ..Sigma::default() }).unwrap();
    let quarantined = |memory, intermediate| {
        let sink = MemorySink::new(smooth.spec(), shape(64, 64, 64)).unwrap();
        let bad = OnError::Quarantine { most: MostBad::Any, bad_planes: BadPlanes::Refuse };
        let options = RunOptions { on_error: bad, ..options(2, memory, intermediate) };
        let plan = Plan::store(&smooth, &sink);
        let stores = plan.passes(&options).unwrap()[0].intermediate.is_some();
        let report = plan.run(&options).unwrap();
        (stores, sink.into_pixels(), report.quarantine)
    };
    let (stores, expected, listed) = quarantined(1 << 30, Intermediates::Never);
    assert!(!stores && listed.len() == 2, "{listed:?}");
    let (stores, found, listed_too) = quarantined(8 << 20, Intermediates::Always);
    assert!(stores);
    assert_eq!(listed, listed_too);
    assert!(found.as_ref().bytes() == expected.as_ref().bytes());
}

fn zarr(path: &Path, array: &LazyArray) -> microtome::ZarrOutput {
    let options = ZarrOptions { chunk: Some(shape(64, 64, 64)), shard: ShardChoice::None, ..ZarrOptions::default() };
    let levels = [LevelSpec::reduced(array.spec(), [1; 6]).unwrap()];
    create_zarr(path, &levels, &OutputMeta::default(), &options).unwrap()
}

#[test]
fn a_run_that_goes_on_stores_only_what_is_still_needed() {
    // Four times: columns of one time need nothing of another.
    let whole = Shape::new([4, 1, 64, 256, 512, 1]).unwrap();
    let array = planes(whole);
    let tight = || options(1, 8 << 20, Intermediates::Always);
    let folder = tempfile::tempdir().unwrap();
    let once = zarr(&folder.path().join("once.zarr"), &array);
    let plan = Plan::store(&array, &once);
    let stored = Estimate::of(&plan.passes(&tight()).unwrap()[0].stage).units;
    let report = plan.run(&tight()).unwrap();
    assert_eq!((report.intermediate_bytes, report.units_written), (whole.bytes(PixelType::U16), 128));

    // Stopped when the columns of the first time are there, and some of the second.
    let out = folder.path().join("resumed.zarr");
    let ended = (0..20).any(|_| {
        let stopped = tight();
        let (counters, token) = (Arc::clone(&stopped.counters), stopped.cancel.clone());
        let waiting = std::thread::spawn(move || {
            while counters.snapshot().units < stored + 40 {
                std::thread::yield_now();
            }
            token.cancel();
        });
        let output = zarr(&out, &array);
        let ended = Plan::store(&array, &output).run(&stopped).is_err();
        waiting.join().unwrap();
        if !ended {
            std::fs::remove_dir_all(&out).unwrap();
        }
        ended
    });
    assert!(ended, "no run of 20 was stopped before its end");
    let output = zarr(&out, &array);
    let report = Plan::store(&array, &output).run(&RunOptions { resume: Resume::Yes, ..tight() }).unwrap();
    assert!(report.units_resumed >= 32 && report.units_resumed + report.units_written == 128, "{report:?}");
    let left = whole.bytes(PixelType::U16) / 4 * 3;
    assert!(report.intermediate_bytes <= left, "nothing of the first time is stored again: {report:?}");
    assert_eq!(tree(&folder.path().join("once.zarr")), tree(&out));
}

/// Every file of a folder with its bytes.
fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let name = entry.strip_prefix(folder).unwrap().display().to_string();
                out.push((name, std::fs::read(&entry).unwrap()));
            }
        }
    }
    out.sort();
    out
}

#[test]
fn computing_into_memory_stores_nothing() {
    let array = planes(shape(16, 64, 512));
    let (pixels, report): (Pixels, _) =
        Plan::compute(&array, Fusing::Full).collect(&options(1, 8 << 20, Intermediates::Always)).unwrap();
    assert_eq!((pixels.spec(), report.intermediate_bytes), (array.spec(), 0));
}

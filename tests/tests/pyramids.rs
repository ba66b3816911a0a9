//! Levels made in one pass or in several are those that each would be alone; what planning said of them is what happens.

mod cases;

use std::sync::Arc;

use cases::{build, factors, halves, simple_case, synthetic};
use microtome::{
    ArraySpec, ChunkDims, Compute, Downsample, Estimate, Intermediates, LazyArray, LevelSpec, MemorySink, Op,
    OutputMeta, Pixels, Plan, RunOptions, Shape, ShardChoice, Shrink, ZarrOptions, create_zarr,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn options(threads: usize, memory: u64) -> RunOptions {
    RunOptions { threads, memory, ..RunOptions::default() }
}

/// Every level, made from the one below in memory.
fn expected(array: &LazyArray, steps: &[Arc<dyn Op>]) -> Vec<Pixels> {
    let mut level = array.clone();
    let mut out = vec![level.compute(&options(1, 1 << 30)).unwrap()];
    for step in steps {
        level = level.apply(Arc::clone(step)).unwrap();
        out.push(level.compute(&options(1, 1 << 30)).unwrap());
    }
    out
}

#[test]
fn levels_do_not_depend_on_how_they_are_shared_out() {
    let cases = if std::env::var_os("MICROTOME_DEEP").is_some() { 1000 } else { 50 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let method = proptest::sample::select(&Shrink::ALL[..]);
    let choices = (simple_case(), factors(), 0usize..4, cases::chunk(), (1usize..5, method));
    TestRunner::new(config)
        .run(&choices, |(case, factor, levels, chunk, (threads, method))| {
            let array = build(&case);
            prop_assume!(!array.dtype().is_complex());
            let steps: Vec<Arc<dyn Op>> =
                (0..levels).map(|_| Arc::new(Downsample { factor, method }) as Arc<dyn Op>).collect();
            let expected = expected(&array, &steps);
            let folder = tempfile::tempdir().unwrap();
            for (n, memory) in [1 << 30, 0].into_iter().enumerate() {
                let specs: Vec<LevelSpec> = expected
                    .iter()
                    .enumerate()
                    .map(|(level, pixels)| LevelSpec {
                        array: pixels.spec(),
                        downsample: [factor.t, factor.c, factor.z, factor.y, factor.x, 1]
                            .map(|f| f.pow(level as u32) as f64),
                        origin: [0.0; 6],
                    })
                    .collect();
                let zarr = ZarrOptions {
                    chunk: Some(Shape::new(chunk).unwrap()),
                    shard: ShardChoice::None,
                    ..ZarrOptions::default()
                };
                let out = folder.path().join(format!("{n}.ome.zarr"));
                let output = create_zarr(&out, &specs, &OutputMeta::default(), &zarr).unwrap();
                let plan = Plan::pyramid(&array, steps.clone(), &output);
                // The second time in as little memory as will do: levels are then made in passes of their own.
                let run = options(threads, if memory == 0 { least(&plan) } else { memory });
                let estimate = plan.estimate_for(&run).unwrap();
                let report = plan.run(&run).unwrap();
                prop_assert_eq!(report.tasks_run, estimate.fused);
                prop_assert_eq!(report.bytes_read, estimate.bytes_read);
                prop_assert_eq!(report.bytes_written, estimate.bytes_written);
                prop_assert!(report.peak_memory <= report.projected_peak && report.projected_peak <= run.memory);
                for (level, pixels) in expected.iter().enumerate() {
                    let found = stored(&out, level, pixels.spec());
                    prop_assert_eq!(found.as_ref().bytes(), pixels.as_ref().bytes(), "level {}", level);
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_plan_that_fits_fits_on_any_threads_and_in_more_memory() {
    let cases = if std::env::var_os("MICROTOME_DEEP").is_some() { 3000 } else { 150 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let choices = (simple_case(), factors(), 0usize..5, cases::chunk());
    TestRunner::new(config)
        .run(&choices, |(case, factor, levels, chunk)| {
            let array = build(&case);
            prop_assume!(!array.dtype().is_complex());
            let steps: Vec<Arc<dyn Op>> =
                (0..levels).map(|_| Arc::new(Downsample { factor, method: Shrink::Mean }) as Arc<dyn Op>).collect();
            let mut level = array.clone();
            let mut specs = vec![LevelSpec::full(array.spec())];
            for (n, step) in steps.iter().enumerate() {
                level = level.apply(Arc::clone(step)).unwrap();
                let downsample = [factor.t, factor.c, factor.z, factor.y, factor.x, 1];
                specs.push(LevelSpec {
                    array: level.spec(),
                    downsample: downsample.map(|f| f.pow(n as u32 + 1) as f64),
                    ..LevelSpec::full(level.spec())
                });
            }
            let chunk = Some(Shape::new(chunk).unwrap());
            let zarr = ZarrOptions { chunk, shard: ShardChoice::None, ..ZarrOptions::default() };
            let output = create_zarr("nowhere.zarr".as_ref(), &specs, &OutputMeta::default(), &zarr).unwrap();
            let plan = Plan::pyramid(&array, steps, &output);
            let least = least(&plan);
            for intermediate in [Intermediates::Auto, Intermediates::Never, Intermediates::Always] {
                let fits = |threads, memory| {
                    let options = RunOptions { intermediate, ..options(threads, memory) };
                    plan.admit(&options).map(|admission| admission.projected_peak <= memory)
                };
                let smallest = match fits(1, 0) {
                    Err(microtome::GraphError::Memory { needed, .. }) => needed,
                    other => panic!("no memory is enough: {other:?}"),
                };
                for memory in
                    [smallest, smallest + 1, least.max(smallest), smallest * 5 / 4, smallest * 2, smallest * 7]
                {
                    for threads in [1, 2, 3, 8] {
                        let found = fits(threads, memory);
                        prop_assert!(
                            matches!(found, Ok(true)),
                            "{} of {} bytes, {} threads: {:?}",
                            memory,
                            smallest,
                            threads,
                            found
                        );
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

fn least(plan: &Plan<'_>) -> u64 {
    let (mut low, mut high) = (0, 1 << 30);
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if plan.admit(&options(1, middle)).is_ok() { high = middle } else { low = middle }
    }
    high
}

/// The pixels of a stored level, samples as channels.
fn stored(out: &std::path::Path, level: usize, spec: ArraySpec) -> Pixels {
    let image = microtome::Image::open(out).unwrap();
    let place = microtome::Place { scene: 0, level };
    let reader = image.reader();
    let shape = reader.info().scenes[0].levels[level].shape;
    let pixels = microtome::read_region(reader.as_ref(), place, &shape.region()).unwrap();
    let samples = spec.shape.get(microtome::Axis::S) as usize;
    if samples == 1 { pixels } else { samples_last(&pixels, spec, samples) }
}

fn samples_last(pixels: &Pixels, spec: ArraySpec, samples: usize) -> Pixels {
    let [t, c, z, y, x, _] = spec.shape.dims();
    let size = spec.dtype.size();
    let mut out = Pixels::zeroed(spec);
    let (from, mut to) = (pixels.as_ref(), out.as_mut());
    let (from, to) = (from.bytes(), to.bytes());
    for t in 0..t {
        for (c, s) in (0..c).flat_map(|c| (0..samples).map(move |s| (c, s))) {
            for p in 0..z * y * x {
                let source = ((t * c_count(spec) * samples + c * samples + s) * z * y * x + p) * size;
                let target = (((t * c_count(spec) + c) * z * y * x + p) * samples + s) * size;
                to[target..target + size].copy_from_slice(&from[source..source + size]);
            }
        }
    }
    out
}

fn c_count(spec: ArraySpec) -> usize {
    spec.shape.get(microtome::Axis::C) as usize
}

#[test]
fn levels_of_an_image_are_made_from_pixels_that_are_read_once() {
    let array = synthetic([1, 2, 6, 1024, 1280, 1], "YX");
    let folder = tempfile::tempdir().unwrap();
    let (steps, output) = halves(&array, 4, &folder.path().join("o.zarr"), &ZarrOptions::default());
    let plan = Plan::pyramid(&array, steps, &output);
    let estimate: Estimate = plan.estimate_for(&options(2, 1 << 30)).unwrap();
    assert_eq!(estimate.bytes_read, array.spec().bytes(), "{estimate}");
    // In a budget that holds no level beside the first, that one is read back, and the others are made from it.
    let tight = plan.estimate_for(&options(1, least(&plan))).unwrap();
    let (once, read) = (array.spec().bytes(), tight.bytes_read);
    assert!(
        read >= 2 * once && read <= 2 * once + once / 16,
        "the first level again, and perhaps a small one: {tight}"
    );
}

#[test]
fn planes_become_columns_in_memory_for_a_few_of_them_by_being_read_again() {
    let shape = Shape::new([1, 1, 64, 512, 512, 1]).unwrap();
    let reader = microtome::SyntheticReader::new(ArraySpec { shape, dtype: microtome::PixelType::U16 })
        .tiled(Shape::new([1, 1, 1, 64, 512, 1]).unwrap());
    let array = LazyArray::source(Arc::new(reader), &microtome::Selection::default(), &ChunkDims::default()).unwrap();
    let sink = || MemorySink::new(array.spec(), Shape::new([1, 1, 64, 128, 128, 1]).unwrap()).unwrap();
    let (roomy, tight) =
        (options(1, 1 << 30), RunOptions { intermediate: Intermediates::Never, ..options(1, 4 << 20) });
    let all = sink();
    let plan = Plan::store(&array, &all);
    assert!((plan.estimate_for(&roomy).unwrap().times_read - 1.0).abs() < 1e-9);
    assert!(plan.admit(&roomy).unwrap().projected_peak > 32 << 20, "all planes are held");
    plan.run(&roomy).unwrap();
    // 128 columns of rows of 512: each row is read for four of them.
    let few = sink();
    let plan = Plan::store(&array, &few);
    assert!((plan.estimate_for(&tight).unwrap().times_read - 4.0).abs() < 1e-9);
    let report = plan.run(&tight).unwrap();
    assert_eq!(report.bytes_read, 4 * array.spec().bytes());
    assert!(report.peak_memory <= 4 << 20);
    assert_eq!(all.into_pixels().as_ref().bytes(), few.into_pixels().as_ref().bytes());
}

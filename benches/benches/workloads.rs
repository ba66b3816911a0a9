//! The workloads, one function each.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use microtome::prelude::*;
use microtome::{
    ArraySpec, Compression, Handler, Levels, MeasureOptions, MemorySink, Plan, StoreOptions, SyntheticReader, measure,
};

use crate::Bench;
use crate::data::{LARGE, PAGES, STACK, Sample};
use crate::limits;

/// Makes a workload: its data, and both sides.
pub(crate) type Make = fn() -> Bench;

/// All workloads with the names they are filtered by.
pub(crate) const ALL: &[(&str, Make)] = &[
    ("open", open_pages),
    ("project-raw", project_raw),
    ("project-raw-thrown-away", project_raw_thrown_away),
    ("statistics", statistics),
    ("convert-zstd", || convert("convert-zstd: TIFF to OME-Zarr", Compression::Zstd { level: 1 }, Levels::Count(1))),
    ("convert-default", || convert("convert-default: blosc-zstd", Compression::default(), Levels::Count(1))),
    ("convert-none", || convert("convert-none: TIFF to OME-Zarr", Compression::None, Levels::Count(1))),
    ("convert-levels", || convert("convert-levels: 4 levels, zstd", Compression::Zstd { level: 1 }, Levels::Count(4))),
    ("planes-project", planes_project),
    ("planes-convert", planes_convert),
    ("tasks", no_op_tasks),
    ("plan", plan_a_billion),
];

fn open_pages() -> Bench {
    let path = PAGES.path();
    let again = path.clone();
    Bench {
        name: "open: 20,000 pages",
        limit_name: "follow the directory chain, two reads a page",
        amount: PAGES.planes() as f64 / 1e6,
        limit_amount: PAGES.planes() as f64 / 1e6,
        unit: "Mpages/s",
        limit: Box::new(move || assert_eq!(limits::walk_directories(&path), PAGES.planes())),
        ours: Box::new(move || {
            let image = Image::open(&again).unwrap();
            assert_eq!(image.scene(0).unwrap().info().shape().present(), PAGES.sizes);
        }),
    }
}

fn project_raw() -> Bench {
    let path = STACK.path();
    let again = path.clone();
    let expected = limits::sum(&limits::max_over_z(&path, STACK.raw()));
    Bench {
        name: "project-raw: max over z, 1.26 GB",
        limit_name: "read the page cache and take the maximum, plain loop, into memory",
        amount: STACK.bytes() as f64 / 1e9,
        limit_amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || assert_eq!(limits::sum(&limits::max_over_z(&path, STACK.raw())), expected)),
        ours: Box::new(move || assert_eq!(project(&again), expected)),
    }
}

/// The same beside a loop that keeps no result: the least that reading and comparing can take.
fn project_raw_thrown_away() -> Bench {
    let path = STACK.path();
    let expected = limits::max_over_z_thrown_away(&path, STACK.raw());
    Bench {
        name: "project-raw-thrown-away",
        limit_name: "the same loop, its result thrown away",
        limit: Box::new(move || assert_eq!(limits::max_over_z_thrown_away(&path, STACK.raw()), expected)),
        ..project_raw()
    }
}

/// A row for each plane, in a table; the limit keeps as much of each, in memory.
fn statistics() -> Bench {
    let path = STACK.path();
    let (again, table) = (path.clone(), path.with_file_name("planes.csv"));
    let expected: u64 = limits::statistics(&path, STACK.raw()).iter().map(|plane| plane.sum).sum();
    let sum = move |planes: Vec<limits::Statistics>| planes.iter().map(|plane| plane.sum).sum::<u64>();
    let options = MeasureOptions { scene: None, overwrite: true, run: RunOptions::default() };
    Bench {
        name: "statistics: of each plane, 1.26 GB",
        limit_name: "read the page cache, minimum, maximum, sum and sum of squares of each plane, plain loop",
        amount: STACK.bytes() as f64 / 1e9,
        limit_amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || assert_eq!(sum(limits::statistics(&path, STACK.raw())), expected)),
        ours: Box::new(move || {
            let handler = Handler::new(None).unwrap();
            let report = measure(std::slice::from_ref(&again), &table, &handler, &options, &mut |_| {}).unwrap();
            assert_eq!(report.rows, STACK.planes());
        }),
    }
}

/// The sum of a projection into memory.
fn project(path: &Path) -> u64 {
    let stack = Image::open(path).unwrap().scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let mip = stack.project(Axis::Z, Projection::Max).unwrap();
    limits::sum(mip.compute(&RunOptions::default()).unwrap().as_ref().slice::<u16>().unwrap())
}

/// Planes of 32 MiB beside planes of 2 MiB: both sides are ours, and the ratio is of a byte.
fn planes_project() -> Bench {
    let (large, small) = (LARGE.path(), STACK.path());
    let expected = [&large, &small].map(|path| project(path));
    Bench {
        name: "planes-project: of 32 MiB, a byte",
        limit_name: "the same with planes of 2 MiB",
        amount: LARGE.bytes() as f64 / 1e9,
        limit_amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || assert_eq!(project(&small), expected[1])),
        ours: Box::new(move || assert_eq!(project(&large), expected[0])),
    }
}

fn planes_convert() -> Bench {
    let (large, small) = (LARGE.path(), STACK.path());
    let options =
        ZarrOptions { compression: Compression::Zstd { level: 1 }, overwrite: true, ..ZarrOptions::default() };
    let again = options.clone();
    Bench {
        name: "planes-convert: of 32 MiB, a byte",
        limit_name: "the same with planes of 2 MiB",
        amount: LARGE.bytes() as f64 / 1e9,
        limit_amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || store(&small, options.clone(), Levels::Count(1), &STACK)),
        ours: Box::new(move || store(&large, again.clone(), Levels::Count(1), &LARGE)),
    }
}

/// Converts a sample to OME-Zarr beside it.
fn store(path: &Path, zarr: ZarrOptions, levels: Levels, sample: &Sample) {
    let stack = Image::open(path).unwrap().scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let store = stack
        .store(path.with_file_name("out.ome.zarr"), StoreOptions { zarr, levels, ..StoreOptions::default() })
        .unwrap();
    let report = store.run(&RunOptions::default()).unwrap();
    assert!(report.bytes_written >= sample.bytes() && report.bytes_read == sample.bytes());
}

fn convert(name: &'static str, compression: Compression, levels: Levels) -> Bench {
    let path = STACK.path();
    let again = path.clone();
    let raw = matches!(compression, Compression::None);
    Bench {
        name,
        limit_name: if raw { "copy the file" } else { "read and zstd every plane, write nothing" },
        amount: STACK.bytes() as f64 / 1e9,
        limit_amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || {
            if raw {
                limits::copy(&path, &path.with_extension("copy"));
            } else {
                black_box(limits::zstd_encode(&path, &STACK, 1));
            }
        }),
        ours: Box::new(move || {
            let zarr = ZarrOptions { compression, overwrite: true, ..ZarrOptions::default() };
            store(&again, zarr, levels, &STACK);
        }),
    }
}

const TASKS: u64 = 10_000_000;

/// Read and write of one-pixel chunks that hold nothing: lowering, admission, scheduling, release, and nothing else.
fn no_op_tasks() -> Bench {
    let shape = Shape::new([TASKS / 100, 10, 10, 1, 1, 1]).unwrap();
    let spec = ArraySpec { shape, dtype: PixelType::U8 };
    Bench {
        name: "tasks: 1e7 no-op tasks",
        limit_name: "rayon: spawn 1e7 closures",
        amount: TASKS as f64 / 1e6,
        limit_amount: TASKS as f64 / 1e6,
        unit: "Mtasks/s",
        limit: Box::new(|| assert_eq!(limits::spawn_tasks(TASKS), TASKS)),
        ours: Box::new(move || {
            let reader = Arc::new(SyntheticReader::untouched(spec));
            let array = Image::of(reader).scene(0).unwrap().array(&ChunkDims::default()).unwrap();
            let sink = MemorySink::new(spec, Shape::new([1; 6]).unwrap()).unwrap();
            let report = Plan::store(&array, &sink).run(&RunOptions::default()).unwrap();
            assert_eq!(report.tasks_run, TASKS);
        }),
    }
}

fn plan_a_billion() -> Bench {
    let shape = Shape::new([1_000_000, 10, 100, 64, 64, 1]).unwrap();
    let spec = ArraySpec { shape, dtype: PixelType::U16 };
    Bench {
        name: "plan: estimate 1.01e9 tasks",
        limit_name: "count to 1e6",
        amount: 1010.0,
        limit_amount: 1010.0,
        unit: "Mtasks/s",
        limit: Box::new(|| {
            black_box((0..1_000_000u64).fold(0, |a, b| black_box(a + b)));
        }),
        ours: Box::new(move || {
            let array = Image::of(Arc::new(SyntheticReader::new(spec))).scene(0).unwrap();
            let mip = array.array(&ChunkDims::default()).unwrap().project(Axis::Z, Projection::Max).unwrap();
            assert_eq!(mip.estimate().tasks, 1_010_000_000);
        }),
    }
}

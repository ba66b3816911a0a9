//! The workloads, one function each.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use microtome::prelude::*;
use microtome::{ArraySpec, Compression, Levels, MemorySink, Plan, StoreOptions, SyntheticReader};

use crate::Bench;
use crate::data::{PAGES, STACK};
use crate::limits;

/// Makes a workload: its data, and both sides.
pub(crate) type Make = fn() -> Bench;

/// All workloads with the names they are filtered by.
pub(crate) const ALL: &[(&str, Make)] = &[
    ("open", open_pages),
    ("project-raw", project_raw),
    ("convert-zstd", || convert("convert-zstd: TIFF to OME-Zarr", Compression::Zstd { level: 1 }, Levels::Count(1))),
    ("convert-default", || convert("convert-default: blosc-zstd", Compression::default(), Levels::Count(1))),
    ("convert-none", || convert("convert-none: TIFF to OME-Zarr", Compression::None, Levels::Count(1))),
    ("convert-levels", || convert("convert-levels: 4 levels, zstd", Compression::Zstd { level: 1 }, Levels::Count(4))),
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
    let expected = limits::max_over_z(&path, &STACK);
    Bench {
        name: "project-raw: max over z, 1.26 GB",
        limit_name: "read the page cache and take the maximum, plain loop",
        amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || assert_eq!(limits::max_over_z(&path, &STACK), expected)),
        ours: Box::new(move || {
            let stack = Image::open(&again).unwrap().scene(0).unwrap().array(&ChunkDims::default()).unwrap();
            let mip = stack.project(Axis::Z, Projection::Max).unwrap();
            let pixels = mip.compute(&RunOptions::default()).unwrap();
            let sum: u64 = pixels.as_ref().slice::<u16>().unwrap().iter().map(|&p| u64::from(p)).sum();
            assert_eq!(sum, expected);
        }),
    }
}

fn convert(name: &'static str, compression: Compression, levels: Levels) -> Bench {
    let path = STACK.path();
    let again = path.clone();
    let out: PathBuf = path.with_file_name("out.ome.zarr");
    let raw = matches!(compression, Compression::None);
    Bench {
        name,
        limit_name: if raw { "copy the file" } else { "read and zstd every plane, write nothing" },
        amount: STACK.bytes() as f64 / 1e9,
        unit: "GB/s",
        limit: Box::new(move || {
            if raw {
                limits::copy(&path, &path.with_extension("copy"));
            } else {
                black_box(limits::zstd_encode(&path, &STACK, 1));
            }
        }),
        ours: Box::new(move || {
            let stack = Image::open(&again).unwrap().scene(0).unwrap().array(&ChunkDims::default()).unwrap();
            let zarr = ZarrOptions { compression, overwrite: true, ..ZarrOptions::default() };
            let store = stack.store(&out, StoreOptions { zarr, levels }).unwrap();
            let report = store.run(&RunOptions::default()).unwrap();
            assert!(report.bytes_written >= STACK.bytes() && report.bytes_read == STACK.bytes());
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

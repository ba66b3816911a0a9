//! The same plan on threads and on real Dask clusters of two and of four workers: the same tree of files, byte for byte, also
//! where workers are killed while it runs.
//!
//! A program of its own (no test harness of rustc's), because workers start it again in worker mode.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test, though clippy sees a program")]

mod cli;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cli::processes::{descendants, program};
use cli::{repository, skip, tree};
use libtest_mimic::{Arguments, Trial};
use microtome::prelude::*;
use microtome::{
    ArraySpec, Compression, Ends, Factors, Gaussian, Levels, LocalCluster, LocalClusterOptions, NgffVersion, OnCluster,
    Rescale, RunError, ShardChoice, Sigma, StoreOptions, SyntheticReader, WriteError,
};

fn main() {
    microtome::init();
    let mut args = Arguments::from_args();
    // One after the other: each has clusters of its own.
    args.test_threads.get_or_insert(1);
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("random_plans_make_the_same_files_on_threads_and_on_clusters", random_plans),
        trial("killed_workers_cost_time_and_no_byte", killed_workers),
        trial("pixels_in_memory_do_not_travel", memory_stays),
    ];
    libtest_mimic::run(&args, trials).exit();
}

/// Whether the long versions of tests are asked for.
fn deep() -> bool {
    std::env::var_os("MICROTOME_DEEP").is_some()
}

/// A cluster of so many workers; `None`, said loudly, where there is no Python.
fn cluster(workers: usize) -> Option<(LocalCluster, Handler)> {
    if std::env::var_os("MICROTOME_PYTHON").is_none() {
        skip("plans on a Dask cluster", "MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
        return None;
    }
    let options = LocalClusterOptions { workers, ..LocalClusterOptions::default() };
    let cluster = LocalCluster::start(&options).unwrap();
    let handler = Handler::new(Some(cluster.address())).unwrap();
    Some((cluster, handler))
}

/// Numbers that a seed decides.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }

    fn often(&mut self, of_ten: u64) -> bool {
        self.below(10) < of_ten
    }
}

/// A stack with something in it, stored.
fn stack(folder: &Path) -> PathBuf {
    let path = folder.join("stack.ome.zarr");
    let spec = ArraySpec { shape: Shape::new([1, 2, 5, 610, 730, 1]).unwrap(), dtype: PixelType::U16 };
    let array = Image::of(Arc::new(SyntheticReader::new(spec))).scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let options = ZarrOptions { chunk: Some(Shape::new([1, 1, 2, 200, 256, 1]).unwrap()), ..ZarrOptions::default() };
    let options = StoreOptions { levels: Levels::Count(1), ..options.into() };
    array.store(&path, options).unwrap().run(&RunOptions::default()).unwrap();
    path
}

/// A plan that a seed decides: what is stored, and how.
fn plan(seed: u64, stack: &Path) -> (LazyArray, StoreOptions) {
    let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555);
    let fixture = |name: &str| repository().join("fixtures").join(name);
    let sources = [stack.to_owned(), fixture("cells.ome.tif"), fixture("tiled-big.tif"), fixture("rgb.tif")];
    let image = Image::open(random.of(&sources)).unwrap();
    let scene = image.scene(0).unwrap();
    let shape = scene.info().shape();
    let region = random.often(4).then(|| {
        Axis::ALL[..5].iter().fold(shape.region(), |region, &axis| {
            let (start, extent) = (random.below(shape.get(axis) / 2 + 1), shape.get(axis));
            region.with(axis, start, start + 1 + random.below(extent - start))
        })
    });
    let dims = ChunkDims::parse(random.of(&["YX", "ZYX", "1,1,1,128,100"])).unwrap();
    let mut array = scene.region(region, &dims).unwrap();
    for _ in 0..random.below(4) {
        array = step(random, &array);
    }
    (array, storing(random))
}

/// One more operation, if it fits.
fn step(random: &mut Random, array: &LazyArray) -> LazyArray {
    let done = match random.below(5) {
        0 => array.project(random.of(&[Axis::Z, Axis::C]), random.of(&[Projection::Max, Projection::Mean])),
        1 => array.cast(random.of(&[PixelType::U8, PixelType::F32])),
        2 => {
            let sigma = Sigma { y: 0.8, x: 1.3, ..Sigma::default() };
            array.apply(Arc::new(Gaussian { sigma, truncate: 4.0, dtype: None }))
        }
        3 => array.downsample(Factors { y: 2, x: 3, ..Factors::default() }),
        _ => {
            let from = Ends::Percentiles { percentiles: (1.0, 99.5) };
            array.apply(Arc::new(Rescale { from, to: None, dtype: Some(PixelType::U8) }))
        }
    };
    done.unwrap_or_else(|_| array.clone())
}

fn storing(random: &mut Random) -> StoreOptions {
    let version = random.of(&[NgffVersion::V04, NgffVersion::V05, NgffVersion::V05]);
    let chunk = Shape::new([1, 1, 1 + random.below(2), 40 + random.below(90), 64, 1]).unwrap();
    let shard = match (version, random.below(3)) {
        (NgffVersion::V04, _) | (_, 0) => ShardChoice::None,
        (_, 1) => ShardChoice::Shape(Shape::new([1, 1, chunk.get(Axis::Z), 2 * chunk.get(Axis::Y), 192, 1]).unwrap()),
        _ => ShardChoice::Auto,
    };
    let compression = Compression::parse(random.of(&["blosc", "zstd", "gzip", "none"]), None).unwrap();
    let zarr = ZarrOptions { version, chunk: Some(chunk), shard, compression, overwrite: false };
    let levels = random.of(&[Levels::Count(1), Levels::Count(2), Levels::Auto]);
    let tiff = TiffOptions { tile: Some([64, random.of(&[48, 128])]), ..TiffOptions::default() };
    StoreOptions { zarr, tiff, levels, ..StoreOptions::default() }
}

type Tree = Vec<(PathBuf, Option<Vec<u8>>)>;

/// What lies under a name, after which it goes; and that nothing lies beside it.
fn taken(out: &Path) -> Tree {
    let found = if out.is_dir() { tree(out) } else { vec![(PathBuf::new(), Some(std::fs::read(out).unwrap()))] };
    let removed = if out.is_dir() { std::fs::remove_dir_all(out) } else { std::fs::remove_file(out) };
    removed.unwrap();
    let beside: Vec<_> = tree(out.parent().unwrap()).into_iter().filter(|(path, _)| path.starts_with("out")).collect();
    assert!(beside.is_empty(), "left beside the output: {:?}", beside.iter().map(|(path, _)| path).collect::<Vec<_>>());
    found
}

fn random_plans() {
    let Some((_two, on_two)) = cluster(2) else { return };
    let Some((_four, on_four)) = cluster(4) else { return };
    let folder = tempfile::tempdir().unwrap();
    let stack = stack(folder.path());
    let mut made = 0;
    for seed in 0.. {
        let out = folder.path().join(if seed % 3 == 2 { "out.ome.tif" } else { "out.ome.zarr" });
        let (array, options) = plan(seed, &stack);
        let store = || array.store(&out, options.clone());
        if store().is_err() {
            continue;
        }
        // Small budgets let levels be passes of their own.
        let memory = if seed % 2 == 0 { 1 << 30 } else { 6 << 20 };
        let cluster = OnCluster { check: if seed % 4 == 0 { 0.2 } else { 0.0 }, ..OnCluster::default() };
        let run = RunOptions { memory, cluster, ..RunOptions::default() };
        // What no memory suffices for, and percentiles that make no line, are no plans.
        if store().unwrap().run(&run).is_err() {
            continue;
        }
        let expected = taken(&out);
        for handler in [&on_two, &on_four] {
            let report = store().unwrap().run_on(handler, &run);
            let report = report.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(report.units_written, report.units_planned, "seed {seed}");
            assert!(taken(&out) == expected, "seed {seed}: other files on a cluster than on threads");
        }
        made += 1;
        if made == if deep() { 40 } else { 8 } {
            break;
        }
    }
}

/// Much to compute and little to store.
fn slow(folder: &Path) -> impl Fn(&Path) -> microtome::Store {
    let stack = stack(folder);
    move |out| {
        let scene = Image::open(&stack).unwrap().scene(0).unwrap();
        let one = scene.info().shape().region().with(Axis::C, 1, 2);
        let array = scene.region(Some(one), &ChunkDims::parse("YX").unwrap()).unwrap();
        let sigma = Sigma { z: 1.0, y: 2.5, x: 2.5, ..Sigma::default() };
        let array = array.gaussian(sigma).unwrap().cast(PixelType::U8).unwrap();
        let chunk = Some(Shape::new([1, 1, 1, 64, 64, 1]).unwrap());
        let compression = Compression::parse("zstd", Some(19)).unwrap();
        let zarr = ZarrOptions { chunk, shard: ShardChoice::None, compression, ..ZarrOptions::default() };
        let tiff = TiffOptions { tile: Some([64, 64]), ..TiffOptions::default() };
        array.store(out, StoreOptions { tiff, levels: Levels::Count(2), ..zarr.into() }).unwrap()
    }
}

fn killed_workers() {
    let Some((cluster, handler)) = cluster(2) else { return };
    let folder = tempfile::tempdir().unwrap();
    let make = slow(folder.path());
    let outs = ["out.ome.zarr", "out.ome.tif"].map(|name| folder.path().join(name));
    let expected = outs.each_ref().map(|out| {
        make(out).run(&RunOptions::default()).unwrap();
        taken(out)
    });
    let (most, mut killed, random) = (if deep() { 300 } else { 10 }, 0, &mut Random(7));
    let mut runs = 0;
    while killed < most {
        let ended = AtomicBool::new(false);
        let (out, expected) = (&outs[runs % 2], &expected[runs % 2]);
        let left = most - killed;
        killed += std::thread::scope(|scope| {
            let killer = scope.spawn(|| kill_until(&ended, left, (cluster.pids()[0], &handler), random));
            let done = make(out).run_on(&handler, &RunOptions::default());
            ended.store(true, Ordering::Relaxed);
            let now = killer.join().unwrap();
            let report = done.unwrap_or_else(|error| panic!("run {runs}, {now} killed: {error}"));
            assert_eq!(report.units_written, report.units_planned);
            now
        });
        assert!(taken(out) == *expected, "run {runs}: other files where workers were killed");
        runs += 1;
        assert!(runs < most + 20, "{killed} of {most} were killed in {runs} runs");
    }
    println!("{killed} processes were killed in {runs} runs");
}

/// Kills a worker, or what runs on one, now and then until the run has ended; gives how many.
fn kill_until(ended: &AtomicBool, most: usize, (scheduler, handler): (u32, &Handler), random: &mut Random) -> usize {
    let mut killed = 0;
    while killed < most {
        let pause = 150 + random.below(700);
        for _ in 0..pause / 10 {
            if ended.load(Ordering::Relaxed) {
                return killed;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let prey: Vec<u32> = if random.often(5) {
            descendants(scheduler).into_iter().filter(|id| program(*id).contains("--microtome-worker")).collect()
        } else {
            // Only those that are at work: Dask gives up on a worker that dies while it starts.
            let workers = handler.info().cluster.map(|cluster| cluster.workers).unwrap_or_default();
            workers.values().map(|worker| worker.pid).filter(|pid| *pid > 0).collect()
        };
        if !prey.is_empty() {
            let id = random.of(&prey).to_string();
            killed += usize::from(Command::new("kill").args(["-9", &id]).status().unwrap().success());
        }
    }
    killed
}

fn memory_stays() {
    let Some((_cluster, handler)) = cluster(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let spec = ArraySpec { shape: Shape::new([1, 1, 1, 64, 64, 1]).unwrap(), dtype: PixelType::U8 };
    let array = Image::of(Arc::new(SyntheticReader::new(spec))).scene(0).unwrap().array(&ChunkDims::default()).unwrap();
    let store = array.store(folder.path().join("out.ome.zarr"), ZarrOptions::default()).unwrap();
    let error = store.run_on(&handler, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::Write(WriteError::Unsupported { .. })), "{error}");
    assert!(error.to_string().contains("store them first, or run on threads"), "{error}");
    assert!(tree(folder.path()).is_empty(), "nothing was begun");
}

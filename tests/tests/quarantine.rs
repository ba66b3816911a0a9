//! Planes that cannot be read: what depends on them holds the fill value and is listed, all else is as in a clean run.

mod cases;
mod cli;

use std::sync::Arc;

use cases::damaged::{Damaged, damaged};
use cases::naive::{Naive, depends, listed, naive};
use cases::{Case, Step, build_on, case};
use microtome::ops::{Body, Neighbourhood, Placement, Reach};
use microtome::{
    ArraySpec, Axis, BadPlanes, BufferPool, CancelToken, ChunkGrid, Downsample, Durability, Fusing, GraphError,
    LazyArray, LevelSpec, MostBad, OnError, Op, OpError, OutputMeta, PixelType, Pixels, PixelsMut, PixelsRef, Place,
    Plan, Reader, Region, RunError, RunOptions, Shape, Stage, StageOptions, ZarrOptions, create_zarr,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The clean result, with 0 wherever it depends on something bad.
fn masked(array: &LazyArray, clean: Pixels, bad: &[Region]) -> (Pixels, bool) {
    let stage = Stage::new(array, &StageOptions { fusing: Fusing::None, ..StageOptions::default() });
    let (spec, size) = (clean.spec(), clean.spec().dtype.size());
    let pixels = ChunkGrid::new(spec.shape, Shape::new([1; 6]).unwrap()).unwrap();
    let mut out = clean;
    let mut any = false;
    for (n, index) in pixels.all().iter().enumerate() {
        if depends(&stage, stage.top(), &pixels.region(&index).unwrap(), bad) {
            out.as_mut().bytes()[n * size..(n + 1) * size].fill(0);
            any = true;
        }
    }
    (out, any)
}

fn quarantined(bad_planes: BadPlanes) -> OnError {
    OnError::Quarantine { most: MostBad::Any, bad_planes }
}

fn options(threads: usize) -> RunOptions {
    RunOptions { threads, memory: 1 << 30, on_error: quarantined(BadPlanes::Refuse), ..RunOptions::default() }
}

#[test]
fn what_depends_on_a_bad_tile_is_masked_or_made_without_it_and_nothing_else() {
    let config = Config { cases: 600, failure_persistence: None, ..Config::default() };
    let picks = proptest::collection::vec(any::<u64>(), 0..6);
    let policy = prop_oneof![Just(BadPlanes::Refuse), Just(BadPlanes::Skip)];
    TestRunner::new(config)
        .run(
            &(case(), cases::chunk(), picks, policy, 1usize..5, prop_oneof![Just(1u64), Just(64)]),
            |(case, other_chunk, picks, bad_planes, threads, group_units)| {
                let image = Arc::new(damaged(&case, &picks));
                let bad = image.bad.clone();
                let array = build_on(&case, Arc::clone(&image) as Arc<dyn Reader>);
                // A sum may overflow, and then nothing is to be compared.
                let skips = bad_planes == BadPlanes::Skip;
                let Some(Naive { pixels: expected, .. }) = naive(&array, &bad, skips) else { return Ok(()) };
                let listed = listed(&array, &bad);
                let options = RunOptions { on_error: quarantined(bad_planes), ..options(threads) };
                let check = |plan: &Plan<'_>, options: &RunOptions, how: &str| {
                    let (found, report) = plan.collect(options).unwrap();
                    prop_assert_eq!(found.as_ref().bytes(), expected.as_ref().bytes(), "{}", how);
                    let planes: Vec<_> = report.quarantine.iter().map(|plane| (plane.t, plane.c, plane.z)).collect();
                    prop_assert_eq!(&planes, &listed, "what the result depends on is listed: {}", how);
                    prop_assert!(report.quarantine.iter().all(|p| (p.page, p.offset) == (Some(7), Some(1234))));
                    prop_assert!(report.peak_memory <= report.projected_peak, "{}", how);
                    Ok(report.quarantine)
                };
                let lay_out = |array: &LazyArray, fusing| {
                    Plan::compute_with(array, &StageOptions { fusing, group_units, sink: None })
                };
                let first = check(&lay_out(&array, Fusing::Full), &options, "fused")?;
                prop_assert_eq!(&check(&lay_out(&array, Fusing::None), &options, "unfused")?, &first);
                let other = build_on(&cases::Case { chunk: other_chunk, ..case.clone() }, image);
                prop_assert_eq!(&check(&lay_out(&other, Fusing::Full), &options, "other chunks")?, &first);
                let tight = lay_out(&array, Fusing::Full);
                let least = match tight.admit(&RunOptions { memory: 0, threads: 1, ..options.clone() }) {
                    Err(GraphError::Memory { needed, .. }) => needed,
                    other => panic!("no memory is enough: {other:?}"),
                };
                let tightly = RunOptions { memory: least, ..options.clone() };
                prop_assert_eq!(&check(&tight, &tightly, "in the least memory")?, &first);
                let stop = RunOptions { on_error: OnError::Stop, ..options };
                prop_assert!(listed.is_empty() || tight.collect(&stop).is_err());
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn levels_are_bad_where_the_full_resolution_is_in_one_pass_or_several() {
    let shape = [1, 2, 3, 40, 48, 1];
    let case = Case {
        shape,
        dtype: PixelType::U16,
        select: None,
        tile: [1, 1, 1, 8, 48, 1],
        chunk: [1, 1, 1, 40, 48, 1],
        steps: vec![Step::Cast(PixelType::F32)],
        unit: None,
    };
    let image = Arc::new(damaged(&case, &[2, 17]));
    let bad = image.bad.clone();
    let (array, clean) = (build_on(&case, image), cases::build(&case));
    let half = cases::shrink(microtome::Factors { y: 2, x: 2, ..Default::default() });
    let steps: Vec<Arc<dyn Op>> = vec![Arc::new(half.clone()), Arc::new(half.clone())];
    let specs: Vec<_> =
        (0..3).map(|n| LevelSpec::reduced(array.spec(), [1, 1, 1, 1 << n, 1 << n, 1]).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    for (name, memory) in [("once.zarr", 1 << 30), ("often.zarr", 400 << 10)] {
        let zarr = ZarrOptions { compression: microtome::Compression::None, ..ZarrOptions::default() };
        let out = folder.path().join(name);
        let output = create_zarr(&out, &specs, &OutputMeta::default(), &zarr).unwrap();
        let plan = Plan::pyramid(&array, steps.clone(), &output);
        let report = plan.run(&RunOptions { memory, ..options(1) }).unwrap();
        assert_eq!(report.quarantine.len(), 2, "{:?}", report.quarantine);
        let (mut level, mut dirty) = (clean.clone(), array.clone());
        for (n, spec) in specs.iter().enumerate() {
            let (pixels, _) = Plan::compute(&level, Fusing::Full).collect(&options(1)).unwrap();
            let (expected, any) = masked(&dirty, pixels, &bad);
            let opened = microtome::Image::open(&out).unwrap().reader();
            let place = Place { scene: 0, level: n };
            let found = microtome::read_region(opened.as_ref(), place, &spec.array.shape.region()).unwrap();
            assert!(any && found.as_ref().bytes() == expected.as_ref().bytes(), "level {n} of {name}");
            level = level.apply(Arc::new(half.clone())).unwrap();
            dirty = dirty.apply(Arc::new(half.clone())).unwrap();
        }
    }
}

/// Halves Y and X, and asks the run to stop when it does.
#[derive(Debug)]
struct Halting {
    half: Downsample,
    cancel: CancelToken,
}

impl Op for Halting {
    fn name(&self) -> &'static str {
        self.half.name()
    }
    fn params(&self) -> serde_json::Value {
        self.half.params()
    }
    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        self.half.output(input)
    }
    fn input_region(&self, output: &Region, input: &ArraySpec) -> Region {
        self.half.input_region(output, input)
    }
    fn output_region(&self, input_region: &Region, input: &ArraySpec) -> Region {
        self.half.output_region(input_region, input)
    }
    fn body(&self) -> Body<'_> {
        Body::Neighbourhood(self)
    }
}

impl Neighbourhood for Halting {
    fn reach(&self, axis: Axis) -> Reach {
        self.half.reach(axis)
    }
    fn scratch_bytes(&self, input: PixelType, output: &Shape) -> u64 {
        self.half.scratch_bytes(input, output)
    }
    fn run(
        &self,
        input: PixelsRef<'_>,
        output: &mut PixelsMut<'_>,
        place: &Placement,
        pool: &BufferPool,
    ) -> Result<(), OpError> {
        self.cancel.cancel();
        self.half.run(input, output, place, pool)
    }
}

#[test]
fn a_run_that_is_gone_on_with_in_a_later_pass_lists_what_an_earlier_one_met() {
    let case = Case {
        shape: [1, 1, 3, 64, 64, 1],
        dtype: PixelType::U16,
        select: None,
        tile: [1, 1, 1, 8, 64, 1],
        chunk: [1, 1, 1, 64, 64, 1],
        steps: Vec::new(),
        unit: None,
    };
    let array = build_on(&case, Arc::new(damaged(&case, &[2, 17])));
    let half = cases::shrink(microtome::Factors { y: 2, x: 2, ..Default::default() });
    let specs: Vec<_> =
        (0..5).map(|n| LevelSpec::reduced(array.spec(), [1, 1, 1, 1 << n, 1 << n, 1]).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let zarr = ZarrOptions {
        chunk: Some(Shape::new([1, 1, 1, 2, 2, 1]).unwrap()),
        shard: microtome::ShardChoice::None,
        ..ZarrOptions::default()
    };
    let run = |name: &str, last: Arc<dyn Op>, options: &RunOptions| {
        let output = create_zarr(&folder.path().join(name), &specs, &OutputMeta::default(), &zarr).unwrap();
        let halves = (0..3).map(|_| Arc::new(half.clone()) as Arc<dyn Op>);
        let steps = halves.chain([last]).collect();
        let plan = Plan::pyramid(&array, steps, &output);
        let passes = plan.passes(options).unwrap();
        assert_eq!(passes.last().unwrap().levels, 4..5, "the last level has a pass of its own");
        plan.run(options)
    };
    let options = RunOptions { durability: Durability::None, ..options(1) };
    let gold = run("gold.zarr", Arc::new(half.clone()), &options).unwrap();
    assert_eq!(gold.quarantine.len(), 2);
    let stopped = run("out.zarr", Arc::new(Halting { half: half.clone(), cancel: options.cancel.clone() }), &options);
    assert!(matches!(stopped, Err(RunError::Kept { .. })), "{stopped:?}");
    let options = RunOptions { resume: microtome::Resume::Yes, cancel: CancelToken::default(), ..options };
    let report = run("out.zarr", Arc::new(half.clone()), &options).unwrap();
    assert!(report.units_resumed > 1000, "the plane without damage is not made again: {report:?}");
    assert_eq!((&report.quarantine, report.tasks_quarantined), (&gold.quarantine, gold.tasks_quarantined));
    assert!(cli::tree(&folder.path().join("out.zarr")) == cli::tree(&folder.path().join("gold.zarr")));
}

/// Runs a case with bad tiles in the least memory that planning asks for.
fn tightly(case: &Case, picks: &[u64], bad_planes: BadPlanes) {
    let array = build_on(case, Arc::new(damaged(case, picks)));
    let plan = Plan::compute(&array, Fusing::Full);
    let options = RunOptions { on_error: quarantined(bad_planes), ..options(1) };
    let least = match plan.admit(&RunOptions { memory: 0, ..options.clone() }) {
        Err(GraphError::Memory { needed, .. }) => needed,
        other => panic!("no memory is enough: {other:?}"),
    };
    let (_, report) = plan.collect(&RunOptions { memory: least, ..options }).unwrap();
    assert!(!report.quarantine.is_empty());
    assert!(report.peak_memory <= least, "{} bytes were taken, {least} are allowed", report.peak_memory);
}

#[test]
fn what_is_done_about_a_bad_tile_takes_no_more_memory_than_was_planned() {
    let large_tiles = Case {
        shape: [1, 1, 2, 256, 256, 1],
        dtype: PixelType::U16,
        select: None,
        tile: [1, 1, 1, 128, 256, 1],
        chunk: [1, 1, 1, 8, 256, 1],
        steps: Vec::new(),
        unit: None,
    };
    tightly(&large_tiles, &[1], BadPlanes::Refuse);
    let wide_sums = Case {
        shape: [1, 1, 5, 128, 128, 1],
        dtype: PixelType::U8,
        tile: [1, 1, 1, 64, 128, 1],
        chunk: [1, 1, 1, 128, 128, 1],
        steps: vec![Step::Project(Axis::Z, microtome::Projection::Sum)],
        ..large_tiles
    };
    tightly(&wide_sums, &[1, 4], BadPlanes::Skip);
}

#[test]
fn more_bad_planes_than_allowed_end_the_run_and_what_passes_is_tried_again() {
    let case = Case {
        shape: [1, 1, 10, 4, 4, 1],
        dtype: PixelType::U8,
        select: None,
        tile: [1, 1, 1, 4, 4, 1],
        chunk: [1, 1, 1, 4, 4, 1],
        steps: Vec::new(),
        unit: None,
    };
    let run = |image: Damaged, most: MostBad| {
        let array = build_on(&case, Arc::new(image));
        let options =
            RunOptions { on_error: OnError::Quarantine { most, bad_planes: BadPlanes::Refuse }, ..options(1) };
        Plan::compute(&array, Fusing::Full).collect(&options).map(|(_, report)| report.quarantine.len())
    };
    assert_eq!(run(damaged(&case, &[1, 5, 8]), MostBad::Planes(3)).unwrap(), 3);
    for most in [MostBad::Planes(2), MostBad::Part(0.29)] {
        let error = run(damaged(&case, &[1, 5, 8]), most).unwrap_err();
        assert!(matches!(error, RunError::TooManyBad { most: 2, planes: 10, .. }), "{error}");
        assert!(error.to_string().contains("more than 2 of 10 planes are bad"), "{error}");
    }
    let passing = Damaged { passing: Some(2.into()), ..damaged(&case, &[]) };
    assert_eq!(run(passing, MostBad::Any).unwrap(), 0, "the third try goes well");
}

#[test]
fn planes_of_several_blocks_are_skipped_alike_whatever_the_chunks_and_threads() {
    let case = |chunk: [u64; 2]| Case {
        shape: [1, 1, 7, 700, 900, 1],
        dtype: PixelType::F32,
        select: None,
        tile: [1, 1, 1, 150, 170, 1],
        chunk: [1, 1, 1, chunk[0], chunk[1], 1],
        steps: vec![Step::Project(Axis::Z, microtome::Projection::Mean)],
        unit: None,
    };
    // Tiles of 5 × 6: some alone, some in one place of several planes, one place in all planes.
    let everywhere = (0..7).map(|z| z * 30 + 14);
    let picks: Vec<u64> = [3, 33, 64, 95, 127, 200].into_iter().chain(everywhere).collect();
    let run = |chunk: [u64; 2], fusing, threads| {
        let case = case(chunk);
        let array = build_on(&case, Arc::new(damaged(&case, &picks)));
        let plan = Plan::compute(&array, fusing);
        let options = RunOptions { on_error: quarantined(BadPlanes::Skip), ..options(threads) };
        let (pixels, report) = plan.collect(&options).unwrap();
        assert!(report.peak_memory <= report.projected_peak);
        (pixels.as_ref().bytes().to_vec(), report.quarantine)
    };
    let (small, listed) = run([50, 70], Fusing::Full, 1);
    assert_eq!(listed.len(), 7);
    let lost = small.chunks(4).filter(|pixel| **pixel == [0; 4]).count();
    assert!((150 * 170..150 * 170 + 9).contains(&lost), "{lost} pixels are lost");
    for (chunk, fusing, threads) in
        [([700, 900], Fusing::Full, 1), ([700, 900], Fusing::Full, 4), ([333, 900], Fusing::None, 3)]
    {
        assert!(run(chunk, fusing, threads) == (small.clone(), listed.clone()), "{chunk:?} {fusing:?} {threads}");
    }
}

#[test]
fn a_plane_stored_in_many_files_is_listed_once() {
    let spec = ArraySpec { shape: Shape::new([1, 1, 3, 64, 64, 1]).unwrap(), dtype: PixelType::U16 };
    let image = Arc::new(microtome::SyntheticReader::new(spec));
    let source = |reader: Arc<dyn Reader>, rows: u64| {
        let chunks = microtome::ChunkDims::Shape(Shape::new([1, 1, 1, rows, 64, 1]).unwrap());
        LazyArray::source(reader, &microtome::Selection::default(), &chunks).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.zarr");
    let zarr = ZarrOptions {
        chunk: Some(Shape::new([1, 1, 1, 8, 8, 1]).unwrap()),
        shard: microtome::ShardChoice::None,
        ..ZarrOptions::default()
    };
    let output = create_zarr(&path, &[LevelSpec::full(spec)], &OutputMeta::default(), &zarr).unwrap();
    Plan::store(&source(image, 64), &output).run(&RunOptions::default()).unwrap();
    for chunk in ["2/5", "2/6", "5/0"] {
        std::fs::write(path.join("0/c/0/0/1").join(chunk), b"no chunk").unwrap();
    }
    for rows in [64, 8, 3] {
        let reader = microtome::Image::open(&path).unwrap().reader();
        for threads in [1, 4] {
            let options = RunOptions { on_error: one_plane(), ..options(threads) };
            let plan = source(Arc::clone(&reader), rows);
            let (pixels, report) = Plan::compute(&plan, Fusing::Full).collect(&options).unwrap();
            let listed = &report.quarantine;
            assert_eq!((listed.len(), listed[0].z), (1, 1), "{listed:?}");
            assert_eq!(listed[0].path.as_deref(), Some("many.zarr/0/c/0/0/1/2/5"), "the first that is bad");
            let lost = pixels.as_ref().slice::<u16>().unwrap().iter().filter(|pixel| **pixel == 0).count();
            assert!((3 * 64..4 * 64).contains(&lost), "{lost} pixels are 0");
        }
    }
}

fn one_plane() -> OnError {
    OnError::Quarantine { most: MostBad::Planes(1), bad_planes: BadPlanes::Refuse }
}

#[test]
fn a_damaged_strip_leaves_its_plane_out_and_nothing_else() {
    let Some(bench) = cli::Bench::new() else { return };
    let mut bytes = std::fs::read(cli::repository().join("fixtures/cells.ome.tif")).unwrap();
    let image = microtome::Image::open(cli::repository().join("fixtures/cells.ome.tif")).unwrap();
    // Some strip in the middle of the file: its zlib header is destroyed.
    let middle = bytes.len() / 2;
    let at = (middle..bytes.len() - 1).find(|&n| bytes[n] == 0x78 && [0x01, 0x5e, 0x9c, 0xda].contains(&bytes[n + 1]));
    bytes[at.unwrap()] = 0xff;
    std::fs::write(bench.path("bad.ome.tif"), &bytes).unwrap();
    let convert = ["convert", "bad.ome.tif", "out.ome.zarr"];
    let ran = bench.run(&convert);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(!bench.path("out.ome.zarr").exists());
    let ran = bench.run(&[&convert[..], &["--overwrite", "--on-error", "quarantine", "--json"]].concat());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let listed = report["quarantine"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{report}");
    let number = |name: &str| listed[0][name].as_u64().unwrap();
    assert!(number("page") > 0 && number("offset") as usize <= at.unwrap(), "{report}");
    let found = microtome::Image::open(bench.path("out.ome.zarr")).unwrap().reader();
    let clean = image.reader();
    let shape = clean.info().scenes[0].levels[0].shape;
    let planes = ChunkGrid::new(shape, Shape::new([1, 1, 1, 1 << 20, 1 << 20, 1]).unwrap()).unwrap();
    for index in planes.all().iter() {
        let plane = planes.region(&index).unwrap();
        let read = |reader: &dyn Reader| microtome::read_region(reader, Place::default(), &plane).unwrap();
        let same = read(found.as_ref()).as_ref().bytes() == read(clean.as_ref()).as_ref().bytes();
        let is_listed = [index[Axis::T], index[Axis::C], index[Axis::Z]] == ["t", "c", "z"].map(number);
        assert_eq!(same, !is_listed, "plane {index:?}");
    }
    // One bad plane of 48 is more than a hundredth.
    let ran = bench.run(&[&convert[..], &["--overwrite", "--on-error", "quarantine", "--max-bad", "1%"]].concat());
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("more than 0 of 48 planes"), "{}", ran.stderr);
}

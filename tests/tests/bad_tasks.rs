//! Tasks that fail or panic: under quarantine what they were to make is bad and listed, and the rest goes on.

mod cases;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use cases::damaged::damaged;
use cases::{Case, build_on};
use microtome::ops::{Body, Neighbourhood, Placement, Reach};
use microtome::{
    ArraySpec, Axis, BadPlanes, BufferPool, ChunkDims, Ends, Fusing, Gaussian, Histogram, LazyArray, MostBad, OnError,
    Op, OpError, OutputMeta, Percentiles, PixelType, Pixels, PixelsMut, PixelsRef, Place, Plan, Projection, Reader,
    Region, Rescale, RunError, RunOptions, RunReport, Selection, Shape, Sigma, Stage, StageOptions, SyntheticReader,
    ZarrOptions, create_zarr,
};

/// Gives pixels as they are, and fails where it is to make one that lies in a box.
#[derive(Debug)]
struct Brittle {
    at: Region,
    panics: bool,
}

impl Op for Brittle {
    fn name(&self) -> &'static str {
        "brittle"
    }
    fn params(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        Ok(*input)
    }
    fn input_region(&self, output: &Region, _: &ArraySpec) -> Region {
        *output
    }
    fn output_region(&self, input_region: &Region, _: &ArraySpec) -> Region {
        *input_region
    }
    fn body(&self) -> Body<'_> {
        Body::Neighbourhood(self)
    }
}

impl Neighbourhood for Brittle {
    fn reach(&self, _: Axis) -> Reach {
        Reach::POINT
    }
    fn scratch_bytes(&self, _: PixelType, _: &Shape) -> u64 {
        0
    }
    fn run(
        &self,
        input: PixelsRef<'_>,
        output: &mut PixelsMut<'_>,
        place: &Placement,
        pool: &BufferPool,
    ) -> Result<(), OpError> {
        let _scratch = pool.take(0);
        if !place.output.intersect(&self.at).is_empty() {
            assert!(!self.panics, "it broke");
            return Err(OpError::Overflow { op: "brittle", dtype: PixelType::U16 });
        }
        output.bytes().copy_from_slice(input.bytes());
        Ok(())
    }
}

fn shape() -> Shape {
    Shape::new([1, 1, 4, 64, 32, 1]).unwrap()
}

/// Chunks of 16 rows.
fn stack() -> LazyArray {
    let reader = Arc::new(SyntheticReader::new(ArraySpec { shape: shape(), dtype: PixelType::U16 }));
    let chunks = ChunkDims::Shape(Shape::new([1, 1, 1, 16, 32, 1]).unwrap());
    LazyArray::source(reader, &Selection::default(), &chunks).unwrap()
}

/// Breaks in the second chunk of plane 2.
fn brittle(panics: bool) -> LazyArray {
    let pixel = shape().region().with(Axis::Z, 2, 3).with(Axis::Y, 20, 21).with(Axis::X, 5, 6);
    stack().apply(Arc::new(Brittle { at: pixel, panics })).unwrap()
}

fn options(threads: usize, most: MostBad, bad_planes: BadPlanes) -> RunOptions {
    RunOptions { threads, memory: 1 << 30, on_error: OnError::Quarantine { most, bad_planes }, ..RunOptions::default() }
}

/// What work gives, which must not take for ever.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(Duration::from_mins(1)).expect("nobody waits for ever")
}

fn blurred(array: &LazyArray) -> LazyArray {
    let sigma = Sigma { t: 0.0, z: 0.0, y: 0.7, x: 0.0 };
    array.apply(Arc::new(Gaussian { sigma, truncate: 4.0, dtype: None })).unwrap()
}

/// The rows of plane 2 in which two results differ; other planes must be the same.
fn rows_that_differ(found: &Pixels, clean: &Pixels) -> Vec<usize> {
    let row = 32 * found.spec().dtype.size();
    let pairs = found.as_ref().bytes().chunks(row).zip(clean.as_ref().bytes().chunks(row)).enumerate();
    let differ: Vec<usize> = pairs.filter(|(_, (a, b))| a != b).map(|(n, _)| n).collect();
    assert!(differ.iter().all(|n| n / 64 == 2), "{differ:?}");
    differ.into_iter().map(|n| n % 64).collect()
}

/// Runs in groups of one unit, so that the values of the brittle operation are shared between them.
fn shared(array: &LazyArray, options: &RunOptions) -> Result<(Pixels, RunReport), RunError> {
    let layout = StageOptions { fusing: Fusing::None, group_units: 1, sink: None };
    assert!(Stage::new(array, &layout).layers().iter().any(|l| l.shared && l.layer.name() == "brittle"));
    Plan::compute_with(array, &layout).collect(options)
}

#[test]
fn a_shared_value_that_cannot_be_made_is_bad_for_all_who_wait_for_it() {
    let (clean, _) = shared(&blurred(&brittle_never()), &RunOptions::default()).unwrap();
    for panics in [true, false] {
        for threads in [1, 4, 4, 4] {
            let run =
                move || shared(&blurred(&brittle(panics)), &options(threads, MostBad::Any, BadPlanes::Refuse)).unwrap();
            let (found, report) = in_time(run);
            // Rows 16 to 31 could not be made, and the filter looks 3 rows far.
            assert_eq!(rows_that_differ(&found, &clean), (13..35).collect::<Vec<_>>());
            assert!(
                found.as_ref().slice::<u16>().unwrap()[(2 * 64 + 13) * 32..(2 * 64 + 35) * 32].iter().all(|p| *p == 0)
            );
            let plane = &report.quarantine[0];
            assert_eq!((report.quarantine.len(), plane.t, plane.c, plane.z), (1, 0, 0, 2));
            assert_eq!((plane.task.as_deref(), &plane.path), (Some("brittle/0.0.2.1.0"), &None));
            let why = if panics { "panicked: it broke" } else { "brittle: the exact result does not fit uint16" };
            assert!(plane.reason.starts_with(&format!("task brittle/0.0.2.1.0: {why}")), "{}", plane.reason);
            let stop = move || {
                let options =
                    RunOptions { on_error: OnError::Stop, ..options(threads, MostBad::Any, BadPlanes::Refuse) };
                shared(&blurred(&brittle(panics)), &options).map(drop).unwrap_err()
            };
            let error = in_time(stop);
            assert!(
                matches!((panics, &error), (true, RunError::Panic { .. }) | (false, RunError::Op { .. })),
                "{error}"
            );
        }
    }
}

fn brittle_never() -> LazyArray {
    let nowhere = shape().region().with(Axis::Z, 0, 0);
    stack().apply(Arc::new(Brittle { at: nowhere, panics: true })).unwrap()
}

#[test]
fn a_failed_task_counts_as_a_bad_plane() {
    let plan = |most| Plan::compute(&brittle(true), Fusing::Full).collect(&options(2, most, BadPlanes::Refuse));
    assert_eq!(plan(MostBad::Planes(1)).unwrap().1.quarantine.len(), 1);
    let error = plan(MostBad::Planes(0)).unwrap_err();
    assert!(matches!(error, RunError::TooManyBad { most: 0, planes: 4, .. }), "{error}");
}

#[test]
fn a_projection_skips_what_a_task_did_not_make() {
    for panics in [true, false] {
        for fusing in [Fusing::Full, Fusing::None] {
            let mean = |array: LazyArray| array.project(Axis::Z, Projection::Mean).unwrap();
            let run = |array: &LazyArray, bad_planes| {
                Plan::compute(array, fusing).collect(&options(2, MostBad::Any, bad_planes)).unwrap()
            };
            let (refused, report) = run(&mean(brittle(panics)), BadPlanes::Refuse);
            assert_eq!(report.quarantine.len(), 1);
            let (skipped, report) = run(&mean(brittle(panics)), BadPlanes::Skip);
            assert_eq!(report.quarantine.len(), 1, "what was left out is listed all the same");
            let (clean, _) = run(&mean(stack()), BadPlanes::Skip);
            let (stack, _) = run(&stack(), BadPlanes::Skip);
            let (stack, clean) = (stack.as_ref(), clean.as_ref());
            let stack = stack.slice::<u16>().unwrap();
            let others = |at: usize| [0, 1, 3].map(|z| u64::from(stack[z * 64 * 32 + at])).iter().sum::<u64>();
            for (at, clean) in clean.slice::<u16>().unwrap().iter().enumerate() {
                let found = |pixels: &Pixels| pixels.as_ref().slice::<u16>().unwrap()[at];
                let is_hit = (16..32).contains(&(at / 32));
                assert_eq!(found(&refused), if is_hit { 0 } else { *clean });
                // No three integers have a mean half-way between two.
                let rest = (others(at) as f64 / 3.0).round() as u16;
                assert_eq!(found(&skipped), if is_hit { rest } else { *clean });
            }
        }
    }
}

#[test]
fn an_output_is_finished_without_what_a_task_did_not_make() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let level = microtome::LevelSpec::full(stack().spec());
    let zarr = ZarrOptions { chunk: Some(Shape::new([1, 1, 1, 32, 32, 1]).unwrap()), ..ZarrOptions::default() };
    let output = create_zarr(&out, &[level], &OutputMeta::default(), &zarr).unwrap();
    let report = Plan::store(&brittle(true), &output).run(&options(2, MostBad::Any, BadPlanes::Refuse)).unwrap();
    assert_eq!((report.quarantine.len(), report.tasks_quarantined), (1, 1));
    assert_eq!(report.units_written, report.units_planned);
    let kept = std::fs::read_to_string(out.join(".microtome/quarantine.json")).unwrap();
    assert!(kept.contains("panicked: it broke"), "{kept}");
    let found = microtome::Image::open(&out).unwrap().reader();
    let found = microtome::read_region(found.as_ref(), Place::default(), &shape().region()).unwrap();
    let (clean, _) = Plan::compute(&stack(), Fusing::Full).collect(&RunOptions::default()).unwrap();
    assert!(!rows_that_differ(&found, &clean).is_empty());
}

#[test]
fn who_asks_to_stop_is_not_quarantined() {
    let options = options(2, MostBad::Any, BadPlanes::Skip);
    options.cancel.cancel();
    let stopped = Plan::compute(&brittle(true), Fusing::Full).collect(&options).map(drop).unwrap_err();
    assert!(matches!(stopped, RunError::Cancelled { .. }), "{stopped}");
}

fn half_bad() -> LazyArray {
    let case = Case {
        shape: [1, 1, 2, 16, 16, 1],
        dtype: PixelType::U8,
        select: None,
        tile: [1, 1, 1, 8, 16, 1],
        chunk: [1, 1, 1, 16, 16, 1],
        steps: Vec::new(),
        unit: None,
    };
    build_on(&case, Arc::new(damaged(&case, &[2])))
}

#[test]
fn summaries_are_of_the_good_pixels_or_are_refused() {
    let good = |answer: &serde_json::Value| match &answer["counts"] {
        serde_json::Value::Array(counts) => counts.iter().map(|n| n.as_u64().unwrap()).sum(),
        _ => answer["count"].as_u64().unwrap(),
    };
    let summaries: [Arc<dyn microtome::Summary>; 2] =
        [Arc::new(Percentiles::new(vec![0.0, 50.0]).unwrap()), Arc::new(Histogram { bins: 4, range: None })];
    for summary in summaries {
        let ask =
            |bad_planes| Plan::summarise(&half_bad(), Arc::clone(&summary), &options(2, MostBad::Any, bad_planes));
        let (answer, report) = ask(BadPlanes::Skip).unwrap();
        assert_eq!((good(&answer), report.quarantine.len()), (3 * 8 * 16, 1));
        let refused = ask(BadPlanes::Refuse).unwrap_err();
        assert!(matches!(refused, RunError::BadInput { .. }), "{refused}");
        assert!(refused.to_string().contains("no zlib stream"), "{refused}");
    }
}

#[test]
fn what_is_made_with_a_summary_is_refused_with_it() {
    let ends = Ends::Percentiles { percentiles: (0.0, 100.0) };
    let stretched = half_bad().apply(Arc::new(Rescale { from: ends, to: None, dtype: None })).unwrap();
    let run = |bad_planes| Plan::compute(&stretched, Fusing::Full).collect(&options(1, MostBad::Any, bad_planes));
    let (found, report) = run(BadPlanes::Skip).unwrap();
    assert_eq!((report.quarantine.len(), report.quarantine[0].z), (1, 1));
    let found = found.as_ref().slice::<u8>().unwrap().to_vec();
    // The second plane's first half is bad.
    assert!(found[256..384].iter().all(|pixel| *pixel == 0));
    let rest: Vec<u8> = [&found[..256], &found[384..]].concat();
    assert_eq!((rest.iter().min(), rest.iter().max()), (Some(&0), Some(&255)));
    assert!(matches!(run(BadPlanes::Refuse), Err(RunError::BadInput { .. })));
}

/// An image whose reader has a bug.
#[derive(Debug)]
struct Panicking(SyntheticReader);

impl Reader for Panicking {
    fn info(&self) -> &microtome::ImageInfo {
        self.0.info()
    }
    fn source(&self) -> microtome::SourceSpec {
        self.0.source()
    }
    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &microtome::ReadContext<'_>,
    ) -> Result<microtome::ReadCount, microtome::ReadError> {
        assert!(!(region.start(Axis::Z)..region.end(Axis::Z)).contains(&3), "no such page");
        self.0.read(at, region, out, context)
    }
    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        self.0.scratch_bytes(at, region)
    }
}

#[test]
fn a_reader_that_panics_leaves_out_what_it_was_to_read() {
    let image = SyntheticReader::new(ArraySpec { shape: shape(), dtype: PixelType::U16 });
    let chunks = ChunkDims::Shape(Shape::new([1, 1, 1, 64, 32, 1]).unwrap());
    let stack = LazyArray::source(Arc::new(Panicking(image)), &Selection::default(), &chunks).unwrap();
    let plan = Plan::compute(&stack, Fusing::Full);
    let (found, report) = plan.collect(&options(2, MostBad::Any, BadPlanes::Refuse)).unwrap();
    let found = found.as_ref().slice::<u16>().unwrap().to_vec();
    assert!(found[3 * 64 * 32..].iter().all(|pixel| *pixel == 0));
    assert!(found[..3 * 64 * 32].iter().any(|pixel| *pixel != 0));
    let plane = &report.quarantine[0];
    assert_eq!((report.quarantine.len(), plane.z, plane.task.as_deref()), (1, 3, Some("read/0.0.3.0.0")));
    let error = plan.collect(&RunOptions { threads: 1, ..RunOptions::default() }).map(drop).unwrap_err();
    assert!(matches!(error, RunError::Panic { .. }), "{error}");
}

#[test]
fn skipping_is_part_of_the_plan_where_it_may_change_it() {
    let mean = stack().project(Axis::Z, Projection::Mean).unwrap();
    let (plain, folded) = (Plan::compute(&brittle(true), Fusing::Full), Plan::compute(&mean, Fusing::Full));
    let (refuse, skip) = (options(1, MostBad::Any, BadPlanes::Refuse), options(1, MostBad::Planes(1), BadPlanes::Skip));
    assert_eq!(plain.hash_for(&skip), plain.hash());
    assert_eq!(folded.hash_for(&refuse), folded.hash());
    assert_ne!(folded.hash_for(&skip), folded.hash());
}

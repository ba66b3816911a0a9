//! The estimate is the truth: on random shapes, chunks, selections and pipelines the counts equal the graph made whole
//! and what the executor counts, and the pixels do not depend on how they were computed.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, ChunkDims, ChunkGrid, PerAxis, PixelType, Region, Shape};
use microtome_exec::{Plan, RunOptions};
use microtome_graph::{Fusing, LayerId, LazyArray, Selection, Stage, StageOptions, TaskGraph};
use microtome_io::{MemorySink, Place, Sink, SyntheticReader};
use microtome_ops::Projection;
use petgraph::Direction;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Small extents, with 1 often and 0 never: an empty selection is refused before it gets here.
fn extents() -> impl Strategy<Value = [u64; 6]> {
    (1u64..4, 1u64..4, 1u64..7, 1u64..12, 1u64..12, prop_oneof![Just(1u64), Just(3)])
        .prop_map(|(t, c, z, y, x, s)| [t, c, z, y, x, s])
}

fn chunk() -> impl Strategy<Value = [u64; 6]> {
    (1u64..4, 1u64..4, 1u64..7, 1u64..9, 1u64..9).prop_map(|(t, c, z, y, x)| [t, c, z, y, x, 1 << 20])
}

fn corner() -> impl Strategy<Value = ([u64; 6], [u64; 6])> {
    (proptest::array::uniform6(0u64..8), proptest::array::uniform6(0u64..8))
}

#[derive(Clone, Debug)]
enum Step {
    Project(Axis, Projection),
    Crop([u64; 6], [u64; 6]),
    Cast(PixelType),
    Rechunk([u64; 6]),
}

fn step() -> impl Strategy<Value = Step> {
    let axis = prop_oneof![Just(Axis::T), Just(Axis::C), Just(Axis::Z)];
    let method =
        prop_oneof![Just(Projection::Max), Just(Projection::Min), Just(Projection::Mean), Just(Projection::Sum)];
    let dtype = prop_oneof![Just(PixelType::U8), Just(PixelType::F32), Just(PixelType::I32), Just(PixelType::U16)];
    prop_oneof![
        3 => (axis, method).prop_map(|(a, m)| Step::Project(a, m)),
        2 => corner().prop_map(|(a, b)| Step::Crop(a, b)),
        2 => dtype.prop_map(Step::Cast),
        2 => chunk().prop_map(Step::Rechunk),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    shape: [u64; 6],
    dtype: PixelType,
    select: Option<([u64; 6], [u64; 6])>,
    chunk: [u64; 6],
    steps: Vec<Step>,
    unit: Option<([u64; 6], [u64; 6])>,
}

fn case() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(PixelType::U16), Just(PixelType::F32), Just(PixelType::I8), Just(PixelType::U8)];
    let unit = proptest::option::of((chunk(), proptest::array::uniform6(1u64..4)));
    (extents(), dtype, proptest::option::of(corner()), chunk(), proptest::collection::vec(step(), 0..4), unit)
        .prop_map(|(shape, dtype, select, chunk, steps, unit)| Case { shape, dtype, select, chunk, steps, unit })
}

/// A box inside a shape from any two corners: never empty, whole along S.
fn inside(shape: &Shape, a: &[u64; 6], b: &[u64; 6]) -> Region {
    let start = PerAxis::from_fn(|x| a[x.index()].min(b[x.index()]).min(shape.get(x) - 1)).with(Axis::S, 0);
    let end = PerAxis::from_fn(|x| (a[x.index()].max(b[x.index()]) + 1).min(shape.get(x)).max(start[x] + 1))
        .with(Axis::S, shape.get(Axis::S));
    Region::new(start, end).unwrap()
}

fn dims(chunk: &[u64; 6]) -> ChunkDims {
    ChunkDims::Shape(Shape::new(*chunk).unwrap())
}

fn build(case: &Case) -> LazyArray {
    let spec = ArraySpec { shape: Shape::new(case.shape).unwrap(), dtype: case.dtype };
    let region = case.select.map(|(a, b)| inside(&spec.shape, &a, &b));
    let selection = Selection { at: Place::default(), region };
    let mut array = LazyArray::source(Arc::new(SyntheticReader::new(spec)), &selection, &dims(&case.chunk)).unwrap();
    for step in &case.steps {
        array = match step {
            Step::Project(axis, method) => array.project(*axis, *method).unwrap(),
            Step::Crop(a, b) => array.crop(inside(&array.shape(), a, b)).unwrap(),
            Step::Cast(dtype) => array.cast(*dtype).unwrap(),
            Step::Rechunk(chunk) => array.rechunk(&dims(chunk)).unwrap(),
        };
    }
    array
}

/// A memory sink whose units are `times` stored chunks on each axis.
fn sink(array: &LazyArray, unit: &Option<([u64; 6], [u64; 6])>) -> Option<MemorySink> {
    let (part, times) = (*unit)?;
    let spec = array.spec();
    let part = ChunkGrid::new(spec.shape, Shape::new(part).unwrap()).unwrap().chunk();
    let unit = PerAxis::from_fn(|a| part.get(a) * times[a.index()]).with(Axis::S, spec.shape.get(Axis::S));
    Some(MemorySink::new(spec, Shape::new(unit.0).unwrap()).unwrap())
}

fn stage(array: &LazyArray, sink: Option<&MemorySink>, fusing: Fusing) -> Stage {
    Stage::new(array, &StageOptions { sink: sink.map(|s| s.spec().clone()), fusing })
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn counts_equal_the_graph_made_whole() {
    runner(10_000)
        .run(&case(), |case| {
            let array = build(&case);
            let sink = sink(&array, &case.unit);
            let (unfused, fused) = (stage(&array, sink.as_ref(), Fusing::None), stage(&array, sink.as_ref(), Fusing::Full));
            let estimate = microtome_graph::Estimate::of(&fused);
            prop_assert_eq!(estimate.tasks, microtome_graph::Estimate::of(&unfused).tasks);
            let whole = TaskGraph::whole(&unfused).unwrap();
            prop_assert_eq!(whole.len() as u64, estimate.tasks, "tasks of the whole graph");
            prop_assert!(petgraph::algo::toposort(whole.graph(), None).is_ok(), "a task graph has no circle");
            prop_assert_eq!(TaskGraph::whole(&fused).unwrap().len() as u64, estimate.fused, "fused tasks");
            let windows: usize = (0..fused.groups().count()).map(|g| TaskGraph::window(&fused, g..g + 1).len()).sum();
            prop_assert_eq!(windows as u64, estimate.fused, "no task lies in two groups");
            for node in whole.graph().node_indices() {
                let task = whole.graph()[node];
                let grid = &unfused.get(task.layer).layer.grid;
                let out = whole.graph().neighbors_directed(node, Direction::Outgoing).count() as u64;
                prop_assert_eq!(unfused.consumer_count(task.layer, &grid.index(task.chunk)), out, "consumers of {:?}", task);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_executor_runs_what_was_counted_and_pixels_do_not_depend_on_how() {
    runner(1_000)
        .run(&(case(), 1u64..9), |(case, window)| {
            let array = build(&case);
            let unfused = Plan::compute(&array, Fusing::None);
            let options = |threads, window| RunOptions { threads, window, memory: 1 << 30, ..RunOptions::default() };
            let (expected, report) = unfused.collect(&options(1, None)).unwrap();
            prop_assert_eq!(report.tasks_run, unfused.estimate().fused);
            prop_assert_eq!(report.tasks_run, array.estimate().tasks);
            for (threads, window) in [(1, Some(window)), (2, None), (7, Some(1))] {
                let fused = Plan::compute(&array, Fusing::Full);
                let (pixels, report) = fused.collect(&options(threads, window)).unwrap();
                prop_assert_eq!(pixels.as_ref().bytes(), expected.as_ref().bytes(), "{} threads", threads);
                prop_assert_eq!(report.tasks_run, fused.estimate().fused);
                prop_assert_eq!(report.bytes_read, fused.estimate().bytes_read);
                prop_assert!(report.peak_memory <= report.projected_peak);
            }
            if let Some(sink) = sink(&array, &case.unit) {
                let plan = Plan::store(&array, &sink);
                let report = plan.run(&options(2, Some(window))).unwrap();
                prop_assert_eq!(report.tasks_run, plan.estimate().fused);
                prop_assert_eq!(report.bytes_read, plan.estimate().bytes_read);
                prop_assert_eq!(report.bytes_written, plan.estimate().bytes_written);
                let stored = sink.into_pixels();
                prop_assert_eq!(stored.as_ref().bytes(), expected.as_ref().bytes(), "through a sink");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_billion_planes_are_counted_without_making_one() {
    let shape = Shape::new([1_000_000, 10, 100, 64, 64, 1]).unwrap();
    let reader = Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 }));
    let stack = LazyArray::source(reader, &Selection::default(), &ChunkDims::default()).unwrap();
    let mip = stack.project(Axis::Z, Projection::Max).unwrap();
    let estimate = mip.estimate();
    assert_eq!(estimate.tasks, 1_000_000_000 + 10_000_000);
    assert_eq!(estimate.fused, 10_000_000);
    assert_eq!(estimate.bytes_read, shape.pixels() * 2);
    assert!(matches!(mip.task_graph(), Err(microtome_graph::GraphError::TooManyTasks { .. })));
    let stage = mip.stage();
    let window = TaskGraph::window(&stage, 5_000_000..5_000_010);
    assert_eq!(window.len(), 10, "a window of a plan too large to hold is made alone");
    assert_eq!(stage.inputs(LayerId(1), &PerAxis([3, 4, 0, 0, 0, 0]), LayerId(0)).count(), 100);
}

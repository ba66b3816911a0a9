//! The estimate is the truth: on random shapes, chunks, selections and pipelines the counts equal the graph made whole
//! and what the executor counts, and the pixels do not depend on how they were computed.

use std::collections::HashSet;
use std::sync::Arc;

mod cases;

use cases::{build, case, sink};
use microtome::{
    ArraySpec, Axis, ChunkDims, Estimate, Fusing, GraphError, LayerId, LazyArray, PerAxis, PixelType, Plan, Projection,
    RunOptions, Selection, Shape, Sink, Stage, StageOptions, SyntheticReader, TaskGraph,
};
use petgraph::Direction;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Few units to a group let groups share values.
fn group_units() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1u64), Just(3), Just(64)]
}

/// Windows of one group hold every task, and only those of shared layers more than once.
fn windows_hold_each_task_once(stage: &Stage, tasks: u64) -> Result<(), TestCaseError> {
    let mut seen = HashSet::new();
    for group in 0..stage.groups().count() {
        let window = TaskGraph::window(stage, group..group + 1);
        for &task in window.graph().node_weights() {
            let fresh = seen.insert(task);
            prop_assert!(fresh || stage.get(task.layer).shared, "{:?} lies in two groups", task);
            let layer = &stage.get(task.layer).layer;
            if let Some(region) = stage.needed_by(task.layer, &stage.groups().index(group)) {
                let chunk = layer.grid.region(&layer.grid.index(task.chunk)).unwrap();
                prop_assert!(!region.intersect(&chunk).is_empty(), "{:?} is not needed by its group", task);
            }
        }
    }
    prop_assert_eq!(seen.len() as u64, tasks, "fused tasks in all windows");
    Ok(())
}

/// Threads that run a band each wait for nobody: no task lies in two of the first bands.
fn bands_share_nothing(stage: &Stage) -> Result<(), TestCaseError> {
    let (band, groups) = (stage.band(), stage.groups().count());
    prop_assert!(band == 1 || stage.is_sharing(), "a band of {} groups that share nothing", band);
    let mut seen = HashSet::new();
    for start in (0..groups).step_by(band as usize).take(8) {
        let window = TaskGraph::window(stage, start..groups.min(start + band));
        for &task in window.graph().node_weights() {
            prop_assert!(seen.insert(task), "{:?} lies in two bands of {}", task, band);
        }
    }
    Ok(())
}

/// What frees a shared value: the number of tasks that use it, known without the graph.
fn uses_are_out_degrees(stage: &Stage) -> Result<(), TestCaseError> {
    let whole = TaskGraph::whole(stage).unwrap();
    for node in whole.graph().node_indices() {
        let task = whole.graph()[node];
        let users = stage.users(task.layer, &stage.get(task.layer).layer.grid.index(task.chunk));
        let out = whole.graph().neighbors_directed(node, Direction::Outgoing).count() as u64;
        prop_assert_eq!(users.iter().map(|(_, chunks)| chunks.count()).sum::<u64>(), out, "uses of {:?}", task);
    }
    Ok(())
}

#[test]
fn counts_equal_the_graph_made_whole() {
    runner(10_000)
        .run(&(case(), group_units()), |(case, group_units)| {
            let array = build(&case);
            let sink = sink(&array, case.unit);
            let lay_out = |fusing| {
                let sink = sink.as_ref().map(|s| s.spec().clone());
                Stage::new(&array, &StageOptions { sink, fusing, group_units })
            };
            let (unfused, fused) = (lay_out(Fusing::None), lay_out(Fusing::Full));
            let estimate = Estimate::of(&fused);
            prop_assert_eq!(estimate.tasks, Estimate::of(&unfused).tasks);
            let whole = TaskGraph::whole(&unfused).unwrap();
            prop_assert_eq!(whole.len() as u64, estimate.tasks, "tasks of the whole graph");
            prop_assert!(petgraph::algo::toposort(whole.graph(), None).is_ok(), "a task graph has no circle");
            prop_assert_eq!(TaskGraph::whole(&fused).unwrap().len() as u64, estimate.fused, "fused tasks");
            windows_hold_each_task_once(&fused, estimate.fused)?;
            bands_share_nothing(&fused)?;
            uses_are_out_degrees(&fused)?;
            for node in whole.graph().node_indices() {
                let task = whole.graph()[node];
                let grid = &unfused.get(task.layer).layer.grid;
                let out = whole.graph().neighbors_directed(node, Direction::Outgoing).count() as u64;
                prop_assert_eq!(
                    unfused.consumer_count(task.layer, &grid.index(task.chunk)),
                    out,
                    "consumers of {:?}",
                    task
                );
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_executor_runs_what_was_counted_and_pixels_do_not_depend_on_how() {
    runner(1_000)
        .run(&(case(), 1u64..9, cases::chunk(), group_units()), |(case, window, other_chunk, group_units)| {
            let array = build(&case);
            let lay_out = |fusing| Plan::compute_with(&array, &StageOptions { fusing, group_units, sink: None });
            let unfused = lay_out(Fusing::None);
            let options = |threads, window| RunOptions { threads, window, memory: 1 << 30, ..RunOptions::default() };
            let (expected, report) = unfused.collect(&options(1, None)).unwrap();
            prop_assert_eq!(report.tasks_run, unfused.estimate().fused);
            prop_assert_eq!(report.tasks_run, array.estimate().tasks);
            for (threads, window) in [(1, Some(window)), (2, None), (7, Some(1))] {
                let fused = lay_out(Fusing::Full);
                let (pixels, report) = fused.collect(&options(threads, window)).unwrap();
                prop_assert_eq!(pixels.as_ref().bytes(), expected.as_ref().bytes(), "{} threads", threads);
                prop_assert_eq!(report.tasks_run, fused.estimate().fused);
                prop_assert_eq!(report.bytes_read, fused.estimate().bytes_read);
                prop_assert!(report.peak_memory <= report.projected_peak);
            }
            // The least budget that is not refused, and other chunks: the same pixels.
            let tight = lay_out(Fusing::Full);
            let least = match tight.admit(&RunOptions { memory: 0, ..options(1, None) }) {
                Err(GraphError::Memory { needed, .. }) => needed,
                other => panic!("no memory is enough: {other:?}"),
            };
            let tightly = RunOptions { memory: least, ..options(2, None) };
            let (pixels, report) = tight.collect(&tightly).unwrap();
            let estimate = tight.estimate_for(&tightly).unwrap();
            prop_assert_eq!((report.tasks_run, report.bytes_read), (estimate.fused, estimate.bytes_read));
            prop_assert!(estimate.times_read > 0.0);
            prop_assert_eq!(pixels.as_ref().bytes(), expected.as_ref().bytes(), "a budget of {} bytes", least);
            prop_assert!(report.peak_memory <= least);
            let refused = tight.collect(&RunOptions { memory: least - 1, ..options(1, None) }).is_err();
            prop_assert!(refused, "{} bytes are too few", least - 1);
            let shared = lay_out(Fusing::None).collect(&options(7, Some(window))).unwrap().0;
            prop_assert_eq!(shared.as_ref().bytes(), expected.as_ref().bytes(), "unfused on 7 threads");
            let rechunked = build(&cases::Case { chunk: other_chunk, ..case.clone() });
            let (pixels, _) = Plan::compute(&rechunked, Fusing::Full).collect(&options(2, None)).unwrap();
            prop_assert_eq!(pixels.as_ref().bytes(), expected.as_ref().bytes(), "chunks of {:?}", other_chunk);
            if let Some(sink) = sink(&array, case.unit) {
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
    assert!(matches!(mip.task_graph(), Err(GraphError::TooManyTasks { .. })));
    let stage = mip.stage();
    let window = TaskGraph::window(&stage, 5_000_000..5_000_010);
    assert_eq!(window.len(), 10, "a window of a plan too large to hold is made alone");
    assert_eq!(stage.inputs(LayerId(1), &PerAxis([3, 4, 0, 0, 0, 0]), LayerId(0)).count(), 100);
}

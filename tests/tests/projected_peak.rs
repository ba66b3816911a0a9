//! The projected peak is an upper bound of what the buffer pool lends, and not a wild one.
//!
//! Buffers below 16 KiB are not counted by the pool, so the images here have planes of 96 KiB and more.

use std::sync::Arc;

use microtome::{
    ArraySpec, Axis, ChunkDims, Downsample, Factors, Fusing, Gaussian, GraphError, LazyArray, MemorySink, PerAxis,
    PixelType, Plan, Projection, Region, RunOptions, Selection, Shape, Shrink, Sigma, StageOptions, SyntheticReader,
};

const SHAPE: [u64; 6] = [2, 2, 6, 192, 256, 1];

fn image(dtype: PixelType, tile: [u64; 6], dims: &str) -> LazyArray {
    let reader = SyntheticReader::new(ArraySpec { shape: Shape::new(SHAPE).unwrap(), dtype });
    let reader = Arc::new(reader.tiled(Shape::new(tile).unwrap()));
    LazyArray::source(reader, &Selection::default(), &ChunkDims::parse(dims).unwrap()).unwrap()
}

/// Pipelines of every kind, with their names.
fn pipelines() -> Vec<(String, LazyArray)> {
    let mut out = Vec::new();
    for dtype in [PixelType::U16, PixelType::F32] {
        for (stored, tile) in
            [("rows", [1, 1, 1, 1, 256, 1]), ("tiles", [1, 1, 1, 96, 128, 1]), ("stacks", [1, 1, 6, 192, 256, 1])]
        {
            for dims in ["YX", "ZYX", "1,1,3,80,256"] {
                let source = image(dtype, tile, dims);
                let mut add =
                    |name: &str, array: LazyArray| out.push((format!("{dtype} {stored} {dims} {name}"), array));
                for method in [Projection::Max, Projection::Mean, Projection::Sum] {
                    add(&format!("{method} z"), source.project(Axis::Z, method).unwrap());
                    add(&format!("{method} t"), source.project(Axis::T, method).unwrap());
                }
                let twice =
                    source.project(Axis::Z, Projection::Mean).unwrap().project(Axis::T, Projection::Max).unwrap();
                add("mean z, max t", twice);
                add("cast", source.cast(PixelType::F64).unwrap());
                let region = Region::new(PerAxis([0, 0, 2, 40, 30, 0]), PerAxis([2, 2, 5, 180, 250, 1])).unwrap();
                add("crop", source.crop(region).unwrap());
                let blur = |z, y| {
                    let sigma = Sigma { z, y, x: y, ..Sigma::default() };
                    source.apply(Arc::new(Gaussian { sigma, truncate: 4.0, dtype: None })).unwrap()
                };
                add("gaussian", blur(0.3, 0.5));
                let half = Downsample { factor: Factors { y: 2, x: 2, ..Factors::default() }, method: Shrink::Mean };
                add("half", source.apply(Arc::new(half)).unwrap());
                add("rechunk", source.rechunk(&ChunkDims::parse("1,1,4,64,256").unwrap()).unwrap());
            }
        }
    }
    out
}

#[test]
fn the_pool_never_lends_more_than_was_projected() {
    let mut loosest: f64 = 0.0;
    for (name, array) in pipelines() {
        // Few units to a group let groups share what several of them need.
        let ways: &[_] = if name.contains("gaussian") { &[(1, 64), (1, 1), (3, 2)] } else { &[(1, 64), (3, 2)] };
        for &(threads, group_units) in ways {
            let options = RunOptions { threads, memory: 1 << 30, ..RunOptions::default() };
            let layout = StageOptions { group_units, ..StageOptions::default() };
            let (_, report) = Plan::compute_with(&array, &layout).collect(&options).unwrap();
            let (peak, projected) = (report.peak_memory, report.projected_peak);
            assert!(peak <= projected, "{name}, {threads} threads: {peak} bytes at the peak, {projected} projected");
            let unit = Shape::new([1, 1, 2, 192, 256, 1]).unwrap();
            let sink = MemorySink::new(array.spec(), unit).unwrap();
            let report = Plan::store(&array, &sink).run(&options).unwrap();
            let (peak, projected) = (report.peak_memory, report.projected_peak);
            assert!(peak <= projected, "{name}, stored, {threads} threads: {peak} bytes, {projected} projected");
            if threads == 1 {
                loosest = loosest.max(projected as f64 / peak as f64);
            }
        }
    }
    assert!(loosest <= 3.0, "the projection is up to {loosest:.2} times what is taken on one thread");
    println!("at most {loosest:.2} times what is taken on one thread");
}

#[test]
fn the_least_budget_that_is_not_refused_is_enough() {
    for (name, array) in pipelines() {
        let plan = Plan::compute(&array, Fusing::Full);
        let least = match plan.admit(&RunOptions { memory: 0, ..RunOptions::default() }) {
            Err(GraphError::Memory { needed, .. }) => needed,
            other => panic!("{name}: no memory is enough: {other:?}"),
        };
        let (_, report) = plan.collect(&RunOptions { threads: 3, memory: least, ..RunOptions::default() }).unwrap();
        assert!(report.peak_memory <= least, "{name}: {} of {least} bytes", report.peak_memory);
        assert!(plan.collect(&RunOptions { memory: least - 1, ..RunOptions::default() }).is_err(), "{name}");
    }
}

#[test]
fn a_million_threads_are_refused() {
    let (_, array) = pipelines().swap_remove(0);
    let options = RunOptions { threads: 1_000_000, ..RunOptions::default() };
    let error = Plan::compute(&array, Fusing::Full).collect(&options).unwrap_err();
    assert_eq!(error.to_string(), "cannot start 1000000 threads: at most 1024 are started; give a smaller --threads");
}

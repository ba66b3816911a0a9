//! Parts are parts of the whole: what is computed of a part of the result, of a part of the image with what lies around it,
//! or tile by tile, has the bytes that the whole has there.

mod cases;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use cases::{Case, build, case, chunk, cut, inside, shrink, sigma};
use microtome::ops::{Body, OPS};
use microtome::{
    Axis, Cast, ChunkGrid, Compute, Ends, Gaussian, LazyArray, Op, PerAxis, PixelType, Project, Projection, Region,
    Rescale, RunOptions, Shape, read_region,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn runner(cases: u32) -> TestRunner {
    let deep = if std::env::var_os("MICROTOME_DEEP").is_some() { 20 } else { 1 };
    TestRunner::new(Config { cases: cases * deep, failure_persistence: None, ..Config::default() })
}

fn options() -> RunOptions {
    RunOptions { threads: 2, memory: 1 << 30, ..RunOptions::default() }
}

fn corner() -> impl Strategy<Value = [u64; 6]> {
    proptest::array::uniform6(0u64..8)
}

/// Every operation but a crop, which means other pixels on a part of the image, with any parameters.
fn op() -> impl Strategy<Value = Arc<dyn Op>> {
    let axis = prop_oneof![Just(Axis::T), Just(Axis::C), Just(Axis::Z)];
    let method =
        prop_oneof![Just(Projection::Max), Just(Projection::Min), Just(Projection::Mean), Just(Projection::Sum)];
    let dtype = prop_oneof![Just(PixelType::U8), Just(PixelType::F32), Just(PixelType::I32)];
    prop_oneof![
        (axis, method).prop_map(|(axis, method)| Arc::new(Project { axis, method, dtype: None }) as Arc<dyn Op>),
        cases::factors().prop_map(|factor| Arc::new(shrink(factor)) as Arc<dyn Op>),
        sigma().prop_map(|sigma| Arc::new(Gaussian { sigma, truncate: 4.0, dtype: None }) as Arc<dyn Op>),
        dtype.prop_map(|dtype| Arc::new(Cast { dtype }) as Arc<dyn Op>),
        (-50.0f64..50.0, 60.0f64..300.0).prop_map(|(low, high)| {
            Arc::new(Rescale { from: Ends::Values(low, high), to: Some((0.0, 250.0)), dtype: Some(PixelType::U8) })
                as Arc<dyn Op>
        }),
    ]
}

/// Where a part of the result lies in what the operation makes of the pixels that the part needs.
fn place(op: &dyn Op, part: &Region, needed: &Region) -> Region {
    let stride = |axis| match op.body() {
        Body::Neighbourhood(boxes) => boxes.reach(axis).stride,
        Body::Map(_) | Body::Fold(_) | Body::Index => 1,
    };
    part.relative_to(&PerAxis::from_fn(|axis| needed.start(axis) / stride(axis)))
}

#[test]
fn a_part_of_the_result_is_made_of_a_part_of_the_image_and_what_lies_around_it() {
    let met = RefCell::new(BTreeSet::new());
    runner(600)
        .run(&(case(), op(), corner(), corner()), |(case, op, a, b)| {
            let array = build(&case);
            let Ok(changed) = array.apply(Arc::clone(&op)) else { return Ok(()) };
            let part = inside(&changed.shape(), &a, &b);
            let whole = changed.compute(&options()).unwrap();
            let expected = cut(&whole, &part);
            let after = changed.crop(part).unwrap().compute(&options()).unwrap();
            prop_assert_eq!(after.as_ref().bytes(), expected.as_ref().bytes(), "{:?}, then {}", op, part);
            let needed = op.input_region(&part, &array.spec());
            let before = array.crop(needed).unwrap().apply(Arc::clone(&op)).unwrap().compute(&options()).unwrap();
            let before = cut(&before, &place(op.as_ref(), &part, &needed));
            prop_assert_eq!(before.as_ref().bytes(), expected.as_ref().bytes(), "{}, then {:?}: {}", needed, op, part);
            met.borrow_mut().insert(op.name());
            Ok(())
        })
        .unwrap();
    let missing: Vec<_> = OPS.iter().map(|entry| entry.name).filter(|name| !met.borrow().contains(name)).collect();
    assert_eq!(missing, ["crop"], "every operation of the list is tried");
}

#[test]
fn tiles_side_by_side_are_the_whole() {
    runner(150)
        .run(&(case(), chunk()), |(case, tile)| {
            let array = build(&case);
            let whole = array.compute(&options()).unwrap();
            let tiles = ChunkGrid::new(array.shape(), Shape::new(tile).unwrap()).unwrap();
            for index in tiles.all().iter() {
                let tile = tiles.region(&index).unwrap();
                let alone = array.crop(tile).unwrap().compute(&options()).unwrap();
                let expected = cut(&whole, &tile);
                prop_assert_eq!(alone.as_ref().bytes(), expected.as_ref().bytes(), "tile {}", tile);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_image_to_which_nothing_is_done_is_itself() {
    runner(300)
        .run(&case(), |case| {
            let array: LazyArray = build(&Case { steps: Vec::new(), select: None, ..case.clone() });
            let read = read_region(cases::reader(&case).as_ref(), microtome::Place::default(), &array.shape().region())
                .unwrap();
            let found = array.compute(&options()).unwrap();
            prop_assert_eq!(found.as_ref().bytes(), read.as_ref().bytes());
            Ok(())
        })
        .unwrap();
}

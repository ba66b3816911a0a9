//! Random plans: shapes, chunks, selections and pipelines, for the tests that compare ways to compute them.
#![allow(dead_code, reason = "each test file uses a part of this module")]

pub mod damaged;
pub mod naive;

use std::path::Path;
use std::sync::Arc;

use microtome::{
    ArraySpec, Axis, ChunkDims, ChunkGrid, Downsample, Factors, Fusing, Gaussian, LazyArray, LevelSpec, MemorySink, Op,
    OutputMeta, PerAxis, PixelType, Pixels, Place, Projection, Reader, Region, Selection, Shape, Shrink, Sigma, Sink,
    Stage, StageOptions, SyntheticReader, ZarrOptions, ZarrOutput, create_zarr,
};
use proptest::prelude::*;

/// Small extents, with 1 often and 0 never: an empty selection is refused before it gets here.
fn extents() -> impl Strategy<Value = [u64; 6]> {
    (1u64..4, 1u64..4, 1u64..7, 1u64..12, 1u64..12, prop_oneof![Just(1u64), Just(3)])
        .prop_map(|(t, c, z, y, x, s)| [t, c, z, y, x, s])
}

pub fn chunk() -> impl Strategy<Value = [u64; 6]> {
    (1u64..4, 1u64..4, 1u64..7, 1u64..9, 1u64..9).prop_map(|(t, c, z, y, x)| [t, c, z, y, x, 1 << 20])
}

fn corner() -> impl Strategy<Value = ([u64; 6], [u64; 6])> {
    (proptest::array::uniform6(0u64..8), proptest::array::uniform6(0u64..8))
}

#[derive(Clone, Debug)]
pub enum Step {
    Project(Axis, Projection),
    Crop([u64; 6], [u64; 6]),
    Cast(PixelType),
    Rechunk([u64; 6]),
    Gaussian(Sigma),
    Downsample(Factors),
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
        2 => sigma().prop_map(Step::Gaussian),
        2 => factors().prop_map(Step::Downsample),
    ]
}

/// A radius of 0 to 3 pixels on each axis.
pub fn sigma() -> impl Strategy<Value = Sigma> {
    let sigma = || prop_oneof![Just(0.0), Just(0.2), Just(0.5), Just(0.7)];
    (sigma(), sigma(), sigma(), sigma()).prop_map(|(t, z, y, x)| Sigma { t, z, y, x })
}

pub fn factors() -> impl Strategy<Value = Factors> {
    (1u64..3, 1u64..3, 1u64..4, 1u64..4, 1u64..4).prop_map(|(t, c, z, y, x)| Factors { t, c, z, y, x })
}

#[derive(Clone, Debug)]
pub struct Case {
    pub shape: [u64; 6],
    pub dtype: PixelType,
    pub select: Option<([u64; 6], [u64; 6])>,
    pub tile: [u64; 6],
    pub chunk: [u64; 6],
    pub steps: Vec<Step>,
    pub unit: Option<([u64; 6], [u64; 6])>,
}

pub fn case() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(PixelType::U16), Just(PixelType::F32), Just(PixelType::I8), Just(PixelType::U8)];
    let unit = proptest::option::of((chunk(), proptest::array::uniform6(1u64..4)));
    let steps = proptest::collection::vec(step(), 0..4);
    (extents(), dtype, proptest::option::of(corner()), chunk(), chunk(), steps, unit).prop_map(
        |(shape, dtype, select, tile, chunk, steps, unit)| Case { shape, dtype, select, tile, chunk, steps, unit },
    )
}

/// A case whose result has no bit that depends on the order of additions.
pub fn simple_case() -> impl Strategy<Value = Case> {
    let simple = |case: &Case| !case.steps.iter().any(|step| matches!(step, Step::Gaussian(_) | Step::Downsample(_)));
    case().prop_filter("no neighbourhoods", simple)
}

/// A box inside a shape from any two corners: never empty, whole along S.
pub fn inside(shape: &Shape, a: &[u64; 6], b: &[u64; 6]) -> Region {
    let start = PerAxis::from_fn(|x| a[x.index()].min(b[x.index()]).min(shape.get(x) - 1)).with(Axis::S, 0);
    let end = PerAxis::from_fn(|x| (a[x.index()].max(b[x.index()]) + 1).min(shape.get(x)).max(start[x] + 1))
        .with(Axis::S, shape.get(Axis::S));
    Region::new(start, end).unwrap()
}

pub fn dims(chunk: &[u64; 6]) -> ChunkDims {
    ChunkDims::Shape(Shape::new(*chunk).unwrap())
}

pub fn build(case: &Case) -> LazyArray {
    build_on(case, reader(case))
}

/// The image that the case is about.
pub fn reader(case: &Case) -> Arc<dyn Reader> {
    let spec = ArraySpec { shape: Shape::new(case.shape).unwrap(), dtype: case.dtype };
    Arc::new(SyntheticReader::new(spec).tiled(Shape::new(case.tile).unwrap()))
}

/// An image of 16-bit pixels, in chunks of `dims`.
pub fn synthetic(shape: [u64; 6], dims: &str) -> LazyArray {
    let spec = ArraySpec { shape: Shape::new(shape).unwrap(), dtype: PixelType::U16 };
    let dims = ChunkDims::parse(dims).unwrap();
    LazyArray::source(Arc::new(SyntheticReader::new(spec)), &Selection::default(), &dims).unwrap()
}

/// A pyramid of an image whose every level halves Y and X: what makes the levels, and what takes them.
pub fn halves(image: &LazyArray, levels: usize, path: &Path, zarr: &ZarrOptions) -> (Vec<Arc<dyn Op>>, ZarrOutput) {
    let half = shrink(Factors { y: 2, x: 2, ..Factors::default() });
    let steps = (1..levels).map(|_| Arc::new(half.clone()) as Arc<dyn Op>).collect();
    let level = |n: usize| LevelSpec::reduced(image.spec(), [1, 1, 1, 1 << n, 1 << n, 1]).unwrap();
    let specs: Vec<LevelSpec> = (0..levels).map(level).collect();
    (steps, create_zarr(path, &specs, &OutputMeta::default(), zarr).unwrap())
}

/// The case on another image of its shape and type.
pub fn build_on(case: &Case, reader: Arc<dyn Reader>) -> LazyArray {
    let region = case.select.map(|(a, b)| inside(&Shape::new(case.shape).unwrap(), &a, &b));
    let selection = Selection { at: Place::default(), region };
    let mut array = LazyArray::source(reader, &selection, &dims(&case.chunk)).unwrap();
    for step in &case.steps {
        array = match step {
            Step::Project(axis, method) => array.project(*axis, *method).unwrap(),
            Step::Crop(a, b) => array.crop(inside(&array.shape(), a, b)).unwrap(),
            Step::Cast(dtype) => array.cast(*dtype).unwrap(),
            Step::Rechunk(chunk) => array.rechunk(&dims(chunk)).unwrap(),
            Step::Gaussian(sigma) => {
                array.apply(Arc::new(Gaussian { sigma: *sigma, truncate: 4.0, dtype: None })).unwrap()
            }
            Step::Downsample(factor) => array.apply(Arc::new(shrink(*factor))).unwrap(),
        };
    }
    array
}

/// A copy of a part of pixels, whole along S.
pub fn cut(pixels: &Pixels, part: &Region) -> Pixels {
    let (whole, size) = (pixels.spec().shape, pixels.spec().dtype.size() as u64);
    let mut out = Pixels::zeroed(ArraySpec { shape: part.shape(), ..pixels.spec() });
    let mut target = out.as_mut();
    let mut rest = target.bytes();
    let range = |axis| part.start(axis)..part.end(axis);
    let row = (part.len(Axis::X) * whole.get(Axis::S) * size) as usize;
    for t in range(Axis::T) {
        for (c, z) in range(Axis::C).flat_map(|c| range(Axis::Z).map(move |z| (c, z))) {
            for y in range(Axis::Y) {
                let plane = (t * whole.get(Axis::C) + c) * whole.get(Axis::Z) + z;
                let pixel = (plane * whole.get(Axis::Y) + y) * whole.get(Axis::X) + part.start(Axis::X);
                let start = (pixel * whole.get(Axis::S) * size) as usize;
                let (here, next) = std::mem::take(&mut rest).split_at_mut(row);
                here.copy_from_slice(&pixels.as_ref().bytes()[start..start + row]);
                rest = next;
            }
        }
    }
    out
}

pub fn shrink(factor: Factors) -> Downsample {
    Downsample { factor, method: Shrink::Mean }
}

/// A memory sink whose units are `times` stored chunks on each axis.
pub fn sink(array: &LazyArray, unit: Option<([u64; 6], [u64; 6])>) -> Option<MemorySink> {
    let (part, times) = unit?;
    let spec = array.spec();
    let part = ChunkGrid::new(spec.shape, Shape::new(part).unwrap()).unwrap().chunk();
    let unit = PerAxis::from_fn(|a| part.get(a) * times[a.index()]).with(Axis::S, spec.shape.get(Axis::S));
    Some(MemorySink::new(spec, Shape::new(unit.0).unwrap()).unwrap())
}

pub fn stage(array: &LazyArray, sink: Option<&MemorySink>, fusing: Fusing) -> Stage {
    Stage::new(array, &StageOptions { sink: sink.map(|s| s.spec().clone()), fusing, ..StageOptions::default() })
}

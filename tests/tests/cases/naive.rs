//! A lazy array computed in the most naive way: layer by layer, each whole, the fate of each pixel found pixel by pixel.

use microtome::ops::{Body, Fold, Placement};
use microtome::{
    ArraySpec, Axis, BufferPool, ChunkGrid, Fusing, LayerId, LayerKind, LazyArray, Op, Pixels, Region, Shape, Stage,
    StageOptions, SyntheticReader, read_region,
};

/// Pixels of an array, and which of them are lost, in C order.
pub struct Naive {
    pub pixels: Pixels,
    pub lost: Vec<bool>,
}

fn grid(shape: Shape) -> ChunkGrid {
    ChunkGrid::new(shape, Shape::new([1; 6]).unwrap()).unwrap()
}

fn unfused(array: &LazyArray) -> Stage {
    Stage::new(array, &StageOptions { fusing: Fusing::None, ..StageOptions::default() })
}

/// The array of which some stored boxes cannot be read; `None` if a sum overflows.
pub fn naive(array: &LazyArray, bad: &[Region], skips: bool) -> Option<Naive> {
    let stage = unfused(array);
    layer(&stage, stage.top(), bad, skips)
}

fn layer(stage: &Stage, id: LayerId, bad: &[Region], skips: bool) -> Option<Naive> {
    let this = stage.get(id);
    let spec = this.layer.spec;
    let mut made = match &this.layer.kind {
        LayerKind::Source { reader, at, origin } => {
            let clean =
                SyntheticReader::new(ArraySpec { shape: reader.level(*at).unwrap().1.shape, dtype: spec.dtype });
            let pixels = read_region(&clean, *at, &spec.shape.region().shifted(origin)).unwrap();
            let is_bad = |pixel: Region| bad.iter().any(|bad| !bad.intersect(&pixel.shifted(origin)).is_empty());
            Naive { pixels, lost: each(spec.shape, is_bad) }
        }
        LayerKind::Op(op) => applied(op.as_ref(), &layer(stage, this.inputs[0], bad, skips)?, skips)?,
        LayerKind::Rechunk | LayerKind::Store | LayerKind::Summarise(_) => layer(stage, this.inputs[0], bad, skips)?,
    };
    let size = spec.dtype.size();
    let mut out = made.pixels.as_mut();
    for (pixel, _) in out.bytes().chunks_mut(size).zip(&made.lost).filter(|(_, lost)| **lost) {
        pixel.fill(0);
    }
    Some(made)
}

fn each<T>(shape: Shape, what: impl FnMut(Region) -> T) -> Vec<T> {
    let pixels = grid(shape);
    pixels.all().iter().map(|index| pixels.region(&index).unwrap()).map(what).collect()
}

fn applied(op: &dyn Op, input: &Naive, skips: bool) -> Option<Naive> {
    let before = input.pixels.spec();
    let mut pixels = Pixels::zeroed(op.output(&before).unwrap());
    let shape = pixels.spec().shape;
    let pool = BufferPool::new(0);
    let found = grid(before.shape);
    let needs = |pixel: &Region| -> Vec<usize> {
        found.covering(&op.input_region(pixel, &before)).iter().map(|at| found.linear(&at) as usize).collect()
    };
    match op.body() {
        Body::Map(map) => map.run(input.pixels.as_ref(), &mut pixels.as_mut()).ok()?,
        Body::Neighbourhood(body) => {
            let place = Placement { whole: before.shape, input: before.shape.region(), output: shape.region() };
            let needed = op.input_region(&shape.region(), &before);
            // What is needed of the whole is not always the whole.
            let cut = cut(&input.pixels, &needed);
            body.run(cut.as_ref(), &mut pixels.as_mut(), &Placement { input: needed, ..place }, &pool).ok()?;
        }
        Body::Index => pixels = cut(&input.pixels, &op.input_region(&shape.region(), &before)),
        Body::Fold(fold) => {
            let size = pixels.spec().dtype.size();
            let values = each(shape, |pixel| folded(fold, op, input, &needs(&pixel), skips));
            for (out, value) in pixels.as_mut().bytes().chunks_mut(size).zip(values) {
                out.copy_from_slice(value?.as_ref().bytes());
            }
        }
    }
    let all = skips && matches!(op.body(), Body::Fold(_));
    let is_lost = |pixel: Region| {
        let mut lost = needs(&pixel).into_iter().map(|at| input.lost[at]);
        if all { lost.all(|lost| lost) } else { lost.any(|lost| lost) }
    };
    Some(Naive { pixels, lost: each(shape, is_lost) })
}

/// A pixel folded from those that are good, or from all; `None` if it overflows.
fn folded(fold: &dyn Fold, op: &dyn Op, input: &Naive, line: &[usize], skips: bool) -> Option<Pixels> {
    let (before, size) = (input.pixels.spec(), input.pixels.spec().dtype.size());
    let one = Shape::new([1; 6]).unwrap();
    let good: Vec<usize> = line.iter().copied().filter(|&at| !(skips && input.lost[at])).collect();
    let spec = ArraySpec { shape: one.with(fold.axis(), good.len().max(1) as u64).unwrap(), ..before };
    let mut out = Pixels::zeroed(op.output(&spec).unwrap());
    if good.is_empty() {
        return Some(out);
    }
    let mut values = Pixels::zeroed(spec);
    for (value, at) in values.as_mut().bytes().chunks_mut(size).zip(&good) {
        value.copy_from_slice(&input.pixels.as_ref().bytes()[at * size..(at + 1) * size]);
    }
    let mut state = fold.start(before.dtype, one, good.len() as u64, &BufferPool::new(0)).unwrap();
    state.add(values.as_ref()).ok()?;
    state.finish(&mut out.as_mut()).ok()?;
    Some(out)
}

/// A box of pixels.
fn cut(pixels: &Pixels, region: &Region) -> Pixels {
    let (spec, size) = (pixels.spec(), pixels.spec().dtype.size());
    let mut out = Pixels::zeroed(ArraySpec { shape: region.shape(), ..spec });
    let from = grid(spec.shape);
    let places = from.covering(region);
    for (value, index) in out.as_mut().bytes().chunks_mut(size).zip(places.iter()) {
        let at = from.linear(&index) as usize;
        value.copy_from_slice(&pixels.as_ref().bytes()[at * size..(at + 1) * size]);
    }
    out
}

/// Whether a pixel of a layer depends on a bad one, pixel by pixel.
pub fn depends(stage: &Stage, layer: LayerId, pixel: &Region, bad: &[Region]) -> bool {
    let this = stage.get(layer);
    if let LayerKind::Source { origin, .. } = &this.layer.kind {
        return bad.iter().any(|bad| !bad.intersect(&pixel.shifted(origin)).is_empty());
    }
    this.inputs.iter().any(|&input| {
        let needed = this.layer.input_region(pixel, &stage.get(input).layer.spec);
        depends(stage, input, &needed, bad)
    })
}

/// The planes t, c, z of bad boxes that some pixel of an array depends on, in order.
pub fn listed(array: &LazyArray, bad: &[Region]) -> Vec<(u64, u64, u64)> {
    let stage = unfused(array);
    let reaches = |bad: &&Region| {
        each(array.shape(), |pixel| depends(&stage, stage.top(), &pixel, std::slice::from_ref(*bad))).contains(&true)
    };
    let plane = |bad: &Region| (bad.start(Axis::T), bad.start(Axis::C), bad.start(Axis::Z));
    let mut planes: Vec<_> = bad.iter().filter(reaches).map(plane).collect();
    planes.sort_unstable();
    planes.dedup();
    planes
}

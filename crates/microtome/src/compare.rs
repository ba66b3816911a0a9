//! Two scenes compared pixel by pixel, whatever formats they are stored in.
//!
//! *Invariant:* samples (RGB) and channels are the same thing stored in two ways: a pixel with three samples equals one of three
//! channels.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, Pixels, Region, Shape};
use microtome_io::{Place, ReadContext, ReadError, Reader, on_threads};
use serde::Serialize;

use crate::Scene;

/// What comparing two scenes found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Extents t, c, z, y, x of both, samples counted as channels.
    pub shapes: [[u64; 5]; 2],
    /// Pixel types of both.
    pub dtypes: [PixelType; 2],
    /// Pixels that differ; `None` if shapes or types do, and nothing was compared.
    pub different: Option<u64>,
    /// The first of them, in C order: t, c, z, y, x.
    pub first: Option<[u64; 5]>,
    /// The values there, as text.
    pub values: Option<[String; 2]>,
}

impl Comparison {
    /// Whether both have the same shape, type and pixels, bit by bit.
    pub fn is_equal(&self) -> bool {
        self.different == Some(0)
    }
}

/// Bytes of pixels of a slab at most, unless a row of stored tiles is larger.
const SLAB: u64 = 16 << 20;

/// Compares the pixels of two scenes, each at its level, bit by bit: two NaN are equal if their bits are. Reads both once on
/// some threads; memory is some 100 MiB a thread at most.
///
/// # Errors
/// [`ReadError`] if a pixel of either cannot be read.
///
/// # Examples
/// ```
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
/// use microtome::{Image, compare};
/// let image = Image::open(format!("{fixtures}/cells.ome.tif"))?.scene(0)?;
/// let found = compare(&image, &image, 2)?;
/// assert!(found.is_equal());
/// assert_eq!(found.shapes[0], [2, 3, 8, 160, 192]);
/// # Ok::<(), microtome::ReadError>(())
/// ```
pub fn compare(a: &Scene, b: &Scene, threads: usize) -> Result<Comparison, ReadError> {
    let sides = [Side::of(a)?, Side::of(b)?];
    let shapes = [sides[0].shape, sides[1].shape];
    let dtypes = [sides[0].dtype, sides[1].dtype];
    let mut found = Comparison { shapes, dtypes, different: None, first: None, values: None };
    if shapes[0] != shapes[1] || dtypes[0] != dtypes[1] {
        return Ok(found);
    }
    let slabs = slabs(&sides);
    let (next, different) = (AtomicU64::new(0), AtomicU64::new(0));
    let first: Mutex<Option<([u64; 5], [String; 2])>> = Mutex::default();
    let work = || -> Result<(), ReadError> {
        let pool = BufferPool::new(4 * SLAB);
        while let Some(slab) = slabs.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let [a, b] = [sides[0].read(slab, &pool)?, sides[1].read(slab, &pool)?];
            if a == b {
                continue;
            }
            let (count, at) = differences(&a, &b, slab, dtypes[0]);
            different.fetch_add(count, Ordering::Relaxed);
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            if first.as_ref().is_none_or(|(earlier, _)| at.0 < *earlier) {
                *first = Some(at);
            }
        }
        Ok(())
    };
    on_threads(threads.clamp(1, slabs.len().max(1)), work)?;
    found.different = Some(different.into_inner());
    let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
    (found.first, found.values) = first.map_or((None, None), |(at, values)| (Some(at), Some(values)));
    Ok(found)
}

/// A scene, its samples as channels.
struct Side {
    reader: std::sync::Arc<dyn Reader>,
    at: Place,
    samples: u64,
    shape: [u64; 5],
    dtype: PixelType,
    granule: Shape,
}

/// A box of pixels, t, c, z, y, x.
type Box5 = [std::ops::Range<u64>; 5];

impl Side {
    fn of(scene: &Scene) -> Result<Side, ReadError> {
        let (reader, at) = (scene.reader(), scene.place());
        let (info, level) = reader.level(at)?;
        let [t, c, z, y, x, samples] = level.shape.extents();
        let (dtype, granule) = (info.dtype, level.storage.granule);
        Ok(Side { at, samples, shape: [t, c * samples, z, y, x], dtype, granule, reader })
    }

    /// The bytes of a box, channel after channel.
    fn read(&self, slab: &Box5, pool: &BufferPool) -> Result<Vec<u8>, ReadError> {
        let [t, c, z, y, x] = slab;
        let own = c.start / self.samples..c.end.div_ceil(self.samples);
        let array = |source| ReadError::Array { path: self.reader.info().path.clone(), source };
        let start = [t.start, own.start, z.start, y.start, x.start, 0];
        let end = [t.end, own.end, z.end, y.end, x.end, self.samples];
        let region = Region::new(microtome_array::PerAxis(start), microtome_array::PerAxis(end)).map_err(array)?;
        let mut pixels = Pixels::from_pool(ArraySpec { shape: region.shape(), dtype: self.dtype }, pool);
        self.reader.read(self.at, &region, &mut pixels.as_mut(), &ReadContext { pool })?;
        let bytes = pixels.as_ref().bytes();
        if self.samples == 1 {
            return Ok(bytes.to_vec());
        }
        let (size, samples) = (self.dtype.size(), self.samples as usize);
        let plane = ((z.end - z.start) * (y.end - y.start) * (x.end - x.start)) as usize;
        let mut out = Vec::with_capacity(bytes.len());
        for t in 0..(t.end - t.start) as usize {
            for channel in c.clone() {
                let (own, sample) = ((channel / self.samples - own.start) as usize, (channel % self.samples) as usize);
                let first = (t * (region.len(Axis::C) as usize) + own) * plane;
                for pixel in first..first + plane {
                    let from = (pixel * samples + sample) * size;
                    out.extend_from_slice(&bytes[from..from + size]);
                }
            }
        }
        Ok(out)
    }
}

/// Boxes in C order: all samples of a pixel of either side together, planes or whole rows of stored tiles.
fn slabs(sides: &[Side; 2]) -> Vec<Box5> {
    let shape = sides[0].shape;
    let samples = sides[0].samples.max(sides[1].samples).min(shape[1].max(1));
    let granule = |axis: Axis| sides[0].granule.get(axis).max(sides[1].granule.get(axis)).max(1);
    let mut step = [1, samples, granule(Axis::Z).min(shape[2].max(1)), shape[3].max(1), shape[4].max(1)];
    let size = sides[0].dtype.size() as u64;
    // A stack of planes that storage gives together is cut along Y before it grows too large.
    let row = step[1] * step[2] * step[4] * size;
    step[3] = (SLAB / row.max(1) / granule(Axis::Y) * granule(Axis::Y))
        .clamp(granule(Axis::Y), step[3].max(granule(Axis::Y)));
    let mut out = vec![std::array::from_fn(|_| 0..0)];
    for axis in 0..5 {
        let parts = || (0..shape[axis]).step_by(step[axis] as usize).map(|at| at..shape[axis].min(at + step[axis]));
        out = out
            .into_iter()
            .flat_map(|slab: Box5| {
                parts().map(move |part| {
                    let mut slab = slab.clone();
                    slab[axis] = part;
                    slab
                })
            })
            .collect();
    }
    out
}

/// How many values differ, and the first of them with both values.
fn differences(a: &[u8], b: &[u8], slab: &Box5, dtype: PixelType) -> (u64, ([u64; 5], [String; 2])) {
    let size = dtype.size();
    let pairs = a.chunks_exact(size).zip(b.chunks_exact(size));
    let mut wrong = pairs.enumerate().filter(|(_, (a, b))| a != b);
    let Some((n, (one, other))) = wrong.next() else { return (0, ([u64::MAX; 5], Default::default())) };
    let mut rest = n as u64;
    let mut at = [0; 5];
    for axis in (0..5).rev() {
        let extent = slab[axis].end - slab[axis].start;
        at[axis] = slab[axis].start + rest % extent;
        rest /= extent;
    }
    (1 + wrong.count() as u64, (at, [text(one, dtype), text(other, dtype)]))
}

/// A value in words.
fn text(bytes: &[u8], dtype: PixelType) -> String {
    macro_rules! number {
        ($type:ty) => {
            bytes.try_into().map_or_else(|_| format!("{bytes:02x?}"), |raw| <$type>::from_ne_bytes(raw).to_string())
        };
    }
    match dtype {
        PixelType::U8 => number!(u8),
        PixelType::I8 => number!(i8),
        PixelType::U16 => number!(u16),
        PixelType::I16 => number!(i16),
        PixelType::U32 => number!(u32),
        PixelType::I32 => number!(i32),
        PixelType::U64 => number!(u64),
        PixelType::I64 => number!(i64),
        PixelType::F32 => number!(f32),
        PixelType::F64 => number!(f64),
        _ => format!("{bytes:02x?}"),
    }
}

#[cfg(test)]
mod tests {
    use microtome_io::MemoryReader;

    use super::*;
    use crate::Image;

    fn scene(extents: [u64; 6], value: impl Fn(usize) -> u16) -> Scene {
        let mut pixels = Pixels::zeroed(ArraySpec { shape: Shape::new(extents).unwrap(), dtype: PixelType::U16 });
        pixels.as_mut().slice_mut::<u16>().unwrap().iter_mut().enumerate().for_each(|(n, v)| *v = value(n));
        Image::of(std::sync::Arc::new(MemoryReader::new(pixels))).scene(0).unwrap()
    }

    #[test]
    fn each_different_pixel_is_counted_and_the_first_in_order_is_told() {
        let extents = [2, 3, 4, 50, 60, 1];
        let a = scene(extents, |n| n as u16);
        let changed = [100_usize, 9_000, 9_001, 71_999];
        let b = scene(extents, |n| if changed.contains(&n) { 9999 } else { n as u16 });
        for threads in [1, 2, 7] {
            let found = compare(&a, &b, threads).unwrap();
            assert_eq!((found.different, found.first), (Some(4), Some([0, 0, 0, 1, 40])));
            assert_eq!(found.values, Some(["100".to_owned(), "9999".to_owned()]));
            assert!(!found.is_equal() && compare(&a, &a, threads).unwrap().is_equal());
        }
    }

    #[test]
    fn samples_equal_channels() {
        let (c, y, x, s) = (2, 5, 7, 3);
        let a = scene([1, c, 1, y, x, s], |n| n as u16);
        let plane = (y * x) as usize;
        let samples_last = |n: usize| {
            let (channel, pixel) = (n / plane, n % plane);
            ((channel / 3 * plane + pixel) * 3 + channel % 3) as u16
        };
        let b = scene([1, c * s, 1, y, x, 1], samples_last);
        assert!(compare(&a, &b, 2).unwrap().is_equal());
        assert!(compare(&b, &a, 2).unwrap().is_equal());
        let wrong = scene([1, c * s, 1, y, x, 1], |n| if n == plane * 4 + 8 { 0 } else { samples_last(n) });
        assert_eq!(compare(&a, &wrong, 1).unwrap().first, Some([0, 4, 0, 1, 1]));
    }

    #[test]
    fn other_shapes_and_types_are_not_compared() {
        let (a, b) = (scene([1, 1, 1, 5, 7, 1], |_| 0), scene([1, 1, 1, 7, 5, 1], |_| 0));
        let found = compare(&a, &b, 1).unwrap();
        assert!(!found.is_equal() && found.different.is_none());
        assert_eq!(found.shapes, [[1, 1, 1, 5, 7], [1, 1, 1, 7, 5]]);
    }
}

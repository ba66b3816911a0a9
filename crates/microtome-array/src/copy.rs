//! Copying a box of pixels between arrays.

use crate::{ArrayError, Axis, PerAxis, PixelType, PixelsMut, PixelsRef, Region, Shape};

/// Copies `region` from `source` to `target`; both are boxes of one larger array, given by their first pixel in it.
///
/// Axes of equal extent at the fast end are copied as one run, so a copy of whole planes is one `memcpy` a plane.
///
/// # Errors
/// [`ArrayError::OutOfBounds`] if the region does not lie in both, [`ArrayError::PixelType`] if their types differ.
///
/// # Examples
/// ```
/// use microtome_array::{copy_region, ArraySpec, PerAxis, Pixels, PixelType, Region, Shape};
/// let spec = |y, x| Ok::<_, microtome_array::ArrayError>(ArraySpec { shape: Shape::new([1, 1, 1, y, x, 1])?, dtype: PixelType::U8 });
/// let mut source = Pixels::zeroed(spec(2, 2)?);
/// source.as_mut().bytes().copy_from_slice(&[1, 2, 3, 4]);
/// let mut target = Pixels::zeroed(spec(3, 3)?);
/// let at = PerAxis([0, 0, 0, 1, 1, 0]); // the source lies at y=1, x=1 of the whole
/// let region = source.spec().shape.region().shifted(&at);
/// copy_region(source.as_ref(), &at, &mut target.as_mut(), &PerAxis::splat(0), &region)?;
/// assert_eq!(target.as_ref().bytes(), [0, 0, 0, 0, 1, 2, 0, 3, 4]);
/// # Ok::<(), microtome_array::ArrayError>(())
/// ```
pub fn copy_region(
    source: PixelsRef<'_>,
    source_at: &PerAxis<u64>,
    target: &mut PixelsMut<'_>,
    target_at: &PerAxis<u64>,
    region: &Region,
) -> Result<(), ArrayError> {
    if source.dtype() != target.dtype() {
        return Err(ArrayError::PixelType { expected: target.dtype(), found: source.dtype() });
    }
    let from = place(source.shape(), source_at, region)?;
    let to = place(target.shape(), target_at, region)?;
    if region.is_empty() {
        return Ok(());
    }
    let walk = Walk::new(&from, &to, region.shape(), source.dtype());
    walk.run(source.bytes(), target.bytes());
    Ok(())
}

/// Where a region starts in a buffer, and the buffer's extents.
struct Place {
    shape: Shape,
    start: PerAxis<u64>,
}

fn place(shape: Shape, at: &PerAxis<u64>, region: &Region) -> Result<Place, ArrayError> {
    for axis in Axis::ALL {
        let inside = region.start(axis) >= at[axis] && region.end(axis) - at[axis] <= shape.get(axis);
        if !inside {
            let (start, end) = (region.start(axis), region.end(axis));
            return Err(ArrayError::OutOfBounds { axis, start, end, extent: at[axis] + shape.get(axis) });
        }
    }
    Ok(Place { shape, start: PerAxis::from_fn(|a| region.start(a) - at[a]) })
}

/// A copy as runs of `run` bytes, repeated along the outer axes.
struct Walk {
    counts: PerAxis<usize>,
    from_stride: PerAxis<usize>,
    to_stride: PerAxis<usize>,
    from: usize,
    to: usize,
    run: usize,
}

impl Walk {
    fn new(from: &Place, to: &Place, extent: Shape, dtype: PixelType) -> Walk {
        let from_stride = strides(from.shape, dtype);
        let to_stride = strides(to.shape, dtype);
        let mut counts = PerAxis(extent.dims());
        let mut run = dtype.size();
        for axis in Axis::ALL.into_iter().rev() {
            run *= counts[axis];
            let whole = extent.get(axis) == from.shape.get(axis) && extent.get(axis) == to.shape.get(axis);
            counts[axis] = 1;
            if !whole {
                break;
            }
        }
        let offset = |p: &Place, s: &PerAxis<usize>| Axis::ALL.iter().map(|&a| p.start[a] as usize * s[a]).sum();
        Walk { counts, from: offset(from, &from_stride), to: offset(to, &to_stride), from_stride, to_stride, run }
    }

    fn run(&self, source: &[u8], target: &mut [u8]) {
        let n = &self.counts.0;
        let at = |strides: &PerAxis<usize>, i: [usize; 5]| i.iter().zip(&strides.0).map(|(i, s)| i * s).sum::<usize>();
        for t in 0..n[0] {
            for c in 0..n[1] {
                for z in 0..n[2] {
                    for y in 0..n[3] {
                        for x in 0..n[4] {
                            let index = [t, c, z, y, x];
                            let from = self.from + at(&self.from_stride, index);
                            let to = self.to + at(&self.to_stride, index);
                            target[to..to + self.run].copy_from_slice(&source[from..from + self.run]);
                        }
                    }
                }
            }
        }
    }
}

fn strides(shape: Shape, dtype: PixelType) -> PerAxis<usize> {
    let mut step = dtype.size();
    let mut out = PerAxis::splat(0);
    for axis in Axis::ALL.into_iter().rev() {
        out[axis] = step;
        step *= shape.get(axis) as usize;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArraySpec, Pixels};
    use proptest::prelude::*;

    fn numbered(shape: Shape) -> Pixels {
        let mut pixels = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::U32 });
        for (n, value) in pixels.as_mut().slice_mut::<u32>().unwrap().iter_mut().enumerate() {
            *value = n as u32 + 1;
        }
        pixels
    }

    #[test]
    fn a_region_outside_is_an_error() {
        let source = numbered(Shape::new([1, 1, 1, 2, 2, 1]).unwrap());
        let mut target = numbered(Shape::new([1, 1, 1, 2, 2, 1]).unwrap());
        let region = Shape::new([1, 1, 1, 3, 2, 1]).unwrap().region();
        let zero = PerAxis::splat(0);
        assert!(copy_region(source.as_ref(), &zero, &mut target.as_mut(), &zero, &region).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_a_loop_over_pixels(
            extents in proptest::array::uniform6(1u64..5),
            a in proptest::array::uniform6(0u64..5), b in proptest::array::uniform6(0u64..5),
        ) {
            let whole = numbered(Shape::new(extents).unwrap());
            let start = PerAxis::from_fn(|x| a[x.index()].min(b[x.index()]).min(extents[x.index()]));
            let end = PerAxis::from_fn(|x| a[x.index()].max(b[x.index()]).min(extents[x.index()]));
            let region = Region::new(start, end).unwrap();
            let mut part = Pixels::zeroed(ArraySpec { shape: region.shape(), dtype: PixelType::U32 });
            copy_region(whole.as_ref(), &PerAxis::splat(0), &mut part.as_mut(), &start, &region).unwrap();
            let values = part.as_ref().slice::<u32>().unwrap();
            let mut n = 0;
            for index in crate::ChunkGrid::new(region.shape(), Shape::new([1; 6]).unwrap()).unwrap().all().iter() {
                let linear = Axis::ALL.iter().fold(0, |l, &x| l * extents[x.index()] + start[x] + index[x]);
                prop_assert_eq!(values[n], linear as u32 + 1);
                n += 1;
            }
            prop_assert_eq!(n, values.len());
        }
    }
}

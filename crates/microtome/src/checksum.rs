//! A hash of an image's pixels that any other tool can make too: sha256 of the values in C order, little-endian.

use microtome_array::{ArrayError, ArraySpec, Axis, BufferPool, PerAxis, Pixels, PixelsRef, Region, Shape};
use microtome_io::{Place, ReadContext, ReadError, Reader};
use sha2::{Digest, Sha256};

/// An order of axes to hash in. A letter that is no axis (I, Q) stands for pages in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisOrder {
    order: Vec<Axis>,
    pages: bool,
}

impl Default for AxisOrder {
    /// T C Z Y X S.
    fn default() -> Self {
        AxisOrder { order: Axis::ALL.to_vec(), pages: false }
    }
}

impl AxisOrder {
    /// Parses `TZCYX`, `SYX`, `IYXS` … Axes that are not named come first; they should have length 1.
    ///
    /// # Errors
    /// [`ArrayError::DuplicateAxis`] if an axis is named twice.
    ///
    /// # Examples
    /// ```
    /// use microtome::checksum::AxisOrder;
    /// assert!(AxisOrder::parse("TZCYX").is_ok());
    /// assert!(AxisOrder::parse("YYX").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<AxisOrder, ArrayError> {
        let mut named = Vec::new();
        let mut pages = false;
        for letter in text.chars() {
            match Axis::parse(letter) {
                Ok(axis) if named.contains(&axis) => {
                    return Err(ArrayError::DuplicateAxis { axis, text: text.to_owned() });
                }
                Ok(axis) => named.push(axis),
                Err(_) if letter.is_ascii_alphabetic() => pages = true,
                Err(error) => return Err(error),
            }
        }
        let missing = Axis::ALL.into_iter().filter(|a| !named.contains(a));
        let order = missing.chain(named.iter().copied()).collect();
        Ok(AxisOrder { order, pages })
    }

    /// The order for a scene whose pages follow each other in `page_order`, fastest first.
    fn resolve(&self, page_order: [Axis; 3]) -> Vec<Axis> {
        if !self.pages {
            return self.order.clone();
        }
        let slow_first = page_order.into_iter().rev();
        slow_first.chain(self.order.iter().copied().filter(|a| !page_order.contains(a))).collect()
    }
}

/// Bytes of pixels read at a time.
const SLAB: u64 = 32 << 20;

/// The sha256 of a scene's pixels at full resolution, as lower-case hex. Memory stays below about 100 MiB, or three
/// rows of stored tiles where these are larger.
///
/// # Errors
/// [`ReadError`] if a pixel cannot be read.
pub fn checksum(reader: &dyn Reader, scene: usize, order: &AxisOrder) -> Result<String, ReadError> {
    let at = Place { scene, level: 0 };
    let (info, level) = reader.level(at)?;
    let order = order.resolve(info.page_order);
    let spec = ArraySpec { shape: level.shape, dtype: info.dtype };
    let slab = slab(&spec, &order, &level.storage.granule);
    let pool = BufferPool::new(4 * SLAB);
    let mut hash = Sha256::new();
    for part in walk(&spec.shape, &order, &slab) {
        // Readers give all samples of a pixel; where the order wants one sample at a time the others are passed over.
        let region = part.with(Axis::S, 0, spec.shape.get(Axis::S));
        let mut pixels = Pixels::from_pool(ArraySpec { shape: region.shape(), dtype: spec.dtype }, &pool);
        reader.read(at, &region, &mut pixels.as_mut(), &ReadContext { pool: &pool })?;
        feed(&mut hash, pixels.as_ref(), &order, part.start(Axis::S)..part.end(Axis::S));
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// The extents of a slab: axes from the fast end whole while they fit, the next one cut, those before it one pixel.
fn slab(spec: &ArraySpec, order: &[Axis], granule: &Shape) -> PerAxis<u64> {
    let mut extents = PerAxis::splat(1);
    let mut bytes = spec.dtype.size() as u64;
    for &axis in order.iter().rev() {
        let extent = spec.shape.get(axis).max(1);
        let room = (SLAB / bytes.max(1)).max(1);
        let step = granule.get(axis).clamp(1, extent);
        // Whole stored tiles, so that none is decoded for each of its rows.
        extents[axis] = if room >= extent { extent } else { (room / step * step).max(step) };
        bytes *= extents[axis];
        if extents[axis] < extent {
            break;
        }
    }
    extents
}

/// The slabs in the order of hashing.
fn walk(shape: &Shape, order: &[Axis], slab: &PerAxis<u64>) -> impl Iterator<Item = Region> {
    let counts = PerAxis::from_fn(|a| shape.get(a).div_ceil(slab[a]));
    let total: u64 = counts.0.iter().product();
    let (order, shape, slab) = (order.to_vec(), *shape, *slab);
    (0..total).map(move |mut n| {
        order.iter().rev().fold(shape.region(), |region, &axis| {
            let start = n % counts[axis] * slab[axis];
            n /= counts[axis];
            region.with(axis, start, shape.get(axis).min(start + slab[axis]))
        })
    })
}

/// Hashes a slab's values in the order of axes.
fn feed(hash: &mut Sha256, pixels: PixelsRef<'_>, order: &[Axis], samples: std::ops::Range<u64>) {
    let extents = pixels.shape();
    let natural = Axis::ALL.into_iter().filter(|&a| extents.get(a) > 1);
    let wanted = order.iter().copied().filter(|&a| extents.get(a) > 1);
    if natural.eq(wanted) && cfg!(target_endian = "little") && samples.end - samples.start == extents.get(Axis::S) {
        hash.update(pixels.bytes());
        return;
    }
    let size = pixels.dtype().size();
    let dims: Vec<usize> = Axis::ALL.iter().map(|&a| extents.get(a) as usize).chain([size]).collect();
    let axes: Vec<usize> = order.iter().map(|a| a.index()).chain([6]).collect();
    // The length was checked when the pixels were made.
    let Ok(mut view) = ndarray::ArrayViewD::from_shape(dims, pixels.bytes()) else { return };
    view.slice_axis_inplace(ndarray::Axis(5), (samples.start as usize..samples.end as usize).into());
    let permuted = view.permuted_axes(axes);
    let copy = permuted.as_standard_layout();
    if let Some(bytes) = copy.as_slice() {
        hash.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::PixelType;
    use microtome_io::{SyntheticReader, read_region};

    fn synthetic(extents: [u64; 6]) -> SyntheticReader {
        SyntheticReader::new(ArraySpec { shape: Shape::new(extents).unwrap(), dtype: PixelType::U16 })
    }

    /// The order spelled out as loops over pixels.
    fn naive(reader: &SyntheticReader, order: [Axis; 6]) -> String {
        let shape = reader.info().scenes[0].shape();
        let pixels = read_region(reader, Place::default(), &shape.region()).unwrap();
        let values = pixels.as_ref().slice::<u16>().unwrap();
        let mut hash = Sha256::new();
        for region in walk(&shape, &order, &PerAxis::splat(1)) {
            let linear = Axis::ALL.iter().fold(0, |n, &a| n * shape.get(a) + region.start(a));
            hash.update(values[linear as usize].to_le_bytes());
        }
        format!("{:x}", hash.finalize())
    }

    #[test]
    fn any_order_equals_loops_over_pixels() {
        use Axis::{C, S, T, X, Y, Z};
        let reader = synthetic([2, 3, 4, 5, 6, 3]);
        for order in [[T, C, Z, Y, X, S], [T, Z, C, Y, X, S], [S, T, C, Z, Y, X], [X, Y, S, Z, C, T]] {
            let text: String = order.iter().map(|a| a.letter()).collect();
            let got = checksum(&reader, 0, &AxisOrder::parse(&text).unwrap()).unwrap();
            assert_eq!(got, naive(&reader, order), "{text}");
        }
    }

    #[test]
    fn slabs_of_a_large_image_come_in_order() {
        use Axis::{C, S, T, X, Y, Z};
        let shape = Shape::new([3, 1, 2, 5000, 4000, 3]).unwrap();
        let spec = ArraySpec { shape, dtype: PixelType::U16 };
        for order in [[T, C, Z, Y, X, S], [S, T, C, Z, Y, X], [T, Z, C, S, Y, X]] {
            let slab = slab(&spec, &order, &Shape::new([1, 1, 1, 256, 256, 3]).unwrap());
            assert!(slab.0.iter().product::<u64>() * 2 <= 2 * SLAB);
            let regions: Vec<Region> = walk(&shape, &order, &slab).collect();
            assert_eq!(regions.iter().map(|r| r.shape().pixels()).sum::<u64>(), shape.pixels());
            let key = |r: &Region| order.map(|a| r.start(a));
            assert!(regions.windows(2).all(|w| key(&w[0]) < key(&w[1])), "{order:?}");
            let cut = order.iter().position(|&a| slab[a] > 1).unwrap();
            assert!(order[cut + 1..].iter().all(|&a| slab[a] == shape.get(a)), "axes behind the cut one are whole");
        }
    }

    #[test]
    fn pages_come_in_file_order() {
        let reader = synthetic([2, 3, 4, 2, 2, 1]);
        let pages = checksum(&reader, 0, &AxisOrder::parse("IYX").unwrap()).unwrap();
        assert_eq!(pages, checksum(&reader, 0, &AxisOrder::parse("TCZYX").unwrap()).unwrap());
    }
}

//! How an output is cut into stored chunks and shards, and what its files are called.
//!
//! *Invariant:* the layout depends on the image and on what the user asked for, never on memory, threads or paths.

use microtome_array::{ArraySpec, Axis, ChunkGrid, ChunkIndex, PerAxis, Shape};

use crate::{NgffVersion, ShardChoice, ZarrOptions};

/// Longest edge of a default chunk, in pixels.
const EDGE: u64 = 1024;
/// Most bytes of pixels in a default shard.
const SHARD_BYTES: u64 = 32 << 20;

/// A layout in the axes of the array it stores; chunk and shard are whole along S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The array as it comes.
    pub(crate) array: ArraySpec,
    /// Stored chunk, never longer than the array.
    pub(crate) chunk: Shape,
    /// Shard as its metadata say: a multiple of the chunk, maybe longer than the array.
    pub(crate) shard: Option<Shape>,
    /// What names its files.
    pub(crate) version: NgffVersion,
}

impl Layout {
    /// The layout of an array under some options, or what does not fit.
    pub(crate) fn new(array: ArraySpec, options: &ZarrOptions) -> Result<Layout, String> {
        let chunk = match options.chunk {
            Some(chunk) => cut(&chunk, &array.shape)?,
            None => default_chunk(&array),
        };
        let version = options.version;
        let shard = match options.shard {
            ShardChoice::Shape(_) if version == NgffVersion::V04 => {
                return Err("OME-Zarr 0.4 has no shards; leave the shape of shards out, or write 0.5".to_owned());
            }
            ShardChoice::Auto if version == NgffVersion::V04 => None,
            ShardChoice::Auto => default_shard(&array, &chunk),
            ShardChoice::None => None,
            ShardChoice::Shape(shape) => Some(asked_shard(&array, &chunk, &cut(&shape, &array.shape)?)?),
        };
        Ok(Layout { array, chunk, shard: shard.filter(|s| *s != chunk), version })
    }

    /// What one file holds.
    pub(crate) fn unit(&self) -> Shape {
        self.shard.unwrap_or(self.chunk)
    }

    /// Number of stored chunks along each axis of a shard; 1 where there are no shards.
    pub(crate) fn parts(&self) -> PerAxis<u64> {
        PerAxis::from_fn(|a| self.unit().get(a) / self.chunk.get(a))
    }

    /// Bytes of one stored chunk before compression.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.chunk.bytes(self.array.dtype) as usize
    }

    /// Strides of a pixel in a stored chunk, whose axes are T, C and S as one, Z, Y, X.
    pub(crate) fn chunk_strides(&self) -> PerAxis<usize> {
        let mut step = self.array.dtype.size();
        let mut strides = PerAxis::splat(0);
        for axis in [Axis::X, Axis::Y, Axis::Z, Axis::S, Axis::C, Axis::T] {
            strides[axis] = step;
            step *= self.chunk.get(axis) as usize;
        }
        strides
    }

    /// The name of a unit's file below its array: `c/0/0/3/0/0`, in Zarr v2 without the `c`.
    pub(crate) fn key(&self, unit: &ChunkIndex) -> String {
        let [t, c, z, y, x, _] = unit.0;
        let prefix = if self.version == NgffVersion::V05 { "c/" } else { "" };
        format!("{prefix}{t}/{c}/{z}/{y}/{x}")
    }
}

/// Extents T, C, Z, Y, X as stored: NGFF knows no samples, so they are channels, the fastest of two.
pub(crate) fn folded(shape: &Shape) -> [u64; 5] {
    let [t, c, z, y, x, s] = shape.extents();
    [t, c * s, z, y, x]
}

/// The stored chunk and the shard that an array gets by default: a plane cut to at most 1024 × 1024 pixels, with all
/// samples; and whole planes along Z up to 32 MiB of pixels a shard (part of a plane where one plane is larger), or no
/// shard where it would hold a single chunk. Planes are dealt out evenly: 9 of at most 8 become 5 and 4.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, PixelType, Shape};
/// let array = |e| Ok::<_, microtome_array::ArrayError>(ArraySpec { shape: Shape::new(e)?, dtype: PixelType::U16 });
/// let (chunk, shard) = microtome_zarr::default_layout(&array([1, 2, 40, 2048, 2048, 1])?);
/// assert_eq!(chunk.extents(), [1, 1, 1, 1024, 1024, 1]);
/// assert_eq!(shard.unwrap().extents(), [1, 1, 4, 2048, 2048, 1]); // 32 MiB
/// let (chunk, shard) = microtome_zarr::default_layout(&array([5, 1, 1, 300, 400, 3])?);
/// assert_eq!((chunk.extents(), shard), ([1, 1, 1, 300, 400, 3], None));
/// # Ok::<(), microtome_array::ArrayError>(())
/// ```
pub fn default_layout(array: &ArraySpec) -> (Shape, Option<Shape>) {
    let chunk = default_chunk(array);
    (chunk, default_shard(array, &chunk))
}

fn default_chunk(array: &ArraySpec) -> Shape {
    let edge = |a: Axis| array.shape.get(a).clamp(1, EDGE);
    let extents = [1, 1, 1, edge(Axis::Y), edge(Axis::X), array.shape.get(Axis::S).max(1)];
    Shape::new(extents).unwrap_or(array.shape)
}

/// Takes chunks into the shard along X, then Y, then Z, each axis whole before the next is begun.
fn default_shard(array: &ArraySpec, chunk: &Shape) -> Option<Shape> {
    let mut shard = PerAxis(chunk.extents());
    let mut room = SHARD_BYTES / chunk.bytes(array.dtype).max(1);
    for axis in [Axis::X, Axis::Y, Axis::Z] {
        let there = array.shape.get(axis).div_ceil(chunk.get(axis)).max(1);
        let most = room.clamp(1, there);
        let even = there.div_ceil(there.div_ceil(most));
        shard[axis] = even * chunk.get(axis);
        room /= even;
        if even < there {
            break;
        }
    }
    let shard = Shape::new(shard.0).ok()?;
    (shard != *chunk).then_some(shard)
}

/// An asked-for shape, not longer than the array, whole along S.
fn cut(asked: &Shape, array: &Shape) -> Result<Shape, String> {
    let whole = asked.with(Axis::S, array.get(Axis::S).max(1)).map_err(|e| e.to_string())?;
    Ok(ChunkGrid::new(*array, whole).map_err(|e| e.to_string())?.chunk())
}

/// An asked-for shard as stored: on an axis that it covers whole, rounded up to a multiple of the chunk.
fn asked_shard(array: &ArraySpec, chunk: &Shape, asked: &Shape) -> Result<Shape, String> {
    let mut shard = PerAxis(asked.extents());
    for axis in Axis::ALL {
        let (part, extent) = (chunk.get(axis), shard[axis]);
        if !extent.is_multiple_of(part) {
            if extent < array.shape.get(axis) {
                return Err(format!(
                    "a shard of {extent} along {axis} is no multiple of the chunk, {part}; give {} or {}",
                    (extent / part).max(1) * part,
                    extent.div_ceil(part) * part
                ));
            }
            shard[axis] = extent.div_ceil(part) * part;
        }
    }
    Shape::new(shard.0).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::PixelType;

    fn array(extents: [u64; 6]) -> ArraySpec {
        ArraySpec { shape: Shape::new(extents).unwrap(), dtype: PixelType::U16 }
    }

    fn shard(extents: [u64; 6]) -> Option<[u64; 6]> {
        default_layout(&array(extents)).1.map(|s| s.extents())
    }

    #[test]
    fn a_default_shard_holds_at_most_32_mib_and_more_than_one_chunk() {
        assert_eq!(shard([2, 2, 9, 1024, 2048, 1]), Some([1, 1, 5, 1024, 2048, 1]));
        assert_eq!(shard([9, 9, 1, 1000, 1000, 1]), None);
        assert_eq!(shard([1, 1, 60, 100, 120, 1]), Some([1, 1, 60, 100, 120, 1]));
        assert_eq!(shard([1, 1, 3, 5000, 5000, 1]), Some([1, 1, 1, 3072, 5120, 1]));
        assert_eq!(shard([1, 1, 3, 100_000, 100_000, 1]), Some([1, 1, 1, 1024, 14 * 1024, 1]));
    }

    #[test]
    fn a_shard_that_parts_a_chunk_is_refused_with_the_two_that_do_not() {
        let part = |y| ZarrOptions {
            chunk: Some(Shape::new([1, 1, 1, 64, 64, 1]).unwrap()),
            shard: ShardChoice::Shape(Shape::new([1, 1, 1, y, 64, 1]).unwrap()),
            ..ZarrOptions::default()
        };
        let refused = Layout::new(array([1, 1, 1, 200, 64, 1]), &part(100)).unwrap_err();
        assert!(refused.contains("give 64 or 128"), "{refused}");
        let whole = Layout::new(array([1, 1, 1, 200, 64, 1]), &part(999)).unwrap();
        assert_eq!(whole.shard.unwrap().get(Axis::Y), 256);
    }
}

//! Regular grids of chunks, with ragged far edges.

use serde::{Deserialize, Serialize};

use crate::corners::without;
use crate::{ArrayError, Axis, PerAxis, Region, Shape};

/// Position of a chunk in its grid, counted in chunks.
pub type ChunkIndex = PerAxis<u64>;

/// A shape cut into chunks of equal extents; chunks on a far edge are cut to the array.
///
/// *Invariant:* no extent of a chunk is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cut", into = "Cut")]
pub struct ChunkGrid {
    shape: Shape,
    chunk: Shape,
    /// Chunks along each axis: asked for with every index.
    counts: PerAxis<u64>,
}

/// A grid as it comes from a text: not checked yet.
#[derive(Serialize, Deserialize)]
struct Cut {
    shape: Shape,
    chunk: Shape,
}

impl TryFrom<Cut> for ChunkGrid {
    type Error = ArrayError;
    fn try_from(cut: Cut) -> Result<ChunkGrid, ArrayError> {
        ChunkGrid::new(cut.shape, cut.chunk)
    }
}

impl From<ChunkGrid> for Cut {
    fn from(grid: ChunkGrid) -> Cut {
        Cut { shape: grid.shape, chunk: grid.chunk }
    }
}

impl ChunkGrid {
    /// A grid over `shape` with chunks of extents `chunk`; a chunk longer than the array is cut to it.
    ///
    /// # Errors
    /// [`ArrayError::EmptyChunk`] if a chunk extent is 0.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{Axis, ChunkGrid, PerAxis, Shape};
    /// let grid = ChunkGrid::new(Shape::new([1, 1, 5, 1000, 700, 1])?, Shape::new([1, 1, 1, 512, 512, 1])?)?;
    /// assert_eq!(grid.count(), 5 * 2 * 2);
    /// let corner = grid.region(&PerAxis([0, 0, 4, 1, 1, 0])).unwrap();
    /// assert_eq!((corner.len(Axis::Y), corner.len(Axis::X)), (488, 188));
    /// assert_eq!(grid.region(&PerAxis([0, 0, 5, 0, 0, 0])), None);
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn new(shape: Shape, chunk: Shape) -> Result<ChunkGrid, ArrayError> {
        if let Some(axis) = Axis::ALL.into_iter().find(|&a| chunk.get(a) == 0) {
            return Err(ArrayError::EmptyChunk { axis });
        }
        let cut = PerAxis::from_fn(|a| chunk.get(a).min(shape.get(a).max(1)));
        let counts = PerAxis::from_fn(|a| ceil_div(shape.get(a), cut[a]));
        // No longer than a chunk that was checked.
        Ok(ChunkGrid { shape, chunk: Shape::checked(cut), counts })
    }

    /// The array's shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The shape of a chunk away from the edges.
    pub fn chunk(&self) -> Shape {
        self.chunk
    }

    /// Number of chunks along each axis.
    pub fn counts(&self) -> PerAxis<u64> {
        self.counts
    }

    /// Number of chunks in all.
    pub fn count(&self) -> u64 {
        self.counts().0.iter().product()
    }

    /// The box of all chunk indices.
    pub fn all(&self) -> IndexBox {
        IndexBox { start: PerAxis::splat(0), end: self.counts() }
    }

    /// The pixels of the chunk at `index`, or `None` past the last chunk of any axis. O(1).
    pub fn region(&self, index: &ChunkIndex) -> Option<Region> {
        if Axis::ALL.iter().any(|&a| index[a] >= self.counts[a]) {
            return None;
        }
        let start = PerAxis::from_fn(|a| index[a] * self.chunk.get(a));
        let end = PerAxis::from_fn(|a| (start[a] + self.chunk.get(a)).min(self.shape.get(a)));
        Some(Region::inside(start, end, &self.shape))
    }

    /// The chunk indices that share pixels with `region`. O(1).
    pub fn covering(&self, region: &Region) -> IndexBox {
        if region.is_empty() {
            return IndexBox { start: PerAxis::splat(0), end: PerAxis::splat(0) };
        }
        IndexBox {
            start: PerAxis::from_fn(|a| floor_div(region.start(a), self.chunk.get(a)).min(self.counts[a])),
            end: PerAxis::from_fn(|a| ceil_div(region.end(a), self.chunk.get(a)).min(self.counts[a])),
        }
    }

    /// The pixels of a box of chunks.
    pub fn box_region(&self, chunks: &IndexBox) -> Region {
        let edge = |n: u64, a: Axis| (n * self.chunk.get(a)).min(self.shape.get(a));
        let start = PerAxis::from_fn(|a| edge(chunks.start[a], a));
        let end = PerAxis::from_fn(|a| edge(chunks.end[a], a).max(start[a]));
        Region::inside(start, end, &self.shape)
    }

    /// Position of a chunk in C order (X and S fastest).
    pub fn linear(&self, index: &ChunkIndex) -> u64 {
        Axis::ALL.iter().fold(0, |n, &a| n * self.counts[a] + index[a])
    }

    /// The chunk at a position in C order; inverse of [`ChunkGrid::linear`].
    pub fn index(&self, linear: u64) -> ChunkIndex {
        self.all().nth(linear)
    }
}

/// A half-open box of chunk indices, counted and walked in C order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IndexBox {
    /// First index on each axis.
    pub start: ChunkIndex,
    /// One past the last index on each axis.
    pub end: ChunkIndex,
}

impl IndexBox {
    /// Number of indices. O(1).
    pub fn count(&self) -> u64 {
        self.lens().0.iter().product()
    }

    /// Number of indices along each axis.
    pub fn lens(&self) -> PerAxis<u64> {
        PerAxis::from_fn(|a| self.end[a].saturating_sub(self.start[a]))
    }

    /// Whether the box holds no index.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Whether `index` lies inside.
    pub fn contains(&self, index: &ChunkIndex) -> bool {
        Axis::ALL.iter().all(|&a| self.start[a] <= index[a] && index[a] < self.end[a])
    }

    /// The common part of two boxes (maybe empty).
    #[must_use]
    pub fn intersect(&self, other: &IndexBox) -> IndexBox {
        IndexBox {
            start: PerAxis::from_fn(|a| self.start[a].max(other.start[a])),
            end: PerAxis::from_fn(|a| self.end[a].min(other.end[a])),
        }
    }

    /// What is left without another box, as boxes that do not overlap: at most two an axis.
    pub fn without(&self, hole: &IndexBox) -> impl Iterator<Item = IndexBox> + use<> {
        let parts = without((self.start, self.end), (hole.start, hole.end));
        parts.map(|(start, end)| IndexBox { start, end })
    }

    /// The index at a position in C order. O(1).
    ///
    /// # Panics
    /// If the box is empty along an axis: a bug in the caller.
    pub fn nth(&self, mut linear: u64) -> ChunkIndex {
        let lens = self.lens();
        let mut out = self.start;
        for axis in Axis::ALL.into_iter().rev() {
            if lens[axis] != 1 {
                out[axis] += linear % lens[axis];
                linear /= lens[axis];
            }
        }
        out
    }

    /// All indices in C order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + use<> {
        let this = *self;
        let mut next = this.start;
        (0..this.count()).map(move |_| {
            let after = this.after(&next);
            std::mem::replace(&mut next, after)
        })
    }

    /// The index after one in C order; the first after the last.
    fn after(&self, index: &ChunkIndex) -> ChunkIndex {
        let mut out = *index;
        for axis in Axis::ALL.into_iter().rev() {
            out[axis] += 1;
            if out[axis] < self.end[axis] {
                break;
            }
            out[axis] = self.start[axis];
        }
        out
    }
}

/// `n / by`, rounded down. Most axes have one chunk or chunks of one pixel, and a division is the dearest thing here.
fn floor_div(n: u64, by: u64) -> u64 {
    match by {
        1 => n,
        _ if n < by => 0,
        _ => n / by,
    }
}

/// `n / by`, rounded up.
fn ceil_div(n: u64, by: u64) -> u64 {
    match by {
        1 => n,
        _ if n <= by => u64::from(n > 0),
        _ => n.div_ceil(by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(shape: [u64; 6], chunk: [u64; 6]) -> ChunkGrid {
        ChunkGrid::new(Shape::new(shape).unwrap(), Shape::new(chunk).unwrap()).unwrap()
    }

    #[test]
    fn an_empty_array_has_no_chunk() {
        let grid = grid([1, 0, 1, 4, 4, 1], [1, 1, 1, 2, 2, 1]);
        assert_eq!(grid.count(), 0);
        assert!(grid.all().is_empty());
    }

    proptest! {
        #[test]
        fn chunks_tile_the_array_exactly(shape in proptest::array::uniform6(0u64..7), chunk in proptest::array::uniform6(1u64..5)) {
            let grid = grid(shape, chunk);
            let pixels: u64 = grid.all().iter().map(|i| grid.region(&i).unwrap().shape().pixels()).sum();
            prop_assert_eq!(pixels, grid.shape().pixels());
        }

        #[test]
        fn linear_and_index_are_inverse(shape in proptest::array::uniform6(1u64..6), chunk in proptest::array::uniform6(1u64..5)) {
            let grid = grid(shape, chunk);
            for n in 0..grid.count() {
                prop_assert_eq!(grid.linear(&grid.index(n)), n);
            }
        }

        #[test]
        fn a_box_is_walked_in_c_order(a in proptest::array::uniform6(0u64..4), b in proptest::array::uniform6(0u64..4)) {
            let chunks = IndexBox { start: PerAxis(a), end: PerAxis(b) };
            let walked: Vec<_> = chunks.iter().collect();
            prop_assert_eq!(walked, (0..chunks.count()).map(|n| chunks.nth(n)).collect::<Vec<_>>());
        }

        #[test]
        fn covering_names_just_the_chunks_that_overlap(
            shape in proptest::array::uniform6(1u64..6), chunk in proptest::array::uniform6(1u64..5),
            a in proptest::array::uniform6(0u64..6), b in proptest::array::uniform6(0u64..6),
        ) {
            let grid = grid(shape, chunk);
            let start = PerAxis::from_fn(|x| a[x.index()].min(b[x.index()]).min(shape[x.index()]));
            let end = PerAxis::from_fn(|x| a[x.index()].max(b[x.index()]).min(shape[x.index()]));
            let region = Region::new(start, end).unwrap();
            let covering = grid.covering(&region);
            for index in grid.all().iter() {
                let overlaps = !grid.region(&index).unwrap().intersect(&region).is_empty();
                prop_assert_eq!(covering.contains(&index), overlaps);
            }
        }
    }
}

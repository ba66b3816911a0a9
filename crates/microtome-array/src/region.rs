//! Half-open boxes of pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::corners::without;
use crate::{ArrayError, Axis, PerAxis, Shape};

/// A half-open box in pixels: `start` up to, not including, `end` on each axis.
///
/// *Invariant:* its extents are a valid [`Shape`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Corners")]
pub struct Region {
    start: PerAxis<u64>,
    end: PerAxis<u64>,
}

/// A region as it comes from a text: not checked yet.
#[derive(Deserialize)]
struct Corners {
    start: PerAxis<u64>,
    end: PerAxis<u64>,
}

impl TryFrom<Corners> for Region {
    type Error = ArrayError;
    fn try_from(corners: Corners) -> Result<Region, ArrayError> {
        Region::new(corners.start, corners.end)
    }
}

impl Region {
    /// A region from its two corners.
    ///
    /// # Errors
    /// [`ArrayError::OutOfBounds`] if it ends before it starts on an axis.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{Axis, PerAxis, Region};
    /// let region = Region::new(PerAxis::splat(0).with(Axis::Y, 10), PerAxis::splat(1).with(Axis::Y, 30))?;
    /// assert_eq!(region.len(Axis::Y), 20);
    /// assert_eq!(region.shape().pixels(), 20);
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn new(start: PerAxis<u64>, end: PerAxis<u64>) -> Result<Region, ArrayError> {
        for axis in Axis::ALL {
            if end[axis] < start[axis] {
                return Err(ArrayError::OutOfBounds { axis, start: start[axis], end: end[axis], extent: end[axis] });
            }
        }
        Shape::new(PerAxis::from_fn(|a| end[a] - start[a]).0)?;
        Ok(Region { start, end })
    }

    /// All of an array of this shape.
    pub fn of(shape: Shape) -> Region {
        Region { start: PerAxis::splat(0), end: PerAxis(shape.extents()) }
    }

    /// A region that lies in an array.
    pub(crate) fn inside(start: PerAxis<u64>, end: PerAxis<u64>, shape: &Shape) -> Region {
        debug_assert!(Axis::ALL.iter().all(|&a| start[a] <= end[a] && end[a] <= shape.get(a)), "the caller cut it");
        Region { start, end }
    }

    /// First pixel on an axis.
    pub fn start(&self, axis: Axis) -> u64 {
        self.start[axis]
    }

    /// One past the last pixel on an axis.
    pub fn end(&self, axis: Axis) -> u64 {
        self.end[axis]
    }

    /// Extent on an axis in pixels.
    pub fn len(&self, axis: Axis) -> u64 {
        self.end[axis] - self.start[axis]
    }

    /// The first corner.
    pub fn origin(&self) -> PerAxis<u64> {
        self.start
    }

    /// Extents as a shape.
    pub fn shape(&self) -> Shape {
        Shape::checked(PerAxis::from_fn(|a| self.len(a)))
    }

    /// Whether the region holds no pixel.
    pub fn is_empty(&self) -> bool {
        Axis::ALL.iter().any(|&a| self.len(a) == 0)
    }

    /// This region with another range on one axis.
    ///
    /// # Panics
    /// If `end < start`, or the range is longer than what `Shape` allows: a bug in the caller.
    #[must_use]
    pub fn with(&self, axis: Axis, start: u64, end: u64) -> Region {
        assert!(start <= end, "range {start}..{end} of axis {axis} ends before it starts");
        let out = Region { start: self.start.with(axis, start), end: self.end.with(axis, end) };
        if end - start > self.len(axis) {
            Shape::new(PerAxis::from_fn(|a| out.len(a)).0).expect("the caller asks for a valid shape");
        }
        out
    }

    /// The common part of two regions; empty (start = end) on an axis where they are apart.
    #[must_use]
    pub fn intersect(&self, other: &Region) -> Region {
        let start = PerAxis::from_fn(|a| self.start[a].max(other.start[a]));
        let end = PerAxis::from_fn(|a| self.end[a].min(other.end[a]).max(start[a]));
        Region { start, end }
    }

    /// What is left without another region, as boxes that do not overlap: at most two an axis.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{Axis, Shape};
    /// let plane = Shape::new([1, 1, 1, 8, 8, 1])?.region();
    /// let left = plane.without(&plane.with(Axis::Y, 2, 4).with(Axis::X, 0, 8));
    /// assert_eq!(left.iter().map(|part| part.shape().pixels()).sum::<u64>(), 48);
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn without(&self, hole: &Region) -> Vec<Region> {
        let parts = without((self.start, self.end), (hole.start, hole.end));
        parts.map(|(start, end)| Region { start, end }).collect()
    }

    /// Whether `other` lies wholly inside.
    pub fn contains(&self, other: &Region) -> bool {
        Axis::ALL.iter().all(|&a| self.start[a] <= other.start[a] && other.end[a] <= self.end[a])
    }

    /// The same box with coordinates counted from `origin`.
    ///
    /// # Panics
    /// If the region starts before `origin`: a bug in the caller.
    #[must_use]
    pub fn relative_to(&self, origin: &PerAxis<u64>) -> Region {
        Region {
            start: PerAxis::from_fn(|a| self.start[a].checked_sub(origin[a]).expect("origin lies before the region")),
            end: PerAxis::from_fn(|a| self.end[a] - origin[a]),
        }
    }

    /// The same box moved away from zero by `origin`.
    #[must_use]
    pub fn shifted(&self, origin: &PerAxis<u64>) -> Region {
        Region {
            start: PerAxis::from_fn(|a| self.start[a] + origin[a]),
            end: PerAxis::from_fn(|a| self.end[a] + origin[a]),
        }
    }

    /// Checks that the region lies inside an array.
    ///
    /// # Errors
    /// [`ArrayError::OutOfBounds`] naming the first axis that does not.
    pub fn check_inside(&self, shape: &Shape) -> Result<(), ArrayError> {
        for axis in Axis::ALL {
            let (start, end, extent) = (self.start[axis], self.end[axis], shape.get(axis));
            if end > extent {
                return Err(ArrayError::OutOfBounds { axis, start, end, extent });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Region {
    /// Writes only axes that are longer than one pixel or do not start at 0: `z=3..4 y=0..512 x=0..512`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for axis in Axis::ALL.into_iter().filter(|&a| self.start[a] != 0 || self.end[a] != 1) {
            let letter = axis.letter().to_ascii_lowercase();
            write!(f, "{}{letter}={}..{}", if first { "" } else { " " }, self.start[axis], self.end[axis])?;
            first = false;
        }
        if first { write!(f, "one pixel") } else { Ok(()) }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({self})")
    }
}

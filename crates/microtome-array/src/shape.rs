//! Extents of an array, checked once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ArrayError, Axis, PerAxis, PixelType, Region};

/// Extents of an array in pixels on T, C, Z, Y, X and S, with a product of at most 2^56.
///
/// *Invariant:* the product of the extents times 16 bytes fits a `u64`, so every size below is exact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "[u64; 6]", into = "[u64; 6]")]
pub struct Shape(PerAxis<u64>);

const MOST_PIXELS: u64 = 1 << 56;

impl Shape {
    /// A shape from extents in the order T C Z Y X S.
    ///
    /// # Errors
    /// [`ArrayError::TooLarge`] if the product passes 2^56 (an extent of 0 counts as 1 here, so that regions of an
    /// empty array are safe too).
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{Axis, PixelType, Shape};
    /// let shape = Shape::new([2, 3, 20, 512, 512, 1])?;
    /// assert_eq!(shape.pixels(), 2 * 3 * 20 * 512 * 512);
    /// assert_eq!(shape.bytes(PixelType::U16), 2 * shape.pixels());
    /// assert_eq!(shape.axes(), "TCZYX");
    /// assert!(Shape::new([u64::MAX, 2, 1, 1, 1, 1]).is_err());
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn new(extents: [u64; 6]) -> Result<Shape, ArrayError> {
        let product = extents.iter().try_fold(1u64, |p, &n| p.checked_mul(n.max(1)));
        match product {
            Some(p) if p <= MOST_PIXELS => Ok(Shape(PerAxis(extents))),
            _ => Err(ArrayError::TooLarge { extents }),
        }
    }

    /// Extents that were checked before.
    pub(crate) fn checked(extents: PerAxis<u64>) -> Shape {
        debug_assert!(Shape::new(extents.0).is_ok(), "{extents:?} was said to be checked");
        Shape(extents)
    }

    /// Extent on one axis.
    pub fn get(&self, axis: Axis) -> u64 {
        self.0[axis]
    }

    /// Extents in the order T C Z Y X S.
    pub fn extents(&self) -> [u64; 6] {
        self.0.0
    }

    /// The axes present: `TCZYX`, or `TCZYXS` where a pixel has several samples.
    pub fn axes(&self) -> &'static str {
        if self.get(Axis::S) == 1 { "TCZYX" } else { "TCZYXS" }
    }

    /// Extents of the axes present, 5 or 6 of them.
    pub fn present(&self) -> &[u64] {
        &self.0.0[..self.axes().len()]
    }

    /// Number of pixel values (samples counted apart).
    pub fn pixels(&self) -> u64 {
        self.0.0.iter().product()
    }

    /// Size in bytes with a pixel type.
    pub fn bytes(&self, dtype: PixelType) -> u64 {
        self.pixels() * dtype.size() as u64
    }

    /// Whether any extent is 0.
    pub fn is_empty(&self) -> bool {
        self.0.0.contains(&0)
    }

    /// This shape with one extent replaced.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn with(&self, axis: Axis, extent: u64) -> Result<Shape, ArrayError> {
        Shape::new(self.0.with(axis, extent).0)
    }

    /// The smaller extent of two shapes on each axis.
    #[must_use]
    pub fn cut_to(&self, other: &Shape) -> Shape {
        Shape(PerAxis::from_fn(|a| self.get(a).min(other.get(a))))
    }

    /// The region that covers all of this shape, from 0.
    pub fn region(&self) -> Region {
        Region::of(*self)
    }

    /// Extents as `usize` for memory: only for shapes of buffers, which are bounded by the address space.
    pub fn dims(&self) -> [usize; 6] {
        self.0.0.map(|n| n as usize)
    }
}

impl TryFrom<[u64; 6]> for Shape {
    type Error = ArrayError;
    fn try_from(extents: [u64; 6]) -> Result<Self, ArrayError> {
        Shape::new(extents)
    }
}

impl From<Shape> for [u64; 6] {
    fn from(shape: Shape) -> Self {
        shape.extents()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, n) in self.present().iter().enumerate() {
            write!(f, "{}{n}", if i == 0 { "" } else { " × " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape{:?}", self.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_product_that_overflows() {
        assert!(Shape::new([1 << 32, 1 << 32, 1, 1, 1, 1]).is_err());
        assert!(Shape::new([1 << 28, 1 << 28, 1, 1, 1, 1]).is_ok());
        assert!(Shape::new([0, u64::MAX, 1, 1, 1, 1]).is_err());
    }

    #[test]
    fn an_empty_axis_makes_an_empty_array() {
        let shape = Shape::new([0, 3, 1, 4, 4, 1]).unwrap();
        assert!(shape.is_empty());
        assert_eq!(shape.pixels(), 0);
    }
}

//! The six axes, and a value for each of them.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use crate::ArrayError;

/// An axis of an image, in canonical order: slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Axis {
    /// Time.
    T,
    /// Channel.
    C,
    /// Depth.
    Z,
    /// Rows.
    Y,
    /// Columns.
    X,
    /// Samples of one pixel (R, G, B); absent where its extent is 1.
    S,
}

impl Axis {
    /// All axes in canonical order, T C Z Y X S.
    pub const ALL: [Axis; 6] = [Axis::T, Axis::C, Axis::Z, Axis::Y, Axis::X, Axis::S];

    /// Position in canonical order, 0 for T … 5 for S.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The capital letter of the axis.
    pub const fn letter(self) -> char {
        match self {
            Axis::T => 'T',
            Axis::C => 'C',
            Axis::Z => 'Z',
            Axis::Y => 'Y',
            Axis::X => 'X',
            Axis::S => 'S',
        }
    }

    /// The axis of a letter, in either case.
    ///
    /// # Errors
    /// [`ArrayError::UnknownAxis`] for any other letter.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::Axis;
    /// assert_eq!(Axis::parse('z')?, Axis::Z);
    /// assert!(Axis::parse('Q').is_err());
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn parse(letter: char) -> Result<Axis, ArrayError> {
        let upper = letter.to_ascii_uppercase();
        Axis::ALL.into_iter().find(|a| a.letter() == upper).ok_or(ArrayError::UnknownAxis { letter })
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

/// One value for each axis, indexed by [`Axis`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PerAxis<T>(pub [T; 6]);

impl<T: Copy> PerAxis<T> {
    /// The same value on every axis.
    pub const fn splat(value: T) -> Self {
        PerAxis([value; 6])
    }

    /// Builds from a function of the axis.
    #[inline]
    pub fn from_fn(mut f: impl FnMut(Axis) -> T) -> Self {
        // Written out: `map` over the array is not always unrolled, and this is in every task.
        PerAxis([f(Axis::T), f(Axis::C), f(Axis::Z), f(Axis::Y), f(Axis::X), f(Axis::S)])
    }

    /// This with the value of one axis replaced.
    #[must_use]
    pub fn with(mut self, axis: Axis, value: T) -> Self {
        self[axis] = value;
        self
    }
}

impl<T> Index<Axis> for PerAxis<T> {
    type Output = T;
    fn index(&self, axis: Axis) -> &T {
        &self.0[axis.index()]
    }
}

impl<T> IndexMut<Axis> for PerAxis<T> {
    fn index_mut(&mut self, axis: Axis) -> &mut T {
        &mut self.0[axis.index()]
    }
}

//! Checks of the pixels that an operation is given against what it was told to expect.

use microtome_array::{ArrayError, ArraySpec, Axis};

/// Checks that pixels have the shape and the type expected; anything else is a bug in the caller.
pub(crate) fn check_spec(expected: &ArraySpec, found: &ArraySpec) -> Result<(), ArrayError> {
    if expected.dtype != found.dtype {
        return Err(ArrayError::PixelType { expected: expected.dtype, found: found.dtype });
    }
    for axis in Axis::ALL {
        let (extent, end) = (expected.shape.get(axis), found.shape.get(axis));
        if extent != end {
            return Err(ArrayError::OutOfBounds { axis, start: 0, end, extent });
        }
    }
    Ok(())
}

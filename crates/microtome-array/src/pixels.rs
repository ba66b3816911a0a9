//! Pixels with their type and shape: owned, borrowed, borrowed to write. Always C order, T C Z Y X S.

use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

use crate::dtype::views_as;
use crate::{ArrayError, ArraySpec, Buffer, BufferPool, Pixel, PixelType, Shape};

/// Owned pixels in one contiguous buffer, C order.
#[derive(Debug)]
pub struct Pixels {
    spec: ArraySpec,
    buffer: Buffer,
}

/// Borrowed pixels, contiguous, C order.
#[derive(Clone, Copy, Debug)]
pub struct PixelsRef<'a> {
    spec: ArraySpec,
    bytes: &'a [u8],
}

/// Borrowed pixels to write, contiguous, C order.
#[derive(Debug)]
pub struct PixelsMut<'a> {
    spec: ArraySpec,
    bytes: &'a mut [u8],
}

impl Pixels {
    /// Pixels of value 0.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
    /// let shape = Shape::new([1, 1, 1, 2, 3, 1])?;
    /// let mut pixels = Pixels::zeroed(ArraySpec { shape, dtype: PixelType::U16 });
    /// pixels.as_mut().slice_mut::<u16>()?.copy_from_slice(&[1, 2, 3, 4, 5, 6]);
    /// assert_eq!(pixels.as_ref().view::<u16>()?[[0, 0, 0, 1, 2]], 6);
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn zeroed(spec: ArraySpec) -> Pixels {
        Pixels { spec, buffer: Buffer::zeroed(spec.bytes() as usize) }
    }

    /// Pixels from a pool. **Values are unspecified** until written.
    pub fn from_pool(spec: ArraySpec, pool: &BufferPool) -> Pixels {
        Pixels { spec, buffer: pool.take(spec.bytes() as usize) }
    }

    /// Shape and type.
    pub fn spec(&self) -> ArraySpec {
        self.spec
    }

    /// Borrows to read.
    pub fn as_ref(&self) -> PixelsRef<'_> {
        PixelsRef { spec: self.spec, bytes: self.buffer.bytes() }
    }

    /// Borrows to write.
    pub fn as_mut(&mut self) -> PixelsMut<'_> {
        PixelsMut { spec: self.spec, bytes: self.buffer.bytes_mut() }
    }
}

impl<'a> PixelsRef<'a> {
    /// Pixels over bytes.
    ///
    /// # Errors
    /// [`ArrayError::Length`] if the bytes are not just those of shape and type.
    pub fn new(spec: ArraySpec, bytes: &'a [u8]) -> Result<Self, ArrayError> {
        check_length(spec, bytes.len())?;
        Ok(PixelsRef { spec, bytes })
    }

    /// Shape and type.
    pub fn spec(&self) -> ArraySpec {
        self.spec
    }

    /// Extents.
    pub fn shape(&self) -> Shape {
        self.spec.shape
    }

    /// Type of the values.
    pub fn dtype(&self) -> PixelType {
        self.spec.dtype
    }

    /// The bytes, in the machine's byte order.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The values in C order (`bool` as `u8`).
    ///
    /// # Errors
    /// [`ArrayError::PixelType`] if they are of another type or not aligned for it.
    pub fn slice<T: Pixel>(&self) -> Result<&'a [T], ArrayError> {
        let mismatch = ArrayError::PixelType { expected: T::TYPE, found: self.spec.dtype };
        if !views_as::<T>(self.spec.dtype) {
            return Err(mismatch);
        }
        bytemuck::try_cast_slice(self.bytes).map_err(|_| mismatch)
    }

    /// The values as an array with axes T C Z Y X, and S where a pixel has several samples.
    ///
    /// # Errors
    /// As [`PixelsRef::slice`].
    pub fn view<T: Pixel>(&self) -> Result<ArrayViewD<'a, T>, ArrayError> {
        let values = self.slice::<T>()?;
        ArrayViewD::from_shape(dims(self.spec.shape), values).map_err(|_| length_error(self.spec, self.bytes.len()))
    }
}

impl<'a> PixelsMut<'a> {
    /// Pixels to write over bytes.
    ///
    /// # Errors
    /// [`ArrayError::Length`] if the bytes are not just those of shape and type.
    pub fn new(spec: ArraySpec, bytes: &'a mut [u8]) -> Result<Self, ArrayError> {
        check_length(spec, bytes.len())?;
        Ok(PixelsMut { spec, bytes })
    }

    /// Shape and type.
    pub fn spec(&self) -> ArraySpec {
        self.spec
    }

    /// Extents.
    pub fn shape(&self) -> Shape {
        self.spec.shape
    }

    /// Type of the values.
    pub fn dtype(&self) -> PixelType {
        self.spec.dtype
    }

    /// The bytes to write, in the machine's byte order.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Borrows again for a shorter time.
    pub fn reborrow(&mut self) -> PixelsMut<'_> {
        PixelsMut { spec: self.spec, bytes: self.bytes }
    }

    /// Borrows to read.
    pub fn as_ref(&self) -> PixelsRef<'_> {
        PixelsRef { spec: self.spec, bytes: self.bytes }
    }

    /// The values in C order, to write (`bool` as `u8`, 0 or 1).
    ///
    /// # Errors
    /// [`ArrayError::PixelType`] if they are of another type or not aligned for it.
    pub fn slice_mut<T: Pixel>(&mut self) -> Result<&mut [T], ArrayError> {
        let mismatch = ArrayError::PixelType { expected: T::TYPE, found: self.spec.dtype };
        if !views_as::<T>(self.spec.dtype) {
            return Err(mismatch);
        }
        bytemuck::try_cast_slice_mut(self.bytes).map_err(|_| mismatch)
    }

    /// The values as an array to write, axes T C Z Y X, and S where a pixel has several samples.
    ///
    /// # Errors
    /// As [`PixelsMut::slice_mut`].
    pub fn view_mut<T: Pixel>(&mut self) -> Result<ArrayViewMutD<'_, T>, ArrayError> {
        let (spec, len) = (self.spec, self.bytes.len());
        let values = self.slice_mut::<T>()?;
        ArrayViewMutD::from_shape(dims(spec.shape), values).map_err(|_| length_error(spec, len))
    }
}

fn dims(shape: Shape) -> IxDyn {
    let all = shape.dims();
    IxDyn(&all[..shape.axes().len()])
}

fn check_length(spec: ArraySpec, found: usize) -> Result<(), ArrayError> {
    if spec.bytes() == found as u64 { Ok(()) } else { Err(length_error(spec, found)) }
}

fn length_error(spec: ArraySpec, found: usize) -> ArrayError {
    ArrayError::Length { expected: spec.bytes(), found: found as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dtype: PixelType) -> ArraySpec {
        ArraySpec { shape: Shape::new([1, 2, 1, 3, 4, 1]).unwrap(), dtype }
    }

    #[test]
    fn a_view_has_the_axes_that_are_present() {
        let pixels = Pixels::zeroed(spec(PixelType::F32));
        assert_eq!(pixels.as_ref().view::<f32>().unwrap().shape(), [1, 2, 1, 3, 4]);
    }

    #[test]
    fn the_wrong_type_is_refused() {
        let pixels = Pixels::zeroed(spec(PixelType::F32));
        let error = pixels.as_ref().slice::<u32>().unwrap_err();
        assert_eq!(error, ArrayError::PixelType { expected: PixelType::U32, found: PixelType::F32 });
    }

    #[test]
    fn bool_is_seen_as_bytes() {
        let pixels = Pixels::zeroed(spec(PixelType::Bool));
        assert_eq!(pixels.as_ref().slice::<u8>().unwrap().len(), 24);
    }

    #[test]
    fn bytes_of_the_wrong_length_are_refused() {
        assert!(PixelsRef::new(spec(PixelType::U16), &[0; 47]).is_err());
    }
}

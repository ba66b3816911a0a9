//! Projecting to a pixel type that was asked for.

use std::sync::Arc;

use microtome_array::{Axis, PixelType};
use microtome_graph::{GraphError, LazyArray};
use microtome_ops::{Op, Project, Projection};

/// Projects along an axis to a pixel type: in one go where the projection offers it (the mean as float32 or float64, the
/// sum as float64), else the projection's own type is cast afterwards, clamped and rounded half to even.
///
/// # Errors
/// As [`LazyArray::project`] and [`LazyArray::cast`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use microtome::{ArraySpec, SyntheticReader, prelude::*, project_as};
/// let shape = Shape::new([1, 1, 5, 64, 64, 1])?;
/// let image = Image::of(Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 })));
/// let stack = image.scene(0)?.array(&ChunkDims::default())?;
/// let mean = project_as(&stack, Axis::Z, Projection::Mean, Some(PixelType::F32))?;
/// assert_eq!((mean.dtype(), mean.estimate().layers.len()), (PixelType::F32, 2)); // read, project
/// let max = project_as(&stack, Axis::Z, Projection::Max, Some(PixelType::U8))?;
/// assert_eq!((max.dtype(), max.estimate().layers.len()), (PixelType::U8, 3)); // read, project, cast
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn project_as(
    array: &LazyArray,
    axis: Axis,
    method: Projection,
    dtype: Option<PixelType>,
) -> Result<LazyArray, GraphError> {
    let direct = Project { axis, method, dtype };
    match dtype {
        Some(dtype) if direct.output(&array.spec()).is_err() => array.project(axis, method)?.cast(dtype),
        _ => array.apply(Arc::new(direct)),
    }
}

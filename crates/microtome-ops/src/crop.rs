//! Picks a box of pixels. Nothing is computed: the result is the input's pixels at other coordinates.

use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, Region};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::{parse, to_params};
use crate::{Body, Op, OpEntry, OpError};

pub(crate) const ENTRY: OpEntry = OpEntry {
    name: "crop",
    summary: "keep a box of pixels",
    example: r#"{"region": {"start": [0, 0, 1, 1, 0, 0], "end": [1, 2, 3, 3, 5, 1]}}"#,
    build: |params| {
        let crop: Crop = parse("crop", params)?;
        crop.check()?;
        Ok(Arc::new(crop))
    },
};

/// Keeps the pixels of `region`, in pixels of the input on T, C, Z, Y, X, S. The pixel type stays.
///
/// # Errors
/// [`OpError::Parameter`] if the region is empty, [`OpError::Array`] if it reaches past the input.
///
/// # Complexity
/// No work of its own: a reader reads only the region.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Axis, PixelType, Shape};
/// use microtome_ops::{Crop, Op};
/// let stack = ArraySpec { shape: Shape::new([1, 1, 20, 512, 512, 1])?, dtype: PixelType::U16 };
/// let crop = Crop { region: stack.shape.region().with(Axis::Z, 5, 8) };
/// let output = crop.output(&stack)?;
/// assert_eq!(output.shape.get(Axis::Z), 3);
/// // Plane 0 of the result is plane 5 of the input.
/// let first = output.shape.region().with(Axis::Z, 0, 1);
/// assert_eq!(crop.input_region(&first, &stack).start(Axis::Z), 5);
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// The box to keep.
    pub region: Region,
}

impl Crop {
    /// Refuses an empty region.
    fn check(&self) -> Result<(), OpError> {
        let empty = Axis::ALL.into_iter().find(|&a| self.region.len(a) == 0);
        match empty {
            None => Ok(()),
            Some(axis) => Err(OpError::Parameter {
                op: "crop",
                parameter: "region",
                found: format!("{}..{} on axis {axis}", self.region.start(axis), self.region.end(axis)),
                expected: "keep at least one pixel on every axis",
            }),
        }
    }
}

impl Op for Crop {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn params(&self) -> Value {
        to_params(self)
    }

    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError> {
        self.check()?;
        self.region.check_inside(&input.shape)?;
        Ok(ArraySpec { shape: self.region.shape(), dtype: input.dtype })
    }

    fn input_region(&self, output: &Region, _input: &ArraySpec) -> Region {
        output.shifted(&self.region.origin())
    }

    fn output_region(&self, input_region: &Region, _input: &ArraySpec) -> Region {
        let common = self.region.intersect(input_region);
        if common.is_empty() {
            return Axis::ALL.into_iter().fold(common, |region, axis| region.with(axis, 0, 0));
        }
        common.relative_to(&self.region.origin())
    }

    fn body(&self) -> Body<'_> {
        Body::Index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::{ArrayError, PerAxis, PixelType, Shape};
    use serde_json::json;

    fn spec() -> ArraySpec {
        ArraySpec { shape: Shape::new([1, 1, 4, 10, 10, 1]).unwrap(), dtype: PixelType::C64 }
    }

    fn crop(y: u64, end: u64) -> Crop {
        Crop { region: spec().shape.region().with(Axis::Y, y, end) }
    }

    #[test]
    fn a_region_past_the_array_is_refused_and_named() {
        let error = crop(5, 11).output(&spec()).unwrap_err();
        assert_eq!(error, OpError::Array(ArrayError::OutOfBounds { axis: Axis::Y, start: 5, end: 11, extent: 10 }));
    }

    #[test]
    fn an_empty_region_is_refused() {
        let error = crop(5, 5).output(&spec()).unwrap_err();
        assert_eq!(error.to_string(), "crop: region is 5..5 on axis Y; keep at least one pixel on every axis");
    }

    #[test]
    fn a_region_that_ends_before_it_starts_is_refused_when_built() {
        let params = json!({"region": {"start": [0, 0, 0, 9, 0, 0], "end": [1, 1, 1, 3, 1, 1]}});
        assert!(matches!(crate::build("crop", &params), Err(OpError::Parse { .. })));
    }

    #[test]
    fn regions_apart_influence_nothing() {
        let rows = |start, end| spec().shape.region().with(Axis::Y, start, end);
        let empty = Region::new(PerAxis::splat(0), PerAxis::splat(0)).unwrap();
        assert_eq!(crop(2, 5).output_region(&rows(7, 9), &spec()), empty);
        assert_eq!(crop(2, 5).output_region(&rows(0, 2), &spec()), empty);
        assert_eq!(crop(2, 5).output_region(&rows(4, 9), &spec()), rows(2, 3));
    }
}

//! The lists of operations and of summaries, read by the command line, the documentation and the contract tests.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Op, OpEntry, OpError, Summary, SummaryEntry, cast, crop, downsample, gaussian, histogram, percentiles, project,
    rescale,
};

/// Every operation.
pub const OPS: &[OpEntry] =
    &[project::ENTRY, downsample::ENTRY, gaussian::ENTRY, crop::ENTRY, cast::ENTRY, rescale::ENTRY];

/// Makes an operation from its name and its parameters.
///
/// # Errors
/// [`OpError::UnknownOp`], [`OpError::Parse`] for parameters that are missing, unknown or of another type, and
/// [`OpError::Parameter`] for those that no image could suit.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, PixelType, Shape};
/// let op = microtome_ops::build("project", &serde_json::json!({"axis": "Z", "method": "max"}))?;
/// let stack = ArraySpec { shape: Shape::new([1, 2, 20, 64, 64, 1])?, dtype: PixelType::U16 };
/// assert_eq!(op.output(&stack)?, ArraySpec { shape: Shape::new([1, 2, 1, 64, 64, 1])?, ..stack });
/// assert!(microtome_ops::build("projekt", &serde_json::json!({})).is_err());
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
pub fn build(name: &str, params: &Value) -> Result<Arc<dyn Op>, OpError> {
    let Some(entry) = OPS.iter().find(|entry| entry.name == name) else {
        let known: Vec<&str> = OPS.iter().map(|entry| entry.name).collect();
        return Err(OpError::UnknownOp { name: name.to_owned(), known: known.join(", ") });
    };
    (entry.build)(params)
}

/// Every summary.
pub const SUMMARIES: &[SummaryEntry] = &[percentiles::ENTRY, histogram::ENTRY];

/// Makes a summary from its name and its parameters.
///
/// # Errors
/// As [`build`], with [`OpError::UnknownSummary`].
pub fn build_summary(name: &str, params: &Value) -> Result<Arc<dyn Summary>, OpError> {
    let Some(entry) = SUMMARIES.iter().find(|entry| entry.name == name) else {
        let known: Vec<&str> = SUMMARIES.iter().map(|entry| entry.name).collect();
        return Err(OpError::UnknownSummary { name: name.to_owned(), known: known.join(", ") });
    };
    (entry.build)(params)
}

/// The parameters of an operation from JSON.
pub(crate) fn parse<T: DeserializeOwned>(op: &str, params: &Value) -> Result<T, OpError> {
    T::deserialize(params).map_err(|error| OpError::Parse { op: op.to_owned(), why: error.to_string() })
}

/// The parameters of an operation as JSON.
pub(crate) fn to_params<T: Serialize>(op: &T) -> Value {
    serde_json::to_value(op).expect("parameters are structs of numbers, names and lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = build("sharpen", &Value::Null).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no operation `sharpen`; known are project, downsample, gaussian"),
            "{error}"
        );
    }

    #[test]
    fn a_misspelt_parameter_is_refused() {
        let error = build("cast", &serde_json::json!({"dtype": "uint8", "clamp": true})).unwrap_err();
        assert!(error.to_string().starts_with("cast: unknown field `clamp`"), "{error}");
    }
}

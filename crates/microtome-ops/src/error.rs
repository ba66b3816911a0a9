//! What an operation cannot do.

use microtome_array::{ArrayError, PixelType};

/// Parameters or pixels that an operation cannot work on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// A pixel type that the operation is not defined for.
    #[error("{op} is not defined for {dtype} pixels; {hint}")]
    PixelType {
        /// The operation.
        op: &'static str,
        /// The type.
        dtype: PixelType,
        /// What to do instead.
        hint: &'static str,
    },
    /// A parameter out of its range.
    #[error("{op}: {parameter} is {found}; {expected}")]
    Parameter {
        /// The operation.
        op: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What was given.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A sum past the range of its type.
    #[error("{op}: the exact result does not fit {dtype}; ask for a float type with --dtype")]
    Overflow {
        /// The operation.
        op: &'static str,
        /// The type of the result.
        dtype: PixelType,
    },
    /// No operation of that name.
    #[error("there is no operation `{name}`; known are {known}")]
    UnknownOp {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A parameter text that does not parse.
    #[error("{op}: {why}")]
    Parse {
        /// The operation.
        op: String,
        /// What does not parse.
        why: String,
    },
    /// Pixels that do not fit: a bug in the caller.
    #[error(transparent)]
    Array(#[from] ArrayError),
}

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
    /// A summary of pixels that are all NaN, or of none.
    #[error("{summary}: no pixel has a value: the array is empty or holds nothing but NaN; choose another region")]
    NoValue {
        /// The summary.
        summary: &'static str,
    },
    /// A state of a summary that is damaged, or of another summary, pass or array.
    #[error("{summary}: a partial result cannot be used: {why}; compute the summary anew")]
    State {
        /// The summary.
        summary: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An operation that was run before its question was answered: a bug in the caller.
    #[error("{op} asks for the {summary} of its whole input first; run the operation that `answered` gives")]
    Unanswered {
        /// The operation.
        op: &'static str,
        /// The summary that it asks for.
        summary: &'static str,
    },
    /// An answer that the operation has not asked for, or that is none: a bug in the caller.
    #[error("{op}: {answer} is no answer to what it asks; give it that of the summary from `asks`")]
    Answer {
        /// The operation.
        op: &'static str,
        /// The answer given.
        answer: String,
    },
    /// No operation of that name.
    #[error("there is no operation `{name}`; known are {known}")]
    UnknownOp {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No summary of that name.
    #[error("there is no summary `{name}`; known are {known}")]
    UnknownSummary {
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

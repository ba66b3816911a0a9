//! What makes a plan impossible.

use microtome_array::ArrayError;
use microtome_io::ReadError;
use microtome_ops::OpError;

/// A plan that cannot be made, or that is refused before anything runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The source does not have what was asked for.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An operation does not fit its input.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A shape or region does not fit.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// More memory than there is.
    #[error(
        "the plan is refused: {what} needs {needed} bytes at its peak, the budget is {budget} bytes; \
         give --memory {smallest} or more, or smaller chunks"
    )]
    Memory {
        /// What needs most: a group of write units, by its layer.
        what: String,
        /// Bytes it needs.
        needed: u64,
        /// Bytes there are.
        budget: u64,
        /// The smallest budget that works, as text (`96MiB`).
        smallest: String,
    },
    /// A graph too large to be made whole.
    #[error("a graph of {tasks} tasks is too large to be made whole (at most {limit}); plan it in windows instead")]
    TooManyTasks {
        /// Number of tasks.
        tasks: u64,
        /// The limit.
        limit: u64,
    },
}

//! What ends a run.

use microtome_array::ArrayError;
use microtome_graph::GraphError;
use microtome_io::{ReadError, WriteError};
use microtome_ops::OpError;

use crate::errand::FaultKind;

/// Why a run ended without its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An input could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The plan is impossible or refused.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An operation has no result for the pixels it got.
    #[error("task {task}: {source}")]
    Op {
        /// The task: layer and chunk index t.c.z.y.x.
        task: String,
        /// Why.
        source: OpError,
    },
    /// A bug: shapes that do not fit inside the engine.
    #[error("task {task}: {source}; this is a bug of microtome, please report it")]
    Internal {
        /// The task: layer and chunk index t.c.z.y.x.
        task: String,
        /// What does not fit.
        source: ArrayError,
    },
    /// A bug: a panic in a task.
    #[error("task {task} panicked: {message}; this is a bug of microtome, please report it")]
    Panic {
        /// The task: layer and chunk index t.c.z.y.x.
        task: String,
        /// The panic's message.
        message: String,
    },
    /// More planes are bad than may be left out.
    #[error("{reason}; more than {most} of {planes} planes are bad, and no more may be left out (--max-bad)")]
    TooManyBad {
        /// Planes that may be left out.
        most: u64,
        /// Planes that are read.
        planes: u64,
        /// Why the last one is bad.
        reason: String,
    },
    /// A summary of pixels some of which are bad, where the user did not say to skip those.
    #[error(
        "{summary}: {reason}; a summary of pixels some of which are bad is refused, with --bad-planes skip it is of the \
         others"
    )]
    BadInput {
        /// The summary.
        summary: String,
        /// Why some are bad.
        reason: String,
    },
    /// An image, or a plane of one, that could not be measured, where nothing may be left out.
    #[error("{message}")]
    Unmeasured {
        /// Which, and why.
        message: String,
    },
    /// A worker could not do its part.
    #[error("{message} (on the worker {worker})")]
    Elsewhere {
        /// Its address.
        worker: String,
        /// What it is about.
        kind: FaultKind,
        /// What the worker said.
        message: String,
    },
    /// The cluster is gone, or does not run what it is given.
    #[error("the cluster was lost: {why}")]
    ClusterLost {
        /// What is known.
        why: String,
    },
    /// A worker stored other bytes than this machine makes of the same pixels.
    #[error(
        "{unit} was stored by the worker {worker} as {found}, and is {expected} here; do its source, its memory or its storage \
         have damage? Nothing was published"
    )]
    Differs {
        /// The unit.
        unit: String,
        /// The worker's address.
        worker: String,
        /// Length and checksum of what it stored.
        found: String,
        /// Length and checksum of what it should have stored.
        expected: String,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {why}; give a smaller --threads")]
    Threads {
        /// Number of threads.
        threads: usize,
        /// What the system said.
        why: String,
    },
    /// Any of the others, where finished write units are kept.
    #[error(
        "{error}; {kept} of {total} write units are kept: the same command with --resume goes on, with --overwrite it \
         starts anew"
    )]
    Kept {
        /// What ended the run.
        error: Box<RunError>,
        /// Write units that are kept.
        kept: u64,
        /// Write units of the output.
        total: u64,
    },
    /// The run was asked to stop.
    #[error("stopped on request after {done} of {total} write units; nothing was published")]
    Cancelled {
        /// Units finished.
        done: u64,
        /// Units planned.
        total: u64,
    },
}

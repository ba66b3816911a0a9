//! An errand: a window of a pass that another process is asked to run, and what that process brings back.
//!
//! What travels is small: which pass and which groups of it, what is finished, what is known of the array below; then receipts,
//! counts, and what was found bad. Pixels go from the source to the storage.
//!
//! *Invariant:* an errand says all that decides which units are stored, so that running it twice stores the same bytes.

use std::ops::Range;
use std::path::PathBuf;

use microtome_graph::{Fusing, GraphError};
use microtome_io::{ReadError, Receipt, StoredUnit, WriteError};
use microtome_ops::OpError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RunError;
use crate::quarantine::FoundBad;

/// What another process is asked to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errand {
    /// Answers to what the operations of the plan ask for, in the order in which they ask.
    pub answers: Vec<Value>,
    /// The pass.
    pub pass: ErrandPass,
    /// The groups of write units, by their C-order positions.
    pub window: Range<u64>,
    /// Which of their units are left out.
    pub without: Without,
    /// Units of the array below that are read, as they were stored.
    pub below: Vec<(u64, StoredUnit)>,
    /// What is bad in them.
    pub bad: FoundBad,
}

/// A pass, by what it is laid out from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ErrandPass {
    /// Levels of the output are stored.
    Store {
        /// Which.
        levels: Range<usize>,
        /// How its layers are fused.
        fusing: Fusing,
    },
    /// A pass of a summary that an operation asks for.
    Summarise {
        /// The summary.
        name: String,
        /// Its parameters, with what earlier passes have found.
        params: Value,
    },
}

/// Write units of a window, by array and position in C order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Without {
    /// All are made but these.
    These(Vec<(u32, u64)>),
    /// None is made but these.
    AllBut(Vec<(u32, u64)>),
}

/// What an errand brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Brought {
    /// Receipts of the units that are stored, with their arrays.
    pub receipts: Vec<(u32, Receipt)>,
    /// The state of a summary.
    pub state: Option<Vec<u8>>,
    /// What was counted.
    pub counted: Counted,
    /// What was found bad.
    pub bad: FoundBad,
    /// Who ran it.
    pub worker: String,
}

/// What was counted while an errand ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Fused tasks run.
    pub tasks: u64,
    /// Windows run.
    pub windows: u64,
    /// Bytes of pixels decoded from sources.
    pub decoded: u64,
    /// Bytes taken from storage.
    pub fetched: u64,
    /// Bytes of pixels given to the sink.
    pub written: u64,
    /// Bytes put into storage.
    pub stored: u64,
    /// Most bytes of pixels and scratch at once.
    pub peak: u64,
}

/// Why an errand failed, as data that travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// A source is not what it was.
    Changed {
        /// The source.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// More planes are bad than may be left out.
    TooManyBad {
        /// Planes that may be left out.
        most: u64,
        /// Planes that are read.
        planes: u64,
        /// Why the last one is bad.
        reason: String,
    },
    /// Something else.
    Other {
        /// Of which kind.
        kind: FaultKind,
        /// In words.
        message: String,
    },
}

/// What a fault is about: what decides an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// An input that cannot be read.
    Input,
    /// An output that cannot be written.
    Output,
    /// A plan that does not fit.
    Refused,
    /// What was asked for cannot be.
    Usage,
    /// A bug of ours.
    Bug,
}

impl Fault {
    /// An error as it travels.
    pub fn of(error: &RunError) -> Fault {
        match error {
            RunError::Read(ReadError::Changed { path, why }) => Fault::Changed { path: path.clone(), why: why.clone() },
            RunError::TooManyBad { most, planes, reason } => {
                Fault::TooManyBad { most: *most, planes: *planes, reason: reason.clone() }
            }
            other => Fault::Other { kind: kind(other), message: other.to_string() },
        }
    }

    /// The error of the run whose errand failed so.
    pub fn into_error(self, worker: &str) -> RunError {
        match self {
            Fault::Changed { path, why } => {
                RunError::Read(ReadError::Changed { path, why: format!("{why} (as seen by {worker})") })
            }
            Fault::TooManyBad { most, planes, reason } => RunError::TooManyBad { most, planes, reason },
            Fault::Other { kind, message } => RunError::Elsewhere { worker: worker.to_owned(), kind, message },
        }
    }
}

fn kind(error: &RunError) -> FaultKind {
    match error {
        RunError::Read(_)
        | RunError::BadInput { .. }
        | RunError::Unmeasured { .. }
        | RunError::TooManyBad { .. }
        | RunError::Graph(GraphError::Read(_)) => FaultKind::Input,
        RunError::Write(WriteError::Unsupported { .. })
        | RunError::Graph(GraphError::Array(_))
        | RunError::Threads { .. } => FaultKind::Usage,
        RunError::Write(error) if !matches!(error, WriteError::Array { .. }) => FaultKind::Output,
        RunError::Graph(GraphError::Op(source)) | RunError::Op { source, .. } => op_kind(source),
        RunError::Graph(_) => FaultKind::Refused,
        RunError::Elsewhere { kind, .. } => *kind,
        RunError::Kept { error, .. } => kind(error),
        RunError::Write(_)
        | RunError::Internal { .. }
        | RunError::Panic { .. }
        | RunError::Cancelled { .. }
        | RunError::ClusterLost { .. }
        | RunError::Differs { .. } => FaultKind::Bug,
    }
}

fn op_kind(error: &OpError) -> FaultKind {
    match error {
        OpError::Overflow { .. } => FaultKind::Input,
        OpError::Array(_) => FaultKind::Bug,
        _ => FaultKind::Usage,
    }
}

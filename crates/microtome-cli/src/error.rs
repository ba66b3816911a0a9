//! Everything that ends a command, in words for its user.

use std::io;
use std::path::PathBuf;

use microtome::{
    ArrayError, ConnectError, GraphError, NamingError, PlateError, ReadError, RunError, SceneError, WriteError,
};

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Arguments that cannot be meant.
    #[error("{message}")]
    Usage {
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// A region outside the image, a chunk that is none.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// The scene is not said or not there.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// Scenes that are no plate.
    #[error(transparent)]
    Plate(#[from] PlateError),
    /// Names that do not fit the image.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// An input that cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A plan that is impossible or refused.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An output that cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A run that ended without its result.
    #[error(transparent)]
    Run(#[from] RunError),
    /// No connection to a cluster, or no cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A cluster that was checked and is not as it should be; what is wrong with it was printed.
    #[error("the cluster at {address} is not fit for work: {why}")]
    Unfit { address: String, why: String },
    /// A cluster that should have stayed.
    #[error("the cluster at {address} was lost: {why}")]
    ClusterLost { address: String, why: String },
    /// Stopped on request, with nothing left to say.
    #[error("stopped by signal {signal}")]
    Signal { signal: i32 },
    /// A run that was stopped by a signal; what it had finished may be kept.
    #[error("stopped by {}; {source}", signal_name(*signal))]
    Stopped { signal: i32, source: RunError },
    /// A run that did all but the planes that could not be read or made; they were listed.
    #[error("{planes} planes could not be read or made and were left out")]
    Quarantined { planes: usize },
    /// A verification that found what it looked for; it was told.
    #[error("{what} differ from what they should be")]
    Different { what: String },
    /// Some of several inputs; each was told when it was met.
    #[error("{failed} of {total} paths could not be read")]
    Inputs { failed: usize, total: usize },
    /// A file of ours beside the output, as a drawing.
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

/// What people call a signal.
fn signal_name(signal: i32) -> String {
    match signal {
        2 => "Ctrl-C".to_owned(),
        15 => "SIGTERM".to_owned(),
        _ => format!("signal {signal}"),
    }
}

impl CliError {
    /// Arguments that cannot be meant, with nothing more to say.
    pub(crate) fn usage(message: impl Into<String>) -> CliError {
        CliError::Usage { message: message.into(), hint: None }
    }

    /// What to do, where the message does not say it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            CliError::Usage { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }

    /// Whether whoever is told knows it already, because they asked for it.
    pub(crate) fn is_no_news(&self) -> bool {
        matches!(self, CliError::Signal { .. } | CliError::Quarantined { .. } | CliError::Different { .. })
    }

    /// Whether the reader of standard output has gone: not an error, they had enough.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, CliError::Stdout(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

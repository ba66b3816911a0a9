//! What can go wrong with an item, and with connecting. An item's error is data: it travels like a result, stands in the
//! item's own place, and loses nobody else's result.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why an item has no result: what happened, to which item of which function, and where.
///
/// One word wide, so that a `Result<u64, TaskError>` is two.
///
/// # Examples
/// ```
/// use microtome_handler::{Handler, TaskErrorKind};
///
/// let handler = Handler::local();
/// let futures = handler.map(|x: u32| 10 / x, [5, 0]);
/// let results = handler.gather(futures);
/// assert_eq!(results[0].as_ref().ok(), Some(&2));
/// let error = results[1].as_ref().unwrap_err();
/// assert_eq!(error.item(), Some(1));
/// assert!(matches!(error.kind(), TaskErrorKind::Panicked { .. }));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: TaskErrorKind,
    function: Option<String>,
    item: Option<u64>,
    worker: Option<String>,
}

/// What happened to an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The function returned `Err`.
    #[error("{message}")]
    Failed {
        /// The error, as it displays itself.
        message: String,
    },
    /// The function panicked.
    #[error("panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The process that ran the item ended in the middle of it, each time it was tried.
    #[error("the process that ran it {how}, {attempts} times{}", quoted(stderr))]
    Died {
        /// How it ended: a signal or an exit code.
        how: String,
        /// Times it was tried.
        attempts: u32,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// Dask gave up on the item because too many workers were lost while they ran it.
    #[error("{message}; every worker that tried it was lost: does it need more memory than a worker has?")]
    WorkersKilled {
        /// What Dask said.
        message: String,
    },
    /// The item was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The Dask scheduler went away; whether the item ran is not known.
    #[error(
        "the Dask scheduler at {address} was lost; whether the item ran is not known: start it again and run again"
    )]
    SchedulerLost {
        /// Its address.
        address: String,
    },
    /// The Python process that speaks to Dask ended again and again.
    #[error("the bridge to Dask failed: {message}")]
    Bridge {
        /// What is known.
        message: String,
    },
    /// The program could not be started on a worker.
    #[error("this program cannot run on a worker: {message}")]
    Executable {
        /// Where, what was tried, what to do.
        message: String,
    },
    /// The program on the worker does not have the function.
    #[error("{message}")]
    NoSuchFunction {
        /// Its name, and what the program has.
        message: String,
    },
    /// Arguments or a result could not be made into bytes or read back.
    #[error("cannot {what}: {message}")]
    Serde {
        /// Which way.
        what: String,
        /// Why.
        message: String,
    },
    /// Arguments or a result too large to travel.
    #[error("{what} of {bytes} bytes, at most {limit} may travel: write it to shared storage and pass its path")]
    TooLarge {
        /// `an argument` or `a result`.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Zipped iterables have different lengths.
    #[error(
        "zipped iterables have different lengths: after {pairs} items the {ended} has ended and another has not; use Zip::shortest to stop there"
    )]
    UnequalLengths {
        /// Whole tuples before that.
        pairs: u64,
        /// Which ended: `first`, `second` or `third`.
        ended: String,
    },
    /// The handler was closed before the item had run.
    #[error("the handler was closed before the item had run")]
    Closed,
}

fn quoted(stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() { String::new() } else { format!("; it said: {stderr}") }
}

impl TaskError {
    /// What a function's `Err` becomes; `#[microtome::function]` calls it.
    pub fn failed(error: &(impl fmt::Display + ?Sized)) -> TaskError {
        TaskErrorKind::Failed { message: format!("{error:#}") }.into()
    }

    /// What happened.
    pub fn kind(&self) -> &TaskErrorKind {
        &self.0.kind
    }

    /// The function's name, where known.
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// The item's place among the items of its `map` or `batched_map`, from 0.
    pub fn item(&self) -> Option<u64> {
        self.0.item
    }

    /// The address of the worker, on a cluster.
    pub fn worker(&self) -> Option<&str> {
        self.0.worker.as_deref()
    }

    /// The same error with its item's place, unless that is known already.
    pub(crate) fn at(mut self, item: u64) -> TaskError {
        self.0.item.get_or_insert(item);
        self
    }

    /// The same error with the name of its function, unless that is known already.
    pub(crate) fn of(mut self, function: &str) -> TaskError {
        self.0.function.get_or_insert_with(|| function.to_owned());
        self
    }

    /// The same error with the worker it happened on.
    pub(crate) fn on(mut self, worker: &str) -> TaskError {
        self.0.worker.get_or_insert_with(|| worker.to_owned());
        self
    }

    /// An error for a panic, from what `catch_unwind` gives.
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> TaskError {
        let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        TaskErrorKind::Panicked { message: text.unwrap_or_else(|| "a panic without a message".to_owned()) }.into()
    }
}

impl From<TaskErrorKind> for TaskError {
    fn from(kind: TaskErrorKind) -> Self {
        TaskError(Box::new(Inner { kind, function: None, item: None, worker: None }))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, function, item, worker } = self.0.as_ref();
        if let Some(item) = item {
            write!(f, "item {item}")?;
            if let Some(function) = function {
                write!(f, " of {function}")?;
            }
            if let Some(worker) = worker {
                write!(f, " on {worker}")?;
            }
            f.write_str(": ")?;
        } else if let Some(function) = function {
            write!(f, "{function}: ")?;
        }
        write!(f, "{kind}")
    }
}

/// The sentence: a program whose `main` returns the error, or that unwraps it, shows this.
impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TaskError {}

/// Why there is no connection to a Dask cluster. Each says what was tried and what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error(
        "`{address}` is no address of a Dask scheduler: {why}; write tcp://HOST:PORT, tls://HOST:PORT or the path of a scheduler file"
    )]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The scheduler file cannot be used.
    #[error("cannot use the scheduler file {}: {why}; `dask scheduler --scheduler-file` writes it", path.display())]
    SchedulerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Plain text to a machine that is not this one, without being asked for.
    #[error(
        "{address} is not on this machine and tcp:// is neither encrypted nor authenticated: whoever can reach it can run code as you; use tls://, or say that the network is trusted (--insecure-cluster, in Rust .insecure(true))"
    )]
    Insecure {
        /// The address.
        address: String,
    },
    /// The program has no worker mode.
    #[error(
        "microtome::init() has not run: make it the first line of main, or workers would run your main instead of your functions"
    )]
    NotInitialised,
    /// The program cannot be read or does not answer as a worker.
    #[error("cannot use {} as the program of the workers: {why}", path.display())]
    Executable {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No Python was found.
    #[error("found no Python to speak to Dask with; tried {}; install Python, or name one in MICROTOME_PYTHON", tried.join(", "))]
    NoPython {
        /// What was tried.
        tried: Vec<String>,
    },
    /// Python has no `distributed`.
    #[error("no Python has the package `distributed`: {}; install it (python -m pip install distributed), or name a Python that has it in MICROTOME_PYTHON", tried.join("; "))]
    NoDistributed {
        /// What was tried, and what it said.
        tried: Vec<String>,
    },
    /// Nothing listens there, or the name is not known.
    #[error("cannot reach {address}: {why}; is a Dask scheduler running there?")]
    Unreachable {
        /// The address.
        address: String,
        /// What the system said.
        why: String,
    },
    /// Something listens there that is no Dask scheduler, or that does not answer.
    #[error("{address} accepts connections but did not answer as a Dask scheduler within {} s ({why}); is it the address that `dask scheduler` printed?", timeout.as_secs_f64())]
    NotAScheduler {
        /// The address.
        address: String,
        /// How long it was given.
        timeout: Duration,
        /// What is known.
        why: String,
    },
    /// Encryption is wanted on one side only, or certificates do not fit.
    #[error(
        "no encrypted connection to {address}: {why}; give the certificates that the scheduler trusts (--tls-ca, --tls-cert, --tls-key), or check tcp:// against tls://"
    )]
    Tls {
        /// The address.
        address: String,
        /// What was said.
        why: String,
    },
    /// The versions of Dask here and there cannot work together.
    #[error(
        "Dask {client} here cannot work with Dask {scheduler} at {address}: {why}; install the scheduler's version in {python}, or name another Python in MICROTOME_PYTHON"
    )]
    VersionMismatch {
        /// The address.
        address: String,
        /// The version of `distributed` here.
        client: String,
        /// The scheduler's.
        scheduler: String,
        /// What changed between them.
        why: String,
        /// The Python here.
        python: String,
    },
    /// A Dask cluster could not be started on this machine.
    #[error("cannot start a Dask cluster on this machine: {why}")]
    LocalCluster {
        /// What happened, and the last words of the Python that was to run it.
        why: String,
    },
    /// The threads of this machine could not be started.
    #[error("cannot start {threads} threads: {why}; ask for fewer")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        why: String,
    },
    /// The process between this program and Dask failed in a way that has no name here.
    #[error("the bridge to Dask at {address} failed: {message}")]
    Bridge {
        /// The address.
        address: String,
        /// What it said.
        message: String,
    },
}

/// The sentence: a program whose `main` returns the error, or that unwraps it, shows this.
impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_with_a_task_error_is_two_words() {
        assert_eq!(size_of::<Result<u64, TaskError>>(), 16);
    }

    #[test]
    fn an_error_says_which_item_of_what_where_and_why() {
        let error = TaskError::failed("no nuclei").at(17).of("lab::count").on("tcp://10.0.0.2:4000");
        assert_eq!(error.to_string(), "item 17 of lab::count on tcp://10.0.0.2:4000: no nuclei");
        assert_eq!(TaskError::failed("no nuclei").to_string(), "no nuclei");
        assert_eq!(error.clone().at(3).item(), Some(17), "the place that is known stays");
    }

    #[test]
    fn a_death_quotes_the_last_words() {
        let died = TaskErrorKind::Died { how: "was killed by signal 9".into(), attempts: 3, stderr: "oh no\n".into() };
        assert_eq!(died.to_string(), "the process that ran it was killed by signal 9, 3 times; it said: oh no");
    }
}

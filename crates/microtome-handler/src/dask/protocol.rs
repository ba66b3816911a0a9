//! What this program and its driver say to each other: the headers of the frames between them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// To the driver.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Request<'a> {
    /// The first frame; its body is the source of the runtime.
    Connect(&'a Connect),
    /// A batch; its body are the packed arguments.
    Submit { id: u64, function: &'a str, items: u64, first: u64, options: &'a Options },
    /// Stop these.
    Cancel { ids: &'a [u64] },
    /// Ask every worker about itself.
    Info { id: u64 },
    /// Stop everything and leave.
    Close,
}

/// How the driver is to connect.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Connect {
    pub(super) protocol: u32,
    pub(super) address: String,
    /// Seconds.
    pub(super) timeout: f64,
    pub(super) tls: Option<Tls>,
    /// Names this connection's batches and events; unlike any other's.
    pub(super) job: String,
    /// Jobs of drivers that died: what runs of them on workers is to be stopped.
    pub(super) replaces: Vec<String>,
    /// Names the runtime's source.
    pub(super) runtime: String,
    pub(super) retries: u32,
    /// Seconds in which an item must give its result, if there is a limit.
    pub(super) item_seconds: Option<f64>,
    /// Seconds after which an item without a result is told of.
    pub(super) slow_seconds: f64,
    pub(super) exe: Executable,
}

/// Certificates of an encrypted connection: PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The authority that both sides trust.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The program that workers run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Executable {
    pub(super) sha256: String,
    pub(super) size: u64,
    /// The file's name when it is shipped.
    pub(super) name: String,
    /// Where workers look first.
    pub(super) path: Option<PathBuf>,
    /// What is shipped.
    pub(super) source: PathBuf,
    pub(super) ship: Ship,
    /// The folder in which functions run, where a worker has it.
    pub(super) folder: Option<PathBuf>,
    /// Threads of rayon's global pool in each child.
    pub(super) threads: usize,
}

/// How workers get the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Ship {
    /// By its path, on a shared file system; where that does not lead to the same content, it is sent, once.
    #[default]
    Auto,
    /// It is sent, once.
    Always,
    /// By its path alone.
    Never,
}

/// Where and how soon Dask is to run something.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Options {
    /// Only on these workers, by address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// What a batch takes of the resources that workers declare, as `GPU`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<BTreeMap<String, f64>>,
    /// Higher goes first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// From the driver.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Answer {
    /// The scheduler has answered; workers are being asked.
    Connected,
    Ready {
        versions: Versions,
        #[serde(default)]
        dashboard: String,
        workers: BTreeMap<String, WorkerFacts>,
    },
    Fatal(Fatal),
    Done {
        id: u64,
        worker: String,
        seconds: f64,
        #[serde(default)]
        skipped: u64,
        #[serde(default)]
        deaths: u32,
    },
    Fail {
        id: u64,
        kind: String,
        message: String,
    },
    Progress {
        function: String,
        first: u64,
        items: u64,
        done: u64,
        worker: String,
    },
    Slow {
        function: String,
        first: u64,
        done: u64,
        worker: String,
        seconds: f64,
    },
    Log {
        item: Option<u64>,
        worker: String,
        line: String,
    },
    Workers {
        workers: usize,
        threads: usize,
    },
    Info {
        id: u64,
        workers: BTreeMap<String, WorkerFacts>,
    },
    Warning {
        message: String,
    },
    Lost {
        message: String,
    },
    /// From a newer driver.
    #[serde(other)]
    Unknown,
}

/// Why the driver could not go on.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fatal {
    pub(super) kind: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) client: String,
    #[serde(default)]
    pub(super) scheduler: String,
    #[serde(default)]
    pub(super) python: String,
}

/// Versions of `distributed`, and of the Python here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Versions {
    /// `distributed` here.
    pub client: String,
    /// `distributed` at the scheduler.
    pub scheduler: String,
    /// The Python here.
    pub python: String,
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct WorkerFacts {
    /// The machine's name.
    #[serde(default)]
    pub host: String,
    /// The worker's process.
    #[serde(default)]
    pub pid: u32,
    /// Its threads: batches it runs at a time.
    #[serde(default)]
    pub threads: usize,
    /// Its memory limit in bytes, if it has one.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Its version of `distributed`.
    #[serde(default)]
    pub distributed: String,
    /// Its version of Python.
    #[serde(default)]
    pub python: String,
    /// The version of microtome in the program that it can run.
    #[serde(default)]
    pub version: Option<String>,
    /// Why it cannot run the program, if so.
    #[serde(default)]
    pub fault: Option<String>,
}

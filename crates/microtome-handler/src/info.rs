//! What a handler knows of where its work runs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::dask::{Versions, WorkerFacts};

/// Where work runs.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Info {
    /// Workers: 1 for the threads of this machine.
    pub workers: usize,
    /// Their threads in all: batches, or items, that run at a time.
    pub threads: usize,
    /// Memory in bytes that they may use in all, where all of them say it.
    pub memory: Option<u64>,
    /// The cluster; `None` for threads.
    pub cluster: Option<Cluster>,
}

/// A Dask cluster as it described itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cluster {
    /// The scheduler's address.
    pub address: String,
    /// Versions of Dask and Python.
    pub versions: Versions,
    /// The link to the dashboard; empty if it has none.
    pub dashboard: String,
    /// Workers by address.
    pub workers: BTreeMap<String, WorkerFacts>,
}

impl Cluster {
    /// Threads of all workers.
    pub fn threads(&self) -> usize {
        self.workers.values().map(|worker| worker.threads).sum()
    }

    pub(crate) fn info(self) -> Info {
        let memory = self.workers.values().map(|worker| worker.memory).sum::<Option<u64>>();
        Info { workers: self.workers.len(), threads: self.threads(), memory, cluster: Some(self) }
    }
}

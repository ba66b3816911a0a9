//! Where work runs: `map`, `gather` and `batched_map` on the threads of this machine or on a Dask cluster.
//!
//! - [`Handler`]: threads or a cluster, chosen when the program runs; takes functions marked with [`macro@function`].
//! - [`LocalHandler`]: threads; takes closures too.
//! - [`Future`], [`BatchedMap`]: results, one by one or in a stream of any length in flat memory.
//! - [`LocalCluster`]: a real Dask cluster on this machine, to try things out.
//! - [`init`]: the first line of `main`, because on a worker the same program runs.
//!
//! The words are those of `concurrent.futures` and Dask. *Invariant:* nothing here knows of images; a function is a name and
//! its arguments are bytes. A failed item is an `Err` in its own place and loses nobody else's result.

mod args;
mod dask;
mod error;
mod event;
mod frame;
mod function;
mod future;
mod handler;
mod here;
mod info;
mod last_words;
mod local;
mod local_cluster;
mod map;
mod outcome;
mod pack;
mod policy;
mod python;
mod task;
mod worker;

pub use args::{IntoArgs, Plain, Zip, Zipped, zip};
pub use dask::{Options, Ship, Tls, Versions, WorkerFacts};
pub use error::{ConnectError, TaskError, TaskErrorKind};
pub use event::Event;
pub use function::Function;
pub use future::{AsCompleted, Future, State};
pub use handler::{Builder, Handler};
pub use here::{WorkerHere, this_worker};
pub use info::{Cluster, Info};
pub use local::LocalHandler;
pub use local_cluster::{LocalCluster, LocalClusterOptions};
pub use map::{BatchedMap, CompletedMap, MapStats};
pub use microtome_macros::function;
pub use task::{current_item, log};
pub use worker::init;

/// What `#[function]` writes into other crates. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::{Registered, run_batch};
    pub use crate::worker::BatchCall;
    pub use inventory;
}

//! How a plan is computed: the pure scheduler, the memory budget, the executor.
//!
//! [`Plan`] joins a lazy array with what takes its result and refuses what cannot fit; [`Plan::run`] evaluates it window
//! by window on this machine's threads. The scheduler decides, the executor carries out, the keeper sees to it that what is
//! finished stays finished.
//!
//! *Invariant:* nothing here knows a file format or an operation's arithmetic, and no result depends on threads,
//! windows or budget.

mod advice;
mod counters;
mod elsewhere;
mod errand;
mod errand_run;
mod error;
mod evaluate;
mod executor;
mod explain;
mod folding;
mod intermediate;
mod journal;
mod keeper;
mod lock;
mod options;
mod passes;
mod picture;
mod plan;
mod quarantine;
mod reading;
mod report;
mod scheduler;
mod storing;
mod summarise;
pub mod trace;
mod values;
mod watch;
mod window;
mod work;

pub use counters::{Counters, Snapshot};
pub use elsewhere::{Elsewhere, Take};
pub use errand::{Brought, Counted, Errand, ErrandPass, Fault, FaultKind, Without};
pub use error::RunError;
pub use explain::{AtOnce, Explanation, LayerReason, MemoryReason, PassReason};
pub use intermediate::Intermediate;
pub use lock::Lock;
pub use options::{CancelToken, Intermediates, MOST_THREADS, OnCluster, Resume, RunOptions, default_memory};
pub use passes::{Pass, PassLimit};
pub use plan::Plan;
pub use quarantine::{BadPlane, BadPlanes, FoundBad, MostBad, OnError};
pub use report::RunReport;
pub use scheduler::{Command, End, Event, Job, Scheduler, Setup, Ticket, Window};
pub use work::{computing, encoding, reading_back};

//! How to run: threads, memory, stopping, what is done about what goes wrong. Of all this [`BadPlanes`] alone changes a
//! result, and so is part of the plan's hash.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use microtome_graph::{Admission, GroupMemory, Stage};
use microtome_io::{Durability, Io};

use crate::{BadPlanes, Counters, OnError};

/// The most threads that a run starts: more than machines have cores, so that a slip of the keyboard brings none down.
pub const MOST_THREADS: usize = 1024;

/// How to run a plan.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Threads that compute.
    pub threads: usize,
    /// Budget in bytes for pixels and scratch.
    pub memory: u64,
    /// Groups of write units to a window; chosen from their number if `None`.
    pub window: Option<u64>,
    /// Counts what happens, for progress.
    pub counters: Arc<Counters>,
    /// Stops the run when set.
    pub cancel: CancelToken,
    /// Whether an output that an earlier run left unfinished is gone on with.
    pub resume: Resume,
    /// What is done about planes that cannot be read.
    pub on_error: OnError,
    /// How much of a crash of the machine finished write units outlive.
    pub durability: Durability,
    /// Whether pixels may be stored for a while between two passes, in a file beside the output, where memory does not hold
    /// what is needed again and reading it again would cost more.
    pub intermediate: Intermediates,
    /// What is of runs on a cluster alone.
    pub cluster: OnCluster,
}

/// What is of runs on a cluster alone. It changes no result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnCluster {
    /// The part of all write units, 0 to 1, that is made again here to see whether workers store the right bytes.
    pub check: f64,
    /// Paths that workers find elsewhere: how a path begins here, and there.
    pub path_map: Vec<(PathBuf, PathBuf)>,
    /// Folders, beside the source's own, in which workers too open files that the source names: those that it was opened with.
    pub allowed_roots: Vec<PathBuf>,
    /// How workers too read bytes that hold pixels as they are.
    pub io: Io,
}

/// Whether pixels may be stored for a while on the way. It changes no result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intermediates {
    /// Where that is thought to cost less than reading again.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Wherever memory does not hold what is needed again: for sources that are slow to read.
    Always,
}

/// Whether an output that an earlier run of the same plan left unfinished is gone on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// No: it is in the way.
    #[default]
    No,
    /// Yes; units that are there with their length are taken as they are.
    Yes,
    /// Yes; the bytes of every unit are checked first, and units whose record is lost are made again.
    Verify,
}

impl Default for RunOptions {
    /// All threads of this machine, or as many as `RAYON_NUM_THREADS` says (on a Dask worker it says 1, because the worker
    /// runs as many items at a time as it has threads); [`default_memory`].
    fn default() -> Self {
        let told = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
        let threads = told.filter(|threads| (1..=MOST_THREADS).contains(threads));
        RunOptions {
            threads: threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            memory: default_memory(),
            window: None,
            counters: Arc::default(),
            cancel: CancelToken::default(),
            resume: Resume::default(),
            on_error: OnError::default(),
            durability: Durability::default(),
            intermediate: Intermediates::default(),
            cluster: OnCluster::default(),
        }
    }
}

/// Groups in a window at most: enough to hide the cost of a window, few enough to balance.
const MOST_GROUPS: u64 = 4096;
/// Windows for each thread at least, where there are so many groups.
const WINDOWS_A_THREAD: u64 = 16;

impl RunOptions {
    /// Groups of write units to a window, of so many groups in all.
    pub fn window_groups(&self, groups: u64) -> u64 {
        let auto = (groups / (self.threads.max(1) as u64 * WINDOWS_A_THREAD)).clamp(1, MOST_GROUPS);
        self.window.unwrap_or(auto).max(1)
    }

    /// Memory of a group of a stage, given what each top's sink needs for a box: also of one in which something goes wrong,
    /// where the run goes on then.
    pub(crate) fn group_memory(&self, stage: &Stage, sink_scratch: &[u64]) -> GroupMemory {
        let memory = stage.group_memory(sink_scratch);
        match self.on_error {
            OnError::Stop => memory,
            OnError::Quarantine { .. } => memory.with_more(stage.salvage_bytes(self.skips())),
        }
    }

    /// Whether folds and summaries leave out what is bad.
    pub(crate) fn skips(&self) -> bool {
        matches!(self.on_error, OnError::Quarantine { bad_planes: BadPlanes::Skip, .. })
    }

    /// Windows that so many groups make, admitted so: what a run reports as batches.
    pub fn windows(&self, groups: u64, admission: Option<&Admission>) -> u64 {
        let window = admission.and_then(|admission| admission.window);
        groups.div_ceil(window.unwrap_or_else(|| self.window_groups(groups)))
    }
}

/// Asks a run to stop; clones ask the same run.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks to stop: tasks under way end, none is started.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Half of the memory this process may use: the least of the machine's and of its control groups' (v2 and v1).
pub fn default_memory() -> u64 {
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = limits.iter().filter_map(|path| read_number(path)).min();
    let machine = total_memory().unwrap_or(4 << 30);
    machine.min(group.unwrap_or(u64::MAX)) / 2
}

fn read_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

//! What a piece of work takes of the machine: wall time, processor time of all threads, memory.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// What one run took.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Seconds on the wall.
    pub(crate) wall: f64,
    /// Processor seconds of all threads, in the program and in the system: what else the machine does counts little.
    pub(crate) cpu: f64,
}

/// Runs something once.
pub(crate) fn of(work: impl FnOnce()) -> Usage {
    let (start, before) = (Instant::now(), cpu_seconds());
    work();
    Usage { wall: start.elapsed().as_secs_f64(), cpu: cpu_seconds() - before }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The middle value.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

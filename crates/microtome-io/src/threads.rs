//! The same work on several threads that share it out among themselves.

use std::panic::resume_unwind;
use std::thread;

/// Runs `work` on so many threads, this one among them, and waits for all; `work` takes its share by a counter of its own. Where
/// no thread can be started, those that could do it all.
///
/// # Errors
/// The first error, this thread's before others'.
///
/// # Panics
/// As `work` does.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// let (next, sum) = (AtomicU64::new(0), AtomicU64::new(0));
/// microtome_io::on_threads(3, || {
///     while let Some(n) = Some(next.fetch_add(1, Relaxed)).filter(|n| *n < 100) {
///         sum.fetch_add(n, Relaxed);
///     }
///     Ok::<(), String>(())
/// })?;
/// assert_eq!(sum.into_inner(), 99 * 100 / 2);
/// # Ok::<(), String>(())
/// ```
pub fn on_threads<E: Send>(threads: usize, work: impl Fn() -> Result<(), E> + Sync) -> Result<(), E> {
    let work = &work;
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let started: Vec<_> = (1..threads.max(1)).map_while(start).collect();
        let own = work();
        let joined = started.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.fold(own, Result::and)
    })
}

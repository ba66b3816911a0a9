//! Futures: results that will be there, one an item, on threads and on a cluster alike.
//!
//! *Invariant:* a future is settled once and its result is given once; a cancelled future is settled at once, whatever
//! still runs somewhere.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{TaskError, TaskErrorKind};

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Waiting in this process.
    Pending,
    /// Given to the threads or to the Dask scheduler.
    Queued,
    /// Known to run.
    Running,
    /// It has a result.
    Finished,
    /// It has an error.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// The cluster it was given to has gone.
    Lost,
}

/// What a future shares with whoever settles it.
pub(crate) struct Slot<T> {
    stage: Mutex<Stage<T>>,
    changed: Condvar,
}

struct Stage<T> {
    state: State,
    result: Option<Result<T, TaskError>>,
    watcher: Option<(Sender<usize>, usize)>,
}

impl<T> Slot<T> {
    pub(crate) fn new(state: State) -> Arc<Slot<T>> {
        let stage = Stage { state, result: None, watcher: None };
        Arc::new(Slot { stage: Mutex::new(stage), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the result; does nothing if the future is settled.
    pub(crate) fn settle(&self, result: Result<T, TaskError>) {
        let mut stage = self.lock();
        if is_settled(stage.state) {
            return;
        }
        stage.state = settled_as(&result);
        stage.result = Some(result);
        if let Some((watcher, index)) = stage.watcher.take() {
            // Whoever watched may have stopped.
            let _ = watcher.send(index);
        }
        drop(stage);
        self.changed.notify_all();
    }

    /// Moves on to `state` if the future is not settled; false if it is, and nothing is left to do.
    pub(crate) fn advance(&self, state: State) -> bool {
        let mut stage = self.lock();
        let open = !is_settled(stage.state);
        if open {
            stage.state = state;
        }
        open
    }

    pub(crate) fn is_open(&self) -> bool {
        !is_settled(self.lock().state)
    }

    fn watch(&self, watcher: &Sender<usize>, index: usize) {
        let mut stage = self.lock();
        if is_settled(stage.state) {
            let _ = watcher.send(index);
        } else {
            stage.watcher = Some((watcher.clone(), index));
        }
    }

    /// Waits until settled or until `deadline`; the result if there is one.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>> {
        let mut stage = self.lock();
        loop {
            if is_settled(stage.state) {
                return stage.result.take();
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            if rayon::current_thread_index().is_some() {
                drop(stage);
                help();
                stage = self.lock();
                continue;
            }
            stage = match left {
                None => self.changed.wait(stage).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.changed.wait_timeout(stage, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

/// A task that waits for others of its own pool must not keep its thread from running them.
pub(crate) fn help() {
    if rayon::yield_now() != Some(rayon::Yield::Executed) {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn is_settled(state: State) -> bool {
    matches!(state, State::Finished | State::Failed | State::Cancelled | State::Lost)
}

fn settled_as<T>(result: &Result<T, TaskError>) -> State {
    match result.as_ref().map_err(TaskError::kind) {
        Ok(_) => State::Finished,
        Err(TaskErrorKind::Cancelled) => State::Cancelled,
        Err(TaskErrorKind::SchedulerLost { .. } | TaskErrorKind::Bridge { .. }) => State::Lost,
        Err(_) => State::Failed,
    }
}

/// Told when somebody cancels an item.
pub(crate) trait Canceller: Send + Sync {
    /// The item with this ticket is wanted no more.
    fn cancelled(&self, ticket: u64);
}

/// A result that will be there.
///
/// Dropping a future does not cancel it: the item runs, its result is thrown away.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use microtome_handler::{Handler, State};
///
/// let handler = Handler::local();
/// let future = handler.submit(|x: u64| x * x, 12);
/// assert_eq!(future.result()?, 144);
///
/// let slow = handler.submit(|()| std::thread::sleep(Duration::from_millis(50)), ());
/// let slow = slow.result_timeout(Duration::from_millis(1)).unwrap_err(); // the future is given back
/// slow.cancel();
/// assert_eq!(slow.state(), State::Cancelled);
/// # Ok::<(), microtome_handler::TaskError>(())
/// ```
#[must_use = "a future gives its result only when asked"]
pub struct Future<T> {
    slot: Arc<Slot<T>>,
    canceller: Option<(Arc<dyn Canceller>, u64)>,
}

impl<T> Future<T> {
    pub(crate) fn new(slot: Arc<Slot<T>>, canceller: Option<(Arc<dyn Canceller>, u64)>) -> Future<T> {
        Future { slot, canceller }
    }

    /// Where the item is. Does not wait.
    pub fn state(&self) -> State {
        self.slot.lock().state
    }

    /// Whether there is a result, an error, or a cancellation. Does not wait.
    pub fn done(&self) -> bool {
        is_settled(self.state())
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The item's own error: [`TaskErrorKind`] lists them.
    pub fn result(self) -> Result<T, TaskError> {
        self.slot.wait(None).unwrap_or_else(|| Err(TaskErrorKind::Closed.into()))
    }

    /// Waits for the result, so long at most.
    ///
    /// # Errors
    /// The future itself if the time is over, to wait again.
    pub fn result_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Future<T>> {
        match self.slot.wait(Instant::now().checked_add(timeout)) {
            Some(result) => Ok(result),
            None => Err(self),
        }
    }

    /// Settles the future as cancelled, unless it is settled. An item that waits will not run; on a cluster, one that runs
    /// is stopped when everything in its batch is cancelled; on threads it runs to its end and its result is thrown away.
    pub fn cancel(&self) {
        self.slot.settle(Err(TaskErrorKind::Cancelled.into()));
        if self.state() == State::Cancelled
            && let Some((canceller, ticket)) = &self.canceller
        {
            canceller.cancelled(*ticket);
        }
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Future({:?})", self.state())
    }
}

/// Waits for all, in input order; a failed item stands as an `Err` in its own place.
pub(crate) fn gather<T>(futures: impl IntoIterator<Item = Future<T>>) -> Vec<Result<T, TaskError>> {
    futures.into_iter().map(Future::result).collect()
}

/// Waits for all; at the first error, in order of time, cancels the others and gives it.
pub(crate) fn try_gather<T>(futures: impl IntoIterator<Item = Future<T>>) -> Result<Vec<T>, TaskError> {
    let mut completed = AsCompleted::new(futures);
    let mut results: Vec<Option<T>> = Vec::new();
    results.resize_with(completed.futures.len(), || None);
    while let Some((index, result)) = completed.next() {
        match result {
            Ok(result) => results[index] = Some(result),
            Err(error) => {
                completed.futures.iter().flatten().for_each(Future::cancel);
                return Err(error);
            }
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Yields results in the order in which they come, each with its place in the input.
#[derive(Debug)]
pub struct AsCompleted<T> {
    futures: Vec<Option<Future<T>>>,
    settled: Receiver<usize>,
    left: usize,
    waiting: VecDeque<usize>,
}

impl<T> AsCompleted<T> {
    pub(crate) fn new(futures: impl IntoIterator<Item = Future<T>>) -> AsCompleted<T> {
        let (sender, settled) = channel();
        let futures: Vec<Option<Future<T>>> = futures.into_iter().map(Some).collect();
        for (index, future) in futures.iter().flatten().enumerate() {
            future.slot.watch(&sender, index);
        }
        AsCompleted { left: futures.len(), futures, settled, waiting: VecDeque::new() }
    }

    fn next_settled(&mut self) -> Option<usize> {
        if rayon::current_thread_index().is_none() {
            return self.settled.recv().ok();
        }
        loop {
            self.waiting.extend(self.settled.try_iter());
            if let Some(index) = self.waiting.pop_front() {
                return Some(index);
            }
            help();
        }
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = (usize, Result<T, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let index = self.next_settled()?;
        let future = self.futures.get_mut(index)?.take()?;
        Some((index, future.result()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

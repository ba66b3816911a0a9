//! Work on the threads of this machine: the same verbs as on a cluster, for any closure.
//!
//! *Invariant:* a panic is its item's error; threads are the handler's own, so that waiting in one task for others of the
//! same handler does not stall.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::args::IntoArgs;
use crate::error::{ConnectError, TaskError, TaskErrorKind};
use crate::event::{Event, Listeners};
use crate::future::{AsCompleted, Future, Slot, State, gather, try_gather};
use crate::info::Info;
use crate::map::{BatchedMap, Done, Results, Runner};
use crate::policy::Rule;
use crate::task::{self, Listener, Working};

/// The name of threads in events.
const HERE: &str = "threads";
/// Emptied buffers that are kept for reuse.
const MOST_SPARES: usize = 64;

/// Threads of this machine that run closures and functions.
///
/// # Examples
/// ```
/// use microtome_handler::Handler;
///
/// let handler = Handler::local();
/// let futures = handler.map(|x: u64| x + 1, [1, 2, 3]);
/// assert_eq!(handler.try_gather(futures)?, [2, 3, 4]);
/// // A million items in flat memory, results in order:
/// let sum: u64 = handler.batched_map(|x: u64| x * 2, 0..1_000_000).map(|r| r.unwrap_or(0)).sum();
/// assert_eq!(sum, 999_999_000_000);
/// # Ok::<(), microtome_handler::TaskError>(())
/// ```
#[derive(Clone)]
pub struct LocalHandler {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` where no thread could be started: work then runs in the caller's.
    pool: Option<ThreadPool>,
    threads: usize,
    listeners: Listeners,
}

impl Shared {
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        match &self.pool {
            Some(pool) => pool.spawn_fifo(job),
            None => job(),
        }
    }

    /// Who takes the lines of items, if anybody.
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        let listeners = self.listeners.clone();
        self.listeners.is_heard().then(|| Arc::new(LocalListener(listeners)) as Arc<dyn Listener>)
    }
}

struct LocalListener(Listeners);

impl Listener for LocalListener {
    fn line(&self, item: u64, line: &str) {
        self.0.tell(|| Event::Log { item: Some(item), worker: HERE.to_owned(), line: line.to_owned() });
    }
}

impl LocalHandler {
    /// All threads of this machine; the caller's alone where none can be started.
    pub(crate) fn new() -> LocalHandler {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        LocalHandler::with(threads, Listeners::default()).unwrap_or_else(|error| {
            tracing::warn!("{error}; work runs on the calling thread");
            LocalHandler { shared: Arc::new(Shared { pool: None, threads: 1, listeners: Listeners::default() }) }
        })
    }

    pub(crate) fn with(threads: usize, listeners: Listeners) -> Result<LocalHandler, ConnectError> {
        let name = |n| format!("microtome-{n}");
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let pool = pool.map_err(|error| ConnectError::Threads { threads, why: error.to_string() })?;
        Ok(LocalHandler {
            shared: Arc::new(Shared { threads: pool.current_num_threads(), pool: Some(pool), listeners }),
        })
    }

    /// Runs a closure with these arguments.
    pub fn submit<A, R, F>(&self, function: F, args: A) -> Future<R>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Send + Sync + 'static,
    {
        self.start(&infallible(function), "", 0, Ok(args))
    }

    /// Runs a closure for each of the arguments: a future each, in input order. Several iterables go in by
    /// [`zip`](crate::zip()).
    pub fn map<A, R, F, I>(&self, function: F, args: I) -> Vec<Future<R>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Send + Sync + 'static,
        I: IntoArgs<A>,
    {
        self.start_all(&infallible(function), "", args)
    }

    /// Runs a closure over any iterator in flat memory; yields results in input order. See [`BatchedMap`].
    pub fn batched_map<A, R, F, I>(&self, function: F, args: I) -> BatchedMap<A, R, I::Iter>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Send + Sync + 'static,
        I: IntoArgs<A>,
    {
        self.stream(infallible(function), "", args)
    }

    /// Waits for all results, in input order; a failed item is an `Err` in its own place.
    pub fn gather<T>(&self, futures: impl IntoIterator<Item = Future<T>>) -> Vec<Result<T, TaskError>> {
        gather(futures)
    }

    /// Waits for all results; at the first error cancels the others and gives it.
    ///
    /// # Errors
    /// The error that came first.
    pub fn try_gather<T>(&self, futures: impl IntoIterator<Item = Future<T>>) -> Result<Vec<T>, TaskError> {
        try_gather(futures)
    }

    /// Yields results as they come, each with its place among the futures.
    pub fn as_completed<T>(&self, futures: impl IntoIterator<Item = Future<T>>) -> AsCompleted<T> {
        AsCompleted::new(futures)
    }

    /// Threads and memory of this machine.
    pub fn info(&self) -> Info {
        Info { workers: 1, threads: self.shared.threads, memory: memory(), cluster: None }
    }

    /// Ends the threads when what was given to them is done.
    pub fn close(self) {}

    pub(crate) fn start<A, R, F>(
        &self,
        function: &Arc<F>,
        name: &'static str,
        item: u64,
        args: Result<A, TaskError>,
    ) -> Future<R>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> Result<R, TaskError> + Send + Sync + 'static,
    {
        let slot = Slot::new(State::Queued);
        let future = Future::new(Arc::clone(&slot), None);
        let named = move |error: TaskError| {
            let error = error.at(item);
            if name.is_empty() { error } else { error.of(name) }
        };
        let args = match args {
            Ok(args) => args,
            Err(error) => {
                slot.settle(Err(named(error)));
                return future;
            }
        };
        let function = Arc::clone(function);
        let listener = self.shared.listener();
        self.shared.spawn(move || {
            if slot.advance(State::Running) {
                let _working = Working::start(listener);
                task::set_item(item);
                let result = catch_unwind(AssertUnwindSafe(|| function(args)));
                let result = result.unwrap_or_else(|payload| Err(TaskError::panicked(payload.as_ref())));
                slot.settle(result.map_err(named));
            }
        });
        future
    }

    pub(crate) fn start_all<A, R, F>(
        &self,
        function: &Arc<F>,
        name: &'static str,
        args: impl IntoArgs<A>,
    ) -> Vec<Future<R>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> Result<R, TaskError> + Send + Sync + 'static,
    {
        args.into_args().zip(0..).map(|(args, item)| self.start(function, name, item, args)).collect()
    }

    pub(crate) fn stream<A, R, F, I>(&self, function: Arc<F>, name: &'static str, args: I) -> BatchedMap<A, R, I::Iter>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> Result<R, TaskError> + Send + Sync + 'static,
        I: IntoArgs<A>,
    {
        let (sender, receiver) = channel();
        let runner = LocalRunner {
            shared: Arc::clone(&self.shared),
            function,
            name,
            sender,
            receiver,
            out: 0,
            stop: Arc::new(AtomicBool::new(false)),
            batch: Vec::new(),
            items: Vec::new(),
            results: Vec::new(),
        };
        BatchedMap::new(args.into_args(), Box::new(runner), Rule::threads())
    }
}

impl fmt::Debug for LocalHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalHandler({} threads)", self.shared.threads)
    }
}

/// Memory of this machine in bytes, where it is known.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

fn infallible<A, R, F>(function: F) -> Arc<impl Fn(A) -> Result<R, TaskError> + Send + Sync + 'static>
where
    F: Fn(A) -> R + Send + Sync + 'static,
{
    Arc::new(move |args| Ok(function(args)))
}

/// Runs batches on the threads; buffers go round instead of being made anew.
struct LocalRunner<A, R, F> {
    shared: Arc<Shared>,
    function: Arc<F>,
    name: &'static str,
    sender: Sender<(Done<R>, Vec<A>)>,
    receiver: Receiver<(Done<R>, Vec<A>)>,
    out: usize,
    stop: Arc<AtomicBool>,
    /// The items of the next batch.
    batch: Vec<A>,
    /// Emptied buffers of items, and of results.
    items: Vec<Vec<A>>,
    results: Vec<Vec<Result<R, TaskError>>>,
}

impl<A, R, F> Runner<A, R> for LocalRunner<A, R, F>
where
    A: Send + 'static,
    R: Send + 'static,
    F: Fn(A) -> Result<R, TaskError> + Send + Sync + 'static,
{
    fn function(&self) -> &'static str {
        self.name
    }

    fn threads(&self) -> usize {
        self.shared.threads
    }

    fn down(&self) -> Option<TaskErrorKind> {
        None
    }

    fn buffer(&mut self) -> Vec<A> {
        self.items.pop().unwrap_or_default()
    }

    fn chunk(&self) -> u64 {
        u64::MAX
    }

    fn add(&mut self, mut items: Vec<A>, _: u64) -> bool {
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, &mut items);
        }
        self.batch.append(&mut items);
        self.keep(items);
        true
    }

    fn submit(&mut self, seq: u64, first: u64) -> Result<u64, TaskErrorKind> {
        let mut items = std::mem::take(&mut self.batch);
        let mut results = self.results.pop().unwrap_or_default();
        let (function, sender, stop) = (Arc::clone(&self.function), self.sender.clone(), Arc::clone(&self.stop));
        let (listener, listeners, name) = (self.shared.listener(), self.shared.listeners.clone(), self.name);
        self.out += 1;
        self.shared.spawn(move || {
            let count = items.len() as u64;
            let start = Instant::now();
            if !stop.load(Ordering::Relaxed) {
                let _working = Working::start(listener);
                run_all(function.as_ref(), first, &mut items, &mut results);
            }
            let seconds = start.elapsed().as_secs_f64();
            items.clear();
            results.reverse();
            listeners.tell(|| {
                let (function, worker) = (name.to_owned(), HERE.to_owned());
                Event::Batch { function, first, items: count, seconds, worker }
            });
            let results = Results::Here(results);
            let done = Done { seq, first, items: count, result_bytes: 0, seconds: Some(seconds), results };
            // If the map was dropped, nobody wants it.
            let _ = sender.send((done, items));
        });
        Ok(0)
    }

    fn recycle(&mut self, results: Vec<Result<R, TaskError>>) {
        if self.results.len() < MOST_SPARES {
            self.results.push(results);
        }
    }

    fn done(&mut self, wait: bool) -> Option<Done<R>> {
        let next = match (wait && self.out > 0, rayon::current_thread_index()) {
            (false, _) => self.receiver.try_recv().ok(),
            (true, None) => self.receiver.recv().ok(),
            (true, Some(_)) => loop {
                // A task that waits for others of its own pool must not keep its thread from running them.
                if let Ok(next) = self.receiver.try_recv() {
                    break Some(next);
                }
                crate::future::help();
            },
        };
        let (done, items) = next?;
        self.out -= 1;
        self.keep(items);
        Some(done)
    }
}

impl<A, R, F> LocalRunner<A, R, F> {
    /// Keeps an emptied buffer for reuse.
    fn keep(&mut self, items: Vec<A>) {
        if items.capacity() > 0 && self.items.len() < MOST_SPARES {
            self.items.push(items);
        }
    }
}

impl<A, R, F> Drop for LocalRunner<A, R, F> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Runs all items of a batch; after a panic it goes on with the item behind.
fn run_all<A, R, F>(function: &F, first: u64, items: &mut Vec<A>, results: &mut Vec<Result<R, TaskError>>)
where
    F: Fn(A) -> Result<R, TaskError>,
{
    results.reserve(items.len());
    let mut items = items.drain(..);
    loop {
        // One guard for many items: a guard each would cost more than a short item.
        let run = catch_unwind(AssertUnwindSafe(|| {
            for args in items.by_ref() {
                task::set_item(first + results.len() as u64);
                results.push(function(args));
            }
        }));
        match run {
            Ok(()) => return,
            Err(payload) => results.push(Err(TaskError::panicked(payload.as_ref()))),
        }
    }
}

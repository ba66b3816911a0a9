//! The handler: threads or a cluster, chosen when the program runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::args::IntoArgs;
use crate::dask::{DaskHandler, Options, Program, Setup, Ship, Target, Tls};
use crate::error::{ConnectError, TaskError};
use crate::event::{Event, Listeners};
use crate::function::Function;
use crate::future::{AsCompleted, Future, gather, try_gather};
use crate::info::Info;
use crate::local::LocalHandler;
use crate::map::BatchedMap;

/// The most Dask tasks that a handler ever has at the scheduler: more cost the scheduler memory and gain nothing.
const MOST_UNRELEASED: usize = 10_000;
/// How long an item may take before it is told of.
const SLOW_AFTER: Duration = Duration::from_mins(5);

/// Where work runs: the threads of this machine, or a Dask cluster.
///
/// The same program does both: `Handler::new(None)` are threads, `Handler::new(Some("tcp://host:8786"))` a cluster. Clones
/// share one connection, which ends with the last of them; the cluster goes on. What has no result then is an error.
///
/// # Examples
/// ```
/// use microtome_handler::{Handler, function};
///
/// #[function(crate = microtome_handler)]
/// fn add_one(x: u64) -> u64 {
///     x + 1
/// }
///
/// let address = None; // or Some("tcp://…"), a scheduler that runs
/// let handler = Handler::new(address)?;
/// let futures = handler.map(add_one, [1, 2, 3]);
/// assert_eq!(handler.try_gather(futures)?, [2, 3, 4]);
/// for (i, result) in handler.batched_map(add_one, 0..100_000).enumerate() {
///     assert_eq!(result?, i as u64 + 1); // in order, in flat memory
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handler(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Local(LocalHandler),
    Dask(DaskHandler),
}

impl From<LocalHandler> for Handler {
    fn from(local: LocalHandler) -> Self {
        Handler(Kind::Local(local))
    }
}

impl Handler {
    /// Threads for `None`; else the Dask cluster at that address (`tcp://…`, `tls://…`) or of that scheduler file.
    ///
    /// # Errors
    /// [`ConnectError`], within 15 s, says what was tried and what to do.
    pub fn new(address: Option<&str>) -> Result<Handler, ConnectError> {
        Handler::builder().maybe_address(address).build()
    }

    /// All threads of this machine, also for closures.
    pub fn local() -> LocalHandler {
        LocalHandler::new()
    }

    /// A handler with options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs a function with these arguments.
    pub fn submit<F: Function>(&self, function: F, args: F::Args) -> Future<F::Output> {
        match &self.0 {
            Kind::Local(local) => local.start(&called(function), F::NAME, 0, Ok(args)),
            Kind::Dask(dask) => dask.submit::<F>(&args),
        }
    }

    /// Runs a function for each of the arguments: a future each, in input order. All arguments are held; for more than some
    /// hundred thousand use [`Handler::batched_map`].
    pub fn map<F: Function, I: IntoArgs<F::Args>>(&self, function: F, args: I) -> Vec<Future<F::Output>> {
        match &self.0 {
            Kind::Local(local) => local.start_all(&called(function), F::NAME, args),
            Kind::Dask(dask) => dask.map::<F>(args),
        }
    }

    /// Runs a function over any iterator in flat memory; yields results in input order. See [`BatchedMap`].
    pub fn batched_map<F: Function, I: IntoArgs<F::Args>>(
        &self,
        function: F,
        args: I,
    ) -> BatchedMap<F::Args, F::Output, I::Iter> {
        match &self.0 {
            Kind::Local(local) => local.stream(called(function), F::NAME, args),
            Kind::Dask(dask) => dask.batched_map::<F, I>(args),
        }
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

    /// Workers, threads, memory; of a cluster also versions and the link to its dashboard. Asks every worker of a cluster.
    pub fn info(&self) -> Info {
        match &self.0 {
            Kind::Local(local) => local.info(),
            Kind::Dask(dask) => dask.info(),
        }
    }

    /// The same handler, with other options for what is given to it from here on. Threads have none.
    #[must_use]
    pub fn with_options(&self, options: Options) -> Handler {
        match &self.0 {
            Kind::Local(_) => self.clone(),
            Kind::Dask(dask) => Handler(Kind::Dask(dask.with_options(options))),
        }
    }

    /// Whether work runs on a cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.0, Kind::Dask(_))
    }

    /// The process that speaks to Dask, for whoever watches processes; `None` for threads.
    pub fn driver_id(&self) -> Option<u32> {
        match &self.0 {
            Kind::Local(_) => None,
            Kind::Dask(dask) => dask.driver_id(),
        }
    }

    /// Ends the connection, if this is its last handler. A cluster goes on.
    pub fn close(self) {}
}

fn called<F: Function>(function: F) -> Arc<impl Fn(F::Args) -> Result<F::Output, TaskError> + Send + Sync + 'static> {
    Arc::new(move |args| function.call(args))
}

/// Options of a handler.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use microtome_handler::{Event, Handler, Tls};
///
/// let handler = Handler::builder()
///     .address("tls://scheduler.lab:8786")
///     .tls(Tls { ca: "ca.pem".into(), cert: "me.pem".into(), key: "me-key.pem".into() })
///     .timeout(Duration::from_secs(5))
///     .on_event(|event| {
///         if let Event::Log { worker, line, .. } = event {
///             eprintln!("{worker}: {line}");
///         }
///     })
///     .build()?;
/// # Ok::<(), microtome_handler::ConnectError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "`build` makes the handler"]
pub struct Builder {
    setup: Setup,
    cluster: bool,
    threads: Option<usize>,
}

impl Default for Builder {
    fn default() -> Self {
        let setup = Setup {
            target: Target::Address(String::new()),
            insecure: false,
            tls: None,
            timeout: Duration::from_secs(10),
            retries: 2,
            item_limit: None,
            slow_after: SLOW_AFTER,
            python: None,
            program: Program::default(),
            listeners: Listeners::default(),
            options: Options::default(),
            most_unreleased: MOST_UNRELEASED,
        };
        Builder { setup, cluster: false, threads: None }
    }
}

impl Builder {
    /// The Dask scheduler: `tcp://HOST:PORT`, `tls://HOST:PORT`, or the path of a scheduler file. Without it: threads.
    pub fn address(mut self, address: &str) -> Builder {
        self.setup.target = Target::Address(address.to_owned());
        self.cluster = true;
        self
    }

    /// As [`Builder::address`] where there is one; nothing otherwise.
    pub fn maybe_address(self, address: Option<&str>) -> Builder {
        match address {
            Some(address) => self.address(address),
            None => self,
        }
    }

    /// The file that `dask scheduler --scheduler-file` writes.
    pub fn scheduler_file(mut self, path: impl Into<PathBuf>) -> Builder {
        self.setup.target = Target::File(path.into());
        self.cluster = true;
        self
    }

    /// Allows a connection in plain text to another machine. Dask runs code for whoever reaches it: only on a network that
    /// you trust.
    pub fn insecure(mut self, allowed: bool) -> Builder {
        self.setup.insecure = allowed;
        self
    }

    /// Certificates for `tls://`; without them those of Dask's own configuration are used.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.setup.tls = Some(tls);
        self
    }

    /// How long connecting may take, starting Python not counted; 10 s unless said otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.setup.timeout = timeout;
        self
    }

    /// How often an item is tried again after a fault that is not its own; twice unless said otherwise.
    pub fn retries(mut self, retries: u32) -> Builder {
        self.setup.retries = retries;
        self
    }

    /// On a cluster: how long an item may take. Its process is ended then, and the item is [`Died`]; its neighbours in the batch
    /// run again. There is no limit unless it is set. What runs on a thread cannot be ended.
    ///
    /// [`Died`]: crate::TaskErrorKind::Died
    pub fn item_limit(mut self, limit: Duration) -> Builder {
        self.setup.item_limit = Some(limit);
        self
    }

    /// On a cluster: how long an item may take before a [`Warning`](crate::Event::Warning) tells of it, and again after twice as
    /// long, and so on; 5 minutes unless said otherwise.
    pub fn slow_after(mut self, time: Duration) -> Builder {
        self.setup.slow_after = time;
        self
    }

    /// The Python that speaks to Dask; it needs the package `distributed`. By default `MICROTOME_PYTHON`, the active
    /// environment, or `python3`.
    pub fn python(mut self, python: impl Into<PathBuf>) -> Builder {
        self.setup.python = Some(python.into());
        self
    }

    /// The program that workers run, if it is not this one: it must have the same functions and call `init` first.
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Builder {
        self.setup.program.path = Some(path.into());
        self
    }

    /// How workers get the program.
    pub fn ship(mut self, ship: Ship) -> Builder {
        self.setup.program.ship = ship;
        self
    }

    /// Threads of rayon's own pool inside each process on a worker; 1 unless said otherwise, because a worker runs as many
    /// processes as it has threads.
    pub fn threads_each(mut self, threads: usize) -> Builder {
        self.setup.program.threads = threads;
        self
    }

    /// The most Dask tasks that are ever at the scheduler; 10,000 unless said otherwise, 100,000 at most.
    pub fn most_unreleased(mut self, tasks: usize) -> Builder {
        self.setup.most_unreleased = tasks.clamp(1, 100_000);
        self
    }

    /// Workers, resources and priority of what is given to the cluster.
    pub fn options(mut self, options: Options) -> Builder {
        self.setup.options = options;
        self
    }

    /// Is told what happens while work goes on, on a thread of the handler: be quick, and do not wait for results there.
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Builder {
        self.setup.listeners = Listeners::new(listener);
        self
    }

    /// Threads of this machine, where work runs here; all unless said otherwise.
    pub fn threads(mut self, threads: usize) -> Builder {
        self.threads = Some(threads.max(1));
        self
    }

    /// The handler: of the cluster if an address was given, else of threads.
    ///
    /// # Errors
    /// As [`Handler::new`].
    pub fn build(self) -> Result<Handler, ConnectError> {
        if !self.cluster {
            return self.local().map(Handler::from);
        }
        DaskHandler::connect(self.setup).map(|dask| Handler(Kind::Dask(dask)))
    }

    /// A handler of threads, which takes closures too, whatever address was given.
    ///
    /// # Errors
    /// [`ConnectError::Threads`] if they cannot be started.
    pub fn local(self) -> Result<LocalHandler, ConnectError> {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        LocalHandler::with(self.threads.unwrap_or(all), self.setup.listeners)
    }
}

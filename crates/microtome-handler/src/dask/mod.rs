//! Work on a Dask cluster, unmodified, through Dask's public API.
//!
//! A Python process, the *driver*, speaks to Dask; on each worker a *runtime* of a few hundred lines of Python keeps children,
//! which are this very program in worker mode. What crosses the network is small: names, packed arguments, packed results.
//! *Invariant:* nothing here knows what a function does or what its arguments are.

mod address;
mod books;
mod driver;
mod executable;
mod lane;
mod link;
mod protocol;
mod remedy;
mod shipment;
mod stream;

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::address::Address;
use self::lane::Lane;
use self::link::Link;
use self::protocol::Connect;
use self::shipment::Piece;
use self::stream::{DaskRunner, encode};
use crate::args::IntoArgs;
use crate::error::{ConnectError, TaskError, TaskErrorKind};
use crate::event::Listeners;
use crate::frame;
use crate::function::Function;
use crate::future::{Canceller, Future};
use crate::info::{Cluster, Info};
use crate::map::BatchedMap;
use crate::pack::{self, Packer};
use crate::policy::{Policy, Rule};

pub(crate) use self::executable::Program;
pub use self::protocol::{Options, Ship, Tls, Versions, WorkerFacts};

/// A batch of arguments larger than this, packed, is worth a warning: Dask keeps recent messages.
const WARN_ARGS: usize = 64 << 10;
/// A message larger than this is cut, or refused if it is one item.
const MOST_ARGS: usize = 1 << 20;
/// Arguments of one batch of a lane, before packing.
const MOST_RAW_ARGS: usize = 8 << 20;

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) target: Target,
    pub(crate) insecure: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) item_limit: Option<Duration>,
    pub(crate) slow_after: Duration,
    pub(crate) python: Option<PathBuf>,
    pub(crate) program: Program,
    pub(crate) listeners: Listeners,
    pub(crate) options: Options,
    pub(crate) most_unreleased: usize,
}

/// Where the scheduler is.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Address(String),
    File(PathBuf),
}

/// A connected cluster.
#[derive(Clone)]
pub(crate) struct DaskHandler {
    connection: Arc<Connection>,
    options: Arc<Options>,
}

/// Closes the link when the last handler is gone.
struct Connection {
    link: Arc<Link>,
    most_unreleased: usize,
    /// Lanes of single items, by function.
    lanes: Mutex<HashMap<&'static str, Arc<dyn Any + Send + Sync>>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl DaskHandler {
    pub(crate) fn connect(setup: Setup) -> Result<DaskHandler, ConnectError> {
        let address = match &setup.target {
            Target::Address(text) => Address::parse(text)?,
            Target::File(path) => Address::from_file(path)?,
        };
        if !address.encrypted && !address.is_here() && !setup.insecure {
            return Err(ConnectError::Insecure { address: address.text });
        }
        let tls = setup.tls.filter(|_| address.encrypted);
        check_files(&address, tls.as_ref())?;
        let exe = setup.program.describe()?;
        address.knock(setup.timeout.min(Duration::from_secs(5)))?;
        let connect = Connect {
            protocol: frame::PROTOCOL,
            address: address.text,
            timeout: setup.timeout.as_secs_f64(),
            tls,
            job: String::new(),
            replaces: Vec::new(),
            runtime: runtime_name(),
            retries: setup.retries,
            item_seconds: setup.item_limit.map(|limit| limit.as_secs_f64()),
            slow_seconds: setup.slow_after.as_secs_f64(),
            exe,
        };
        let link = Link::connect(connect, setup.python, setup.listeners, setup.most_unreleased)?;
        let connection = Connection { link, most_unreleased: setup.most_unreleased, lanes: Mutex::new(HashMap::new()) };
        Ok(DaskHandler { connection: Arc::new(connection), options: Arc::new(setup.options) })
    }

    /// The same cluster, with other options for what is given to it.
    pub(crate) fn with_options(&self, options: Options) -> DaskHandler {
        let connection = Arc::clone(&self.connection);
        DaskHandler { connection, options: Arc::new(options) }
    }

    fn rule(&self) -> Rule {
        Rule { most_unreleased: self.connection.most_unreleased, ..Rule::cluster() }
    }

    fn policy(&self) -> Policy {
        Policy::new(self.rule(), self.connection.link.threads(), None, None)
    }

    fn new_lane<F: Function>(&self) -> Arc<Lane<F::Output>> {
        Lane::new(&self.connection.link, F::NAME, &self.options, self.policy())
    }

    /// The lane of single items of a function.
    fn lane<F: Function>(&self) -> Arc<Lane<F::Output>> {
        if *self.options != Options::default() {
            return self.new_lane::<F>();
        }
        let mut lanes = self.connection.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(F::NAME).or_insert_with(|| self.new_lane::<F>());
        // Two functions of one name would be two entries of one registry.
        Arc::clone(lane).downcast().unwrap_or_else(|_| self.new_lane::<F>())
    }

    pub(crate) fn submit<F: Function>(&self, args: &F::Args) -> Future<F::Output> {
        let lane = self.lane::<F>();
        let future = push::<F>(&lane, Ok(args));
        lane.pump();
        future
    }

    pub(crate) fn map<F: Function>(&self, args: impl IntoArgs<F::Args>) -> Vec<Future<F::Output>> {
        let lane = self.new_lane::<F>();
        let futures = args.into_args().map(|args| push::<F>(&lane, args.as_ref().map_err(Clone::clone))).collect();
        lane.pump();
        futures
    }

    pub(crate) fn batched_map<F: Function, I: IntoArgs<F::Args>>(
        &self,
        args: I,
    ) -> BatchedMap<F::Args, F::Output, I::Iter> {
        let runner = DaskRunner::new(&self.connection, F::NAME, &self.options);
        BatchedMap::new(args.into_args(), Box::new(runner), self.rule())
    }

    pub(crate) fn info(&self) -> Info {
        self.cluster().info()
    }

    fn cluster(&self) -> Cluster {
        self.connection.link.ask()
    }

    pub(crate) fn driver_id(&self) -> Option<u32> {
        self.connection.link.driver_id()
    }

    pub(crate) fn address(&self) -> &str {
        self.connection.link.address()
    }
}

impl std::fmt::Debug for DaskHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DaskHandler({})", self.address())
    }
}

fn push<F: Function>(lane: &Arc<Lane<F::Output>>, args: Result<&F::Args, TaskError>) -> Future<F::Output> {
    let bytes = args.and_then(|args| {
        let mut packer = Packer::default();
        encode(&mut packer, args)?;
        Ok(packer.into_bytes())
    });
    let (item, slot) = lane.push(bytes);
    let canceller: Arc<dyn Canceller> = Arc::clone(lane) as Arc<dyn Canceller>;
    Future::new(slot, Some((canceller, item)))
}

/// Python's error for a certificate that is not there does not say which.
fn check_files(address: &Address, tls: Option<&Tls>) -> Result<(), ConnectError> {
    for path in tls.iter().flat_map(|tls| [&tls.ca, &tls.cert, &tls.key]) {
        if let Err(error) = std::fs::File::open(path) {
            let (address, why) = (address.text.clone(), format!("{}: {error}", path.display()));
            return Err(ConnectError::Tls { address, why });
        }
    }
    Ok(())
}

/// Cuts a piece until every message is small enough; one item that is not is an error.
fn fit(piece: Piece) -> Vec<Piece> {
    let Piece::Call { items, body } = piece else { return vec![piece] };
    if body.len() <= MOST_ARGS {
        if body.len() > WARN_ARGS {
            tracing::warn!(
                "arguments of {items} items take {} bytes; Dask keeps up to 1000 recent messages: pass paths, not data",
                body.len()
            );
        }
        return vec![Piece::Call { items, body }];
    }
    if items == 1 {
        let (what, bytes, limit) = ("arguments".to_owned(), body.len() as u64, MOST_ARGS as u64);
        return vec![Piece::Error(TaskErrorKind::TooLarge { what, bytes, limit })];
    }
    match pack::split(&body, items as usize / 2) {
        Ok([head, tail]) => {
            let [first, rest] = [items / 2, items - items / 2];
            let mut pieces = fit(Piece::Call { items: first, body: head });
            pieces.extend(fit(Piece::Call { items: rest, body: tail }));
            pieces
        }
        Err(error) => {
            let kind = TaskErrorKind::Bridge { message: error.to_string() };
            (0..items).map(|_| Piece::Error(kind.clone())).collect()
        }
    }
}

/// The runtime's source has a name of its own content, so that two versions can live in one worker.
fn runtime_name() -> String {
    use sha2::{Digest, Sha256};
    executable::hex(&Sha256::digest(driver::RUNTIME.as_bytes())[..8])
}

//! What the tests stand on: a watchdog for each, a Python, and a cluster of two workers that no test breaks.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Builder, Handler};

use crate::dask::{self, Cluster};

/// Tests at a time: most of them wait.
pub const AT_A_TIME: usize = 4;
/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(2);

/// What tests share.
pub struct Stage {
    pub python: PathBuf,
    shared: OnceLock<(Cluster, Handler)>,
    /// Held by a test that measures time alone, by all others together.
    quiet: RwLock<()>,
}

impl Stage {
    pub fn new(python: PathBuf) -> Stage {
        Stage { python, shared: OnceLock::new(), quiet: RwLock::new(()) }
    }

    /// A cluster of two workers for tests that leave it as it is.
    pub fn cluster(&self) -> &Cluster {
        &self.shared().0
    }

    /// A handler of that cluster.
    pub fn handler(&self) -> &Handler {
        &self.shared().1
    }

    fn shared(&self) -> &(Cluster, Handler) {
        self.shared.get_or_init(|| {
            let cluster = Cluster::start(&self.python, 2);
            let handler = connect(&cluster);
            (cluster, handler)
        })
    }

    /// A cluster to be broken.
    pub fn own_cluster(&self, workers: usize) -> Cluster {
        Cluster::start(&self.python, workers)
    }

    /// Ends what is shared; whatever it started must end with it.
    pub fn end(self: Arc<Self>) {
        if let Some(stage) = Arc::into_inner(self)
            && let Some((cluster, handler)) = stage.shared.into_inner()
        {
            close(handler);
            cluster.end();
        }
        assert_eq!(dask::descendants(std::process::id()), [0; 0], "processes are left behind");
    }
}

/// One test.
pub type Test = fn(&Stage);

/// A test that may run beside others.
pub fn trial(stage: &Arc<Stage>, name: &str, test: Test) -> Trial {
    let (stage, name) = (Arc::clone(stage), name.to_owned());
    Trial::test(name.clone(), move || {
        let _quiet = stage.quiet.read();
        watched(&name, || test(&stage));
        Ok(())
    })
}

/// A test that measures time, and therefore runs alone.
pub fn trial_alone(stage: &Arc<Stage>, name: &str, test: Test) -> Trial {
    let (stage, name) = (Arc::clone(stage), name.to_owned());
    Trial::test(name.clone(), move || {
        let _quiet = stage.quiet.write();
        watched(&name, || test(&stage));
        Ok(())
    })
}

/// Runs a test; if it hangs, the whole program fails and says which it was.
pub fn watched(name: &str, test: impl FnOnce()) {
    let (running, waiting) = channel::<()>();
    let name = name.to_owned();
    let start = Instant::now();
    let limit = if is_deep() { 60 * LIMIT } else { LIMIT };
    let of = name.clone();
    std::thread::spawn(move || {
        if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{of} hangs: it takes more than {limit:?}");
            dask::kill_all_marked();
            std::process::exit(101);
        }
    });
    test();
    drop(running);
    if std::env::var_os("MICROTOME_TIMES").is_some() {
        eprintln!("{:6.2} s {name}", start.elapsed().as_secs_f64());
    }
}

pub fn is_deep() -> bool {
    std::env::var_os("MICROTOME_DEEP").is_some()
}

/// A handler of a cluster.
pub fn connect(cluster: &Cluster) -> Handler {
    builder(cluster).build().unwrap()
}

pub fn builder(cluster: &Cluster) -> Builder {
    Handler::builder().address(&cluster.address)
}

/// Closes the last handler of a connection; its driver goes with it.
pub fn close(handler: Handler) {
    let driver = handler.driver_id();
    drop(handler);
    assert!(!driver.is_some_and(dask::is_alive), "the driver outlives its handler");
}

/// Makes the list of a file's tests.
macro_rules! trials {
    ($stage:expr, $($how:ident $name:ident)+) => {
        vec![$(crate::stage::$how($stage, stringify!($name), $name)),+]
    };
}
pub(crate) use trials;

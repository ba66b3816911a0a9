//! The cluster's half: a real scheduler and two workers of one thread on this machine, tuned as plain Dask likes it best.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use microtome::handler::{Function, Handler};

use crate::dask::{self, Cluster};
use crate::{add_one, busy, wait};

/// Dask's own setting for the queue at the scheduler; without a queue, trivial tasks flow fastest.
const SATURATION: &str = "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION";
/// Tasks of the plain map: it takes about a millisecond for each.
const PLAIN: u64 = 5_000;

/// What plain Dask does, timed inside Python so that starting it does not count.
const PLAIN_SOURCE: &str = "
import sys, time, distributed
client = distributed.Client(sys.argv[1], set_as_default=False)
inc = lambda x: x + 1
client.gather(client.map(inc, range(100), pure=False))
best = None
for _ in range(3):
    start = time.perf_counter()
    results = client.gather(client.map(inc, range(int(sys.argv[2])), pure=False))
    took = time.perf_counter() - start
    best = took if best is None else min(best, took)
assert results == list(range(1, int(sys.argv[2]) + 1))
print(best)
";

/// Runs all of it, over so many trivial items.
pub(crate) fn run(items: u64) {
    if std::env::var(SATURATION).is_err() {
        // The environment of the scheduler is that of the program that starts it.
        let program = std::env::current_exe().expect("this program");
        let status =
            Command::new(program).args(["cluster", "--items", &items.to_string()]).env(SATURATION, "inf").status();
        assert!(status.expect("this program again").success());
        return;
    }
    let Some(python) = dask::python() else { return };
    let cluster = Cluster::start(&python, 2);
    let handler = Handler::new(Some(&cluster.address)).expect("a cluster");
    let plain = plain_map(&python, &cluster.address);
    println!("cluster: plain client.map, {PLAIN} trivial items, best of 3: {:.3} ms an item", plain * 1e3);
    trivial(&handler, &cluster, items.min(1_000_000), plain);
    trivial(&handler, &cluster, items, plain);
    for (microseconds, count) in [(1, 4_000_000), (100, 200_000), (10_000, 4_000)] {
        timed(&handler, "busy for", busy, [microseconds, count], plain);
    }
    timed(&handler, "waiting for", wait, [10_000, 4_000], plain);
}

/// Seconds an item.
fn plain_map(python: &Path, address: &str) -> f64 {
    let output = Command::new(python).args(["-c", PLAIN_SOURCE, address, &PLAIN.to_string()]).output().expect("Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().expect("seconds") / PLAIN as f64
}

fn trivial(handler: &Handler, cluster: &Cluster, items: u64, plain: f64) {
    let watched = Watch::start(cluster.scheduler_id());
    let start = Instant::now();
    let mut map = handler.batched_map(add_one, 0..items);
    let (mut sum, mut taken, mut after_a_million) = (0_u64, 0_u64, 0);
    for result in map.by_ref() {
        sum += result.expect("a result");
        taken += 1;
        if taken == 1_000_000 {
            after_a_million = dask::resident(cluster.scheduler_id());
        }
    }
    let took = start.elapsed().as_secs_f64();
    assert_eq!(sum, items * (items + 1) / 2);
    let [before, after] = watched.stop();
    let stats = map.stats();
    println!(
        "cluster: {items} trivial items: {took:.3} s, {:.2} µs an item, {:.0} × plain; {} batches, {} of {} out at most; \
         {} bytes of arguments; the scheduler grew by {} MiB, {} MiB of them after the first million",
        took / items as f64 * 1e6,
        plain / (took / items as f64),
        stats.batches,
        stats.most_in_flight,
        stats.window,
        stats.arg_bytes,
        mebi(after, before),
        mebi(after, after_a_million),
    );
}

fn mebi(after: u64, before: u64) -> i64 {
    (after.cast_signed() - before.cast_signed()) / (1 << 20)
}

fn timed<F>(handler: &Handler, what: &str, function: F, [microseconds, items]: [u64; 2], plain: f64)
where
    F: Function<Args = u64, Output = u64>,
{
    let start = Instant::now();
    let mut map = handler.batched_map(function, std::iter::repeat_n(microseconds, items as usize));
    assert_eq!(map.by_ref().filter(|result| *result == Ok(microseconds)).count() as u64, items);
    let took = start.elapsed().as_secs_f64();
    let stats = map.stats();
    let useful = microseconds as f64 * 1e-6 * items as f64 / (took * 2.0);
    println!(
        "cluster: {items} items {what} {microseconds} µs: {took:.2} s, {:.1} × plain; {:.1} % of worker time useful, \
         {:.1} % inside batches; {} batches, {} of {} out at most",
        plain / (took / items as f64),
        useful * 100.0,
        stats.busy_seconds / (took * 2.0) * 100.0,
        stats.batches,
        stats.most_in_flight,
        stats.window,
    );
}

/// Watches a process's memory.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<[u64; 2]>,
}

impl Watch {
    fn start(id: u32) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let before = dask::resident(id);
            let mut most = before;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(dask::resident(id));
                std::thread::sleep(Duration::from_millis(50));
            }
            [before, most]
        });
        Watch { stop, thread }
    }

    /// Memory at the start, and the most there was.
    fn stop(self) -> [u64; 2] {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a watch")
    }
}

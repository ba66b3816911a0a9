//! Asking workers: functions that run on them, and how long they take.
//!
//! *Invariant:* a worker that does not answer costs seconds, not the check: what it does not say is its fault in the report.
//! Only the loss of the scheduler ends a check.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use microtome::handler::{Cluster, Options};
use microtome::{Future, Handler, TaskError, TaskErrorKind};
use serde::{Deserialize, Serialize};

/// How long a worker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Round trips of which the median is taken.
const TRIPS: u64 = 20;
/// Results that are sent back at once to see how fast they travel, and numbers of 8 bytes in each: 1 MiB.
const BLOCKS: u64 = 8;
const NUMBERS: u64 = 1 << 17;
/// How long trivial items are sent to the whole cluster, and how long it may take until they are back.
const ITEMS: Duration = Duration::from_secs(1);
const ITEMS_BACK: Duration = Duration::from_secs(30);

/// The program as it finds itself on a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) path: String,
    pub(super) version: String,
}

#[microtome::function]
pub(super) fn this_program() -> Program {
    let path = std::env::current_exe().map(|path| path.to_string_lossy().into_owned());
    Program { path: path.unwrap_or_default(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

#[microtome::function]
fn echo(n: u64) -> u64 {
    n
}

/// Numbers that do not compress: xorshift64*.
#[microtome::function]
pub(super) fn noise(seed: u64, numbers: u64) -> Vec<u64> {
    let mut state = seed | 1;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    std::iter::repeat_with(next).take(numbers as usize).collect()
}

/// What was measured of a cluster.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// By address.
    pub(super) workers: BTreeMap<String, Result<Speed, String>>,
    /// Of the whole cluster; `None` where no worker answered.
    pub(super) items_per_second: Option<Result<f64, String>>,
}

/// How a worker did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Speed {
    pub(super) program: Program,
    /// Seconds.
    pub(super) round_trip: f64,
    pub(super) bytes_per_second: f64,
}

/// Measures the workers that said nothing wrong of themselves, and tells how many of how many are done.
///
/// # Errors
/// The loss of the scheduler.
pub(super) fn measure(
    handler: &Handler,
    cluster: &Cluster,
    done: impl Fn(usize, usize),
) -> Result<Measured, SchedulerLost> {
    let sound = cluster.workers.iter().filter(|(_, facts)| facts.fault.is_none());
    // All are asked at once, so that those that do not answer are waited for together.
    let asked: Vec<_> = sound.map(|(address, _)| Asked::new(handler, address)).collect();
    let end = Instant::now() + ANSWER;
    let answered: Vec<_> = asked.into_iter().map(|asked| asked.answer(end)).collect();
    let all = answered.len();
    let mut measured = Measured::default();
    for (n, (pinned, program)) in answered.into_iter().enumerate() {
        done(n, all);
        let speed = program.and_then(|program| pinned.speed(program));
        measured.workers.insert(pinned.address.clone(), scheduler_is_there(speed)?);
    }
    let fit: Vec<String> =
        measured.workers.iter().filter(|(_, speed)| speed.is_ok()).map(|(address, _)| address.clone()).collect();
    if !fit.is_empty() {
        measured.items_per_second = Some(scheduler_is_there(items_per_second(handler, fit))?);
    }
    Ok(measured)
}

/// The scheduler went away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SchedulerLost;

/// The loss of the scheduler as an error, any other error as what it says.
pub(super) fn scheduler_is_there<T>(result: Result<T, TaskError>) -> Result<Result<T, String>, SchedulerLost> {
    match result {
        Err(error) if matches!(error.kind(), TaskErrorKind::SchedulerLost { .. }) => Err(SchedulerLost),
        other => Ok(other.map_err(|error| error.kind().to_string())),
    }
}

/// A worker that all is sent to.
struct Pinned {
    handler: Handler,
    address: String,
}

/// A worker that was asked which program it runs.
struct Asked {
    pinned: Pinned,
    answer: Future<Program>,
}

impl Asked {
    fn new(handler: &Handler, address: &str) -> Asked {
        let handler = handler.with_options(ahead(vec![address.to_owned()]));
        let answer = handler.submit(this_program, ());
        Asked { pinned: Pinned { handler, address: address.to_owned() }, answer }
    }

    fn answer(self, end: Instant) -> (Pinned, Result<Program, TaskError>) {
        (self.pinned, wait(self.answer, end))
    }
}

impl Pinned {
    fn speed(&self, program: Program) -> Result<Speed, TaskError> {
        let round_trip = self.round_trip()?;
        let start = Instant::now();
        let blocks = self.handler.map(noise, (0..BLOCKS).map(|seed| (seed << 32 | 0x9e37_79b9, NUMBERS)));
        let end = start + ANSWER;
        let mut numbers = 0;
        for block in blocks {
            numbers += wait(block, end)?.len();
        }
        // A round trip comes on top, however little travels.
        let seconds = (start.elapsed().as_secs_f64() - round_trip).max(1e-3);
        Ok(Speed { program, round_trip, bytes_per_second: numbers as f64 * 8.0 / seconds })
    }

    fn round_trip(&self) -> Result<f64, TaskError> {
        let mut trips = Vec::new();
        for n in 0..TRIPS {
            let start = Instant::now();
            wait(self.handler.submit(echo, n), start + ANSWER)?;
            trips.push(start.elapsed().as_secs_f64());
        }
        Ok(median(trips))
    }
}

/// On these workers, before what waits there already.
pub(super) fn ahead(workers: Vec<String>) -> Options {
    Options { workers: Some(workers), priority: 100, ..Options::default() }
}

/// The result, waited for until `end`.
fn wait<T>(future: Future<T>, end: Instant) -> Result<T, TaskError> {
    wait_within(ANSWER, future, end)
}

/// The result, waited for until `end`, which was so far away when it was asked for.
pub(super) fn wait_within<T>(all: Duration, future: Future<T>, end: Instant) -> Result<T, TaskError> {
    let left = end.saturating_duration_since(Instant::now());
    future.result_timeout(left).unwrap_or_else(|future| {
        future.cancel();
        Err(TaskError::failed(&format!("no answer within {} s: busy, or out of reach?", all.as_secs())))
    })
}

fn items_per_second(handler: &Handler, workers: Vec<String>) -> Result<f64, TaskError> {
    let handler = handler.with_options(ahead(workers));
    let (sender, receiver) = channel();
    // A stream cannot be told how long it may take; nobody waits for a thread that is late.
    std::thread::spawn(move || drop(sender.send(stream(&handler))));
    let late = |_| TaskError::failed(&format!("trivial items were not back within {} s", ITEMS_BACK.as_secs()));
    receiver.recv_timeout(ITEMS_BACK).map_err(late)?
}

/// Sends items for about a second.
fn stream(handler: &Handler) -> Result<f64, TaskError> {
    let start = Instant::now();
    let mut items = 0_u64;
    for result in handler.batched_map(echo, (0..).take_while(|_| start.elapsed() < ITEMS)) {
        result?;
        items += 1;
    }
    Ok(items as f64 / start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
    }

    #[test]
    fn noise_does_not_repeat_itself() {
        let numbers = noise(7, 1000);
        let distinct: std::collections::BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!((numbers.len(), distinct.len()), (1000, 1000));
        let ones: u32 = numbers.iter().map(|n| n.count_ones()).sum();
        assert!((31_000..33_000).contains(&ones), "{ones} of 64000 bits");
    }

    #[test]
    fn only_the_loss_of_the_scheduler_ends_a_check() {
        let lost = TaskErrorKind::SchedulerLost { address: "tcp://a:1".into() };
        assert_eq!(scheduler_is_there::<()>(Err(lost.into())), Err(SchedulerLost));
        assert_eq!(scheduler_is_there::<()>(Err(TaskError::failed("busy"))), Ok(Err("busy".to_owned())));
        assert_eq!(scheduler_is_there(Ok(1)), Ok(Ok(1)));
    }
}

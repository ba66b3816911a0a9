//! The contract of a handler, run on threads and on a real Dask cluster: the same verbs, the same order, the same errors.
//!
//! A program of its own (no test harness of rustc's), because workers start it again in worker mode.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "a test, though clippy sees a program")]

mod dask;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use dask::Cluster;
use libtest_mimic::{Arguments, Trial};
use microtome_handler::{Handler, State, TaskError, TaskErrorKind, function, zip};

#[function(crate = microtome_handler)]
fn add_one(x: u64) -> u64 {
    x + 1
}

#[function(crate = microtome_handler)]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[function(crate = microtome_handler)]
fn nothing() {}

/// Fails for 3, panics for 5.
#[function(crate = microtome_handler)]
fn picky(x: u64) -> Result<String, String> {
    assert!(x != 5, "five is right out");
    if x == 3 { Err(format!("{x} is odd")) } else { Ok(format!("<{x}>")) }
}

#[function(crate = microtome_handler)]
fn nap(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

#[function(crate = microtome_handler)]
fn large(bytes: u64) -> Vec<u8> {
    vec![7; bytes as usize]
}

#[function(crate = microtome_handler)]
fn which() -> Option<u64> {
    println!("a line on standard output does no harm");
    microtome_handler::current_item()
}

/// The contract.
mod contract {
    use super::{
        BTreeSet, Duration, Handler, State, TaskError, TaskErrorKind, add, add_one, large, nap, nothing, picky, which,
        zip,
    };

    pub(crate) fn map_and_batched_map_give_the_same(handler: &Handler) {
        for n in [0, 1, 10, 100, 1000] {
            let expected: Vec<u64> = (1..=n).collect();
            let futures = handler.map(add_one, 0..n);
            assert_eq!(handler.try_gather(futures).unwrap(), expected);
            let batched: Result<Vec<u64>, TaskError> = handler.batched_map(add_one, 0..n).collect();
            assert_eq!(batched.unwrap(), expected);
            let completed: BTreeSet<(u64, u64)> =
                handler.batched_map(add_one, 0..n).as_completed().map(|(i, r)| (i, r.unwrap())).collect();
            assert_eq!(completed, (0..n).map(|i| (i, i + 1)).collect());
        }
    }

    pub(crate) fn results_are_in_input_order_whatever_the_batches(handler: &Handler) {
        for (size, window) in [(1, 1), (7, 2), (64, 9), (10_000, 3)] {
            let map = handler.batched_map(add_one, 0..500).batch_size(size).window(window);
            assert_eq!(map.map(Result::unwrap).collect::<Vec<u64>>(), (1..=500).collect::<Vec<u64>>());
        }
    }

    pub(crate) fn arguments_are_none_one_or_a_tuple(handler: &Handler) {
        handler.submit(nothing, ()).result().unwrap();
        assert_eq!(handler.submit(add_one, 41).result(), Ok(42));
        assert_eq!(handler.submit(add, (40, 2)).result(), Ok(42));
    }

    pub(crate) fn a_failing_item_loses_nobody_elses_result(handler: &Handler) {
        let check = |results: Vec<Result<String, TaskError>>| {
            assert_eq!(results.len(), 100);
            for (i, result) in results.iter().enumerate() {
                match (i, result) {
                    (3, Err(error)) => {
                        assert_eq!(*error.kind(), TaskErrorKind::Failed { message: "3 is odd".into() });
                        assert_eq!((error.item(), error.function()), (Some(3), Some("contract::picky")));
                    }
                    (5, Err(error)) => {
                        assert_eq!(*error.kind(), TaskErrorKind::Panicked { message: "five is right out".into() });
                        assert_eq!(error.item(), Some(5));
                    }
                    (_, result) => assert_eq!(result.as_deref(), Ok(format!("<{i}>").as_str())),
                }
            }
        };
        let futures = handler.map(picky, 0..100);
        check(handler.gather(futures));
        check(handler.batched_map(picky, 0..100).collect());
        check(handler.batched_map(picky, 0..100).batch_size(9).collect());
    }

    pub(crate) fn the_strict_forms_stop_at_the_first_error(handler: &Handler) {
        let futures = handler.map(picky, 0..100);
        assert!(handler.try_gather(futures).is_err());
        let strict: Vec<_> = handler.batched_map(picky, 0..100).strict().collect();
        assert_eq!(strict.len(), 4, "0, 1, 2 and the error of 3");
        assert_eq!(strict[3].as_ref().unwrap_err().item(), Some(3));
    }

    pub(crate) fn unequal_iterables_are_an_error_unless_asked_otherwise(handler: &Handler) {
        let futures = handler.map(add, zip((0..3, 10..13)));
        assert_eq!(handler.try_gather(futures).unwrap(), [10, 12, 14]);
        let unequal = |results: Vec<Result<u64, TaskError>>| {
            assert_eq!((&results[0], &results[1], results.len()), (&Ok(10), &Ok(12), 3));
            let kind = results[2].as_ref().unwrap_err().kind();
            assert_eq!(*kind, TaskErrorKind::UnequalLengths { pairs: 2, ended: "second".into() });
        };
        let futures = handler.map(add, zip((0..3, 10..12)));
        unequal(handler.gather(futures));
        unequal(handler.batched_map(add, zip((0..3, 10..12))).collect());
        let shortest = handler.batched_map(add, zip((0.., 10..12)).shortest());
        assert_eq!(shortest.map(Result::unwrap).collect::<Vec<_>>(), [10, 12]);
    }

    pub(crate) fn any_iterator_will_do_and_is_pulled_when_there_is_room(handler: &Handler) {
        let mut pulled = 0_u64;
        let endless = std::iter::from_fn(|| {
            pulled += 1;
            Some(pulled)
        });
        let first: Vec<u64> =
            handler.batched_map(add_one, endless).batch_size(10).window(3).take(25).map(Result::unwrap).collect();
        assert_eq!(first, (2..27).collect::<Vec<u64>>());
        assert!(pulled <= 25 + 10 * (8 * 3 + 1), "{pulled} items were pulled for 25 results");
    }

    pub(crate) fn completed_futures_come_as_they_are_done(handler: &Handler) {
        let futures = handler.map(nap, [400, 0]);
        let order: Vec<(usize, u64)> = handler.as_completed(futures).map(|(i, r)| (i, r.unwrap())).collect();
        assert_eq!(order, [(1, 0), (0, 400)]);
    }

    pub(crate) fn a_future_tells_its_state_and_waits_no_longer_than_asked(handler: &Handler) {
        let future = handler.submit(nap, 300);
        assert!(!future.done());
        assert!(matches!(future.state(), State::Pending | State::Queued | State::Running));
        let future = future.result_timeout(Duration::from_millis(5)).unwrap_err();
        assert_eq!(future.result_timeout(Duration::from_mins(1)).unwrap(), Ok(300));
        let future = handler.submit(picky, 3);
        while !future.done() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(future.state(), State::Failed);
    }

    pub(crate) fn a_cancelled_future_is_settled_at_once_and_its_worker_is_free_again(handler: &Handler) {
        let slow = handler.map(nap, vec![3_000; 8]);
        std::thread::sleep(Duration::from_millis(300));
        let start = std::time::Instant::now();
        slow.iter().for_each(microtome_handler::Future::cancel);
        assert!(slow.iter().all(|future| future.state() == State::Cancelled));
        let results = handler.gather(slow);
        assert!(results.iter().all(|result| *result.as_ref().unwrap_err().kind() == TaskErrorKind::Cancelled));
        assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
        // On threads what runs runs to its end; on a cluster it is stopped.
        let limit = if handler.is_cluster() { 2_500 } else { 3_500 };
        assert!(start.elapsed() < Duration::from_millis(limit), "{:?}", start.elapsed());
    }

    pub(crate) fn a_dropped_map_stops_what_it_started(handler: &Handler) {
        let mut map = handler.batched_map(nap, std::iter::repeat(2_000)).batch_size(1);
        let first = map.next();
        drop(map);
        assert_eq!(first.unwrap(), Ok(2_000));
        let start = std::time::Instant::now();
        assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
        assert!(start.elapsed() < Duration::from_millis(3_500), "{:?}", start.elapsed());
    }

    pub(crate) fn large_results_travel_up_to_a_limit(handler: &Handler) {
        let sizes = [0, 1, 1 << 10, 3 << 20, 5, 9 << 20];
        let futures = handler.map(large, sizes);
        for (result, size) in handler.gather(futures).into_iter().zip(sizes) {
            assert_eq!(result.unwrap().len() as u64, size);
        }
        let result = handler.submit(large, 17 << 20).result();
        if handler.is_cluster() {
            assert!(matches!(result.unwrap_err().kind(), TaskErrorKind::TooLarge { limit, .. } if *limit == 16 << 20));
        } else {
            assert_eq!(result.unwrap().len(), 17 << 20);
        }
    }

    pub(crate) fn an_item_knows_its_place(handler: &Handler) {
        let futures = handler.map(which, vec![(); 20]);
        assert_eq!(handler.try_gather(futures).unwrap(), (0..20).map(Some).collect::<Vec<_>>());
        let map = handler.batched_map(which, vec![(); 20]).batch_size(7);
        assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), (0..20).map(Some).collect::<Vec<_>>());
    }

    pub(crate) fn many_may_ask_at_once(handler: &Handler) {
        std::thread::scope(|scope| {
            for n in 0..6 {
                scope.spawn(move || {
                    let futures = handler.map(add, (0..50).map(|i| (i, n)));
                    assert_eq!(handler.try_gather(futures).unwrap(), (0..50).map(|i| i + n).collect::<Vec<u64>>());
                    let sum: u64 = handler.batched_map(add_one, 0..1000).map(Result::unwrap).sum();
                    assert_eq!(sum, 500_500);
                });
            }
        });
    }

    pub(crate) fn it_says_where_work_runs(handler: &Handler) {
        let info = handler.info();
        assert!(info.workers >= 1 && info.threads >= info.workers, "{info:?}");
        assert!(info.memory.is_some_and(|bytes| bytes > 1 << 28), "{info:?}");
        assert_eq!(info.cluster.is_some(), handler.is_cluster());
    }
}

macro_rules! trials {
    ($handler:expr, $place:expr, $($name:ident)+) => {
        vec![$({
            let handler = $handler.clone();
            Trial::test(format!("{}: {}", $place, stringify!($name)), move || {
                contract::$name(&handler);
                Ok(())
            })
        }),+]
    };
}

fn contract(handler: &Handler, place: &'static str) -> Vec<Trial> {
    trials!(handler, place,
        map_and_batched_map_give_the_same
        results_are_in_input_order_whatever_the_batches
        arguments_are_none_one_or_a_tuple
        a_failing_item_loses_nobody_elses_result
        the_strict_forms_stop_at_the_first_error
        unequal_iterables_are_an_error_unless_asked_otherwise
        any_iterator_will_do_and_is_pulled_when_there_is_room
        completed_futures_come_as_they_are_done
        a_future_tells_its_state_and_waits_no_longer_than_asked
        a_cancelled_future_is_settled_at_once_and_its_worker_is_free_again
        a_dropped_map_stops_what_it_started
        large_results_travel_up_to_a_limit
        an_item_knows_its_place
        many_may_ask_at_once
        it_says_where_work_runs
    )
}

/// What an older Dask is asked to do in every run; all of it where `MICROTOME_DEEP` is set.
const WHAT_VERSIONS_TOUCH: [&str; 5] = [
    "map_and_batched_map_give_the_same",
    "a_failing_item_loses_nobody_elses_result",
    "a_cancelled_future_is_settled_at_once_and_its_worker_is_free_again",
    "large_results_travel_up_to_a_limit",
    "it_says_where_work_runs",
];

/// A cluster of that Python's Dask, and the contract on it.
fn on_cluster(python: &Path, place: &'static str) -> (Cluster, Vec<Trial>) {
    let cluster = Cluster::start(python, 2);
    let handler = Handler::builder().address(&cluster.address).python(python).build().unwrap();
    let trials = contract(&handler, place);
    (cluster, trials)
}

fn main() {
    microtome_handler::init();
    let mut arguments = Arguments::from_args();
    // Tests that measure time share two workers.
    arguments.test_threads = Some(1);
    let mut trials = contract(&Handler::new(None).unwrap(), "threads");
    let mut clusters = Vec::new();
    let pythons = [("dask", "MICROTOME_PYTHON"), ("dask of 2024", "MICROTOME_PYTHON_OLD_DASK")];
    for (place, variable) in pythons {
        match std::env::var_os(variable) {
            None => dask::skip(&format!("the contract on {place}"), &format!("{variable} is not set")),
            Some(python) => {
                let (cluster, mut more) = on_cluster(Path::new(&python), place);
                clusters.push(cluster);
                if place != "dask" && std::env::var_os("MICROTOME_DEEP").is_none() {
                    more.retain(|trial| WHAT_VERSIONS_TOUCH.iter().any(|name| trial.name().ends_with(name)));
                }
                trials.extend(more);
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(clusters);
    conclusion.exit();
}

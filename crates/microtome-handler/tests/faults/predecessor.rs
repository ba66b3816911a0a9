//! What was wrong with the `DistributedHandler` of `aics_dask_utils`, one test a defect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Handler, TaskErrorKind, zip};

use crate::dask::Cluster;
use crate::functions::{add_one, answer, fail_at, nap, touch};
use crate::stage::{Stage, close, connect, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial a_range_of_a_billion_is_taken_lazily
        trial iterators_without_a_length_will_do
        trial unequal_iterables_are_not_cut_silently
        trial the_window_follows_the_cluster_s_threads_and_not_this_machine_s
        trial one_failing_item_of_a_hundred_keeps_ninety_nine
        trial map_gives_futures_on_threads_and_on_a_cluster
        trial_alone no_barrier_a_straggler_lets_the_other_worker_go_on
    )
}

fn both(stage: &Stage) -> [Handler; 2] {
    [Handler::new(None).unwrap(), stage.handler().clone()]
}

fn a_range_of_a_billion_is_taken_lazily(stage: &Stage) {
    for handler in both(stage) {
        let start = Instant::now();
        let mut map = handler.batched_map(add_one, 0..1_000_000_000);
        let first: Vec<u64> = map.by_ref().take(5000).map(Result::unwrap).collect();
        assert_eq!(first, (1..=5000).collect::<Vec<u64>>());
        let pulled = map.stats().items;
        assert!(pulled < 100_000_000, "{pulled}");
        drop(map);
        assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

fn iterators_without_a_length_will_do(stage: &Stage) {
    for handler in both(stage) {
        let generator = || {
            let mut next = 0;
            std::iter::from_fn(move || {
                next += 1;
                (next <= 1000).then_some(next - 1)
            })
        };
        let expected: Vec<u64> = (1..=1000).collect();
        assert_eq!(handler.batched_map(add_one, generator()).map(Result::unwrap).collect::<Vec<_>>(), expected);
        let futures = handler.map(add_one, generator());
        assert_eq!(handler.try_gather(futures).unwrap(), expected);
        let lines = std::io::BufRead::lines(b"1\n2\n3".as_slice()).map(|line| line.unwrap().parse().unwrap());
        assert_eq!(handler.batched_map(add_one, lines).map(Result::unwrap).collect::<Vec<_>>(), [2, 3, 4]);
    }
}

fn unequal_iterables_are_not_cut_silently(stage: &Stage) {
    for handler in both(stage) {
        let bad = vec![u64::MAX; 10];
        let results: Vec<_> = handler.batched_map(fail_at, zip((bad.clone(), 0..7))).collect();
        assert_eq!(results.len(), 8);
        assert!((0..7).all(|item| results[item as usize] == Ok(answer(item))));
        let error = results[7].as_ref().unwrap_err();
        let unequal = TaskErrorKind::UnequalLengths { pairs: 7, ended: "second".to_owned() };
        assert_eq!((error.kind(), error.item()), (&unequal, Some(7)));
        let futures = handler.map(fail_at, zip((bad, 0..7)));
        assert_eq!(*handler.try_gather(futures).unwrap_err().kind(), unequal);
    }
}

fn the_window_follows_the_cluster_s_threads_and_not_this_machine_s(stage: &Stage) {
    let cluster = Cluster::with(&stage.python, 1, &[], &["--nthreads", "3"]);
    let handler = connect(&cluster);
    assert_eq!((handler.info().workers, handler.info().threads), (1, 3));
    let mut map = handler.batched_map(add_one, 0..1000);
    assert_eq!(map.by_ref().map(Result::unwrap).count(), 1000);
    assert_eq!(map.stats().window, 2 * 3 + 4);
    drop(map);
    let naps = handler.batched_map(nap, vec![20; 60]).batch_size(5);
    assert_eq!(naps.map(Result::unwrap).count(), 60);
    assert_eq!(cluster.children().len(), 3, "all threads work");
    close(handler);
    cluster.end();
}

fn one_failing_item_of_a_hundred_keeps_ninety_nine(stage: &Stage) {
    for handler in both(stage) {
        let args = || (0..100).map(|item| (42, item));
        let futures = handler.map(fail_at, args());
        for results in [handler.gather(futures), handler.batched_map(fail_at, args()).collect()] {
            assert_eq!(results.len(), 100);
            for (item, result) in (0..).zip(results) {
                match result {
                    Err(error) if item == 42 => {
                        assert_eq!(*error.kind(), TaskErrorKind::Failed { message: "42 is bad".to_owned() });
                    }
                    result => assert_eq!(result, Ok(answer(item))),
                }
            }
        }
    }
}

fn map_gives_futures_on_threads_and_on_a_cluster(stage: &Stage) {
    for handler in both(stage) {
        let start = Instant::now();
        let futures = handler.map(nap, [600, 600]);
        assert!(start.elapsed() < Duration::from_millis(300), "map does not wait: {:?}", start.elapsed());
        assert!(futures.iter().all(|future| !future.done()));
        assert_eq!(handler.gather(futures), [Ok(600), Ok(600)]);
    }
}

/// One item of 2 s among many of 20 ms, on two workers: while it runs, the other worker does all that is there.
fn no_barrier_a_straggler_lets_the_other_worker_go_on(stage: &Stage) {
    let handler = connect(stage.cluster());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap().to_owned();
    let items = (0..100).map(|item| (folder.clone(), item, if item == 10 { 2000 } else { 20 }));
    let start = Instant::now();
    let mut before = 0;
    let map = handler.batched_map(touch, items).batch_size(1).window(100);
    for (item, result) in map.as_completed() {
        assert_eq!(result, Ok(answer(item)));
        if item == 10 {
            break;
        }
        before += 1;
    }
    let elapsed = start.elapsed();
    assert!(before >= 60, "{before} of 99 items were done before the straggler, in {elapsed:?}");
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
    close(handler);
}

//! A scheduler that dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Event, Handler, State, TaskError, TaskErrorKind};

use crate::dask::{Cluster, kill, wait_for};
use crate::functions::{Runs, add_one, answer, nap, touch};
use crate::stage::{Stage, builder, close, connect, trials};

/// How soon a loss must be told.
const SOON: Duration = Duration::from_secs(5);

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial every_future_is_settled_soon_after_its_scheduler_died
        trial a_scheduler_and_a_driver_that_die_together_are_told_soon
        trial a_batched_map_ends_after_its_scheduler_died_with_one_outcome_for_each_item
    )
}

fn is_lost<T>(result: &Result<T, TaskError>) -> bool {
    result.as_ref().is_err_and(|error| matches!(error.kind(), TaskErrorKind::SchedulerLost { .. }))
}

/// A handler that counts how often it is told of a loss.
fn counting(cluster: &Cluster) -> (Handler, Arc<AtomicU64>) {
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let listener = move |event: &Event| {
        if matches!(event, Event::SchedulerLost { .. }) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    (builder(cluster).on_event(listener).build().unwrap(), told)
}

fn every_future_is_settled_soon_after_its_scheduler_died(stage: &Stage) {
    let mut cluster = stage.own_cluster(1);
    let (handler, told) = counting(&cluster);
    let finished = handler.submit(add_one, 1);
    assert_eq!(finished.result(), Ok(2));
    let futures = handler.map(nap, vec![60_000; 12]);
    std::thread::sleep(Duration::from_millis(500));
    let asker = handler.clone();
    let asking = std::thread::spawn(move || {
        let start = Instant::now();
        while asker.driver_id().is_some() {
            asker.info();
        }
        start.elapsed()
    });
    std::thread::sleep(Duration::from_millis(50));
    cluster.kill_scheduler();
    let start = Instant::now();
    let waiting: Vec<_> = futures.into_iter().map(|future| future.result_timeout(SOON).ok().unwrap()).collect();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(waiting.iter().all(is_lost), "{waiting:?}");
    assert!(waiting[0].as_ref().unwrap_err().to_string().contains(&cluster.address), "{waiting:?}");
    assert!(asking.join().unwrap() < SOON, "a question is answered, too");
    let start = Instant::now();
    let later = handler.submit(add_one, 1);
    assert_eq!(later.state(), State::Lost);
    assert!(is_lost(&later.result()));
    let later = handler.gather(handler.map(add_one, 0..100));
    assert!(later.len() == 100 && later.iter().all(is_lost));
    assert!(handler.batched_map(add_one, 0..100).any(|result| is_lost(&result)));
    assert_eq!(handler.info().workers, 1, "what was known last");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(told.load(Ordering::Relaxed), 1, "the loss is told once");
    close(handler);
    cluster.end();
}

fn a_scheduler_and_a_driver_that_die_together_are_told_soon(stage: &Stage) {
    let mut cluster = stage.own_cluster(1);
    let (handler, told) = counting(&cluster);
    let futures = handler.map(nap, vec![60_000; 3]);
    std::thread::sleep(Duration::from_millis(300));
    let driver = handler.driver_id().unwrap();
    cluster.kill_scheduler();
    kill(driver);
    let start = Instant::now();
    let results = handler.gather(futures);
    assert!(results.iter().all(is_lost), "{results:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    wait_for("the event", || (told.load(Ordering::Relaxed) == 1).then_some(()));
    close(handler);
    cluster.end();
}

fn a_batched_map_ends_after_its_scheduler_died_with_one_outcome_for_each_item(stage: &Stage) {
    let mut cluster = stage.own_cluster(1);
    let handler = connect(&cluster);
    let runs = Runs::new();
    let pulled = AtomicU64::new(0);
    let endless = runs.items(u64::MAX, 10).inspect(|_| {
        pulled.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = Vec::new();
    let mut killed = None;
    for result in handler.batched_map(touch, endless) {
        results.push(result);
        if results.len() == 100 {
            cluster.kill_scheduler();
            killed = Some(Instant::now());
        }
    }
    let elapsed = killed.unwrap().elapsed();
    assert!(elapsed < SOON, "{elapsed:?}");
    assert_eq!(results.len() as u64, pulled.load(Ordering::Relaxed));
    for (item, result) in (0..).zip(&results) {
        assert!(is_lost(result) || *result == Ok(answer(item)), "item {item}: {result:?}");
    }
    assert!(is_lost(results.last().unwrap()));
    close(handler);
    cluster.end();
}

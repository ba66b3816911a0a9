//! Workers that die, come late, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Handler, TaskError, TaskErrorKind};

use crate::dask::{self, Cluster, Setup, kill, wait_for};
use crate::functions::{Runs, add_one, answer, assert_answers, kill_the_worker_at, tick, touch, worker_process};
use crate::stage::{Stage, builder, close, connect, is_deep, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial random_kills_of_workers_change_no_result
        trial a_killed_worker_costs_no_result
        trial a_worker_that_is_killed_again_and_again_costs_the_poison_item_alone
        trial children_end_with_their_worker_in_the_middle_of_an_item
        trial a_worker_that_comes_late_takes_part
        trial a_restarted_worker_takes_part
        trial without_workers_items_wait_for_the_first
    )
}

fn a_killed_worker_costs_no_result(stage: &Stage) {
    let cluster = stage.own_cluster(2);
    let handler = connect(&cluster);
    let runs = Runs::new();
    let mut results = Vec::new();
    for result in handler.batched_map(touch, runs.items(400, 10)).batch_size(25) {
        results.push(result);
        if results.len() == 100 {
            kill(cluster.worker_ids()[0]);
        }
        // Another one is lost for good.
        if results.len() == 200 {
            let nanny = cluster.nanny_ids()[1];
            let worker = dask::descendants(nanny);
            kill(nanny);
            worker.into_iter().for_each(kill);
        }
    }
    assert_answers(&results, 400);
    runs.assert_all_ran(400);
    close(handler);
    cluster.end();
}

fn random_kills_of_workers_change_no_result(stage: &Stage) {
    let kills = if is_deep() { 1000 } else { 20 };
    let cluster = stage.own_cluster(2);
    let handler = connect(&cluster);
    let runs = Runs::new();
    let enough = AtomicBool::new(false);
    let pulled = AtomicU64::new(0);
    let folder = runs.folder();
    let items = (0..).take_while(|_| !enough.load(Ordering::Relaxed)).map(|item| {
        pulled.fetch_add(1, Ordering::Relaxed);
        (folder.clone(), item, item * 7 % 13)
    });
    let results: Vec<Result<u64, TaskError>> = std::thread::scope(|scope| {
        scope.spawn(|| {
            kill_at_random(&cluster, kills);
            enough.store(true, Ordering::Relaxed);
        });
        handler.batched_map(touch, items).collect()
    });
    let threads = Handler::new(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let all = pulled.load(Ordering::Relaxed);
    let expected: Vec<_> = threads.batched_map(touch, (0..all).map(|item| (folder.to_owned(), item, 0))).collect();
    assert!(all > kills, "{all} items for {kills} kills");
    assert_eq!(results.len(), expected.len());
    if let Some(item) = (0..expected.len()).find(|i| results[*i] != expected[*i]) {
        panic!("item {item} of {all}: {:?}, on threads {:?}", results[item], expected[item]);
    }
    runs.assert_all_ran(all);
    close(handler);
    cluster.end();
}

/// Kills one of the workers that have come, at any moment after the last kill; now and then the one that just came.
fn kill_at_random(cluster: &Cluster, kills: u64) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut killed = 0;
    while killed < kills {
        // xorshift
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::thread::sleep(Duration::from_millis(state % 600));
        let came = cluster.ask("[w.pid for w in s.workers.values()]");
        let came: Vec<u64> = came.as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).collect();
        let Some(chosen) = came.get((state >> 32) as usize % came.len().max(1)) else { continue };
        // It may have died by now, and its number be another's.
        if cluster.worker_ids().contains(&(*chosen as u32)) {
            kill(*chosen as u32);
            killed += 1;
        }
    }
}

/// With Dask's own limit (a task may lose three workers) it takes half a minute, so deep runs alone keep to it. With no
/// loss allowed and no retries the neighbours, which wait on the same worker, are in more danger.
fn a_worker_that_is_killed_again_and_again_costs_the_poison_item_alone(stage: &Stage) {
    let limit = ("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES".to_owned(), "0".to_owned());
    let environment = if is_deep() { Vec::new() } else { vec![limit] };
    let cluster = Cluster::set_up(&stage.python, Setup { workers: 1, environment, ..Setup::default() });
    let handler = builder(&cluster).retries(if is_deep() { 2 } else { 0 }).build().unwrap();
    let poison = 5;
    for batch in [4, 1] {
        let runs = Runs::new();
        let items = (0..40).map(|item| (poison, runs.folder(), item));
        let results: Vec<_> = handler.batched_map(kill_the_worker_at, items).batch_size(batch).collect();
        assert_eq!(results.len(), 40);
        for (item, result) in (0..).zip(&results) {
            match result {
                Err(error) if item == poison => {
                    assert!(matches!(error.kind(), TaskErrorKind::WorkersKilled { .. }), "{error}");
                    assert_eq!(error.item(), Some(poison));
                }
                result => assert_eq!(*result, Ok(answer(item)), "item {item} in batches of {batch}"),
            }
        }
        runs.assert_all_ran(40);
    }
    assert_eq!(handler.submit(add_one, 1).result(), Ok(2));
    close(handler);
    cluster.end();
}

fn children_end_with_their_worker_in_the_middle_of_an_item(stage: &Stage) {
    let cluster = stage.own_cluster(1);
    let handler = connect(&cluster);
    let runs = Runs::new();
    let future = handler.submit(tick, (runs.folder(), 0));
    wait_for("it to run", || (!runs.executions().is_empty()).then_some(()));
    let child = cluster.children()[0].id;
    kill(cluster.worker_ids()[0]);
    let start = Instant::now();
    while dask::is_alive(child) {
        assert!(start.elapsed() < Duration::from_secs(2), "the child outlives its worker");
        std::thread::sleep(Duration::from_millis(5));
    }
    future.cancel();
    close(handler);
    cluster.end();
}

fn a_worker_that_comes_late_takes_part(stage: &Stage) {
    let mut cluster = stage.own_cluster(1);
    let handler = connect(&cluster);
    let map = handler.batched_map(worker_process, std::iter::repeat(20)).batch_size(5);
    let mut seen = std::collections::BTreeSet::new();
    let start = Instant::now();
    for result in map {
        seen.insert(result.unwrap());
        if seen.len() == 1 && cluster.worker_count() == 1 {
            cluster.add_worker();
        }
        if seen.len() == 2 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the late worker was given nothing");
    }
    close(handler);
    cluster.end();
}

fn a_restarted_worker_takes_part(stage: &Stage) {
    let cluster = stage.own_cluster(1);
    let handler = connect(&cluster);
    let first = handler.submit(worker_process, 0).result().unwrap();
    kill(first);
    let second = handler.submit(worker_process, 0).result().unwrap();
    assert_ne!(first, second);
    assert_eq!(cluster.worker_ids(), [second]);
    close(handler);
    cluster.end();
}

fn without_workers_items_wait_for_the_first(stage: &Stage) {
    let mut cluster = stage.own_cluster(0);
    let handler = connect(&cluster);
    assert_eq!(handler.info().workers, 0);
    let future = handler.submit(add_one, 41);
    let future = future.result_timeout(Duration::from_millis(700)).unwrap_err();
    cluster.add_worker();
    assert_eq!(future.result_timeout(Duration::from_secs(20)).unwrap(), Ok(42));
    let sum: u64 = handler.batched_map(add_one, 0..1000).map(Result::unwrap).sum();
    assert_eq!(sum, 500_500);
    wait_for("the handler to know", || (handler.info().workers == 1).then_some(()));
    close(handler);
    cluster.end();
}

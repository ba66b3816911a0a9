//! Children, the processes that run items, that die: by somebody's hand or by an item's own doing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Event, TaskErrorKind};

use crate::dask::{Cluster, kill};
use crate::functions::{Runs, answer, assert_answers, end_by, nap, touch};
use crate::stage::{Stage, builder, close, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial a_killed_child_is_not_noticed
        trial an_item_that_ends_its_process_is_told_in_its_place_and_its_neighbours_are_kept
        trial an_item_that_hangs_is_told_of_and_where_there_is_a_limit_ended_alone
    )
}

fn a_killed_child_is_not_noticed(stage: &Stage) {
    // One worker of two threads, whose children are of one pool.
    let cluster = Cluster::with(&stage.python, 1, &[], &["--nthreads", "2"]);
    // A first death in a batch of many is nobody's fault, whatever `retries` says; with retries there may be more.
    for (retries, kills) in [(0, 1), (2, 6)] {
        let handler = builder(&cluster).retries(retries).build().unwrap();
        let runs = Runs::new();
        let mut results = Vec::new();
        let mut killed = 0;
        for result in handler.batched_map(touch, runs.items(400, 5)).batch_size(20) {
            results.push(result);
            if results.len() >= 40 * (killed + 1) && killed < kills {
                let children = cluster.children();
                kill(children[killed % children.len()].id);
                killed += 1;
            }
        }
        assert_eq!(killed, kills);
        assert_answers(&results, 400);
        runs.assert_all_ran(400);
        close(handler);
    }
    cluster.end();
}

fn an_item_that_ends_its_process_is_told_in_its_place_and_its_neighbours_are_kept(stage: &Stage) {
    let handler = stage.handler();
    let ways =
        [(7, "abort", "signal 6"), (13, "exit", "code 3"), (14, "segfault", "signal 11"), (29, "abort", "signal 6")];
    let way = |item| ways.iter().find(|(at, ..)| *at == item);
    let args = || (0..30).map(|item| (way(item).map_or("", |(_, way, _)| way).to_owned(), item));
    let futures = handler.map(end_by, args());
    let batched = handler.batched_map(end_by, args()).batch_size(30).collect();
    let single = handler.batched_map(end_by, args()).batch_size(1).collect();
    for results in [handler.gather(futures), batched, single] {
        assert_eq!(results.len(), 30);
        for (item, result) in (0..).zip(&results) {
            let Some((_, way, ending)) = way(item) else {
                assert_eq!(*result, Ok(answer(item)), "item {item}");
                continue;
            };
            let error = result.as_ref().unwrap_err();
            assert_eq!((error.item(), error.function()), (Some(item), Some("faults::functions::end_by")));
            assert!(error.worker().is_some_and(|worker| worker.starts_with("tcp://")), "{error:?}");
            let TaskErrorKind::Died { how, attempts: 3, stderr } = error.kind() else { panic!("{error:?}") };
            assert!(how.contains(ending), "{error}");
            assert!(stderr.contains(&format!("item {item} is about to {way}")), "{error:?}");
        }
    }
}

fn an_item_that_hangs_is_told_of_and_where_there_is_a_limit_ended_alone(stage: &Stage) {
    let warned: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&warned);
    let handler = builder(stage.cluster()).item_limit(Duration::from_secs(2)).slow_after(Duration::from_millis(900));
    let handler = handler.on_event(move |event| {
        if let Event::Warning { message } = event {
            told.lock().unwrap().push(message.clone());
        }
    });
    let handler = handler.build().unwrap();
    let start = Instant::now();
    // Of a batch of ten the fifth hangs; all of them take longer than the limit together.
    let naps = |item: u64| if item == 4 { 600_000 } else { 250 };
    let results: Vec<_> = handler.batched_map(nap, (0..10).map(naps)).batch_size(10).collect();
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    for (item, result) in (0..).zip(&results) {
        if item != 4 {
            assert_eq!(*result, Ok(250), "item {item}");
            continue;
        }
        let error = result.as_ref().unwrap_err();
        assert_eq!((error.item(), error.function()), (Some(4), Some("faults::functions::nap")));
        let TaskErrorKind::Died { how, attempts: 1, .. } = error.kind() else { panic!("{error:?}") };
        assert!(how.contains("gave no result within 2 s"), "{error}");
    }
    assert_eq!(results.len(), 10);
    let warned = warned.lock().unwrap();
    let known =
        |message: &String| message.contains("item 4 of faults::functions::nap") && message.contains("item_limit");
    assert!(warned.iter().any(known), "{warned:?}");
    close(handler);
}

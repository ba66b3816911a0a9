//! What a handler tells while work goes on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Event, Handler};

use crate::dask::{kill, wait_for};
use crate::functions::{Runs, add_one, nap, say, touch};
use crate::stage::{Stage, builder, close, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial lines_reach_the_client_with_their_item_and_worker
        trial a_long_batch_tells_its_progress
        trial batches_told_add_up_to_all_items
        trial what_is_tried_again_and_who_comes_and_goes_is_told
    )
}

type Heard = Arc<Mutex<Vec<Event>>>;

fn listening(stage: &Stage) -> (Handler, Heard) {
    let (listener, heard) = listener();
    (builder(stage.cluster()).on_event(listener).build().unwrap(), heard)
}

fn listener() -> (impl Fn(&Event) + Send + Sync + 'static, Heard) {
    let heard = Heard::default();
    let sink = Arc::clone(&heard);
    (move |event: &Event| sink.lock().unwrap().push(event.clone()), heard)
}

/// Events come when they come: asks until `found` gives something.
fn hear<T>(what: &str, heard: &Heard, found: impl Fn(&[Event]) -> Option<T>) -> T {
    wait_for(what, || found(&heard.lock().unwrap()))
}

fn lines_reach_the_client_with_their_item_and_worker(stage: &Stage) {
    let (handler, heard) = listening(stage);
    let results: Vec<u64> = handler.batched_map(say, 0..20).batch_size(7).map(Result::unwrap).collect();
    assert_eq!(results, (0..20).collect::<Vec<u64>>());
    let lines = |events: &[Event]| -> BTreeSet<(Option<u64>, String)> {
        let line = |event: &Event| match event {
            Event::Log { item, worker, line } => {
                assert!(worker.starts_with("tcp://127.0.0.1:"), "{worker}");
                Some((*item, line.clone()))
            }
            _ => None,
        };
        events.iter().filter_map(line).collect()
    };
    let logged = (0..20).map(|item| (Some(item), format!("log of {item}")));
    let written = (0..20).map(|item| (None, format!("stderr of {item}")));
    let expected: BTreeSet<_> = logged.chain(written).collect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) && lines(&heard.lock().unwrap()).len() < expected.len() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let lines = lines(&heard.lock().unwrap());
    let missing: Vec<_> = lines.symmetric_difference(&expected).collect();
    assert!(missing.is_empty(), "missing or too many: {missing:?}");
    close(handler);
}

fn a_long_batch_tells_its_progress(stage: &Stage) {
    let (handler, heard) = listening(stage);
    let map = handler.batched_map(nap, vec![50; 70]).batch_size(70);
    assert_eq!(map.map(Result::unwrap).count(), 70);
    let told: Vec<u64> = heard
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::Progress { function, first: 0, items: 70, done, .. } if function.ends_with("::nap") => Some(*done),
            _ => None,
        })
        .collect();
    assert!((2..=5).contains(&told.len()), "{told:?} in 3.5 s");
    assert!(told.is_sorted() && told.iter().all(|done| (1..70).contains(done)), "{told:?}");
    close(handler);
}

fn batches_told_add_up_to_all_items(stage: &Stage) {
    let (handler, heard) = listening(stage);
    let sum: u64 = handler.batched_map(add_one, 0..100_000).map(Result::unwrap).sum();
    assert_eq!(sum, 5_000_050_000);
    let mut ranges: Vec<(u64, u64)> = heard
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            Event::Batch { function, first, items, seconds, worker } => {
                assert!(function.ends_with("::add_one") && worker.starts_with("tcp://") && *seconds >= 0.0);
                Some((*first, *items))
            }
            _ => None,
        })
        .collect();
    ranges.sort_unstable();
    let mut next = 0;
    for (first, items) in &ranges {
        assert_eq!(*first, next, "{ranges:?}");
        next += items;
    }
    assert_eq!(next, 100_000);
    close(handler);
}

fn what_is_tried_again_and_who_comes_and_goes_is_told(stage: &Stage) {
    let mut cluster = stage.own_cluster(1);
    let (listener, heard) = listener();
    let handler = builder(&cluster).on_event(listener).build().unwrap();
    let runs = Runs::new();
    let retried = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::Retried { function, items: 20, why, .. } if function.ends_with("::touch") => Some(why.clone()),
            _ => None,
        })
    };
    let is_told = || retried(&heard.lock().unwrap()).is_some();
    // A child that is killed between two batches is not missed, so one is killed after each batch until that is told.
    let items = runs.items(u64::MAX, 20).take_while(|_| !is_told());
    for (result, place) in handler.batched_map(touch, items).batch_size(20).zip(1..) {
        result.unwrap();
        if place == 20 {
            cluster.add_worker();
        }
        if place % 20 == 0
            && !is_told()
            && let Some(child) = cluster.children().first()
        {
            kill(child.id);
        }
    }
    let why = hear("the retry", &heard, retried);
    assert!(why.contains("died 1 times"), "{why}");
    let came = |events: &[Event]| events.contains(&Event::Workers { workers: 2, threads: 2 }).then_some(());
    hear("the worker that came", &heard, came);
    kill(cluster.nanny_ids()[1]);
    let went = |events: &[Event]| (events.last() == Some(&Event::Workers { workers: 1, threads: 1 })).then_some(());
    hear("the worker that went", &heard, went);
    close(handler);
    cluster.end();
}

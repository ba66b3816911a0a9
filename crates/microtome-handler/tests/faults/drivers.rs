//! The driver, the Python process between a program and its scheduler, that dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{Event, TaskErrorKind};

use crate::dask::{kill, wait_for};
use crate::functions::{Runs, add_one, alone, assert_answers, nap, touch};
use crate::stage::{Stage, builder, close, connect, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial a_killed_driver_costs_no_result
        trial what_runs_for_a_dead_driver_is_stopped_before_it_runs_again
        trial a_driver_killed_too_often_is_an_error_and_no_hang
    )
}

fn a_killed_driver_costs_no_result(stage: &Stage) {
    let handler = connect(stage.cluster());
    let runs = Runs::new();
    let mut drivers = vec![handler.driver_id().unwrap()];
    let mut results = Vec::new();
    let single = handler.map(nap, [500; 4]);
    for result in handler.batched_map(touch, runs.items(300, 5)).batch_size(10) {
        results.push(result);
        if results.len() == 50 || results.len() == 150 {
            kill(*drivers.last().unwrap());
            let new = || handler.driver_id().filter(|id| !drivers.contains(id));
            drivers.push(wait_for("another driver", new));
        }
    }
    assert_answers(&results, 300);
    runs.assert_all_ran(300);
    assert_eq!(handler.try_gather(single).unwrap(), [500; 4]);
    assert_eq!(handler.info().workers, 2);
    close(handler);
    wait_for("the scheduler to forget all", || (stage.cluster().tasks_named("touch") == 0).then_some(()));
}

fn what_runs_for_a_dead_driver_is_stopped_before_it_runs_again(stage: &Stage) {
    let cluster = stage.own_cluster(2);
    let handler = connect(&cluster);
    let runs = Runs::new();
    // One item, so that the other worker is free to run it again.
    let futures = handler.map(alone, runs.items(1, 4000));
    let _ = wait_for("it to run", || std::fs::read_dir(runs.folder()).unwrap().next());
    kill(handler.driver_id().unwrap());
    assert_answers(&handler.gather(futures), 1);
    assert_eq!(runs.executions(), [0; 0], "it ran twice at a time");
    close(handler);
    cluster.end();
}

fn a_driver_killed_too_often_is_an_error_and_no_hang(stage: &Stage) {
    let (sender, lost) = std::sync::mpsc::channel();
    let cluster = stage.own_cluster(1);
    let handler = builder(&cluster)
        .on_event(move |event| {
            if let Event::Warning { message } = event {
                let _ = sender.send(message.clone());
            }
        })
        .build()
        .unwrap();
    let futures = handler.map(nap, vec![60_000; 4]);
    let start = Instant::now();
    let mut seen = Vec::new();
    while futures.iter().any(|future| !future.done()) {
        assert!(start.elapsed() < Duration::from_mins(1), "after {} drivers", seen.len());
        if let Some(driver) = handler.driver_id().filter(|driver| !seen.contains(driver)) {
            kill(driver);
            seen.push(driver);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(seen.len(), 6, "it is started again five times");
    assert_eq!(lost.try_iter().count(), 5);
    for result in handler.gather(futures) {
        let error = result.unwrap_err();
        let TaskErrorKind::Bridge { message } = error.kind() else { panic!("{error:?}") };
        assert!(message.contains("ended 6 times"), "{error}");
    }
    let start = Instant::now();
    assert!(matches!(handler.submit(add_one, 1).result().unwrap_err().kind(), TaskErrorKind::Bridge { .. }));
    assert!(start.elapsed() < Duration::from_millis(200));
    close(handler);
    cluster.end();
}

//! What may travel, and how much of it at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use microtome_handler::TaskErrorKind;

use crate::functions::{count_bytes, so_many_bytes, unreleased, windowed};
use crate::stage::{Stage, builder, close, connect, trials};

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial an_argument_too_large_is_an_error_in_its_own_place
        trial many_large_arguments_are_sent_in_pieces
        trial large_results_of_one_batch_come_in_several_messages
        trial never_more_than_the_window_is_at_the_scheduler
        trial never_more_tasks_than_allowed_are_at_the_scheduler
    )
}

/// Bytes that do not compress.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed * 2 + 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    // An integer over 127 takes two bytes in MessagePack; these take one.
    (0..bytes).map(|_| next() & 0x7f).collect()
}

fn an_argument_too_large_is_an_error_in_its_own_place(stage: &Stage) {
    let handler = stage.handler();
    let lengths = [10, 3 << 20, 500 << 10, 0, 2 << 20, 17];
    let args = || lengths.iter().map(|length| noise(*length, 1));
    let futures = handler.map(count_bytes, args());
    let batched = handler.batched_map(count_bytes, args()).batch_size(6).collect();
    let single = args().map(|args| handler.submit(count_bytes, args).result()).collect();
    for (way, results) in [("map", handler.gather(futures)), ("batched_map", batched), ("submit", single)] {
        assert_eq!(results.len(), 6, "{way}");
        for ((item, result), length) in (0..).zip(&results).zip(lengths) {
            if length < 1 << 20 {
                assert_eq!(*result, Ok(length as u64), "{way}, item {item}");
                continue;
            }
            let error = result.as_ref().unwrap_err();
            let TaskErrorKind::TooLarge { limit, bytes, .. } = error.kind() else { panic!("{way}: {error:?}") };
            assert!(*limit == 1 << 20 && *bytes > *limit, "{error:?}");
            assert!(error.to_string().contains("write it to shared storage and pass its path"), "{error}");
            assert!(way == "submit" || error.item() == Some(item), "{way}: {error:?}");
        }
    }
}

fn many_large_arguments_are_sent_in_pieces(stage: &Stage) {
    let handler = stage.handler();
    let args = || (0..40).map(|seed| noise(100 << 10, seed));
    let expected = vec![100 << 10; 40];
    let futures = handler.map(count_bytes, args());
    assert_eq!(handler.try_gather(futures).unwrap(), expected);
    let all = handler.batched_map(count_bytes, args()).batch_size(40);
    assert_eq!(all.map(Result::unwrap).collect::<Vec<_>>(), expected);
    let auto = handler.batched_map(count_bytes, args());
    assert_eq!(auto.map(Result::unwrap).collect::<Vec<_>>(), expected);
}

/// A worker ends a batch after 128 MiB of results and gives the rest back: no item may be left out or run in vain.
fn large_results_of_one_batch_come_in_several_messages(stage: &Stage) {
    let handler = stage.handler();
    let sizes = || (0..13).map(|item| (12 << 20) + item);
    let mut map = handler.batched_map(so_many_bytes, sizes()).batch_size(13);
    for (item, result) in (0..).zip(map.by_ref()) {
        assert_eq!(result.map(|bytes| bytes.len() as u64), Ok((12 << 20) + item), "item {item}");
    }
    assert_eq!((map.stats().items, map.stats().batches), (13, 1));
}

/// The most tasks of this name that the scheduler has while `run` runs, and how often it was asked.
fn most_tasks(stage: &Stage, name: &str, run: impl FnOnce()) -> (usize, usize) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let (mut most, mut samples) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                most = most.max(stage.cluster().tasks_named(name));
                samples += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            (most, samples)
        });
        run();
        over.store(true, Ordering::Relaxed);
        sampler.join().unwrap()
    })
}

fn never_more_than_the_window_is_at_the_scheduler(stage: &Stage) {
    let handler = connect(stage.cluster());
    for (window, allowed) in [(None, 8), (Some(3), 3)] {
        let (most, samples) = most_tasks(stage, "windowed", || {
            let map = handler.batched_map(windowed, std::iter::repeat_n(10, 300)).batch_size(2);
            let mut map = if let Some(window) = window { map.window(window) } else { map };
            assert_eq!(map.by_ref().map(Result::unwrap).count(), 300);
            assert_eq!((map.stats().window, map.stats().batches), (allowed, 150));
            assert!(map.stats().most_in_flight <= allowed, "{:?}", map.stats());
        });
        assert!(most <= allowed && most >= 2 && samples > 20, "{most} of {allowed} in {samples} samples");
    }
    close(handler);
}

fn never_more_tasks_than_allowed_are_at_the_scheduler(stage: &Stage) {
    let handler = builder(stage.cluster()).most_unreleased(3).build().unwrap();
    let (most, samples) = most_tasks(stage, "unreleased", || {
        let futures = handler.map(unreleased, vec![10; 200]);
        let map = handler.batched_map(unreleased, std::iter::repeat_n(10, 200)).batch_size(2);
        assert_eq!(map.map(Result::unwrap).count(), 200);
        assert_eq!(handler.try_gather(futures).unwrap().len(), 200);
    });
    assert!(most <= 3 && samples > 20, "{most} of 3 in {samples} samples");
    close(handler);
}

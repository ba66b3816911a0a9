//! `batched_map`: any number of items through a window of batches.
//!
//! Items are pulled from the iterator only when there is room for a batch, by whoever asks for the next result: there is no
//! barrier between batches, no thread of our own, and nothing is held but the window. The policy decides how large batches
//! are and how many may be out; a runner, of threads or of a cluster, carries them.
//! *Invariant:* every item pulled gives one result; in order unless asked otherwise.

use std::collections::BTreeMap;

use crate::error::{TaskError, TaskErrorKind};
use crate::policy::{Finished, Policy, Room, Rule};

/// Results between two looks at what has come back.
const BETWEEN_LOOKS: u64 = 1024;

/// A batch that came back.
#[derive(Debug)]
pub(crate) struct Done<R> {
    pub(crate) seq: u64,
    pub(crate) first: u64,
    pub(crate) items: u64,
    pub(crate) result_bytes: u64,
    /// What its items took, if they ran.
    pub(crate) seconds: Option<f64>,
    pub(crate) results: Results<R>,
}

/// Results of a batch, one for each item, in order.
pub(crate) enum Results<R> {
    /// The last first, so that taking one is popping it and the buffer is whole afterwards: fresh memory is dearer.
    Here(Vec<Result<R, TaskError>>),
    Read(Box<dyn Iterator<Item = Result<R, TaskError>> + Send>),
}

impl<R> Results<R> {
    #[inline]
    fn next(&mut self) -> Option<Result<R, TaskError>> {
        match self {
            Results::Here(results) => results.pop(),
            Results::Read(results) => results.next(),
        }
    }
}

impl<R> std::fmt::Debug for Results<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Results")
    }
}

/// Carries batches: threads or a cluster.
pub(crate) trait Runner<A, R> {
    /// The function's name; empty for a closure.
    fn function(&self) -> &'static str;
    /// Threads that work at the same time.
    fn threads(&self) -> usize;
    /// Why nothing more can be run, if so.
    fn down(&self) -> Option<TaskErrorKind>;
    /// The most items to be given at a time.
    fn chunk(&self) -> u64;
    /// An empty buffer for items.
    fn buffer(&mut self) -> Vec<A>;
    /// Adds items to the next batch; false if no more should be added, because its packed arguments take `arg_bytes`.
    fn add(&mut self, items: Vec<A>, arg_bytes: u64) -> bool;
    /// Starts the batch of the items added so far, with its number and the place of its first item; gives the packed bytes
    /// of its arguments, or why it cannot be started.
    fn submit(&mut self, seq: u64, first: u64) -> Result<u64, TaskErrorKind>;
    /// Takes back an emptied buffer of results.
    fn recycle(&mut self, results: Vec<Result<R, TaskError>>);
    /// A batch that came back; `None` if there is none now or, having waited, if none is out.
    fn done(&mut self, wait: bool) -> Option<Done<R>>;
}

/// What a `batched_map` did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MapStats {
    /// Items pulled from the iterator.
    pub items: u64,
    /// Batches they were put into.
    pub batches: u64,
    /// The most batches that were out at a time.
    pub most_in_flight: usize,
    /// The most batches that may be out at a time: the window.
    pub window: usize,
    /// Items in the batch that was sent last.
    pub batch_items: u64,
    /// Seconds that items took, added up over all threads.
    pub busy_seconds: f64,
    /// Bytes of packed arguments; 0 on threads.
    pub arg_bytes: u64,
    /// Bytes of packed results; 0 on threads.
    pub result_bytes: u64,
}

/// An iterator over the results of a function, batch by batch; made by `batched_map`.
///
/// Dropping it stops what it has started. On a cluster, batches that wait are forgotten and those that run are stopped.
#[must_use = "an iterator does nothing until it is asked"]
pub struct BatchedMap<A, R, I> {
    source: Option<I>,
    runner: Box<dyn Runner<A, R>>,
    rule: Rule,
    policy: Option<Policy>,
    batch_size: Option<u64>,
    window: Option<usize>,
    ordered: bool,
    current: Option<Current<R>>,
    /// Batches that came back and wait for their turn.
    waiting: BTreeMap<u64, Done<R>>,
    next_seq: u64,
    turn: u64,
    out: usize,
    stats: MapStats,
}

struct Current<R> {
    results: Results<R>,
    item: u64,
    bytes: u64,
}

impl<A, R, I> BatchedMap<A, R, I>
where
    I: Iterator<Item = Result<A, TaskError>>,
{
    pub(crate) fn new(source: I, runner: Box<dyn Runner<A, R>>, rule: Rule) -> BatchedMap<A, R, I> {
        BatchedMap {
            source: Some(source),
            runner,
            rule,
            policy: None,
            batch_size: None,
            window: None,
            ordered: true,
            current: None,
            waiting: BTreeMap::new(),
            next_seq: 0,
            turn: 0,
            out: 0,
            stats: MapStats::default(),
        }
    }

    /// Puts so many items into each batch, instead of what their measured time suggests. 0 counts as 1.
    pub fn batch_size(mut self, items: u64) -> Self {
        self.batch_size = Some(items.max(1));
        self
    }

    /// Lets at most so many batches be out at a time, instead of twice as many as there are threads and four. 0 counts as 1.
    pub fn window(mut self, batches: usize) -> Self {
        self.window = Some(batches.max(1));
        self
    }

    /// Yields results as they come, each with the place of its item in the input, instead of in input order.
    pub fn as_completed(mut self) -> CompletedMap<A, R, I> {
        self.ordered = false;
        CompletedMap(self)
    }

    /// Yields results in input order up to the first error, and stops there with that error.
    ///
    /// # Errors
    /// The first error in input order; what was started is stopped when the map is dropped.
    pub fn strict(self) -> impl Iterator<Item = Result<R, TaskError>> {
        let mut failed = false;
        self.take_while(move |result| {
            let before = failed;
            failed |= result.is_err();
            !before
        })
    }

    /// What was done so far.
    pub fn stats(&self) -> MapStats {
        self.stats
    }

    #[inline]
    fn next_result(&mut self) -> Option<(u64, Result<R, TaskError>)> {
        loop {
            if let Some(current) = &mut self.current
                && let Some(result) = current.results.next()
            {
                let item = current.item;
                current.item += 1;
                if item % BETWEEN_LOOKS == 0 {
                    self.look();
                }
                return Some((item, result));
            }
            if !self.next_batch() {
                return None;
            }
        }
    }

    /// Between results: takes what has come back, sends what there is room for.
    #[cold]
    fn look(&mut self) {
        while let Some(done) = self.runner.done(false) {
            self.accept(done);
        }
        self.pump();
    }

    /// Makes the next batch the current one; false at the end of everything.
    fn next_batch(&mut self) -> bool {
        self.close_current();
        loop {
            self.look();
            let turn =
                if self.ordered { self.waiting.remove(&self.turn) } else { self.waiting.pop_first().map(|w| w.1) };
            if let Some(done) = turn {
                self.turn += 1;
                self.current = Some(Current { results: done.results, item: done.first, bytes: done.result_bytes });
                return true;
            }
            if self.out == 0 && self.source.is_none() && self.waiting.is_empty() {
                return false;
            }
            match self.runner.done(true) {
                Some(done) => self.accept(done),
                None if self.out > 0 => self.abandon(),
                None => {}
            }
        }
    }

    fn close_current(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Some(policy) = &mut self.policy {
            policy.released(current.bytes);
        }
        if let Results::Here(results) = current.results {
            self.runner.recycle(results);
        }
    }

    /// Nothing is out although it should be: a bug of the runner, told instead of waited for.
    fn abandon(&mut self) {
        self.out = 0;
        self.source = None;
        let kind = TaskErrorKind::Bridge { message: "batches were lost inside the handler".to_owned() };
        self.put_error(kind.into());
        self.turn = self.waiting.keys().next().copied().unwrap_or(self.turn);
    }

    fn accept(&mut self, done: Done<R>) {
        self.out -= 1;
        self.stats.busy_seconds += done.seconds.unwrap_or(0.0);
        self.stats.result_bytes += done.result_bytes;
        if let Some(policy) = &mut self.policy {
            policy.finished(Finished {
                items: done.items,
                seconds: done.seconds,
                result_bytes: done.result_bytes,
                held: true,
            });
        }
        self.waiting.insert(done.seq, done);
    }

    /// Sends batches while there is room and something to send.
    fn pump(&mut self) {
        while self.source.is_some() {
            if let Some(down) = self.runner.down() {
                self.stop(&down);
                return;
            }
            let Some(room) = self.room() else { return };
            self.send(room);
        }
    }

    fn room(&mut self) -> Option<Room> {
        let threads = self.runner.threads();
        let left = self.source.as_ref().and_then(|source| match source.size_hint() {
            (low, Some(high)) if low == high => Some(low as u64),
            _ => None,
        });
        let policy =
            self.policy.get_or_insert_with(|| Policy::new(self.rule.clone(), threads, self.batch_size, self.window));
        policy.set_threads(threads);
        self.stats.window = policy.limit();
        policy.room(left)
    }

    fn send(&mut self, room: Room) {
        let mut count = 0;
        let mut error = None;
        let mut open = true;
        while let Some(source) = &mut self.source
            && open
            && count < room.items
            && error.is_none()
        {
            let mut items = self.runner.buffer();
            let most = (room.items - count).min(self.runner.chunk()) as usize;
            error = fill(&mut items, source, most).err();
            if items.len() < most && error.is_none() {
                self.source = None;
            }
            count += items.len() as u64;
            open = self.runner.add(items, room.arg_bytes);
        }
        if count > 0 {
            self.start(count);
        }
        if let Some(error) = error {
            self.put_error(error);
        }
    }

    fn start(&mut self, count: u64) {
        match self.runner.submit(self.next_seq, self.stats.items) {
            Ok(arg_bytes) => {
                if let Some(policy) = &mut self.policy {
                    policy.submitted(count, arg_bytes);
                }
                self.next_seq += 1;
                self.out += 1;
                self.stats.items += count;
                self.stats.batches += 1;
                self.stats.batch_items = count;
                self.stats.arg_bytes += arg_bytes;
                self.stats.most_in_flight = self.stats.most_in_flight.max(self.out);
            }
            Err(kind) => (0..count).for_each(|_| self.put_error(kind.clone().into())),
        }
    }

    /// Nothing more can be run: one more item, if there is one, says why, and that is the end.
    fn stop(&mut self, kind: &TaskErrorKind) {
        if let Some(mut source) = self.source.take()
            && source.next().is_some()
        {
            self.put_error(kind.clone().into());
        }
    }

    /// An item that has an error before it was sent.
    fn put_error(&mut self, error: TaskError) {
        let first = self.stats.items;
        self.stats.items += 1;
        let results = Results::Here(vec![Err(error)]);
        let done = Done { seq: self.next_seq, first, items: 1, result_bytes: 0, seconds: None, results };
        self.next_seq += 1;
        self.waiting.insert(done.seq, done);
    }

    fn named(&self, item: u64, error: TaskError) -> TaskError {
        let error = error.at(item);
        match self.runner.function() {
            "" => error,
            function => error.of(function),
        }
    }
}

/// Moves up to `most` items out of the iterator, fewer where it ends; stops at an item that is an error.
fn fill<A>(
    items: &mut Vec<A>,
    source: &mut impl Iterator<Item = Result<A, TaskError>>,
    most: usize,
) -> Result<(), TaskError> {
    // A length that is a lie must not cost memory.
    items.reserve(most.min(source.size_hint().0).min(BETWEEN_LOOKS as usize));
    source.take(most).try_for_each(|args| {
        items.push(args?);
        Ok(())
    })
}

impl<A, R, I> Iterator for BatchedMap<A, R, I>
where
    I: Iterator<Item = Result<A, TaskError>>,
{
    type Item = Result<R, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (item, result) = self.next_result()?;
        Some(result.map_err(|error| self.named(item, error)))
    }
}

impl<A, R, I> std::fmt::Debug for BatchedMap<A, R, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchedMap").field("stats", &self.stats).finish_non_exhaustive()
    }
}

/// A [`BatchedMap`] that yields results as they come, with their places.
#[must_use = "an iterator does nothing until it is asked"]
#[derive(Debug)]
pub struct CompletedMap<A, R, I>(BatchedMap<A, R, I>);

impl<A, R, I> CompletedMap<A, R, I>
where
    I: Iterator<Item = Result<A, TaskError>>,
{
    /// What was done so far.
    pub fn stats(&self) -> MapStats {
        self.0.stats
    }
}

impl<A, R, I> Iterator for CompletedMap<A, R, I>
where
    I: Iterator<Item = Result<A, TaskError>>,
{
    type Item = (u64, Result<R, TaskError>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (item, result) = self.0.next_result()?;
        Some((item, result.map_err(|error| self.0.named(item, error))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use proptest::prelude::*;

    /// Runs batches when asked for them, in an order of its own, and goes down after some.
    struct Odd {
        order: VecDeque<usize>,
        batch: Vec<u64>,
        out: Vec<(u64, u64, Vec<u64>)>,
        before_down: usize,
    }

    const DOWN: TaskErrorKind = TaskErrorKind::Closed;

    impl Runner<u64, u64> for Odd {
        fn function(&self) -> &'static str {
            "odd"
        }

        fn threads(&self) -> usize {
            2
        }

        fn down(&self) -> Option<TaskErrorKind> {
            (self.before_down == 0).then_some(DOWN)
        }

        fn chunk(&self) -> u64 {
            3
        }

        fn buffer(&mut self) -> Vec<u64> {
            Vec::new()
        }

        fn add(&mut self, items: Vec<u64>, _: u64) -> bool {
            self.batch.extend(items);
            self.batch.len() < 40
        }

        fn submit(&mut self, seq: u64, first: u64) -> Result<u64, TaskErrorKind> {
            let items = std::mem::take(&mut self.batch);
            self.before_down = self.before_down.checked_sub(1).ok_or(DOWN)?;
            self.out.push((seq, first, items));
            Ok(0)
        }

        fn recycle(&mut self, results: Vec<Result<u64, TaskError>>) {
            assert!(results.is_empty());
        }

        fn done(&mut self, wait: bool) -> Option<Done<u64>> {
            if self.out.is_empty() || !wait && self.order.front().is_some_and(|n| n % 2 == 0) {
                return None;
            }
            let at = self.order.pop_front().unwrap_or(0) % self.out.len();
            let (seq, first, items) = self.out.swap_remove(at);
            let results = Results::Here(items.iter().rev().map(|x| Ok(x * 10)).collect());
            Some(Done { seq, first, items: items.len() as u64, result_bytes: 8, seconds: Some(0.1), results })
        }
    }

    fn map(
        order: Vec<usize>,
        before_down: usize,
        n: u64,
    ) -> BatchedMap<u64, u64, impl Iterator<Item = Result<u64, TaskError>>> {
        let runner = Odd { order: order.into(), batch: Vec::new(), out: Vec::new(), before_down };
        BatchedMap::new((0..n).map(Ok), Box::new(runner), Rule::cluster())
    }

    proptest! {
        #[test]
        fn results_come_in_order_in_whatever_order_batches_come_back(order in proptest::collection::vec(0_usize..9, 0..99), n in 0_u64..300, size in 1_u64..20) {
            let results: Result<Vec<u64>, TaskError> = map(order, usize::MAX, n).batch_size(size).collect();
            prop_assert_eq!(results.unwrap(), (0..n).map(|x| x * 10).collect::<Vec<_>>());
        }

        #[test]
        fn as_completed_gives_each_item_once_with_its_place(order in proptest::collection::vec(0_usize..9, 0..99), n in 0_u64..300) {
            let mut results: Vec<(u64, u64)> = map(order, usize::MAX, n).as_completed().map(|(i, r)| (i, r.unwrap())).collect();
            results.sort_unstable();
            prop_assert_eq!(results, (0..n).map(|x| (x, x * 10)).collect::<Vec<_>>());
        }

        #[test]
        fn where_nothing_more_can_run_the_last_word_is_why(order in proptest::collection::vec(0_usize..9, 0..99), before in 0_usize..9) {
            let results: Vec<Result<u64, TaskError>> = map(order, before, 1_000_000).batch_size(5).collect();
            let (last, good) = results.split_last().unwrap();
            prop_assert_eq!(last.as_ref().unwrap_err().kind(), &DOWN);
            prop_assert_eq!(last.as_ref().unwrap_err().item(), Some(good.len() as u64));
            prop_assert!(good.iter().zip(0..).all(|(result, x)| *result == Ok(x * 10)));
        }
    }

    #[test]
    fn an_item_that_cannot_be_made_stands_in_its_place() {
        let wrong = |x: u64| if x % 3 == 2 { Err(TaskError::failed("no")) } else { Ok(x) };
        let runner = Odd { order: VecDeque::new(), batch: Vec::new(), out: Vec::new(), before_down: usize::MAX };
        let map = BatchedMap::new((0..7).map(wrong), Box::new(runner), Rule::cluster());
        let results: Vec<_> = map.map(|result| result.map_err(|error| error.item())).collect();
        assert_eq!(results, [Ok(0), Ok(10), Err(Some(2)), Ok(30), Ok(40), Err(Some(5)), Ok(60)]);
    }
}

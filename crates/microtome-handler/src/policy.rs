//! The batching policy of `batched_map`: how many items go into the next batch, and whether it may be submitted now.
//!
//! [`Policy`] is a pure state machine: batches submitted, finished and released go in, room for the next batch comes
//! out. It has no clock, no threads, no I/O, and never sees an item or a result, only how many there are and how many
//! bytes they take. It is not a queue: the caller keeps the batches.
//!
//! *Invariant:* room is never given for more than [`Policy::limit`] batches in flight, nor for more than eight times as
//! many together with the held ones; and where nothing is in flight and nothing is held, there is always room.

/// What a policy goes by; [`Rule::cluster`] and [`Rule::threads`] are the two sets in use.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Seconds a batch should take for each worker thread there is, within the two bounds below: W threads then ask for
    /// at most 1 / `seconds_per_thread` batches a second, however many they are.
    pub(crate) seconds_per_thread: f64,
    /// Seconds a batch should take at least.
    pub(crate) least_seconds: f64,
    /// Seconds a batch should take at most.
    pub(crate) most_seconds: f64,
    /// Items in a batch at most.
    pub(crate) most_items: u64,
    /// Bytes of packed arguments aimed at in a batch.
    pub(crate) soft_arg_bytes: u64,
    /// Bytes of packed arguments allowed where the aim would make a batch shorter than is worth its overhead: cheap
    /// items with arguments that do not compress.
    pub(crate) hard_arg_bytes: u64,
    /// Bytes of results expected from a batch at most.
    pub(crate) result_bytes: u64,
    /// Bytes of results at once, those expected from batches in flight and those held.
    pub(crate) window_bytes: u64,
    /// Batches in flight at most, whatever else is said.
    pub(crate) most_unreleased: usize,
}

impl Rule {
    /// For a Dask cluster, whose scheduler spends about 1.1 ms of CPU on a batch: at most 100 batches a second are
    /// 11 % of its one core. Arguments stay small because it remembers its last 1,000 messages to each worker.
    pub(crate) fn cluster() -> Rule {
        Rule {
            seconds_per_thread: 0.01,
            least_seconds: 1.0,
            most_seconds: 60.0,
            most_items: 1_000_000,
            soft_arg_bytes: 8 << 10,
            hard_arg_bytes: 64 << 10,
            result_bytes: 16 << 20,
            window_bytes: 256 << 20,
            most_unreleased: 10_000,
        }
    }

    /// For threads of this process: a batch costs microseconds, and arguments are not packed.
    pub(crate) fn threads() -> Rule {
        Rule {
            seconds_per_thread: 0.0,
            least_seconds: 0.002,
            most_seconds: 0.002,
            most_items: 16_384,
            soft_arg_bytes: u64::MAX,
            hard_arg_bytes: u64::MAX,
            ..Rule::cluster()
        }
    }

    /// Seconds a batch should take on `threads` worker threads.
    fn target(&self, threads: usize) -> f64 {
        (threads as f64 * self.seconds_per_thread).max(self.least_seconds).min(self.most_seconds)
    }

    /// Batches in flight at most on `threads` worker threads: one that runs and one that waits for each, and a few;
    /// above a thousand threads the wait is short beside a batch, and a fifth more than the threads is enough.
    fn window(&self, threads: usize) -> usize {
        let few = threads.min(1000) * 2 + 4;
        few.max(threads.saturating_add(threads / 5)).min(self.most_unreleased).max(1)
    }
}

/// The part of a target under which a batch is not worth its overhead: W threads would ask a Dask scheduler for more
/// than 1,000 batches a second, and it has no time for more.
const SHORTEST: f64 = 0.1;

/// A batch measured at less than this part of the target says that the next may be larger by `LEAP`, else by `STEP`.
const TINY: f64 = 0.01;
const LEAP: u64 = 32;
const STEP: u64 = 4;

/// How much of what is known stays when a batch of the same size is measured.
const MEMORY: f64 = 0.7;

/// Batches in flight and held together, in windows. Held ones lie behind a straggler when results are wanted in order.
const HELD_WINDOWS: usize = 8;

/// A moving average over items: sums in which each batch counts by its size and fades with each that follows.
///
/// So a probe of one item that comes late says little about batches of a thousand.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    items: f64,
    sum: f64,
}

impl Mean {
    fn add(&mut self, items: u64, sum: f64) {
        self.items = MEMORY * self.items + (1.0 - MEMORY) * items as f64;
        self.sum = MEMORY * self.sum + (1.0 - MEMORY) * sum;
    }

    /// The average of an item, or `None` before the first.
    fn per_item(&self) -> Option<f64> {
        (self.items > 0.0).then(|| self.sum / self.items)
    }

    /// Items, to the nearest, that come to `sum`; at least 1, and any number where an item comes to nothing.
    fn items_in(&self, sum: f64) -> Option<u64> {
        self.per_item().map(|item| if item > 0.0 { ((sum / item).round() as u64).max(1) } else { u64::MAX })
    }
}

/// Room for one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Items to put in at most; at least 1.
    pub(crate) items: u64,
    /// Bytes of packed arguments at which to stop before that, though never before the first item.
    pub(crate) arg_bytes: u64,
}

/// A batch that has left flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    /// Items in it, as they were submitted.
    pub(crate) items: u64,
    /// Seconds it ran on its worker, or `None` where nothing was measured: it failed or was cancelled.
    pub(crate) seconds: Option<f64>,
    /// Bytes of its results.
    pub(crate) result_bytes: u64,
    /// Whether its results wait here for the consumer; [`Policy::released`] says when they no longer do.
    pub(crate) held: bool,
}

/// Decides on batches: how large, and when. See the module.
#[derive(Debug)]
pub(crate) struct Policy {
    rule: Rule,
    threads: usize,
    fixed_batch: Option<u64>,
    fixed_window: Option<usize>,
    /// Items in a batch as far as time goes; the bytes may allow fewer.
    size: u64,
    /// Whether the window was full and has not yet emptied enough to be refilled.
    full: bool,
    flying: usize,
    flying_items: u64,
    held: usize,
    held_bytes: u64,
    seconds: Mean,
    arg_bytes: Mean,
    result_bytes: Mean,
}

impl Policy {
    /// A policy for `threads` worker threads (at least 1), with nothing in flight.
    ///
    /// `fixed_batch` is taken as the size of every batch, `fixed_window` as the limit on batches in flight (at least
    /// 1); `None` leaves them to the policy.
    pub(crate) fn new(rule: Rule, threads: usize, fixed_batch: Option<u64>, fixed_window: Option<usize>) -> Policy {
        Policy {
            rule,
            threads: threads.max(1),
            fixed_batch,
            fixed_window,
            size: 1,
            full: false,
            flying: 0,
            flying_items: 0,
            held: 0,
            held_bytes: 0,
            seconds: Mean::default(),
            arg_bytes: Mean::default(),
            result_bytes: Mean::default(),
        }
    }

    /// Room for the next batch now, or `None` while the window is full. `remaining` is the number of items left to
    /// submit, where it is known: the last batches are then smaller, so that all workers end together.
    ///
    /// A window once full stays so until a quarter of it is free, so that submits come in groups.
    pub(crate) fn room(&mut self, remaining: Option<u64>) -> Option<Room> {
        let (items, arg_bytes) = match self.fixed_batch {
            Some(fixed) => (fixed.max(1), self.rule.hard_arg_bytes),
            None => (remaining.map_or(u64::MAX, |left| self.share_of(left)).min(self.batch_items()), self.arg_limit()),
        };
        self.may_submit(items).then_some(Room { items, arg_bytes })
    }

    /// A batch of `items` items in `arg_bytes` bytes of packed arguments has gone into flight.
    pub(crate) fn submitted(&mut self, items: u64, arg_bytes: u64) {
        self.flying = self.flying.saturating_add(1);
        self.flying_items = self.flying_items.saturating_add(items);
        self.arg_bytes.add(items, arg_bytes as f64);
    }

    /// A batch has left flight, well or not.
    pub(crate) fn finished(&mut self, done: Finished) {
        self.flying = self.flying.saturating_sub(1);
        self.flying_items = self.flying_items.saturating_sub(done.items);
        if done.held {
            self.held = self.held.saturating_add(1);
            self.held_bytes = self.held_bytes.saturating_add(done.result_bytes);
        }
        if let Some(seconds) = done.seconds
            && done.items > 0
        {
            self.result_bytes.add(done.items, done.result_bytes as f64);
            self.measured(done.items, seconds);
        }
    }

    /// The consumer has taken a held batch of `result_bytes` bytes of results.
    pub(crate) fn released(&mut self, result_bytes: u64) {
        self.held = self.held.saturating_sub(1);
        self.held_bytes = self.held_bytes.saturating_sub(result_bytes);
    }

    /// There are now `threads` worker threads (at least 1): workers came or went.
    pub(crate) fn set_threads(&mut self, threads: usize) {
        self.threads = threads.max(1);
        self.size = self.size.min(self.wanted());
    }

    /// Batches in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.flying
    }

    /// Batches that have finished and wait here for the consumer.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Batches in flight at most, as things stand; more may be, where it has just fallen.
    pub(crate) fn limit(&self) -> usize {
        match self.fixed_window {
            Some(fixed) => fixed.min(self.rule.most_unreleased).max(1),
            None => self.rule.window(self.threads),
        }
    }

    /// Items in a batch as things stand, before the last ones are made smaller.
    pub(crate) fn batch_items(&self) -> u64 {
        if let Some(fixed) = self.fixed_batch {
            return fixed.max(1);
        }
        let by_args = self.arg_bytes.items_in(self.arg_limit() as f64).unwrap_or(u64::MAX);
        let by_results = self.result_bytes.items_in(self.result_limit() as f64).unwrap_or(u64::MAX);
        self.size.min(by_args).min(by_results)
    }

    /// Items of the `remaining` that one batch may take: half a thread's share, but not so few that the batch is not
    /// worth its overhead.
    fn share_of(&self, remaining: u64) -> u64 {
        let share = remaining.div_ceil((self.threads as u64).saturating_mul(2));
        share.max(self.worthwhile().unwrap_or(1)).min(remaining).max(1)
    }

    /// Items in the shortest batch that is worth its overhead, if anything was measured.
    fn worthwhile(&self) -> Option<u64> {
        self.seconds.items_in(SHORTEST * self.rule.target(self.threads))
    }

    /// Items in a batch that takes as long as it should.
    fn wanted(&self) -> u64 {
        self.seconds.items_in(self.rule.target(self.threads)).unwrap_or(1).min(self.rule.most_items).max(1)
    }

    fn measured(&mut self, items: u64, seconds: f64) {
        // A clock may be coarse or wrong: what is no time at all (NaN too) is taken as the least, a year as the most.
        let seconds = if seconds > 1e-9 { seconds.min(3e7) } else { 1e-9 };
        self.seconds.add(items, seconds);
        let growth = if seconds < TINY * self.rule.target(self.threads) { LEAP } else { STEP };
        let wanted = self.wanted();
        // Growth goes by the batch just measured: a window of probes that finish together is one step, not many.
        self.size = self.size.max(items.saturating_mul(growth)).min(wanted);
    }

    fn arg_limit(&self) -> u64 {
        self.bytes_limit(&self.arg_bytes, self.rule.soft_arg_bytes, self.rule.hard_arg_bytes)
    }

    /// Results are shared out so that a whole window of batches fits: else a few large ones would keep all others out.
    fn result_limit(&self) -> u64 {
        let share = self.rule.window_bytes / self.limit() as u64;
        self.bytes_limit(&self.result_bytes, share.min(self.rule.result_bytes), self.rule.result_bytes)
    }

    /// Bytes that a batch may come to: `soft`, or up to `hard` what the shortest batch worth its overhead needs.
    fn bytes_limit(&self, mean: &Mean, soft: u64, hard: u64) -> u64 {
        let needed = self.worthwhile().zip(mean.per_item()).map_or(0.0, |(items, bytes)| items as f64 * bytes);
        soft.max(needed as u64).min(hard)
    }

    /// Whether a batch of `items` more items may go into flight.
    fn may_submit(&mut self, items: u64) -> bool {
        if self.flying == 0 && self.held == 0 {
            self.full = false;
            return true;
        }
        let limit = self.limit();
        // As long as nothing is known, one probe a thread: more would only wait, and be too small when they run.
        let most = if self.is_probing() { limit.min(self.threads) } else { limit };
        self.full = self.flying >= if self.full { self.refill_below(most) } else { most };
        let expected = self.flying_items.saturating_add(items) as f64 * self.result_bytes.per_item().unwrap_or(0.0);
        !self.full
            && self.flying.saturating_add(self.held) < limit.saturating_mul(HELD_WINDOWS)
            && expected + self.held_bytes as f64 <= self.rule.window_bytes as f64
    }

    /// Whether the size of batches is still to be found and nothing was measured.
    fn is_probing(&self) -> bool {
        self.fixed_batch.is_none() && self.seconds.per_item().is_none()
    }

    /// A full window is refilled when fewer than this fly: three quarters of it, or half-way down to the number of
    /// threads where that is more, so that no thread waits for the refill.
    fn refill_below(&self, limit: usize) -> usize {
        limit.saturating_sub(limit / 4).max(limit.midpoint(self.threads.saturating_add(1))).min(limit)
    }
}

#[cfg(test)]
mod simulated;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn cluster(threads: usize) -> Policy {
        Policy::new(Rule::cluster(), threads, None, None)
    }

    fn window_of(fixed: usize) -> Policy {
        Policy::new(Rule::cluster(), 1, Some(1), Some(fixed))
    }

    fn done(items: u64, seconds: f64) -> Finished {
        Finished { items, seconds: Some(seconds), result_bytes: 0, held: false }
    }

    /// Runs one batch after the other, of items that are all alike, until the policy knows them.
    fn learn(policy: &mut Policy, seconds: f64, arg_bytes: u64, result_bytes: u64) {
        for _ in 0..60 {
            let items = policy.room(None).unwrap().items;
            policy.submitted(items, items * arg_bytes);
            let result_bytes = items * result_bytes;
            policy.finished(Finished { result_bytes, ..done(items, items as f64 * seconds) });
        }
    }

    /// Submits batches of one item until the window is full, and says how many.
    fn fill(policy: &mut Policy) -> usize {
        let before = policy.in_flight();
        while policy.room(None).is_some() {
            policy.submitted(1, 0);
        }
        policy.in_flight() - before
    }

    #[test]
    fn the_window_is_two_batches_a_thread_and_a_fifth_more_than_the_threads_when_they_are_many() {
        let windows =
            [0, 1, 64, 1000, 1670, 1671, 2000, 9000, usize::MAX].map(|threads| Rule::cluster().window(threads));
        assert_eq!(windows, [4, 6, 132, 2004, 2004, 2005, 2400, 10_000, 10_000]);
    }

    #[test]
    fn a_batch_takes_a_second_on_few_workers_and_longer_on_many_but_two_milliseconds_on_threads() {
        assert_eq!([1, 100, 250, 10_000].map(|threads| Rule::cluster().target(threads)), [1.0, 1.0, 2.5, 60.0]);
        assert_eq!([1, 1024].map(|threads| Rule::threads().target(threads)), [0.002, 0.002]);
    }

    #[test]
    fn it_starts_with_one_item_and_no_number_of_probes_is_more_than_one_step() {
        let mut policy = cluster(4);
        assert_eq!(policy.room(None), Some(Room { items: 1, arg_bytes: 8192 }));
        assert_eq!(fill(&mut policy), 4);
        (0..4).for_each(|_| policy.finished(done(1, 0.02)));
        assert_eq!(policy.batch_items(), 4);
        let sizes = [4, 16, 50].map(|items| {
            policy.finished(done(items, items as f64 * 0.02));
            policy.batch_items()
        });
        assert_eq!(sizes, [16, 50, 50]);
    }

    #[test]
    fn it_leaps_where_the_batch_was_next_to_nothing() {
        let mut policy = cluster(4);
        let sizes = [1, 32, 128, 512].map(|items| {
            policy.finished(done(items, items as f64 * 0.001));
            policy.batch_items()
        });
        assert_eq!(sizes, [32, 128, 512, 1000]);
    }

    #[test]
    fn a_slow_batch_shrinks_the_next_at_once_and_a_late_slow_probe_hardly_does() {
        let mut policy = cluster(4);
        learn(&mut policy, 0.001, 0, 0);
        policy.finished(done(1, 1.0));
        assert_eq!(policy.batch_items(), 700);
        learn(&mut policy, 0.001, 0, 0);
        policy.finished(done(1000, 30.0));
        assert_eq!(policy.batch_items(), 103);
    }

    #[test]
    fn seconds_that_are_none_at_all_count_as_tiny_and_a_failure_as_nothing() {
        let sizes = [f64::NAN, -1.0, 0.0, f64::NEG_INFINITY, f64::INFINITY].map(|seconds| {
            let mut policy = cluster(4);
            policy.finished(done(10, seconds));
            policy.batch_items()
        });
        assert_eq!(sizes, [320, 320, 320, 320, 1]);
        let mut policy = cluster(4);
        policy.finished(Finished { items: 10, seconds: None, result_bytes: 500 * MIB, held: false });
        assert_eq!(policy.batch_items(), 1);
    }

    #[test]
    fn packed_arguments_stay_under_the_soft_limit_unless_the_batch_would_be_too_short() {
        let room = |seconds, arg_bytes| {
            let mut policy = cluster(4);
            learn(&mut policy, seconds, arg_bytes, 0);
            policy.room(None)
        };
        assert_eq!(room(0.001, 8), Some(Room { items: 1000, arg_bytes: 8192 }));
        assert_eq!(room(0.01, 100), Some(Room { items: 82, arg_bytes: 8192 }));
        // A tenth of a second is 100 of these items, a tenth of what a batch should take.
        assert_eq!(room(0.001, 200), Some(Room { items: 100, arg_bytes: 20_000 }));
        assert_eq!(room(1e-5, 200), Some(Room { items: 328, arg_bytes: 65_536 }));
        assert_eq!(room(1.0, 1_000_000), Some(Room { items: 1, arg_bytes: 65_536 }));
    }

    #[test]
    fn results_are_shared_out_over_the_window_unless_the_batch_would_be_too_short() {
        let items = |threads, bytes| {
            let mut policy = cluster(threads);
            learn(&mut policy, 0.01, 0, bytes);
            policy.batch_items()
        };
        assert_eq!(items(4, MIB / 10), 100);
        // 12 batches fly: 21 MiB for each would fit, 16 MiB is the most.
        assert_eq!(items(4, MIB), 16);
        // 132 batches fly: 1.9 MiB for each.
        assert_eq!(items(64, MIB / 10), 19);
        assert_eq!(items(64, MIB), 10);
        assert_eq!(items(64, 4 * MIB), 4);
        assert_eq!(items(64, 400 * MIB), 1);
    }

    #[test]
    fn the_last_items_are_shared_out_but_not_into_batches_too_short() {
        let mut policy = cluster(4);
        learn(&mut policy, 0.001, 0, 0);
        let items = [1_000_000, 8000, 7999, 4001, 400, 80, 1, 0].map(|left| policy.room(Some(left)).unwrap().items);
        assert_eq!(items, [1000, 1000, 1000, 501, 100, 80, 1, 1]);
    }

    #[test]
    fn a_fixed_batch_is_taken_as_it_is() {
        let mut policy = Policy::new(Rule::cluster(), 4, Some(5_000_000), None);
        learn(&mut policy, 30.0, 1, 1);
        assert_eq!(policy.batch_items(), 5_000_000);
        assert_eq!(policy.room(Some(10)), Some(Room { items: 5_000_000, arg_bytes: 65_536 }));
        assert_eq!(Policy::new(Rule::cluster(), 4, Some(0), None).batch_items(), 1);
    }

    #[test]
    fn a_full_window_waits_for_a_quarter_to_be_free_and_refills_in_one_go() {
        let mut policy = cluster(4);
        learn(&mut policy, 1.0, 0, 0);
        assert_eq!(fill(&mut policy), 12);
        let refills = [0; 8].map(|_| {
            policy.finished(done(1, 1.0));
            fill(&mut policy)
        });
        assert_eq!(refills, [0, 0, 0, 4, 0, 0, 0, 4]);
    }

    #[test]
    fn a_small_window_is_refilled_at_once_and_no_refill_waits_until_threads_are_idle() {
        // The refill begins below these, for windows of so many batches on so many threads.
        let below = |window, threads| Policy::new(Rule::cluster(), threads, None, Some(window)).refill_below(window);
        assert_eq!([1, 2, 3, 4, 5, 8].map(|window| below(window, 1)), [1, 2, 3, 3, 4, 6]);
        assert_eq!([below(4, 3), below(8, 8), below(8, 100), below(2400, 2000)], [4, 8, 8, 2200]);
        assert_eq!([0, 3, 20_000].map(|fixed| window_of(fixed).limit()), [1, 3, 10_000]);
    }

    #[test]
    fn held_batches_fill_the_window_too_but_eight_times_as_many() {
        let mut policy = window_of(2);
        for _ in 0..15 {
            policy.submitted(1, 0);
            policy.finished(Finished { held: true, ..done(1, 1.0) });
        }
        assert_eq!((fill(&mut policy), policy.in_flight(), policy.held()), (1, 1, 15));
        policy.released(0);
        assert_eq!((fill(&mut policy), policy.in_flight(), policy.held()), (1, 2, 14));
    }

    #[test]
    fn result_bytes_fill_the_window_but_never_block_an_empty_one() {
        let mut policy = cluster(4);
        learn(&mut policy, 1.0, 0, 100 * MIB);
        assert_eq!(fill(&mut policy), 2);
        let huge = Finished { items: 1, seconds: None, result_bytes: 300 * MIB, held: true };
        policy.finished(huge);
        policy.finished(Finished { held: false, ..huge });
        assert_eq!((policy.in_flight(), fill(&mut policy)), (0, 0));
        policy.released(300 * MIB);
        assert_eq!(fill(&mut policy), 2);
    }

    #[test]
    fn there_is_a_most_to_the_items_of_a_batch() {
        let batch = |rule| {
            let mut policy = Policy::new(rule, 4, None, None);
            learn(&mut policy, 1e-9, 0, 0);
            policy.batch_items()
        };
        assert_eq!([batch(Rule::cluster()), batch(Rule::threads())], [1_000_000, 16_384]);
    }

    #[test]
    fn fewer_workers_mean_shorter_batches_and_a_smaller_window() {
        let mut policy = cluster(1000);
        learn(&mut policy, 0.001, 0, 0);
        assert_eq!((policy.batch_items(), policy.limit()), (10_000, 2004));
        policy.set_threads(64);
        assert_eq!((policy.batch_items(), policy.limit()), (1000, 132));
        policy.set_threads(0);
        assert_eq!((policy.batch_items(), policy.limit()), (1000, 6));
    }

    /// One thing that may happen; `which` picks a batch among those in flight or held.
    #[derive(Clone, Debug)]
    enum Happening {
        Submit { remaining: Option<u64>, part: f64, arg_bytes: u64 },
        Finish { which: usize, seconds: Option<f64>, result_bytes: u64, held: bool },
        Release { which: usize },
        Threads(usize),
    }

    fn happenings() -> impl Strategy<Value = Vec<Happening>> {
        let seconds = prop_oneof![1e-9..1e3, any::<f64>()];
        let bytes = || prop_oneof![0..1000u64, 0..(20 * MIB), any::<u64>()];
        let submit = (proptest::option::of(any::<u64>()), 0.0..=1.0, bytes())
            .prop_map(|(remaining, part, arg_bytes)| Happening::Submit { remaining, part, arg_bytes });
        let finish = (any::<usize>(), proptest::option::weighted(0.9, seconds), bytes(), any::<bool>())
            .prop_map(|(which, seconds, result_bytes, held)| Happening::Finish { which, seconds, result_bytes, held });
        let release = any::<usize>().prop_map(|which| Happening::Release { which });
        let threads = prop_oneof![0..5usize, any::<usize>()].prop_map(Happening::Threads);
        proptest::collection::vec(prop_oneof![8 => submit, 6 => finish, 3 => release, 1 => threads], 0..200)
    }

    /// What a caller knows: the items of each batch in flight, the bytes of each held one, the largest that came back.
    #[derive(Default)]
    struct Caller {
        flying: Vec<u64>,
        held: Vec<u64>,
        largest: u64,
    }

    impl Caller {
        fn carry_out(&mut self, policy: &mut Policy, happening: &Happening) {
            match *happening {
                Happening::Submit { remaining, part, arg_bytes } => {
                    if let Some(room) = self.room(policy, remaining) {
                        let items = ((room.items as f64 * part) as u64).max(1);
                        policy.submitted(items, arg_bytes);
                        self.flying.push(items);
                        self.check_window(policy);
                    }
                }
                Happening::Finish { which, seconds, result_bytes, held } if !self.flying.is_empty() => {
                    let items = self.flying.swap_remove(which % self.flying.len());
                    self.largest = self.largest.max(items);
                    self.held.extend(held.then_some(result_bytes));
                    policy.finished(Finished { items, seconds, result_bytes, held });
                }
                Happening::Release { which } if !self.held.is_empty() => {
                    policy.released(self.held.swap_remove(which % self.held.len()));
                }
                Happening::Threads(threads) => policy.set_threads(threads),
                Happening::Finish { .. } | Happening::Release { .. } => {}
            }
            assert_eq!((policy.in_flight(), policy.held()), (self.flying.len(), self.held.len()));
        }

        fn room(&self, policy: &mut Policy, remaining: Option<u64>) -> Option<Room> {
            let room = policy.room(remaining);
            assert_eq!(policy.room(remaining), room, "asking changes nothing");
            let Some(room) = room else {
                assert!(!self.flying.is_empty() || !self.held.is_empty(), "an empty window has room");
                return None;
            };
            assert!(room.items >= 1 && room.items <= policy.batch_items());
            if let (None, Some(remaining)) = (policy.fixed_batch, remaining) {
                assert!(room.items <= remaining.max(1));
            }
            if policy.fixed_batch.is_none() {
                let most = self.largest.saturating_mul(32).clamp(1, policy.rule.most_items);
                assert!(room.items <= most, "{} items after at most {}", room.items, self.largest);
            }
            assert!((policy.rule.soft_arg_bytes..=policy.rule.hard_arg_bytes).contains(&room.arg_bytes));
            Some(room)
        }

        fn check_window(&self, policy: &Policy) {
            let (flying, limit) = (self.flying.len(), policy.limit());
            assert!(flying <= limit && limit <= policy.rule.most_unreleased, "{flying} of {limit} fly");
            assert!(flying + self.held.len() <= 8 * limit, "{flying} and {} are held", self.held.len());
            let held: u128 = self.held.iter().copied().map(u128::from).sum();
            let alone = flying == 1 && self.held.is_empty();
            assert!(alone || held <= u128::from(policy.rule.window_bytes), "{held} bytes are held");
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_the_window_holds_and_an_empty_one_has_room(
            happenings in happenings(), threads in 0..70usize, on_cluster: bool,
            batch in proptest::option::weighted(0.2, any::<u64>()),
            window in proptest::option::weighted(0.5, 0..9usize),
        ) {
            let rule = if on_cluster { Rule::cluster() } else { Rule::threads() };
            let mut policy = Policy::new(rule, threads, batch, window);
            let mut caller = Caller::default();
            for happening in &happenings {
                caller.carry_out(&mut policy, happening);
            }
        }
    }
}

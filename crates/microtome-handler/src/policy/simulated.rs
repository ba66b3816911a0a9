//! A simulated Dask cluster that drives the policy: worker threads, a scheduler that takes 1.1 ms a batch, a consumer.
//!
//! A discrete-event simulation with a clock and random numbers of its own: nothing sleeps, and a seed is a whole run.
//! It checks the policy after every event; what a run came to is checked by the tests at the end of the file.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::ops::Range;

use super::{Finished, Policy, Rule};

/// Nanoseconds of the simulated clock.
type Nanos = u64;

const SECOND: Nanos = 1_000_000_000;

/// What the scheduler spends on a batch.
const SCHEDULING: Nanos = 1_100_000;

/// Random numbers: xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, chance: f64) -> bool {
        self.within(0.0, 1.0) < chance
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next() as usize % from.len()]
    }
}

/// A run: everything else follows from it.
#[derive(Clone, Debug)]
struct Setup {
    seed: u64,
    threads: usize,
    items: u64,
    /// Time an item takes, and by what part of that it varies.
    item: Nanos,
    jitter: f64,
    /// How often a batch is 2 to 10 times as slow, and how often it fails.
    stragglers: f64,
    failures: f64,
    arg_bytes: u64,
    result_bytes: u64,
    /// Whether results are wanted in order, whether the length is known, what the consumer spends on a batch.
    ordered: bool,
    known_length: bool,
    consuming: Nanos,
    /// Whether workers come and go.
    resized: bool,
    fixed_window: Option<usize>,
}

impl Setup {
    /// A plain run of `items` items: no stragglers, no failures, small arguments and results.
    fn plain(seed: u64, threads: usize, items: u64, item: Nanos) -> Setup {
        Setup {
            seed,
            threads,
            items,
            item,
            jitter: 0.5,
            stragglers: 0.0,
            failures: 0.0,
            arg_bytes: 0,
            result_bytes: 8,
            ordered: true,
            known_length: true,
            consuming: 0,
            resized: false,
            fixed_window: None,
        }
    }

    /// Any run.
    fn random(seed: u64) -> Setup {
        let mut random = Random::new(seed);
        let threads = random.pick(&[1, 2, 3, 7, 16, 64, 200, 1500]);
        let item = random.pick(&[1_000, 100_000, 1_000_000, 10_000_000, SECOND]);
        let (arg_bytes, result_bytes) =
            (random.pick(&[0, 1, 20, 3000]), random.pick(&[0, 10, 3000, 1 << 20, 300 << 20]));
        // About so much work for each thread, but no more batches than a test has time for.
        let work = random.within(0.0, 30.0) * threads as f64 * SECOND as f64 / item as f64;
        let by_args = 65_536_u64.checked_div(arg_bytes).unwrap_or(u64::MAX).max(1);
        let by_results = (2_u64 << 20).checked_div(result_bytes).unwrap_or(u64::MAX).max(1);
        Setup {
            jitter: random.pick(&[0.0, 0.3, 0.9]),
            stragglers: random.pick(&[0.0, 0.02]),
            failures: random.pick(&[0.0, 0.05]),
            arg_bytes,
            result_bytes,
            ordered: random.happens(0.7),
            known_length: random.happens(0.5),
            consuming: random.pick(&[0, 0, 1_000, 10_000_000]),
            resized: random.happens(0.3),
            fixed_window: random.pick(&[None, None, None, Some(1), Some(5)]),
            ..Setup::plain(seed, threads, (work as u64).min(by_args.min(by_results).saturating_mul(3000)), item)
        }
    }
}

/// Says which run it was when a check fails, wherever that is.
struct SayWhich(Setup);

impl Drop for SayWhich {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the run that failed: {:#?}", self.0);
        }
    }
}

/// What a run came to.
#[derive(Debug)]
struct Outcome {
    batches: u64,
    /// The part of all threads' time in which they ran items.
    useful: f64,
    /// The part of its time for which the scheduler was busy, in the middle half of the run.
    scheduler: f64,
    /// Seconds between the end of the run and when the first thread ran out of work, and the mean over all threads.
    tail: f64,
    mean_tail: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The scheduler has sent the batch on.
    Scheduled(usize),
    /// A worker has run the batch.
    Ran(usize),
    /// The consumer has done with what it took.
    Consumed,
    /// Workers come or go.
    Resized,
}

struct Batch {
    items: Range<u64>,
    time: Nanos,
    result_bytes: u64,
    fails: bool,
}

/// The state of a run: client, scheduler, workers, consumer.
struct Simulation {
    setup: Setup,
    random: Random,
    policy: Policy,
    now: Nanos,
    events: BinaryHeap<Reverse<(Nanos, usize, Event)>>,
    sequence: usize,
    batches: Vec<Batch>,
    submitted: u64,
    flying: BTreeSet<usize>,
    held: BTreeSet<usize>,
    delivered: Vec<usize>,
    consuming: bool,
    measured: bool,
    scheduler_free: Nanos,
    scheduled: Vec<Nanos>,
    ready: VecDeque<usize>,
    /// Workers there are, how many of them run a batch, and since when the others are idle.
    workers: usize,
    running: usize,
    idle: VecDeque<Nanos>,
    useful: Nanos,
}

impl Simulation {
    fn new(setup: Setup) -> Simulation {
        Simulation {
            random: Random::new(setup.seed ^ 0xA5A5),
            policy: Policy::new(Rule::cluster(), setup.threads, None, setup.fixed_window),
            now: 0,
            events: BinaryHeap::new(),
            sequence: 0,
            batches: Vec::new(),
            submitted: 0,
            flying: BTreeSet::new(),
            held: BTreeSet::new(),
            delivered: Vec::new(),
            consuming: false,
            measured: false,
            scheduler_free: 0,
            scheduled: Vec::new(),
            ready: VecDeque::new(),
            workers: setup.threads,
            running: 0,
            idle: std::iter::repeat_n(0, setup.threads).collect(),
            useful: 0,
            setup,
        }
    }

    fn run(setup: Setup) -> Outcome {
        let _which = SayWhich(setup.clone());
        let mut run = Simulation::new(setup);
        if run.setup.resized {
            run.after(2 * SECOND, Event::Resized);
        }
        run.submit();
        while run.submitted < run.setup.items || run.delivered.len() < run.batches.len() {
            let Reverse((now, _, event)) = run.events.pop().expect("the run goes on until all is delivered");
            run.now = now;
            run.on(event);
            run.submit();
            run.check();
        }
        run.check_delivered();
        run.outcome()
    }

    fn after(&mut self, time: Nanos, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now + time, self.sequence, event)));
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Scheduled(batch) => self.ready.push_back(batch),
            Event::Ran(batch) => {
                self.running -= 1;
                self.idle.push_back(self.now);
                self.ran(batch);
            }
            Event::Consumed => {
                self.consuming = false;
                if let Some(&batch) = self.held.first().filter(|batch| self.may_take(**batch)) {
                    self.held.remove(&batch);
                    self.policy.released(self.batches[batch].result_bytes);
                    self.take(batch);
                }
            }
            Event::Resized => {
                let threads = self.random.within(0.5, 1.5) * self.setup.threads as f64;
                self.workers = (threads as usize).max(1);
                self.policy.set_threads(self.workers);
                self.after(2 * SECOND, Event::Resized);
            }
        }
        self.start();
    }

    /// Lets workers come and go, and idle ones start what is ready; a worker that runs a batch goes after it.
    fn start(&mut self) {
        self.idle.truncate(self.workers.saturating_sub(self.running));
        while self.idle.len() + self.running < self.workers {
            self.idle.push_back(self.now);
        }
        while !self.ready.is_empty() && self.idle.pop_front().is_some() {
            let batch = self.ready.pop_front().expect("it is not empty");
            self.running += 1;
            self.useful += self.batches[batch].time;
            self.after(self.batches[batch].time, Event::Ran(batch));
        }
    }

    fn ran(&mut self, batch: usize) {
        self.flying.remove(&batch);
        let held = !self.may_take(batch);
        let Batch { ref items, time, result_bytes, fails } = self.batches[batch];
        let seconds = (!fails).then_some(time as f64 / SECOND as f64);
        self.measured |= !fails;
        self.policy.finished(Finished { items: items.end - items.start, seconds, result_bytes, held });
        if held {
            self.held.insert(batch);
        } else {
            self.take(batch);
        }
    }

    fn may_take(&self, batch: usize) -> bool {
        !self.consuming && (!self.setup.ordered || batch == self.delivered.len())
    }

    fn take(&mut self, batch: usize) {
        self.delivered.push(batch);
        self.consuming = true;
        self.after(self.setup.consuming, Event::Consumed);
    }

    /// Submits for as long as there is room.
    fn submit(&mut self) {
        while self.submitted < self.setup.items {
            let left = self.setup.items - self.submitted;
            let Some(room) = self.policy.room(self.setup.known_length.then_some(left)) else { return };
            let by_bytes = room.arg_bytes.checked_div(self.setup.arg_bytes).unwrap_or(u64::MAX).max(1);
            let items = room.items.min(by_bytes).min(left);
            self.policy.submitted(items, items * self.setup.arg_bytes);
            let batch = self.make_batch(items);
            self.flying.insert(self.batches.len());
            self.scheduler_free = self.scheduler_free.max(self.now) + SCHEDULING;
            self.scheduled.push(self.scheduler_free);
            self.after(self.scheduler_free - self.now, Event::Scheduled(self.batches.len()));
            self.batches.push(batch);
            self.submitted += items;
            self.check_window();
        }
    }

    fn make_batch(&mut self, items: u64) -> Batch {
        let spread = self.setup.jitter / (items as f64).sqrt();
        let slow = if self.random.happens(self.setup.stragglers) { self.random.within(2.0, 10.0) } else { 1.0 };
        let time = items as f64 * self.setup.item as f64 * self.random.within(1.0 - spread, 1.0 + spread) * slow;
        let fails = self.random.happens(self.setup.failures);
        let result_bytes = if fails { 0 } else { items * self.setup.result_bytes };
        Batch { items: self.submitted..self.submitted + items, time: (time as u64).max(1), result_bytes, fails }
    }

    /// What must hold when a batch has just been submitted.
    fn check_window(&self) {
        let (flying, held, limit) = (self.flying.len(), self.held.len(), self.policy.limit());
        assert!(flying <= limit, "{flying} fly, the limit is {limit}");
        assert!(flying + held <= 8 * limit, "{flying} fly and {held} are held, the limit is {limit}");
        let sum = |batches: &BTreeSet<usize>| batches.iter().map(|b| self.batches[*b].result_bytes).sum::<u64>();
        assert_eq!(self.policy.held_bytes, sum(&self.held));
        let (bytes, alone) = (sum(&self.flying) + sum(&self.held), flying == 1 && held == 0);
        assert!(!self.measured || alone || bytes <= 256 << 20, "{bytes} bytes of results, the window is 256 MiB");
    }

    /// What must hold after every event.
    fn check(&self) {
        assert_eq!((self.policy.in_flight(), self.policy.held()), (self.flying.len(), self.held.len()));
        assert_eq!(self.flying.len() + self.held.len() + self.delivered.len(), self.batches.len());
    }

    fn check_delivered(&self) {
        let mut order = self.delivered.clone();
        assert!(!self.setup.ordered || order.is_sorted(), "results come in order");
        order.sort_by_key(|batch| self.batches[*batch].items.start);
        let end = order.iter().fold(0, |end, batch| {
            assert_eq!(self.batches[*batch].items.start, end, "each item comes once");
            self.batches[*batch].items.end
        });
        assert_eq!(end, self.setup.items);
    }

    fn outcome(self) -> Outcome {
        let seconds = |nanos: Nanos| nanos as f64 / SECOND as f64;
        let middle = self.now / 4..self.now / 4 * 3;
        let busy = SCHEDULING * self.scheduled.iter().filter(|at| middle.contains(at)).count() as u64;
        let tails: Vec<Nanos> = self.idle.iter().map(|since| self.now - since).collect();
        Outcome {
            batches: self.batches.len() as u64,
            useful: seconds(self.useful) / (seconds(self.now) * self.setup.threads as f64),
            scheduler: busy as f64 / (middle.end - middle.start) as f64,
            tail: seconds(tails.iter().copied().max().unwrap_or(0)),
            mean_tail: seconds(tails.iter().sum()) / tails.len() as f64,
        }
    }
}

/// Seeds to try: all of 200, or of 5,000 where `MICROTOME_DEEP` is set.
fn seeds() -> Range<u64> {
    0..if std::env::var_os("MICROTOME_DEEP").is_some() { 5000 } else { 200 }
}

#[test]
fn any_run_delivers_each_item_once_and_never_passes_the_window() {
    for seed in seeds() {
        Simulation::run(Setup::random(seed));
    }
}

/// A run of so much work that each thread has `seconds` of it.
fn steady(seed: u64, threads: usize, item: Nanos, seconds: u64) -> Setup {
    Setup { result_bytes: 0, ..Setup::plain(seed, threads, threads as u64 * seconds * SECOND / item, item) }
}

#[test]
fn workers_run_items_nine_tenths_of_the_time_though_some_batches_are_slow_or_fail() {
    for (seed, threads) in [1, 8, 64, 200].into_iter().cycle().take(12).enumerate() {
        let setup = steady(seed as u64, threads, SECOND / 100, 300);
        let outcome =
            Simulation::run(Setup { stragglers: 0.005, failures: 0.02, known_length: seed < 8, ..setup.clone() });
        assert!(outcome.useful >= 0.9, "{outcome:?} of {setup:?}");
    }
}

#[test]
fn the_scheduler_is_busy_for_a_seventh_of_the_time_at_most_whatever_items_take() {
    for item in [1_000, 100_000, 1_000_000, 10_000_000, SECOND] {
        for threads in [1, 16, 100, 700] {
            // A million items of a microsecond are the most of a batch, which is then a second long.
            if item * Rule::cluster().most_items >= SECOND * (threads as u64).div_ceil(100) {
                let setup = steady(3, threads, item, 200);
                let outcome = Simulation::run(setup.clone());
                assert!(outcome.scheduler <= 0.15, "{outcome:?} of {setup:?}");
            }
        }
    }
}

#[test]
fn a_million_items_of_a_millisecond_are_some_thousand_batches_that_end_together() {
    for seed in 0..20 {
        let outcome = Simulation::run(Setup::plain(seed, 64, 1_000_000, 1_000_000));
        assert!((1000..=3000).contains(&outcome.batches), "seed {seed}: {outcome:?}");
        assert!(outcome.useful >= 0.95, "seed {seed}: {outcome:?}");
        assert!(outcome.tail <= 0.2 && outcome.mean_tail <= 0.1, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_run_of_known_length_ends_within_a_fifth_of_a_batch_on_all_threads() {
    for seed in 0..20 {
        for (threads, target) in [(2, 1.0), (16, 1.0), (64, 1.0), (300, 3.0)] {
            let outcome = Simulation::run(steady(seed, threads, 5_000_000, 60));
            assert!(outcome.tail <= 0.2 * target, "seed {seed}, {threads} threads: {outcome:?}");
        }
    }
}

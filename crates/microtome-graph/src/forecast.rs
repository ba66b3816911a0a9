//! How long a plan takes: amounts of work, what one of each takes, and how far that is to be trusted.
//!
//! *Invariant:* nothing here measures. A forecast follows from [`Work`], which is counted, [`Rates`], which somebody has
//! measured, and [`Learnt`], what earlier runs of the same kind have shown. More bytes never take less time, more threads
//! never more, and the forecast lies in its interval.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The part of a forecast's interval below which, and above which, one in ten runs is thought to end: of a normal
/// distribution.
const TENTH: f64 = 1.2816;
/// How far off forecasts are whose kind has never run (of the logarithm).
const UNTRIED: f64 = 0.25;
/// How far off runs of a kind are from each other, before several have run.
const TRIED: f64 = 0.12;
/// As many runs is that opinion worth.
const OPINION: f64 = 2.0;
/// Runs that are remembered: older ones fade.
const MOST_RUNS: f64 = 8.0;
/// Bytes on which a rate is measured well.
const ENOUGH: u64 = 8 << 20;
/// A rate that was measured on less is taken for so many times as much at most.
const STRETCH: u64 = 32;
/// What each further thread loses to the others: memory, caches, and waiting.
const LOSS: f64 = 0.05;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Fetching and decoding pixels; in bytes of pixels.
    Read,
    /// An operation's arithmetic; in bytes of the pixels that it takes.
    Compute,
    /// Encoding pixels and giving them to the system; in bytes of pixels.
    Encode,
    /// Making files; in files.
    Files,
    /// Bringing what is stored to the disk, beside all else; in bytes of pixels.
    Settle,
    /// Beginning and ending an output; in outputs.
    Start,
}

impl Activity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Activity::Read => "read",
            Activity::Compute => "compute",
            Activity::Encode => "encode",
            Activity::Files => "files",
            Activity::Settle => "settle",
            Activity::Start => "start",
        }
    }
}

/// Work of which one takes the same time wherever it is done: an activity, and of what (a codec, an operation, a disk).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkKind {
    /// What is done.
    pub activity: Activity,
    /// With what: enough words that equal words take equal time.
    pub of: String,
}

impl WorkKind {
    /// A kind of work.
    pub fn new(activity: Activity, of: impl Into<String>) -> WorkKind {
        WorkKind { activity, of: of.into() }
    }
}

impl fmt::Display for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.activity.name(), self.of)
    }
}

/// An amount of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    /// Of what.
    pub kind: WorkKind,
    /// Bytes, files, outputs.
    pub count: u64,
}

/// What one pass does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassWork {
    /// Threads that have something to do at once.
    pub at_once: u64,
    /// What is done.
    pub amounts: Vec<Amount>,
}

/// What a plan does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Its passes, one after the other.
    pub passes: Vec<PassWork>,
}

impl Work {
    /// This and what runs after it.
    #[must_use]
    pub fn then(mut self, next: Work) -> Work {
        self.passes.extend(next.passes);
        self
    }

    /// The kinds of work, each once, in order.
    pub fn kinds(&self) -> Vec<WorkKind> {
        let mut kinds: Vec<_> = self.passes.iter().flat_map(|p| p.amounts.iter().map(|a| a.kind.clone())).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

/// What one of something takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Seconds for one, while `at_once` threads do it.
    pub seconds: f64,
    /// Threads that did it at once when it was measured.
    pub at_once: u64,
    /// How many it was measured on.
    pub measured: u64,
}

impl Rate {
    /// Seconds for one while so many threads do it at once. Never more than with fewer threads.
    pub fn at(&self, at_once: u64) -> f64 {
        self.seconds * speedup(self.at_once) / speedup(at_once)
    }
}

/// How much faster several threads are than one.
fn speedup(threads: u64) -> f64 {
    let threads = threads.max(1) as f64;
    threads / (1.0 + LOSS * (threads - 1.0))
}

/// Rates by the kind of work they are of, as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates(pub BTreeMap<String, Rate>);

impl Rates {
    /// The rate of a kind of work, if it is known.
    pub fn get(&self, kind: &WorkKind) -> Option<Rate> {
        self.0.get(&kind.to_string()).copied()
    }

    /// Sets it.
    pub fn set(&mut self, kind: &WorkKind, rate: Rate) {
        self.0.insert(kind.to_string(), rate);
    }

    /// Whether all rates of some work are known, each measured on enough for what is to be done.
    pub fn suffice(&self, work: &Work) -> bool {
        let fits = |Amount { kind, count }: &Amount| {
            let bytes = matches!(kind.activity, Activity::Read | Activity::Compute | Activity::Encode);
            let enough =
                |rate: Rate| !bytes || rate.measured >= ENOUGH || *count <= rate.measured.saturating_mul(STRETCH);
            self.get(kind).is_some_and(enough)
        };
        work.passes.iter().flat_map(|pass| &pass.amounts).all(fits)
    }

    /// The kinds of some work whose rates are not known.
    pub fn missing(&self, work: &Work) -> Vec<WorkKind> {
        work.kinds().into_iter().filter(|kind| self.get(kind).is_none()).collect()
    }
}

/// What runs of a kind have shown: how long they took beside what their rates said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// Runs that it is made from; older ones count for less.
    pub runs: f64,
    /// Mean of the logarithms of time over what rates said.
    pub mean: f64,
    /// Their variance.
    pub variance: f64,
}

impl Learnt {
    /// This and one more run, that took so many times what rates said.
    ///
    /// # Examples
    /// ```
    /// use microtome_graph::Learnt;
    /// let twice = Learnt::default().and(2.0).and(2.0);
    /// assert_eq!((twice.factor(), twice.variance), (2.0, 0.0));
    /// ```
    #[must_use]
    pub fn and(self, ratio: f64) -> Learnt {
        if !(ratio.is_finite() && ratio > 0.0) {
            return self;
        }
        let before = self.runs.min(MOST_RUNS - 1.0);
        let runs = before + 1.0;
        let off = ratio.ln() - self.mean;
        let mean = self.mean + off / runs;
        Learnt { runs, mean, variance: (self.variance * before + off * (ratio.ln() - mean)) / runs }
    }

    /// What rates are to be multiplied with.
    pub fn factor(&self) -> f64 {
        self.mean.exp()
    }

    /// How far off the next run may be: a standard deviation of the logarithm.
    fn spread(&self) -> f64 {
        if self.runs == 0.0 {
            return UNTRIED;
        }
        let variance = (OPINION * TRIED * TRIED + self.runs * self.variance) / (OPINION + self.runs);
        (variance * (1.0 + 1.0 / self.runs)).sqrt()
    }
}

/// How long something will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Seconds.
    pub seconds: f64,
    /// Seconds that one run in ten falls below.
    pub low: f64,
    /// Seconds that one run in ten exceeds.
    pub high: f64,
    /// Runs of this kind on this machine that it has learnt from, at most eight.
    pub runs: u64,
    /// Where the seconds go, by activity. What is brought to the disk goes on beside the rest.
    pub parts: BTreeMap<&'static str, f64>,
}

impl Forecast {
    /// The time of some work; `None` if a rate is not known.
    ///
    /// # Examples
    /// ```
    /// use microtome_graph::{Activity, Amount, Forecast, Learnt, PassWork, Rate, Rates, Work, WorkKind};
    /// let kind = WorkKind::new(Activity::Read, "TIFF deflate");
    /// let amounts = vec![Amount { kind: kind.clone(), count: 3_000_000_000 }];
    /// let work = Work { passes: vec![PassWork { at_once: 2, amounts }] };
    /// let mut rates = Rates::default();
    /// rates.set(&kind, Rate { seconds: 1e-9, at_once: 2, measured: 1 << 20 });
    /// let forecast = Forecast::of(&work, &rates, &Learnt::default()).unwrap();
    /// assert!((forecast.seconds - 3.0).abs() < 1e-9);
    /// assert!(forecast.low < 3.0 && forecast.high > 3.0);
    /// ```
    pub fn of(work: &Work, rates: &Rates, learnt: &Learnt) -> Option<Forecast> {
        let mut parts: BTreeMap<&'static str, f64> = BTreeMap::new();
        for pass in &work.passes {
            for Amount { kind, count } in &pass.amounts {
                let rate = rates.get(kind)?;
                let each = match kind.activity {
                    Activity::Settle | Activity::Start => rate.seconds,
                    Activity::Read | Activity::Compute | Activity::Encode | Activity::Files => rate.at(pass.at_once),
                };
                *parts.entry(kind.activity.name()).or_default() += each * *count as f64 * learnt.factor();
            }
        }
        let of = |activity: Activity| parts.get(activity.name()).copied().unwrap_or_default();
        let busy: f64 =
            [Activity::Read, Activity::Compute, Activity::Encode, Activity::Files].into_iter().map(of).sum();
        let seconds = of(Activity::Start) + busy.max(of(Activity::Settle));
        let width = (TENTH * learnt.spread()).exp();
        Some(Forecast { seconds, low: seconds / width, high: seconds * width, runs: learnt.runs as u64, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACTIVITIES: [Activity; 6] =
        [Activity::Read, Activity::Compute, Activity::Encode, Activity::Files, Activity::Settle, Activity::Start];

    fn work(counts: [u64; 6], at_once: u64) -> Work {
        let amounts = ACTIVITIES.iter().zip(counts);
        let amounts = amounts.map(|(&activity, count)| Amount { kind: WorkKind::new(activity, "x"), count }).collect();
        Work { passes: vec![PassWork { at_once, amounts }] }
    }

    fn rates(seconds: [f64; 6]) -> Rates {
        let mut rates = Rates::default();
        for (&activity, seconds) in ACTIVITIES.iter().zip(seconds) {
            rates.set(&WorkKind::new(activity, "x"), Rate { seconds, at_once: 2, measured: 1 << 20 });
        }
        rates
    }

    fn seconds(counts: [u64; 6], at_once: u64, of: [f64; 6]) -> f64 {
        Forecast::of(&work(counts, at_once), &rates(of), &Learnt::default()).unwrap().seconds
    }

    #[test]
    fn what_is_done_beside_the_rest_counts_where_it_takes_longer() {
        let rates = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(seconds([1, 1, 1, 1, 0, 0], 2, rates), 10.0);
        assert_eq!(seconds([1, 1, 1, 1, 1, 1], 2, rates), 16.0, "the disk is faster than the rest");
        assert_eq!(seconds([1, 1, 1, 1, 4, 1], 2, rates), 26.0, "all wait for the disk");
    }

    #[test]
    fn passes_follow_each_other_each_on_its_threads() {
        let rates = rates([1.0; 6]);
        let one = work([3, 0, 0, 0, 0, 0], 2);
        let both = Forecast::of(&one.clone().then(one), &rates, &Learnt::default()).unwrap();
        assert_eq!((both.seconds, both.parts["read"]), (6.0, 6.0));
    }

    #[test]
    fn what_was_never_measured_is_not_forecast() {
        let unknown = Work {
            passes: vec![PassWork {
                at_once: 1,
                amounts: vec![Amount { kind: WorkKind::new(Activity::Read, "another codec"), count: 1 }],
            }],
        };
        assert_eq!(Forecast::of(&unknown, &rates([1.0; 6]), &Learnt::default()), None);
        assert_eq!(rates([1.0; 6]).missing(&unknown), unknown.kinds());
    }

    #[test]
    fn what_was_measured_on_little_does_not_do_for_much() {
        let mut rates = rates([1.0; 6]);
        let few = 32 << 20;
        assert!(rates.suffice(&work([few; 6], 2)) && !rates.suffice(&work([few + 1, 0, 0, 0, 0, 0], 2)));
        assert!(rates.suffice(&work([0, 0, 0, u64::MAX, u64::MAX, 1], 2)), "files are like each other");
        for activity in ACTIVITIES {
            rates.set(&WorkKind::new(activity, "x"), Rate { seconds: 1.0, at_once: 2, measured: ENOUGH });
        }
        assert!(rates.suffice(&work([u64::MAX; 6], 2)));
        assert!(!Rates::default().suffice(&work([1; 6], 2)));
    }

    #[test]
    fn runs_correct_the_rates_and_narrow_the_interval() {
        let (work, rates) = (work([10, 0, 0, 0, 0, 0], 2), rates([1.0; 6]));
        let first = Forecast::of(&work, &rates, &Learnt::default()).unwrap();
        let learnt = [1.5, 1.5, 1.5].into_iter().fold(Learnt::default(), Learnt::and);
        let later = Forecast::of(&work, &rates, &learnt).unwrap();
        assert!((later.seconds - 15.0).abs() < 1e-9 && later.runs == 3);
        assert!(later.high / later.low < first.high / first.low);
        let scattered = [1.0, 3.0, 0.5].into_iter().fold(Learnt::default(), Learnt::and);
        let unsure = Forecast::of(&work, &rates, &scattered).unwrap();
        assert!(unsure.high / unsure.low > later.high / later.low, "runs that differ make a wide interval");
    }

    #[test]
    fn old_runs_fade_and_nonsense_is_not_learnt() {
        let slow = [4.0; 20].into_iter().fold(Learnt::default(), Learnt::and);
        let fast = [1.0; 20].into_iter().fold(slow, Learnt::and);
        assert!(fast.factor() < 1.15 && fast.runs == MOST_RUNS, "{fast:?}");
        for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(slow.and(nonsense), slow);
        }
    }

    proptest! {
        #[test]
        fn more_work_never_takes_less_and_more_threads_never_more(
            counts in prop::array::uniform6(0u64..1 << 40),
            more in prop::array::uniform6(0u64..1 << 40),
            of in prop::array::uniform6(0.0f64..1e-3),
            threads in 1u64..64,
            further in 0u64..64,
        ) {
            let sum: [u64; 6] = std::array::from_fn(|n| counts[n] + more[n]);
            let (one, all) = (seconds(counts, threads, of), seconds(sum, threads, of));
            prop_assert!(one <= all * (1.0 + 1e-12));
            prop_assert!(seconds(counts, threads + further, of) <= one * (1.0 + 1e-12));
        }

        #[test]
        fn the_forecast_lies_in_its_interval(
            counts in prop::array::uniform6(0u64..1 << 40),
            of in prop::array::uniform6(0.0f64..1e-3),
            ratios in prop::collection::vec(0.01f64..100.0, 0..20),
        ) {
            let learnt = ratios.into_iter().fold(Learnt::default(), Learnt::and);
            let said = Forecast::of(&work(counts, 2), &rates(of), &learnt).unwrap();
            prop_assert!(said.low <= said.seconds && said.seconds <= said.high);
            prop_assert!(said.seconds.is_finite() && learnt.variance >= 0.0);
        }
    }
}

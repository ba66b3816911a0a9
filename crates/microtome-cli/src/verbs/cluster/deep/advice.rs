//! What to do with a cluster that was measured, in words.
//!
//! *Invariant:* nobody is asked here; without a reason there is no advice.

use std::collections::BTreeMap;

use super::Deep;
use super::rates::Rates;
use super::reading::Reading;
use super::sizes::Tried;
use crate::human::bytes;

/// A size is as good as the best one within this part.
const AS_GOOD: f64 = 0.95;
/// Below this share of useful time something is to be gained.
const USEFUL: f64 = 0.75;
/// A worker is slow that needs so many times what the middle one needs.
const SLOW: f64 = 2.0;

/// Advice on what was found.
pub(super) fn advice(deep: &Deep, threads: usize) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(reading) = &deep.reading {
        all.extend(batch_size(&deep.sizes, reading));
        all.extend(saturation(&deep.sizes, reading, threads));
        all.extend(slower_than_here(reading));
    }
    all.extend(slow_workers(deep));
    all
}

/// Which size of batches is best.
fn batch_size(sizes: &[Tried], reading: &Reading) -> Option<String> {
    let best = sizes.iter().map(|tried| tried.items_per_second).fold(0.0, f64::max);
    let chosen = sizes.iter().find(|tried| tried.items_per_second >= best * AS_GOOD)?;
    let (auto, size) = (reading.items_per_second, chosen.batch_size);
    let millis = reading.seconds_each * 1000.0;
    Some(if auto >= best * 0.8 {
        format!(
            "leave batches to microtome: it made {auto:.0} items a second of {millis:.1} ms each; the best fixed size, {size}, made {:.0}",
            chosen.items_per_second
        )
    } else {
        format!(
            "for items of {millis:.1} ms try .batch_size({size}): {:.0} items a second, where microtome's own choice made {auto:.0}; \
             more iterations (--iterations) give it time to learn",
            chosen.items_per_second
        )
    })
}

/// Whether threads wait for the scheduler.
fn saturation(sizes: &[Tried], reading: &Reading, threads: usize) -> Option<String> {
    let best = sizes.iter().map(|tried| tried.useful).fold(reading.useful, f64::max);
    (best < USEFUL).then(|| {
        format!(
            "{threads} threads read for {:.0} % of the time at best and wait for the scheduler or the storage else: have it hand \
             out tasks ahead (DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=2.0 where it is started), give the scheduler a core \
             of its own, or use fewer workers of more threads",
            best * 100.0
        )
    })
}

fn slower_than_here(reading: &Reading) -> Option<String> {
    let (here, there) = (reading.seconds_here, reading.seconds_each);
    (there > 3.0 * here && there > 0.005).then(|| {
        format!(
            "an iteration takes {:.1} ms on a worker and {:.1} ms here: more threads than cores there, or slower storage",
            there * 1000.0,
            here * 1000.0
        )
    })
}

type Rate = fn(&Rates) -> f64;

/// Workers that keep the others waiting.
fn slow_workers(deep: &Deep) -> Vec<String> {
    let known: BTreeMap<&str, &Rates> =
        deep.rates.iter().filter_map(|(worker, rates)| Some((worker.as_str(), rates.as_ref().ok()?))).collect();
    let kinds: [(&str, Rate); 3] =
        [("reads", |rates| rates.read), ("decodes", |rates| rates.decode), ("writes", |rates| rates.write)];
    let mut all = Vec::new();
    for (verb, rate) in kinds {
        let middle = middle(known.values().map(|rates| rate(rates)).collect());
        for (worker, rates) in known.iter().filter(|(_, rates)| rate(rates) * SLOW < middle) {
            let (its, of_all) = (bytes(rate(rates) as u64), bytes(middle as u64));
            all.push(format!(
                "slow: {worker} {verb} {its} a second, the middle of all is {of_all}; see what else runs there, or leave it out"
            ));
        }
    }
    all
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(batch_size: u64, items_per_second: f64, useful: f64) -> Tried {
        Tried { batch_size, items: 1000, seconds: 1.0, items_per_second, useful }
    }

    fn rates(read: f64) -> Rates {
        Rates { read, decode: 1e8, write: 1e8, memory: 1 << 20 }
    }

    fn reading(items_per_second: f64, useful: f64) -> Reading {
        let (seconds_each, seconds_here) = (0.002, 0.002);
        Reading { items_per_second, useful, seconds_each, seconds_here, ..Reading::default() }
    }

    fn said(sizes: Vec<Tried>, reading: Reading, rates: Vec<Result<Rates, String>>) -> Vec<String> {
        let rates = (0..).zip(rates).map(|(n, rates): (u32, _)| (format!("tcp://w:{n}"), rates)).collect();
        advice(&Deep { sizes, rates, reading: Some(reading), ..Deep::default() }, 4)
    }

    #[test]
    fn the_smallest_size_that_is_as_good_as_the_best_is_named() {
        let sizes =
            || vec![tried(1, 200.0, 0.1), tried(16, 950.0, 0.9), tried(64, 960.0, 0.95), tried(256, 900.0, 0.9)];
        let said_of = |auto| said(sizes(), reading(auto, 0.9), vec![]);
        assert!(said_of(940.0)[0].starts_with("leave batches to microtome: it made 940"), "{:?}", said_of(940.0));
        assert!(said_of(300.0)[0].contains(".batch_size(16): 950 items a second"), "{:?}", said_of(300.0));
        assert_eq!(said_of(940.0).len(), 1);
    }

    #[test]
    fn threads_that_wait_are_told_with_what_to_set() {
        let said = said(vec![tried(1, 100.0, 0.05), tried(64, 400.0, 0.4)], reading(390.0, 0.35), vec![]);
        assert!(said[1].contains("40 %") && said[1].contains("WORKER_SATURATION"), "{said:?}");
    }

    #[test]
    fn a_slow_worker_is_named_once_for_what_is_slow() {
        let said = said(
            vec![],
            reading(100.0, 0.9),
            vec![Ok(rates(9e8)), Ok(rates(1e8)), Ok(rates(8e8)), Err("no".to_owned())],
        );
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("slow: tcp://w:1 reads"), "{said:?}");
    }
}

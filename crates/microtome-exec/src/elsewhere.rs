//! Running a plan by other processes: windows of its passes go out as errands, receipts come back.
//!
//! Lock, journal, quarantine and progress stay here. What an errand brought is looked at before it counts: its receipts are of
//! the units that were asked for, each once, and of what is stored.
//!
//! *Invariant:* a unit is recorded when it was found as its receipt says; which process made it decides no byte.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use microtome_array::{PerAxis, Region};
use microtome_graph::{Admission, Estimate, LayerKind, Stage};
use microtome_io::{Check, Output, Receipt, StoredUnit, WriteError};
use serde_json::Value;

use crate::counters::Tally;
use crate::errand::{Brought, Errand, ErrandPass, Without};
use crate::errand_run::{image, needed, units_of, units_of_group};
use crate::error::RunError;
use crate::keeper::Record;
use crate::options::RunOptions;
use crate::passes::Pass;
use crate::quarantine::{FoundBad, Quarantine};
use crate::report::RunReport;
use crate::summarise::Gathering;

/// Pixels that an errand makes, about: what starting one costs is little beside it.
const ERRAND_BYTES: u64 = 32 << 20;
/// Groups of an errand at most.
const MOST_GROUPS: u64 = 4096;
/// Errands that each slot gets at least, where there are so many groups: so that all end together.
const ERRANDS_A_SLOT: u64 = 8;
/// As many where groups share values, which every errand makes anew.
const FEW_ERRANDS: u64 = 3;

/// What takes what an errand brought.
pub type Take<'t> = dyn FnMut(&Errand, Brought) -> Result<(), RunError> + 't;

/// Where errands of one plan are run.
pub trait Elsewhere: std::fmt::Debug + Sync {
    /// Errands that run at a time.
    fn slots(&self) -> u64;

    /// Budget in bytes of each.
    fn memory(&self) -> u64;

    /// Runs errands in any order, each at least once, and hands on what each brought, once: as it comes, or in order. Few are
    /// pulled before there is room for them.
    ///
    /// # Errors
    /// The first, of an errand, of `take` or of the place itself; nothing is handed on after it.
    fn run(
        &self,
        errands: &mut dyn Iterator<Item = Errand>,
        in_order: bool,
        take: &mut Take<'_>,
    ) -> Result<(), RunError>;

    /// The part of all units that are made again here, to compare: 0 to 1.
    fn checked(&self) -> f64 {
        0.0
    }

    /// Runs an errand here, into a place that is thrown away.
    ///
    /// # Errors
    /// As a run.
    fn again(&self, errand: &Errand) -> Result<Brought, RunError>;
}

/// A run of a plan elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) place: &'a dyn Elsewhere,
    /// Hash of the plan, which decides what is checked.
    pub(crate) hash: &'a str,
    pub(crate) output: &'a dyn Output,
    pub(crate) answers: &'a [Value],
    pub(crate) quarantine: &'a Quarantine,
    pub(crate) options: &'a RunOptions,
}

impl Sending<'_> {
    /// Runs a pass that stores levels.
    pub(crate) fn store(&self, pass: &Pass, record: &dyn Record) -> Result<RunReport, RunError> {
        let first = pass.levels.start;
        let seen = image(&pass.stage);
        let window = self.window(&pass.stage);
        let groups = pass.stage.groups().count();
        let windows = (0..groups.div_ceil(window)).map(|n| n * window..((n + 1) * window).min(groups));
        let mut errands = windows.filter_map(|window| {
            let units = window.clone().flat_map(|group| units_of_group(&pass.stage, first, group));
            let (mut done, mut all) = (Vec::new(), 0);
            if record.is_resuming() {
                for (array, unit) in units {
                    all += 1;
                    if record.is_finished(array, unit) {
                        done.push((array as u32, unit));
                    }
                }
                if done.len() == all {
                    return None;
                }
            }
            let (below, bad) = self.below(pass, &window, record);
            let (levels, fusing) = (pass.levels.clone(), pass.fusing);
            let (answers, without) = (self.answers.to_vec(), Without::These(done));
            Some(Errand { answers, pass: ErrandPass::Store { levels, fusing }, window, without, below, bad })
        });
        let mut take = |errand: &Errand, brought: Brought| {
            let receipts = self.asked_for(pass, errand, &brought)?;
            self.quarantine.take(brought.bad.clone(), &seen)?;
            let adopted = self.output.adopt(&receipts)?;
            self.check(errand, &brought, &receipts)?;
            adopted.iter().try_for_each(|(array, receipt)| record.finished(*array, receipt))
        };
        // What is appended in order is best taken in order.
        self.timed((&pass.stage, &pass.admission), &mut errands, !self.output.is_shared(), &mut take)
    }

    /// Runs a pass of a summary.
    pub(crate) fn summarise(
        &self,
        (stage, admission): (&Stage, &Admission),
        (name, params): (&str, &Value),
        gathering: &Gathering<'_>,
    ) -> Result<RunReport, RunError> {
        let (window, groups, seen) = (self.window(stage), stage.groups().count(), image(stage));
        let mut errands = (0..groups.div_ceil(window)).map(|n| Errand {
            answers: self.answers.to_vec(),
            pass: ErrandPass::Summarise { name: name.to_owned(), params: params.clone() },
            window: n * window..((n + 1) * window).min(groups),
            without: Without::These(Vec::new()),
            below: Vec::new(),
            bad: FoundBad::default(),
        });
        let mut take = |errand: &Errand, brought: Brought| {
            self.quarantine.take(brought.bad.clone(), &seen)?;
            let state = brought.state.as_deref().unwrap_or_default();
            let merged = gathering.add_saved(&errand.window, state);
            merged.map_err(|source| RunError::Op { task: name.to_owned(), source })
        };
        self.timed((stage, admission), &mut errands, true, &mut take)
    }

    /// Groups to an errand.
    fn window(&self, stage: &Stage) -> u64 {
        let groups = stage.groups().count().max(1);
        let bytes = stage.get(stage.top()).layer.spec.bytes() / groups;
        let large = (ERRAND_BYTES / bytes.max(1)).clamp(1, MOST_GROUPS);
        let errands = if stage.is_sharing() { FEW_ERRANDS } else { ERRANDS_A_SLOT };
        let fair = (groups / (self.place.slots().max(1) * errands)).max(1);
        let auto = large.min(fair);
        // What a border cuts is made on both sides of it: whole bands, as far as there are enough of them.
        let whole = (auto / stage.band()).max(1) * stage.band();
        let auto = if whole <= 2 * fair { whole } else { auto };
        self.options.window.unwrap_or(auto).max(1)
    }

    /// What is known of the units below that a window reads.
    fn below(&self, pass: &Pass, window: &Range<u64>, record: &dyn Record) -> (Vec<(u64, StoredUnit)>, FoundBad) {
        let Some(below) = pass.levels.start.checked_sub(1) else { return (Vec::new(), FoundBad::default()) };
        let grid = self.output.array(below).spec().units;
        let mut units = BTreeSet::new();
        let mut around: Option<Region> = None;
        for region in needed(&pass.stage, window.clone()) {
            units.extend(grid.covering(&region).iter().map(|unit| grid.linear(&unit)));
            around = Some(around.map_or(region, |so_far| hull(&so_far, &region)));
        }
        let bad = around.map(|region| self.quarantine.of_stored_to_tell(below, &region)).unwrap_or_default();
        (units.into_iter().map(|unit| (unit, record.stored(below, unit))).collect(), bad)
    }

    /// The receipts of an errand, if they are of all that was asked for and of nothing else.
    fn asked_for(&self, pass: &Pass, errand: &Errand, brought: &Brought) -> Result<Vec<(usize, Receipt)>, RunError> {
        let Without::These(done) = &errand.without else { return Ok(Vec::new()) };
        let mut missing: HashSet<(usize, u64)> = units_of(&pass.stage, pass.levels.start, errand).collect();
        for &(array, unit) in done {
            missing.remove(&(array as usize, unit));
        }
        let receipts: Vec<(usize, Receipt)> =
            brought.receipts.iter().map(|(array, receipt)| (*array as usize, receipt.clone())).collect();
        let known = |array: usize, receipt: &Receipt| {
            pass.levels.contains(&array) && self.output.array(array).spec().units.region(&receipt.unit).is_some()
        };
        let is_asked = |(array, receipt): &(usize, Receipt)| {
            known(*array, receipt) && missing.remove(&(*array, self.linear(*array, receipt)))
        };
        if receipts.iter().all(is_asked) && missing.is_empty() {
            return Ok(receipts);
        }
        let message = format!("its receipts of groups {:?} are not of the units that were asked for", errand.window);
        let worker = brought.worker.clone();
        Err(RunError::Elsewhere { worker, kind: crate::errand::FaultKind::Bug, message })
    }

    fn linear(&self, array: usize, receipt: &Receipt) -> u64 {
        self.output.array(array).spec().units.linear(&receipt.unit)
    }

    /// Makes some units again here, and compares.
    fn check(&self, errand: &Errand, brought: &Brought, receipts: &[(usize, Receipt)]) -> Result<(), RunError> {
        let is_checked = |(array, receipt): &&(usize, Receipt)| {
            is_sampled(self.hash, (*array, self.linear(*array, receipt)), self.place.checked())
        };
        let sample: Vec<&(usize, Receipt)> = receipts.iter().filter(is_checked).collect();
        if sample.is_empty() {
            return Ok(());
        }
        let units = sample.iter().map(|(array, receipt)| (*array as u32, self.linear(*array, receipt))).collect();
        let again = self.place.again(&Errand { without: Without::AllBut(units), ..errand.clone() })?;
        for (array, receipt) in sample {
            let same_unit = |(n, other): &&(u32, Receipt)| *n as usize == *array && other.unit == receipt.unit;
            let ours = again.receipts.iter().find(same_unit).map(|(_, receipt)| receipt);
            // What is not shared is looked at when it is adopted.
            let stored = !self.output.is_shared() || self.output.check(*array, receipt, Check::Bytes)?;
            if ours.is_none_or(|ours| StoredUnit::from(ours) != StoredUnit::from(receipt)) || !stored {
                return Err(differs(*array, receipt, ours, &brought.worker));
            }
        }
        Ok(())
    }

    /// Runs errands, and reports.
    fn timed(
        &self,
        (stage, admission): (&Stage, &Admission),
        errands: &mut dyn Iterator<Item = Errand>,
        in_order: bool,
        take: &mut Take<'_>,
    ) -> Result<RunReport, RunError> {
        let start = Instant::now();
        let estimate = Estimate::of(stage);
        let mut report = RunReport {
            tasks_planned: estimate.fused,
            units_planned: estimate.units,
            projected_peak: admission.projected_peak,
            ..RunReport::default()
        };
        let counters = &self.options.counters;
        let mut taken = |errand: &Errand, brought: Brought| {
            if self.options.cancel.is_cancelled() {
                let counted = counters.snapshot();
                return Err(RunError::Cancelled { done: counted.units, total: counted.units_planned });
            }
            let (counted, units) = (brought.counted, brought.receipts.len() as u64);
            take(errand, brought)?;
            let read = microtome_io::ReadCount { fetched: counted.fetched, decoded: counted.decoded };
            let (written, stored) = (counted.written, counted.stored);
            counters.add(&Tally { tasks: counted.tasks, units, read, written, stored });
            report.tasks_run += counted.tasks;
            report.batches += counted.windows;
            report.units_written += units;
            report.bytes_read += counted.decoded;
            report.bytes_fetched += counted.fetched;
            report.bytes_written += written;
            report.bytes_stored += stored;
            report.peak_memory = report.peak_memory.max(counted.peak);
            Ok(())
        };
        self.place.run(errands, in_order, &mut taken)?;
        Ok(RunReport { seconds: start.elapsed().as_secs_f64(), ..report })
    }
}

/// The error of a unit that is not as it is made here.
fn differs(array: usize, receipt: &Receipt, ours: Option<&Receipt>, worker: &str) -> RunError {
    let index: Vec<String> = receipt.unit.0[..5].iter().map(ToString::to_string).collect();
    let told = |receipt: &Receipt| format!("{} bytes of CRC-32C {:08x}", receipt.stored_bytes, receipt.crc32c);
    RunError::Differs {
        unit: format!("unit {} of level {array}", index.join(".")),
        worker: worker.to_owned(),
        found: told(receipt),
        expected: ours.map_or_else(|| "nothing".to_owned(), told),
    }
}

/// The least region that contains two.
fn hull(a: &Region, b: &Region) -> Region {
    let start = PerAxis::from_fn(|axis| a.start(axis).min(b.start(axis)));
    Region::new(start, PerAxis::from_fn(|axis| a.end(axis).max(b.end(axis)))).unwrap_or(*a)
}

/// Whether a unit is among the part of all that are checked: decided by the plan and the unit alone.
fn is_sampled(hash: &str, (array, unit): (usize, u64), part: f64) -> bool {
    let crc = crc32c::crc32c(format!("{hash}/{array}/{unit}").as_bytes());
    f64::from(crc) < part * (f64::from(u32::MAX) + 1.0)
}

/// Refuses what has no place that others could find.
pub(crate) fn check_sources(stage: &Stage) -> Result<(), RunError> {
    for layer in stage.layers() {
        if let LayerKind::Source { reader, .. } = &layer.layer.kind
            && reader.source().uri.is_none()
        {
            let why = "pixels that are in memory do not travel to a cluster: store them first, or run on threads";
            let path: PathBuf = reader.info().path.clone();
            return Err(WriteError::Unsupported { path, why: why.to_owned() }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_units_is_checked_and_always_the_same() {
        let sampled = |hash: &str, part: f64| -> Vec<u64> {
            (0..10_000).filter(|&unit| is_sampled(hash, (0, unit), part)).collect()
        };
        let one_percent = sampled("a1", 0.01);
        assert!((60..150).contains(&one_percent.len()), "{}", one_percent.len());
        assert_eq!(one_percent, sampled("a1", 0.01));
        assert_ne!(one_percent, sampled("b2", 0.01), "another plan checks others");
        assert_eq!((sampled("a1", 0.0).len(), sampled("a1", 1.0).len()), (0, 10_000));
    }
}

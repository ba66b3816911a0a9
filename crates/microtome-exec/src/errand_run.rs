//! Running an errand: what a worker does for a run that another process keeps.
//!
//! *Invariant:* what an errand brings is settled: its receipts are of units that outlive this process as the run's durability
//! says. An array below is read only where its units are as they were stored: one that is not there is an error, never pixels.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use microtome_array::Region;
use microtome_graph::{GraphError, LayerId, LayerKind, LazyArray, Stage};
use microtome_io::{Check, Output, Receipt, Sink, WriteError};

use crate::counters::Snapshot;
use crate::errand::{Brought, Counted, Errand, ErrandPass, Without};
use crate::error::RunError;
use crate::executor::{self, Part, Target};
use crate::keeper::Record;
use crate::options::RunOptions;
use crate::passes::Pyramid;
use crate::quarantine::Quarantine;
use crate::summarise::{self, Gathering};
use crate::watch::Watch;

/// Units that are settled together at most.
const BATCH_UNITS: usize = 64;
/// How long a unit of the array below is waited for: file systems show what another machine has written after a while.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an errand is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errands<'a> {
    pub(crate) pyramid: Pyramid<'a>,
    /// Where levels are stored: the output, or one that is looked at and thrown away.
    pub(crate) sinks: &'a dyn Output,
    /// Planes that the plan reads.
    pub(crate) planes: u64,
    pub(crate) options: &'a RunOptions,
}

impl Errands<'_> {
    /// Runs one.
    pub(crate) fn run(&self, errand: &Errand) -> Result<Brought, RunError> {
        let quarantine = Quarantine::new(self.options.on_error, self.planes);
        match &errand.pass {
            ErrandPass::Store { levels, fusing } => {
                let pyramid = Pyramid { fusing: *fusing, ..self.pyramid };
                let below = levels.start.checked_sub(1);
                let source = match below {
                    None => pyramid.array.clone(),
                    Some(below) => {
                        self.await_below(errand, below)?;
                        pyramid.above(pyramid.output.reopen(below)?, levels.start)?
                    }
                };
                let pass = pyramid.pass(&source, levels.clone(), self.options)?;
                quarantine.take(errand.bad.clone(), &image(&pass.stage))?;
                let part = Part { stage: &pass.stage, groups: errand.window.clone(), admission: &pass.admission };
                self.store(&part, errand, (levels.start, below), &quarantine)
            }
            ErrandPass::Summarise { name, params } => {
                let (pixels, _) = self.pyramid.array.asking().ok_or_else(|| unasked(name))?;
                let summary = microtome_ops::build_summary(name, params).map_err(GraphError::Op)?;
                let (stage, admission, _) = summarise::lay_out(&pixels, &summary, self.options)?;
                let gathering = Gathering::from(summary.as_ref(), pixels.dtype(), errand.window.start);
                let gathering = gathering.map_err(|source| RunError::Op { task: name.clone(), source })?;
                let part = Part { stage: &stage, groups: errand.window.clone(), admission: &admission };
                let brought = self.counted(&part, &Target::Summarise(&gathering), &quarantine)?;
                Ok(Brought { state: Some(gathering.into_state()), bad: quarantine.found(0), ..brought })
            }
        }
    }

    /// Waits until the units of the array below are there as they were stored.
    fn await_below(&self, errand: &Errand, below: usize) -> Result<(), RunError> {
        let output = self.pyramid.output;
        let units = output.array(below).spec().units;
        for (unit, stored) in &errand.below {
            let receipt = Receipt {
                unit: units.index(*unit),
                pixel_bytes: 0,
                stored_bytes: stored.stored_bytes,
                crc32c: stored.crc32c,
                whole: true,
            };
            let start = Instant::now();
            while !output.check(below, &receipt, Check::Bytes)? {
                if start.elapsed() >= PATIENCE {
                    let why = format!("unit {unit} of array {below} is not as its receipt says");
                    return Err(WriteError::Missing { path: output.path().to_owned(), why }.into());
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    fn store(
        &self,
        part: &Part<'_>,
        errand: &Errand,
        (first, below): (usize, Option<usize>),
        quarantine: &Quarantine,
    ) -> Result<Brought, RunError> {
        let wanted = Wanted::of(part.stage, first, errand);
        let sinks: Vec<&dyn Sink> = (0..part.stage.tops().len()).map(|top| self.sinks.array(first + top)).collect();
        let settling = &Settling::default();
        let (sender, receiver) = sync_channel(BATCH_UNITS);
        let brought = thread::scope(|scope| {
            let settle = move || settling.work(self.sinks, &receiver);
            let started = thread::Builder::new().name("microtome-settle".to_owned()).spawn_scoped(scope, settle);
            started.map_err(|e| RunError::Threads { threads: 1, why: e.to_string() })?;
            let record = Taking { wanted: &wanted, sender };
            let target = Target::Store { sinks: &sinks, first, below, record: &record };
            self.counted(part, &target, quarantine)
        });
        let receipts = settling.end()?;
        Ok(Brought { receipts, bad: quarantine.found(first), ..brought? })
    }

    fn counted(&self, part: &Part<'_>, target: &Target<'_>, quarantine: &Quarantine) -> Result<Brought, RunError> {
        Watch::of(part.stage).look()?;
        let before = self.options.counters.snapshot();
        let done = executor::run(part, target, quarantine, self.options)?;
        let after = self.options.counters.snapshot();
        let since = |of: fn(&Snapshot) -> u64| of(&after) - of(&before);
        let counted = Counted {
            tasks: since(|s| s.tasks),
            windows: done.windows,
            decoded: since(|s| s.bytes_read),
            fetched: since(|s| s.bytes_fetched),
            written: since(|s| s.bytes_written),
            stored: since(|s| s.bytes_stored),
            peak: done.peak,
        };
        Ok(Brought { counted, ..Brought::default() })
    }
}

/// The image that a stage reads, by its name here.
pub(crate) fn image(stage: &Stage) -> std::path::PathBuf {
    let found = stage.layers().iter().find_map(|layer| match &layer.layer.kind {
        LayerKind::Source { reader, .. } => Some(reader.info().path.clone()),
        _ => None,
    });
    found.unwrap_or_default()
}

fn unasked(name: &str) -> RunError {
    RunError::Panic { task: name.to_owned(), message: "a summary is made that nothing asks for".to_owned() }
}

/// Which units of a window are made.
#[derive(Debug)]
struct Wanted<'a> {
    without: HashSet<(usize, u64)>,
    only: Option<HashSet<(usize, u64)>>,
    errand: &'a Errand,
}

impl<'a> Wanted<'a> {
    fn of(stage: &Stage, first: usize, errand: &'a Errand) -> Wanted<'a> {
        let set = |units: &[(u32, u64)]| units.iter().map(|&(array, unit)| (array as usize, unit)).collect();
        match &errand.without {
            Without::AllBut(units) => Wanted { without: HashSet::new(), only: Some(set(units)), errand },
            // What groups share is freed after its last use: so it must be known which units are used here.
            Without::These(units) if stage.is_sharing() => {
                let mut only: HashSet<_> = units_of(stage, first, errand).collect();
                let without: HashSet<(usize, u64)> = set(units);
                only.retain(|unit| !without.contains(unit));
                Wanted { without, only: Some(only), errand }
            }
            Without::These(units) => Wanted { without: set(units), only: None, errand },
        }
    }

    fn has(&self, unit: (usize, u64)) -> bool {
        !self.without.contains(&unit) && self.only.as_ref().is_none_or(|only| only.contains(&unit))
    }
}

/// Every unit of a window, with its array.
pub(crate) fn units_of<'s>(
    stage: &'s Stage,
    first: usize,
    errand: &'s Errand,
) -> impl Iterator<Item = (usize, u64)> + 's {
    errand.window.clone().flat_map(move |group| units_of_group(stage, first, group))
}

/// The units of a group, with their arrays.
pub(crate) fn units_of_group(stage: &Stage, first: usize, group: u64) -> impl Iterator<Item = (usize, u64)> + '_ {
    let group = stage.groups().index(group);
    (0..stage.tops().len()).flat_map(move |top| {
        let grid = stage.get(stage.tops()[top]).layer.grid;
        let units: Vec<_> = stage.units_of(top, &group).iter().collect();
        units.into_iter().map(move |unit| (first + top, grid.linear(&unit)))
    })
}

/// The pixels of the source that groups need, as a box of each group.
pub(crate) fn needed(stage: &Stage, groups: impl Iterator<Item = u64>) -> impl Iterator<Item = Region> {
    let source: Option<LayerId> = stage.ids().find(|&id| matches!(stage.get(id).layer.kind, LayerKind::Source { .. }));
    groups.filter_map(move |group| stage.needed_by(source?, &stage.groups().index(group)))
}

/// Hands receipts to whoever settles them.
struct Taking<'a> {
    wanted: &'a Wanted<'a>,
    sender: SyncSender<(usize, Receipt)>,
}

impl Record for Taking<'_> {
    fn is_finished(&self, array: usize, unit: u64) -> bool {
        !self.wanted.has((array, unit))
    }

    /// Groups that are not in the window are run elsewhere.
    fn is_resuming(&self) -> bool {
        true
    }

    fn finished(&self, array: usize, receipt: &Receipt) -> Result<(), RunError> {
        let gone = || RunError::Cancelled { done: 0, total: self.wanted.errand.window.end };
        self.sender.send((array, receipt.clone())).map_err(|_| gone())
    }

    fn flush(&self) -> Result<(), RunError> {
        Ok(())
    }
}

/// Settles units beside the computing.
#[derive(Debug, Default)]
struct Settling {
    done: Mutex<Vec<(u32, Receipt)>>,
    failure: Mutex<Option<WriteError>>,
}

impl Settling {
    fn work(&self, output: &dyn Output, receiver: &Receiver<(usize, Receipt)>) {
        while let Ok(first) = receiver.recv() {
            let batch: Vec<(usize, Receipt)> =
                std::iter::once(first).chain(receiver.try_iter()).take(BATCH_UNITS).collect();
            if let Err(error) = output.settle(&batch) {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return; // and lets the receiver go: who computes is told
            }
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            done.extend(batch.into_iter().map(|(array, receipt)| (array as u32, receipt)));
        }
    }

    /// All that was settled, or why not all was.
    fn end(&self) -> Result<Vec<(u32, Receipt)>, RunError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.into()),
            None => Ok(std::mem::take(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner))),
        }
    }
}

/// An array with some answers to what its operations ask.
pub(crate) fn answered(array: &LazyArray, answers: &[serde_json::Value]) -> Result<LazyArray, GraphError> {
    answers.iter().try_fold(array.clone(), |array, answer| array.answered(answer))
}

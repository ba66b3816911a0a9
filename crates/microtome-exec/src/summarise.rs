//! Summaries: states of parts, merged in the order of the parts.
//!
//! *Invariant:* what is merged does not depend on the order in which parts come; states that wait for an earlier part are
//! bounded by how far windows run ahead.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use microtome_array::PixelType;
use microtome_graph::{Admission, GraphError, LazyArray, Stage};
use microtome_ops::{OpError, Step, Summary, SummaryState};
use serde_json::Value;

use crate::elsewhere::Sending;
use crate::error::RunError;
use crate::executor::Target;
use crate::options::RunOptions;
use crate::plan::timed;
use crate::quarantine::Quarantine;
use crate::report::RunReport;

/// Windows may run ahead of the oldest by so many times the number that run at once.
const RUNNING_AHEAD: u64 = 2;

/// A pass of a summary under way.
#[derive(Debug)]
pub(crate) struct Gathering<'a> {
    summary: &'a dyn Summary,
    input: PixelType,
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    /// All parts up to `next`.
    merged: Box<dyn SummaryState>,
    next: u64,
    waiting: BTreeMap<u64, (u64, Box<dyn SummaryState>)>,
}

impl<'a> Gathering<'a> {
    fn new(summary: &'a dyn Summary, input: PixelType) -> Result<Gathering<'a>, OpError> {
        Gathering::from(summary, input, 0)
    }

    /// A pass of which only groups from `first` on are seen here.
    pub(crate) fn from(summary: &'a dyn Summary, input: PixelType, first: u64) -> Result<Gathering<'a>, OpError> {
        let parts = Parts { merged: summary.start(input)?, next: first, waiting: BTreeMap::new() };
        Ok(Gathering { summary, input, parts: Mutex::new(parts) })
    }

    /// Takes the saved state of a window of groups.
    pub(crate) fn add_saved(&self, window: &Range<u64>, saved: &[u8]) -> Result<(), OpError> {
        self.add(window, self.summary.load(saved)?)
    }

    /// What all parts make, to be gone on with elsewhere.
    pub(crate) fn into_state(self) -> Vec<u8> {
        self.parts.into_inner().unwrap_or_else(PoisonError::into_inner).merged.save()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a part of which nothing has been seen.
    pub(crate) fn start(&self) -> Result<Box<dyn SummaryState>, OpError> {
        self.summary.start(self.input)
    }

    /// Takes the state of a window of groups.
    pub(crate) fn add(&self, window: &Range<u64>, state: Box<dyn SummaryState>) -> Result<(), OpError> {
        let mut parts = self.parts();
        parts.waiting.insert(window.start, (window.end, state));
        while let Some((end, state)) = take_next(&mut parts) {
            parts.merged.merge(state)?;
            parts.next = end;
        }
        Ok(())
    }

    fn end(self) -> Result<Step, OpError> {
        let parts = self.parts.into_inner().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(parts.waiting.is_empty(), "every part was merged");
        self.summary.end(parts.merged)
    }
}

fn take_next(parts: &mut Parts) -> Option<(u64, Box<dyn SummaryState>)> {
    let next = parts.next;
    parts.waiting.remove(&next)
}

/// A pass over the pixels of an array, laid out and admitted.
pub(crate) fn lay_out(
    array: &LazyArray,
    summary: &Arc<dyn Summary>,
    options: &RunOptions,
) -> Result<(Stage, Admission, u64), GraphError> {
    let stage = Stage::summarising(array, summary);
    let threads = options.threads.max(1) as u64;
    let state = summary.state_bytes(array.dtype());
    // One for each window that runs or waits for an earlier one, and what is merged.
    let states = |slots: u64| (slots * RUNNING_AHEAD + 1) * state;
    let memory = options.group_memory(&stage, &[]);
    let admit = |slots: u64| stage.admit(&memory, slots, options.memory, states(slots)).map(|a| (a, states(slots)));
    let (admission, fixed) = (1..=threads).rev().map(admit).find(Result::is_ok).unwrap_or_else(|| admit(1))?;
    let window = admission.window.unwrap_or_else(|| options.window_groups(stage.groups().count()));
    let spread = admission.spread.min(window.saturating_mul(admission.slots * RUNNING_AHEAD));
    Ok((stage, Admission { spread, ..admission }, fixed))
}

/// The answer of a summary of all pixels of an array, in as many passes as it takes; here, or by whoever is sent for it.
pub(crate) fn summarise(
    array: &LazyArray,
    summary: Arc<dyn Summary>,
    sending: Option<&Sending<'_>>,
    quarantine: &Quarantine,
    options: &RunOptions,
) -> Result<(Value, RunReport), RunError> {
    let mut summary = summary;
    let mut report = RunReport::default();
    loop {
        let (stage, admission, fixed) = lay_out(array, &summary, options)?;
        let no_value = |source| RunError::Op { task: summary.name().to_owned(), source };
        let gathering = Gathering::new(summary.as_ref(), array.dtype()).map_err(no_value)?;
        report.then(&match sending {
            Some(sending) => {
                sending.summarise((&stage, &admission), (summary.name(), &summary.params()), &gathering)?
            }
            None => timed(&stage, &Target::Summarise(&gathering), (&admission, fixed), quarantine, options)?,
        });
        match gathering.end().map_err(no_value)? {
            Step::Done(answer) => return Ok((answer, report)),
            Step::Again(next) => summary = next,
        }
    }
}

/// An array with all that its operations ask answered.
pub(crate) fn answer_all(
    array: &LazyArray,
    quarantine: &Quarantine,
    options: &RunOptions,
) -> Result<(LazyArray, RunReport), RunError> {
    let mut array = array.clone();
    let mut report = RunReport::default();
    while let Some((pixels, summary)) = array.asking() {
        let (answer, pass) = summarise(&pixels, summary, None, quarantine, options)?;
        report.then(&pass);
        array = array.answered(&answer)?;
    }
    Ok((array, report))
}

/// An array with all that its operations ask answered by others; and the answers.
pub(crate) fn answer_all_elsewhere(
    array: &LazyArray,
    sending: &Sending<'_>,
) -> Result<(LazyArray, Vec<Value>, RunReport), RunError> {
    let (mut array, mut answers, mut report) = (array.clone(), Vec::new(), RunReport::default());
    while let Some((pixels, summary)) = array.asking() {
        let sending = Sending { answers: &answers, ..*sending };
        let (answer, pass) = summarise(&pixels, summary, Some(&sending), sending.quarantine, sending.options)?;
        report.then(&pass);
        array = array.answered(&answer)?;
        answers.push(answer);
    }
    Ok((array, answers, report))
}

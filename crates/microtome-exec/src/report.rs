//! What a run did.

use serde::{Deserialize, Serialize};

use crate::quarantine::{BadPlane, Quarantine};

/// Version of the form of a list of bad planes.
const FORMAT: u32 = 1;

/// What a run did. Counts are of what happened, not of what was planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunReport {
    /// Planes that could not be read or made and were left out, in order; also those that an earlier run left out of an output
    /// that it finished.
    pub quarantine: Vec<BadPlane>,
    /// Tasks that gave write units with something missing.
    pub tasks_quarantined: u64,
    /// Fused tasks planned.
    pub tasks_planned: u64,
    /// Fused tasks run.
    pub tasks_run: u64,
    /// Windows run.
    pub batches: u64,
    /// Write units planned.
    pub units_planned: u64,
    /// Write units written.
    pub units_written: u64,
    /// Write units that an earlier run had finished.
    pub units_resumed: u64,
    /// Bytes of pixels decoded from sources.
    pub bytes_read: u64,
    /// Bytes taken from storage.
    pub bytes_fetched: u64,
    /// Bytes of pixels given to the sink.
    pub bytes_written: u64,
    /// Bytes of pixels stored for a while between two passes.
    pub intermediate_bytes: u64,
    /// Bytes put into storage.
    pub bytes_stored: u64,
    /// Most bytes of pixels and scratch at once, as the buffer pool counted them.
    pub peak_memory: u64,
    /// What planning said it would be at most.
    pub projected_peak: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// What is missing in an output, as it is kept in it.
#[derive(Debug, Serialize, Deserialize)]
struct Missing {
    format: u32,
    /// Write units in which something is missing.
    units: u64,
    planes: Vec<BadPlane>,
}

impl RunReport {
    /// What was left out, as text to be kept in the output; `None` where nothing was. Equal plans over equal images give
    /// equal texts.
    pub(crate) fn missing(&self) -> Option<String> {
        let (units, planes) = (self.tasks_quarantined, self.quarantine.clone());
        let missing = Missing { format: FORMAT, units, planes };
        // There is nothing in it that could not be written.
        let text = || serde_json::to_string_pretty(&missing).unwrap_or_default() + "\n";
        (!self.quarantine.is_empty()).then(text)
    }

    /// The report of an output in which something is missing, from its text; `None` if that is none.
    pub(crate) fn of_missing(text: &str) -> Option<RunReport> {
        let missing: Missing = serde_json::from_str(text).ok().filter(|missing: &Missing| missing.format == FORMAT)?;
        Some(RunReport { quarantine: missing.planes, tasks_quarantined: missing.units, ..RunReport::default() })
    }

    /// This, with what was left out.
    pub(crate) fn without(self, quarantine: Quarantine) -> RunReport {
        let (quarantine, tasks_quarantined) = quarantine.into_list();
        RunReport { quarantine, tasks_quarantined, ..self }
    }

    /// What a pass did that stored pixels for the next one: nothing of it is in the output.
    pub(crate) fn between(self) -> RunReport {
        let intermediate_bytes = self.bytes_written;
        RunReport { intermediate_bytes, units_planned: 0, units_written: 0, bytes_written: 0, bytes_stored: 0, ..self }
    }

    /// Adds what came after: one pass follows the other, so peaks are not added up.
    /// The report of two runs after each other whose outputs appear together.
    #[must_use]
    pub fn and(mut self, next: RunReport) -> RunReport {
        self.then(&next);
        self.units_resumed += next.units_resumed;
        self.tasks_quarantined += next.tasks_quarantined;
        self.quarantine.extend(next.quarantine);
        self
    }

    pub(crate) fn then(&mut self, next: &RunReport) {
        self.tasks_planned += next.tasks_planned;
        self.tasks_run += next.tasks_run;
        self.batches += next.batches;
        self.units_planned += next.units_planned;
        self.units_written += next.units_written;
        self.bytes_read += next.bytes_read;
        self.bytes_fetched += next.bytes_fetched;
        self.bytes_written += next.bytes_written;
        self.intermediate_bytes += next.intermediate_bytes;
        self.bytes_stored += next.bytes_stored;
        self.peak_memory = self.peak_memory.max(next.peak_memory);
        self.projected_peak = self.projected_peak.max(next.projected_peak);
        self.seconds += next.seconds;
    }
}

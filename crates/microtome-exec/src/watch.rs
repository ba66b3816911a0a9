//! Whether the sources of a run are still what they were when they were opened.
//!
//! *Invariant:* looking costs a small part of the time of a run, however many files the sources have.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use microtome_graph::{LayerKind, Stage};
use microtome_io::{ReadError, Reader, SourceSpec};

/// How many times as long as a look is not looked again.
const REST: u32 = 50;

/// The sources of a run.
#[derive(Debug)]
pub(crate) struct Watch {
    readers: Vec<Arc<dyn Reader>>,
    /// When to look again.
    next: Mutex<Instant>,
}

impl Watch {
    /// The sources of a stage, each once, in the order of its layers.
    pub(crate) fn of(stage: &Stage) -> Watch {
        let mut readers: Vec<Arc<dyn Reader>> = Vec::new();
        for layer in stage.layers() {
            if let LayerKind::Source { reader, .. } = &layer.layer.kind
                && !readers.iter().any(|known| Arc::ptr_eq(known, reader))
            {
                readers.push(Arc::clone(reader));
            }
        }
        Watch { readers, next: Mutex::new(Instant::now()) }
    }

    /// Of a run that reads nothing.
    #[cfg(test)]
    pub(crate) fn none() -> Watch {
        Watch { readers: Vec::new(), next: Mutex::new(Instant::now()) }
    }

    /// How the sources are found again.
    pub(crate) fn sources(&self) -> Vec<SourceSpec> {
        self.readers.iter().map(|reader| reader.source()).collect()
    }

    /// Fails if a source is not what it was.
    pub(crate) fn look(&self) -> Result<(), ReadError> {
        self.readers.iter().try_for_each(|reader| reader.unchanged())
    }

    /// The same, but not so often that it would cost much.
    pub(crate) fn glance(&self) -> Result<(), ReadError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        if start < *next {
            return Ok(());
        }
        let looked = self.look();
        *next = Instant::now() + start.elapsed().max(Duration::from_millis(1)) * REST;
        looked
    }
}

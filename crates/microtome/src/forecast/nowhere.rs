//! An output that keeps nothing: what is left of a run is what is done to pixels before.
//!
//! *Invariant:* nothing is written anywhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_array::{ArraySpec, ChunkGrid, PerAxis, PixelsRef, Region, Shape};
use microtome_io::{
    Check, Completion, Output, Prepare, ReadError, Reader, Receipt, Sink, SinkSpec, Standing, UnitWriter, WriteContext,
    WriteError,
};

/// An array whose pixels go nowhere.
#[derive(Debug)]
pub(super) struct Nowhere(SinkSpec);

impl Nowhere {
    /// In write units of a shape; `None` if it is empty.
    pub(super) fn new(array: ArraySpec, unit: &Shape) -> Option<Nowhere> {
        let units = ChunkGrid::new(array.shape, unit.cut_to(&array.shape)).ok()?;
        Some(Nowhere(SinkSpec { array, units, part: units.chunk() }))
    }
}

impl Sink for Nowhere {
    fn spec(&self) -> &SinkSpec {
        &self.0
    }

    fn scratch_bytes(&self, _: &Shape) -> u64 {
        0
    }

    fn read_scratch_bytes(&self) -> u64 {
        0
    }

    fn begin<'a>(&'a self, unit: PerAxis<u64>, _: &WriteContext<'a>) -> Result<Box<dyn UnitWriter + 'a>, WriteError> {
        Ok(Box::new(Unit(unit)))
    }
}

struct Unit(PerAxis<u64>);

impl UnitWriter for Unit {
    fn write(&mut self, _: &Region, _: PixelsRef<'_>) -> Result<(), WriteError> {
        Ok(())
    }

    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError> {
        Ok(vec![Receipt { unit: self.0, pixel_bytes: 1, stored_bytes: 1, crc32c: 0, whole }])
    }
}

impl Output for Nowhere {
    fn path(&self) -> &Path {
        Path::new("nowhere")
    }

    fn arrays(&self) -> usize {
        1
    }

    fn array(&self, _: usize) -> &dyn Sink {
        self
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn look(&self, _: &str, _: bool) -> Result<Standing, WriteError> {
        Ok(Standing::Fresh)
    }

    fn journal(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn prepare(&self, _: &Prepare<'_>) -> Result<Standing, WriteError> {
        Ok(Standing::Fresh)
    }

    fn settle(&self, _: &[(usize, Receipt)]) -> Result<(), WriteError> {
        Ok(())
    }

    fn check(&self, _: usize, _: &Receipt, _: Check) -> Result<bool, WriteError> {
        Ok(true)
    }

    fn reopen(&self, _: usize) -> Result<Arc<dyn Reader>, ReadError> {
        Err(ReadError::NotFound { path: self.path().into() })
    }

    fn finish(&self, _: &Completion<'_>) -> Result<(), WriteError> {
        Ok(())
    }

    fn quarantine(&self) -> Result<Option<String>, WriteError> {
        Ok(None)
    }

    fn abandon(&self) {}
}

//! Running a store where a handler says: on threads, or on the workers of a cluster.
//!
//! The plan goes to workers as data (`data.rs`); they run errands of it (`batch.rs`) and send back receipts. *Invariant:* only
//! where an output is made differs; its bytes do not.

mod batch;
mod data;

use std::cell::RefCell;
use std::collections::HashMap;

use microtome_exec::{Brought, Elsewhere, Errand, FaultKind, RunError, RunOptions, RunReport, Take, default_memory};
use microtome_handler::{Handler, TaskError, TaskErrorKind};
use microtome_io::{Durability, Output, Prepare};

use self::batch::{Answer, Packed, run_batch};
use self::data::PlanData;
pub(crate) use self::data::mapped;
pub use self::data::path_on_workers;
pub(crate) use self::data::{How, PartData, Recipe};
use crate::{OutputFormat, Store};

impl Store {
    /// Computes and stores where a handler says: on this machine's threads as [`run`](Store::run) does, or on the workers of
    /// a Dask cluster, which must see source and output under the same paths (or by [`OnCluster::path_map`]). The bytes are
    /// the same, and either goes on with what the other left. A PNG, which is one plane, is always made here.
    ///
    /// On a cluster each worker thread has a budget of half of its worker's memory limit by its number of threads, or
    /// [`RunOptions::memory`] if that is less.
    ///
    /// [`OnCluster::path_map`]: microtome_exec::OnCluster::path_map
    ///
    /// # Errors
    /// As [`run`](Store::run); and [`RunError::ClusterLost`], [`RunError::Elsewhere`], [`RunError::Differs`].
    ///
    /// # Examples
    /// ```
    /// # use std::sync::Arc;
    /// use microtome::prelude::*;
    /// use microtome::{ArraySpec, SyntheticReader};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let out = folder.path().join("out.ome.zarr");
    /// let shape = Shape::new([1, 2, 5, 64, 64, 1])?;
    /// let image = Image::of(Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 })));
    /// let mip = image.scene(0)?.array(&ChunkDims::default())?.project(Axis::Z, Projection::Max)?;
    /// let handler = Handler::new(None)?; // threads; a cluster with Some("tcp://…")
    /// let report = mip.store(&out, ZarrOptions::default())?.run_on(&handler, &RunOptions::default())?;
    /// assert_eq!(report.units_written, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_on(&self, handler: &Handler, options: &RunOptions) -> Result<RunReport, RunError> {
        let is_one_plane = OutputFormat::of(self.path()) == Some(OutputFormat::Png);
        if !handler.is_cluster() || is_one_plane {
            return self.run(options);
        }
        let place = Cluster::of(self, handler, options)?;
        self.plan().run_elsewhere(&place, options)
    }
}

/// The workers of a cluster, for one store.
#[derive(Debug)]
struct Cluster<'a> {
    store: &'a Store,
    handler: &'a Handler,
    plan: Packed,
    hash: String,
    slots: u64,
    memory: u64,
    options: &'a RunOptions,
}

impl<'a> Cluster<'a> {
    fn of(store: &'a Store, handler: &'a Handler, options: &'a RunOptions) -> Result<Cluster<'a>, RunError> {
        let (slots, least) = room(handler);
        let memory = options.memory.min(least);
        let data = PlanData::of(store, memory, options)?;
        let plan = Packed::new(&data)?;
        Ok(Cluster { store, handler, plan, hash: data.hash, slots, memory, options })
    }
}

/// How many errands run at a time, and the budget of that which has least.
pub(crate) fn room(handler: &Handler) -> (u64, u64) {
    let info = handler.info();
    let workers = info.cluster.iter().flat_map(|cluster| cluster.workers.values());
    let of_worker = |worker: &microtome_handler::WorkerFacts| {
        let limit = worker.memory.filter(|limit| *limit > 0).map_or_else(default_memory, |limit| limit / 2);
        limit / worker.threads.max(1) as u64
    };
    (info.threads.max(1) as u64, workers.map(of_worker).min().unwrap_or_else(default_memory))
}

impl Elsewhere for Cluster<'_> {
    fn slots(&self) -> u64 {
        self.slots
    }

    fn memory(&self) -> u64 {
        self.memory
    }

    fn run(
        &self,
        errands: &mut dyn Iterator<Item = Errand>,
        in_order: bool,
        take: &mut Take<'_>,
    ) -> Result<(), RunError> {
        let out: RefCell<HashMap<u64, Errand>> = RefCell::default();
        let args = (0..).zip(errands).map(|(n, errand)| {
            out.borrow_mut().insert(n, errand.clone());
            (self.plan.clone(), errand)
        });
        let map = self.handler.batched_map(run_batch, args);
        let results: Box<dyn Iterator<Item = (u64, Result<Answer, TaskError>)>> =
            if in_order { Box::new((0..).zip(map)) } else { Box::new(map.as_completed()) };
        for (n, result) in results {
            let errand = out.borrow_mut().remove(&n);
            match (result, errand) {
                (Ok(Answer::Brought(brought)), Some(errand)) => take(&errand, *brought)?,
                (Ok(Answer::Failed { worker, fault }), _) => return Err(fault.into_error(&worker)),
                (Err(error), _) => return Err(lost(&error)),
                (Ok(_), None) => {}
            }
        }
        Ok(())
    }

    fn checked(&self) -> f64 {
        self.options.cluster.check
    }

    fn again(&self, errand: &Errand) -> Result<Brought, RunError> {
        let os = |e| microtome_io::WriteError::os(&std::env::temp_dir(), "make a folder in", e);
        let folder = tempfile::tempdir().map_err(os)?;
        let name = self.store.path().file_name().unwrap_or_default();
        let shadow = self.store.recipe().at(&folder.path().join(name)).store(self.store.array())?;
        let shadow: &dyn Output = shadow.output();
        let durability = Durability::None;
        shadow.prepare(&Prepare { durability, ..Prepare::fresh(&self.hash) })?;
        if !shadow.is_shared() {
            // So that its units have their receipts whatever their order.
            shadow.join(&self.hash, durability)?;
        }
        let RunOptions { on_error, .. } = *self.options;
        let options = RunOptions { threads: 1, memory: self.memory, on_error, durability, ..RunOptions::default() };
        self.store.plan().run_errand(errand, Some(shadow), &options)
    }
}

/// The error of a run whose errand has no answer.
pub(crate) fn lost(error: &TaskError) -> RunError {
    let worker = || error.worker().unwrap_or("of a cluster").to_owned();
    match error.kind() {
        TaskErrorKind::Failed { message } | TaskErrorKind::Panicked { message } => {
            let message = format!("{message}; this is a bug of microtome, please report it");
            RunError::Elsewhere { worker: worker(), kind: FaultKind::Bug, message }
        }
        TaskErrorKind::TooLarge { .. } => {
            RunError::Elsewhere { worker: worker(), kind: FaultKind::Refused, message: error.kind().to_string() }
        }
        kind => RunError::ClusterLost { why: kind.to_string() },
    }
}

//! What a worker runs: an errand of a plan that it makes again from data.
//!
//! *Invariant:* a plan is opened once for a run and kept for its next errands; an error is data, so that it is not tried again
//! as if the worker had died.

use std::sync::{Arc, Mutex, PoisonError};

use microtome_exec::{Brought, Errand, Fault, RunError, default_memory};
use microtome_handler::this_worker;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::data::PlanData;
use crate::Store;

/// Plans that a process keeps open.
const MOST_OPEN: usize = 4;

/// A plan, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed(Arc<[u8]>);

impl Packed {
    pub(super) fn new(data: &PlanData) -> Result<Packed, RunError> {
        let packed = rmp_serde::to_vec_named(data);
        let bug =
            |e: rmp_serde::encode::Error| RunError::Panic { task: "run_batch".to_owned(), message: e.to_string() };
        packed.map(|bytes| Packed(bytes.into())).map_err(bug)
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Packed, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Packed;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Packed, E> {
                Ok(Packed(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// What came of an errand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Brought(Box<Brought>),
    Failed { worker: String, fault: Fault },
}

/// Runs an errand of a plan.
#[microtome_handler::function(crate = microtome_handler)]
pub(super) fn run_batch(plan: Packed, errand: Errand) -> Answer {
    let worker = this_worker().map_or_else(|| format!("process {}", std::process::id()), |here| here.address);
    match run(&plan, &errand) {
        Ok(brought) => Answer::Brought(Box::new(Brought { worker, ..brought })),
        Err(error) => Answer::Failed { worker, fault: Fault::of(&error) },
    }
}

fn run(plan: &Packed, errand: &Errand) -> Result<Brought, RunError> {
    let opened = opened(plan)?;
    let options = opened.data.options(own_memory());
    opened.store.plan().run_errand(errand, None, &options)
}

/// Bytes that this process may use for pixels: half of its worker's limit, or of the machine's, for each of its threads.
fn own_memory() -> u64 {
    let here = this_worker();
    let limit = here.as_ref().and_then(|here| here.memory).map_or(u64::MAX, |limit| limit / 2);
    limit.min(default_memory()) / here.map_or(1, |here| here.threads as u64)
}

/// A plan that is open here.
struct Opened {
    plan: Packed,
    data: PlanData,
    store: Store,
}

/// The plans that were opened last, the newest last.
static OPENED: Mutex<Vec<Arc<Opened>>> = Mutex::new(Vec::new());

fn opened(plan: &Packed) -> Result<Arc<Opened>, RunError> {
    let mut all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = all.iter().position(|opened| opened.plan == *plan) {
        let found = all.remove(place);
        all.push(Arc::clone(&found));
        return Ok(found);
    }
    let damaged =
        |e: rmp_serde::decode::Error| RunError::Panic { task: "run_batch".to_owned(), message: e.to_string() };
    let data: PlanData = rmp_serde::from_slice(&plan.0).map_err(damaged)?;
    let store = data.store()?;
    store.output().join(&data.hash, data.durability())?;
    let opened = Arc::new(Opened { plan: plan.clone(), data, store });
    all.push(Arc::clone(&opened));
    if all.len() > MOST_OPEN {
        all.remove(0);
    }
    Ok(opened)
}

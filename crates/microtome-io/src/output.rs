//! A whole output: one array or several (levels of a pyramid), which appear under one name together or not at all.
//!
//! *Invariant:* what stands under the output's name is whole; a unit that was settled is found again as its receipt says,
//! or the output says that it is not.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ReadError, Reader, Receipt, Sink, WriteError};

/// How much of a crash of the machine finished units outlive. None of it changes a byte of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// All but the last batch, some seconds of work: units are brought to the disk in batches, beside the computing.
    #[default]
    Batch,
    /// All units whose end was reported: each is brought to the disk before the next is begun on the same thread.
    Unit,
    /// Nothing is waited for: finished units outlive a crash of the program, not one of the machine.
    None,
}

/// How an output is begun.
#[derive(Clone, Copy, Debug)]
pub struct Prepare<'a> {
    /// Hash of all that decides the output's bytes.
    pub plan: &'a str,
    /// Whether an unfinished output of the same plan is gone on with.
    pub resume: bool,
    /// What [`Output::settle`] waits for.
    pub durability: Durability,
}

impl<'a> Prepare<'a> {
    /// A fresh output of a plan.
    pub fn fresh(plan: &'a str) -> Prepare<'a> {
        Prepare { plan, resume: false, durability: Durability::default() }
    }
}

/// What an output begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Fresh,
    /// An unfinished output of the same plan, which is to be gone on with.
    Unfinished,
    /// The finished output of the same plan: there is nothing to do.
    Finished,
}

/// How a settled unit is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Whether it is there and as long as it was.
    Length,
    /// That, and whether its bytes are the same.
    Bytes,
}

/// What is known of a finished unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredUnit {
    /// Bytes in storage; 0 for a unit that is all fill value and therefore not stored.
    pub stored_bytes: u64,
    /// CRC-32C of the stored bytes.
    pub crc32c: u32,
}

impl From<&Receipt> for StoredUnit {
    fn from(receipt: &Receipt) -> Self {
        StoredUnit { stored_bytes: receipt.stored_bytes, crc32c: receipt.crc32c }
    }
}

/// What a finished output says of itself: nothing that a clock, a host or a path decides.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// Hash of all that decided its bytes.
    pub plan: &'a str,
    /// The units of each array in C order.
    pub units: &'a [Vec<StoredUnit>],
    /// The list of what is missing in it, as text; `None` where nothing is.
    pub quarantine: Option<&'a str>,
}

/// A place for one or several arrays.
///
/// The order is: [`prepare`](Output::prepare); [`begin`](Sink::begin) and fill units of its arrays in any order, on any
/// thread, each once; [`settle`](Output::settle) what is filled; [`finish`](Output::finish). An output
/// that is dropped unfinished leaves nothing under its final name.
pub trait Output: Debug + Send + Sync {
    /// The name it gets.
    fn path(&self) -> &Path;

    /// The name on this machine beside which lie the lock and what else is of this machine alone: that of the output, unless
    /// it is not here.
    fn desk(&self) -> &Path {
        self.path()
    }

    /// Number of its arrays.
    fn arrays(&self) -> usize;

    /// One of its arrays; 0 is the full resolution.
    ///
    /// # Panics
    /// If there is none of that number: a bug in the caller.
    fn array(&self, n: usize) -> &dyn Sink;

    /// Files that an array makes: one for each write unit, unless units share one.
    fn files(&self, n: usize) -> u64 {
        self.array(n).spec().units.count()
    }

    /// What decides the stored bytes beside the pixels (format, chunking, codec), for the plan's hash.
    fn parameters(&self) -> serde_json::Value;

    /// What stands where it is to stand; refuses what is in the way. Nothing is changed.
    ///
    /// # Errors
    /// [`WriteError`] naming what is in the way, or if that cannot be told.
    fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError>;

    /// Where the journal of its units lies while it is unfinished; `None` for an output that keeps nothing.
    fn journal(&self, plan: &str) -> Option<PathBuf>;

    /// Makes the place for it, or takes up the one that is there, without what was being written when it was left. Called
    /// once, before the first unit.
    ///
    /// # Errors
    /// As [`Output::look`], and if its place cannot be written.
    fn prepare(&self, how: &Prepare<'_>) -> Result<Standing, WriteError>;

    /// Gives finished units (array, receipt) their place, from which they outlive what [`Durability`] says.
    ///
    /// # Errors
    /// [`WriteError`] if that cannot be said of one of them; they are then not to be relied on, however often this is
    /// called again.
    fn settle(&self, units: &[(usize, Receipt)]) -> Result<(), WriteError>;

    /// Whether processes that have [joined](Output::join) find settled units in their places and can reopen arrays.
    fn is_shared(&self) -> bool {
        false
    }

    /// Takes part in an output that another process has prepared and will finish: here units may be begun and settled, and
    /// arrays reopened whose units are all settled. Called instead of [`prepare`](Output::prepare).
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] if outputs of this kind are written by one process; others if the place cannot be found.
    fn join(&self, plan: &str, durability: Durability) -> Result<(), WriteError> {
        let _ = (plan, durability);
        let why = "outputs of this format are written by one process".to_owned();
        Err(WriteError::Unsupported { path: self.path().to_owned(), why })
    }

    /// Takes units that processes which have [joined](Output::join) have settled, as if a writer here had ended with these
    /// receipts; gives receipts as [`UnitWriter::finish`](crate::UnitWriter::finish) does.
    ///
    /// # Errors
    /// [`WriteError::Missing`] if a unit is not there as its receipt says: the storage is not shared.
    fn adopt(&self, units: &[(usize, Receipt)]) -> Result<Vec<(usize, Receipt)>, WriteError> {
        let _ = units;
        let why = "outputs of this format are written by one process".to_owned();
        Err(WriteError::Unsupported { path: self.path().to_owned(), why })
    }

    /// Whether a settled unit is still as its receipt says. Of an unfinished output that is gone on with, units are asked
    /// for in C order before the first is begun, and one of which this is not true is written again: where units are stored
    /// one behind another, it is true only of those before the first that is missing.
    ///
    /// # Errors
    /// [`WriteError`] if that cannot be told.
    fn check(&self, array: usize, receipt: &Receipt, how: Check) -> Result<bool, WriteError>;

    /// Reads an array back whose units are all settled, in the axes in which it was written.
    ///
    /// # Errors
    /// [`ReadError`] as for an image; [`ReadError::NotFound`] before [`Output::prepare`].
    fn reopen(&self, array: usize) -> Result<Arc<dyn Reader>, ReadError>;

    /// Publishes the output under its final name. Called once, after every unit is settled.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be published; it then keeps its partial name.
    fn finish(&self, completion: &Completion<'_>) -> Result<(), WriteError>;

    /// What [`Completion::quarantine`] said when the output that stands under the name was finished.
    ///
    /// # Errors
    /// [`WriteError`] if it is not as it was written.
    fn quarantine(&self) -> Result<Option<String>, WriteError>;

    /// Removes what an unfinished run left, with its journal, as far as possible. Called instead of `finish` when a run
    /// fails and leaves nothing to go on from.
    fn abandon(&self);
}

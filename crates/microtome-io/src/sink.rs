//! Taking the pixels of one array in write units.
//!
//! *Invariant:* a unit has one owner; its receipt is of the bytes that were stored, and no unit is half there.

use std::fmt::Debug;

use microtome_array::ArraySpec;
use microtome_array::{BufferPool, ChunkGrid, ChunkIndex, PixelsRef, Region, Shape};
use serde::{Deserialize, Serialize};

use crate::WriteError;

/// What a sink takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// Shape and type of the array it stores.
    pub array: ArraySpec,
    /// The write units: what is finished, checked and owned as one (a shard, an unsharded stored chunk, a tile).
    pub units: ChunkGrid,
    /// The stored chunks inside a unit; divides the unit on every axis, save where the unit ends with the array.
    pub part: Shape,
}

/// What a sink may use while it writes.
#[derive(Clone, Copy, Debug)]
pub struct WriteContext<'a> {
    /// Where scratch buffers come from.
    pub pool: &'a BufferPool,
}

/// Proof of one finished write unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The unit.
    pub unit: ChunkIndex,
    /// Bytes of pixels it holds.
    pub pixel_bytes: u64,
    /// Bytes in storage.
    pub stored_bytes: u64,
    /// CRC-32C of the stored bytes; 0 for a unit that is all fill value and therefore not stored.
    pub crc32c: u32,
    /// What [`UnitWriter::finish`] was told: whether all of its pixels are those it should have.
    pub whole: bool,
}

/// One array being written, of an [`Output`](crate::Output) that says when and under which name it appears.
///
/// [`begin`](Sink::begin) each unit in any order, on any thread, each once.
pub trait Sink: Debug + Send + Sync {
    /// What the sink takes.
    fn spec(&self) -> &SinkSpec;

    /// Most bytes of scratch a unit takes while it is written, when pixels come in boxes of shape `box_shape`
    /// (see [`UnitWriter::write`]).
    fn scratch_bytes(&self, box_shape: &Shape) -> u64;

    /// Most bytes of scratch that a read of what is stored here takes beside the pixels, once it is read back.
    fn read_scratch_bytes(&self) -> u64;

    /// Starts a write unit.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be created.
    fn begin<'a>(
        &'a self,
        unit: ChunkIndex,
        context: &WriteContext<'a>,
    ) -> Result<Box<dyn UnitWriter + 'a>, WriteError>;
}

/// A write unit being filled.
pub trait UnitWriter {
    /// Takes the pixels of `region` (in coordinates of the whole array, inside this unit). Regions come in C order of
    /// their first pixel, do not overlap, and together cover the unit.
    ///
    /// # Errors
    /// [`WriteError`] if they cannot be encoded or stored.
    fn write(&mut self, region: &Region, pixels: PixelsRef<'_>) -> Result<(), WriteError>;

    /// Ends the unit, and gives a receipt of each unit that is stored by it: where units are stored in an order of their
    /// own, a unit that comes early has its receipt given with that of a later call, maybe on another thread. Every unit
    /// has its receipt given once, at the latest when the last unit of its array ends. `whole` says whether all pixels are
    /// those that they should be, and stands in the unit's receipt. Dropping a writer instead leaves the unit absent.
    ///
    /// # Errors
    /// [`WriteError`] if its last bytes cannot be stored.
    fn finish(self: Box<Self>, whole: bool) -> Result<Vec<Receipt>, WriteError>;
}

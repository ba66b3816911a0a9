//! What a file is: its description, the [`Reader`] that gives pixels of it, the [`Sink`] that takes pixels of an array,
//! the [`Output`] in which arrays appear, and the [`Limits`] that every reader keeps.
//!
//! Formats live in their own crates (`microtome-tiff`, `microtome-zarr`); what they share is here.
//!
//! *Invariant:* a description is made from headers alone; nothing here decodes a pixel, and nothing here decides what
//! a chunk of computation is.

mod acquisition;
pub mod beside;
pub mod contract;
mod device;
pub mod disk;
mod error;
mod info;
mod limits;
mod memory;
pub mod ome;
mod output;
mod reader;
mod scratch;
mod sink;
pub mod standing;
mod synthetic;
mod threads;
mod verification;
mod zstd_memory;

pub use acquisition::{Objective, PlaneTaken, StagePosition};
pub use device::device;
pub use error::{ReadError, WriteError};
pub use info::{
    Channel, Downsample, ImageInfo, LevelInfo, PixelSize, Position, Quantity, SceneInfo, SceneKind, ShownRange,
    StorageInfo, StorageKind, Well,
};
pub use limits::{Io, Limits, MAP_BYTES};
pub use memory::{MemoryReader, MemorySink, read_region};
pub use output::{Check, Completion, Durability, Output, Prepare, Standing, StoredUnit};
pub use reader::{Place, ReadContext, ReadCount, Reader, SourceSpec};
pub use scratch::ScratchStore;
pub use sink::{Receipt, Sink, SinkSpec, UnitWriter, WriteContext};
pub use synthetic::SyntheticReader;
pub use threads::on_threads;
pub use verification::{Difference, HowDifferent, PartDifference, Verification};
pub use zstd_memory::{zstd_encoder_bytes, zstd_most_encoded};

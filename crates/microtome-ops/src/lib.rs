//! What can be done to pixels: one file an operation, with its kernel, its dtype rule and its scratch bytes.
//!
//! An operation is data (serialisable parameters) and a body: a [`Map`] from pixel to pixel, a [`Fold`] along an axis, a
//! [`Neighbourhood`] around each place, or an index that only picks pixels. The engine asks it what it needs and runs it on
//! borrowed pixels. What is known only when all pixels have been seen, as percentiles, is a [`Summary`]; an operation may
//! ask for one before it runs.
//!
//! *Invariant:* an operation does no I/O, starts no thread, and its result at a pixel depends on the input pixels of
//! [`Op::input_region`] and on the answer it asked for alone, never on how the array was cut into chunks.

mod cast;
mod check;
pub mod contract;
mod counts;
mod crop;
mod downsample;
mod error;
mod gaussian;
mod histogram;
mod list;
mod map;
mod neighbourhood;
mod number;
mod op;
mod percentiles;
mod project;
mod rescale;
mod statistics;
mod summary;
mod total;

pub use cast::Cast;
pub use crop::Crop;
pub use downsample::{Downsample, Factors, Shrink};
pub use error::OpError;
pub use gaussian::{Gaussian, Sigma};
pub use histogram::Histogram;
pub use list::{OPS, SUMMARIES, build, build_summary};
pub use neighbourhood::{Neighbourhood, Placement, Reach};
pub use op::{Body, Fold, FoldState, Map, Op, OpEntry};
pub use percentiles::Percentiles;
pub use project::{Project, Projection};
pub use rescale::{Ends, Rescale};
pub use statistics::{PlaneStatistics, Scalar, Statistics};
pub use summary::{Step, Summary, SummaryEntry, SummaryState, summarise};

//! What an array is: axes, shape, region, chunk grid, pixel type, owned and borrowed pixels.
//!
//! Every array of microtome has the six axes T, C, Z, Y, X, S in this order; an axis that a file does not have has
//! extent 1, and S (samples of one pixel, as R, G, B) counts as absent where its extent is 1.
//!
//! *Invariant:* nothing here does I/O, starts a thread, or knows a file format or an operation. Sizes are checked when a
//! [`Shape`] is made, so arithmetic on a shape that exists cannot overflow.

mod axis;
mod buffer;
mod copy;
mod corners;
mod dims;
mod dtype;
mod error;
mod grid;
mod pixels;
mod region;
mod shape;
mod spec;

pub use axis::{Axis, PerAxis};
pub use buffer::{Buffer, BufferPool, Charge, PoolStats};
pub use copy::copy_region;
pub use dims::{ChunkDims, format_count, format_size, parse_size};
pub use dtype::{Pixel, PixelType};
pub use error::ArrayError;
pub use grid::{ChunkGrid, ChunkIndex, IndexBox};
pub use pixels::{Pixels, PixelsMut, PixelsRef};
pub use region::Region;
pub use shape::Shape;
pub use spec::ArraySpec;

#[doc(hidden)]
pub mod reexport {
    //! What the [`dispatch!`](crate::dispatch) macro names.
    pub use half::f16;
    pub use num_complex::{Complex32, Complex64};
}

//! From decoded bytes to values in memory: byte order, predictors, packed bits.
//!
//! *Invariant:* every function works on whole rows in place or from one slice into another; none allocates.

mod packing;
mod predict;
mod swap;
mod unpack;

pub(crate) use packing::Packing;
pub(crate) use predict::{horizontal, undo_float, undo_horizontal};
pub(crate) use swap::{reverse_bits, swap};
pub(crate) use unpack::unpack_row;

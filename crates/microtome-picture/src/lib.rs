//! Pictures of planes: a plane as it is in a PNG, and planes as people look at them: stretched in contrast, coloured by
//! channel, several on a sheet.
//!
//! *Invariant:* [`PngOutput`] keeps every value; everything else here is for the eye, and nothing is computed from it.

mod contrast;
mod file;
mod output;
mod picture;

pub use contrast::{Window, window};
pub use output::PngOutput;
pub use picture::{Picture, label_color, parse_color};

//! Pictures of planes: a plane as it is in a PNG, and planes as people look at them: stretched in contrast, coloured by
//! channel, several on a sheet.
//!
//! *Invariant:* [`PngOutput`] keeps every value; everything else here is for the eye, and nothing is computed from it.

mod contrast;
mod encode;
mod file;
mod options;
mod output;
mod picture;
mod place;
mod record;
mod verify;

pub use contrast::{Window, window};
pub use options::PngOptions;
pub use output::PngOutput;
pub use picture::{Picture, label_color, parse_color};
pub use verify::{is_png, verify};

//! The TIFF family: TIFF, `BigTIFF`, OME-TIFF, `ImageJ` hyperstacks.
//!
//! Opening walks the headers of a file once into a compact index of its pages; reading touches only the strips and tiles
//! that a region shares pixels with. What is read: strips and tiles, both byte orders, samples together or apart, every
//! compression of `docs/formats.md` with predictors 2 and 3, samples of 1 to 64 bits, complex numbers, palettes as
//! indices. Anything else is described and refused when it is read.
//!
//! *Invariant:* no bytes of a file, however wrong, panic, loop, or take memory beyond the [`Limits`]; pixels that are
//! not there are an error, except tiles a writer left out on purpose (size 0), which are 0.
//!
//! [`Limits`]: microtome_io::Limits

#[doc(hidden)]
pub mod bare;
mod codec;
mod descriptors;
mod extras;
mod fetch;
mod file;
mod header;
mod index;
mod mapped;
mod micromanager;
mod notes;
mod options;
mod page;
mod pixels;
mod plane;
mod reader;
mod restarts;
mod scenes;
mod sequence;
mod set;
mod sink;
mod spot;
mod walk;

pub use header::is_tiff;
pub use micromanager::{is_ndtiff, open_ndtiff};
pub use options::{TiffCompression, TiffOptions};
pub use reader::{TiffReader, open};
pub use sequence::{is_folder, is_pattern, natural_order, open_files, open_folder};
pub use sink::{TiffBuilding, TiffCollection, TiffMember, TiffOutput, create, verify};

//! OME-XML: what a microscope said about its image.
//!
//! Reads every schema year leniently: namespaces are ignored, what is unknown is skipped, what is odd becomes a warning.
//!
//! *Invariant:* no DTD, no entity but the five of XML and character references, no other file: a document with a
//! `DOCTYPE` is refused, and time and memory are linear in the size of a document that [`Limits`](crate::Limits) bound.

mod beside;
mod model;
mod parse;
mod places;
mod taken;
mod unit;
mod write;

pub use beside::beside;
pub use model::{BinaryOnly, FileRef, Ome, OmeChannel, OmeError, OmeImage, TiffData};
pub use parse::parse;
pub use places::held_well;
pub use taken::planes;
pub use unit::{Unit, length_symbol, length_unit, time_symbol, time_unit};
pub use write::{OmeMeta, held_text, keeps_original, original, type_name, write, write_images};

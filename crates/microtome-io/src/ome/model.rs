//! The part of an OME-XML document that says how pixels are read and named.

use microtome_array::{Axis, PixelType};

use crate::{Objective, PixelSize, Position, Quantity, StagePosition, Well};

/// An OME-XML document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ome {
    /// UUID of the file that holds the document, if stated.
    pub uuid: Option<String>,
    /// The images in document order.
    pub images: Vec<OmeImage>,
    /// Set where the document only points at another one.
    pub binary_only: Option<BinaryOnly>,
    /// Files named by [`TiffData::file`], each once.
    pub files: Vec<FileRef>,
    /// What was odd and how it was understood, one sentence each.
    pub warnings: Vec<String>,
}

/// Where the metadata of a file without its own lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryOnly {
    /// Name of the file with the metadata, as written: not to be trusted as a path.
    pub metadata_file: String,
    /// UUID of that document.
    pub uuid: String,
}

/// A file of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileRef {
    /// Its name as written: not to be trusted as a path. Empty where only a UUID is given.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
}

/// An `Image` with its `Pixels`.
#[derive(Clone, Debug, PartialEq)]
pub struct OmeImage {
    /// `Image@ID`.
    pub id: String,
    /// `Image@Name`.
    pub name: String,
    /// Size on T, C, Z, Y, X in this order; C counts the samples of colour images too, as the schema does.
    pub size: [u64; 5],
    /// Order of the planes, fastest first: the last three letters of `DimensionOrder`.
    pub order: [Axis; 3],
    /// Type of the pixels, if it is a known one.
    pub dtype: Option<PixelType>,
    /// Distance between pixels.
    pub pixel_size: PixelSize,
    /// Time between two frames.
    pub time_increment: Option<Quantity>,
    /// Its place on a plate, if the document has plates.
    pub well: Option<Well>,
    /// Where it lies, if one of our documents says so.
    pub position: Position,
    /// The objective that it was taken through, if it names one.
    pub objective: Option<Objective>,
    /// Where the stage was: as the image says, or its first plane.
    pub stage: Option<StagePosition>,
    /// The channels in document order.
    pub channels: Vec<OmeChannel>,
    /// Which plane lies where.
    pub tiff_data: Vec<TiffData>,
}

impl Default for OmeImage {
    fn default() -> Self {
        OmeImage {
            id: String::new(),
            name: String::new(),
            size: [1; 5],
            order: [Axis::Z, Axis::C, Axis::T],
            dtype: None,
            pixel_size: PixelSize::default(),
            time_increment: None,
            well: None,
            position: Position::default(),
            objective: None,
            stage: None,
            channels: Vec::new(),
            tiff_data: Vec::new(),
        }
    }
}

/// A `Channel`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OmeChannel {
    /// `Channel@Name`, or empty.
    pub name: String,
    /// Colour as `RRGGBB`.
    pub color: Option<String>,
    /// `SamplesPerPixel`, 1 where absent.
    pub samples: u64,
}

/// A `TiffData` element: a run of planes and the pages they lie in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TiffData {
    /// First page, if stated.
    pub ifd: Option<u64>,
    /// Number of planes, if stated.
    pub plane_count: Option<u64>,
    /// `FirstT`, `FirstC`, `FirstZ`.
    pub first: [u64; 3],
    /// Index into [`Ome::files`] of the file with the pages; `None` for the file with the document.
    pub file: Option<u32>,
}

/// A document that is not read as OME-XML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OmeError {
    /// Not well-formed.
    #[error("the XML is broken at byte {at}: {why}")]
    Xml {
        /// Byte in the document.
        at: u64,
        /// What is broken.
        why: String,
    },
    /// A document type definition, which could name other files or expand without bound.
    #[error("the XML has a DOCTYPE, which is refused")]
    Doctype,
    /// Over a limit.
    #[error("the XML has {what} {found}, over the limit of {limit}")]
    OverLimit {
        /// What is too large (`a size of`, `a nesting of`).
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Some other XML, or OME-XML with neither images nor a reference to them.
    #[error("the XML is no OME document with images")]
    NotOme,
}

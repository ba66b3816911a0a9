//! The description of an image: scenes, axes, channels, pixel sizes, levels, storage.

use std::path::PathBuf;

use microtome_array::{ArraySpec, Axis, PixelType, Shape};
use serde::{Deserialize, Serialize};

use crate::{Objective, StagePosition};

/// What a path opens: one or more scenes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// The path as given.
    pub path: PathBuf,
    /// Name of the format: `OME-TIFF`, `ImageJ TIFF`, `TIFF`, `OME-Zarr 0.4`, `Zarr` …
    pub format: String,
    /// Size of the files in bytes (of a Zarr folder: of its metadata alone, its chunks are not listed).
    pub bytes: u64,
    /// The files the image consists of, as far as known from headers.
    pub files: Vec<PathBuf>,
    /// Files that the metadata names and that are not there.
    pub missing_files: Vec<PathBuf>,
    /// What was odd and how it was understood, one sentence each.
    pub warnings: Vec<String>,
    /// The scenes in file order, labels after images.
    pub scenes: Vec<SceneInfo>,
    /// The OME-XML of the image as found, if any.
    pub ome_xml: Option<String>,
    /// What the files hold beside all this and no output of ours does, a phrase each: a palette, attributes of other programs.
    #[serde(default)]
    pub extras: Vec<String>,
}

/// What a scene shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SceneKind {
    /// An image.
    #[default]
    Image,
    /// Integers that name objects; never to be averaged.
    Label,
}

/// One image of a file, at one or more levels of resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneInfo {
    /// Position in the file, from 0.
    pub index: usize,
    /// Identity in the metadata (`Image:0`, the path in a Zarr group), or empty.
    pub id: String,
    /// Name for people, or empty.
    pub name: String,
    /// Image or label.
    pub kind: SceneKind,
    /// Type of the pixel values.
    pub dtype: PixelType,
    /// One entry for each channel.
    pub channels: Vec<Channel>,
    /// Distance between pixels.
    pub pixel_size: PixelSize,
    /// Time between two frames.
    pub time_increment: Option<Quantity>,
    /// Its place on a plate of wells, if it has one.
    #[serde(default)]
    pub well: Option<Well>,
    /// Where the image lies in its space and time.
    #[serde(default)]
    pub position: Position,
    /// The objective that it was taken through, if the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Where the stage was when the first plane was taken, if the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StagePosition>,
    /// Levels of resolution, full first; at least one.
    pub levels: Vec<LevelInfo>,
    /// Order in which planes follow each other in the file, fastest first, a permutation of T, C, Z.
    pub page_order: [Axis; 3],
    /// The colours that pixel values stand for, where they are indices: red, green and blue of 16 bits; empty where not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub palette: Vec<[u16; 3]>,
}

impl SceneInfo {
    /// Extents at full resolution.
    pub fn shape(&self) -> Shape {
        self.levels[0].shape
    }

    /// Shape and pixel type at a level, if there is one.
    pub fn spec(&self, level: usize) -> Option<ArraySpec> {
        self.levels.get(level).map(|l| ArraySpec { shape: l.shape, dtype: self.dtype })
    }
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name; empty where the file has none.
    pub name: String,
    /// Its colour as `RRGGBB`, if the file states one.
    pub color: Option<String>,
    /// The range of pixel values that a viewer shows, if the file states one that is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ShownRange>,
}

/// A range of pixel values to look at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownRange {
    /// The least value there may be.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// What is shown black.
    pub start: f64,
    /// What is shown in the channel's full colour.
    pub end: f64,
}

/// The place of an image on a plate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Well {
    /// Name of the plate, or empty.
    pub plate: String,
    /// Name of the row, as `B`.
    pub row: String,
    /// Name of the column, as `3`.
    pub column: String,
    /// Number of the row, from 0.
    pub row_index: u32,
    /// Number of the column, from 0.
    pub column_index: u32,
    /// Name of the field in its well.
    pub field: String,
}

/// Distance between neighbouring pixels, each with its unit; `None` where the file says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PixelSize {
    /// Along Z.
    pub z: Option<f64>,
    /// Along Y.
    pub y: Option<f64>,
    /// Along X.
    pub x: Option<f64>,
    /// Unit of the three in the words of NGFF (`micrometer`, `nanometer`, `pixel` …), if stated.
    pub unit: Option<String>,
}

impl PixelSize {
    /// What is truly said: pixels, and a frame of reference that has no name, are no unit; 1 without a unit on every axis says
    /// nothing.
    ///
    /// # Examples
    /// ```
    /// use microtome_io::PixelSize;
    /// let pixels = PixelSize { z: None, y: Some(1.0), x: Some(1.0), unit: Some("pixel".to_owned()) };
    /// assert_eq!(pixels.stated(), PixelSize::default());
    /// ```
    #[must_use]
    pub fn stated(self) -> PixelSize {
        let unit = self.unit.filter(|unit| !matches!(unit.as_str(), "" | "pixel" | "reference frame"));
        let all_one = [self.z, self.y, self.x].into_iter().flatten().all(|size| size == 1.0);
        if unit.is_none() && all_one { PixelSize::default() } else { PixelSize { unit, ..self } }
    }
}

/// Where the middle of the first pixel of the full resolution lies: along Z, Y and X in the unit of the pixel size (pixels
/// where that is not known), along T in that of the time increment. All zeros where the file says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Along T.
    pub t: f64,
    /// Along Z.
    pub z: f64,
    /// Along Y.
    pub y: f64,
    /// Along X.
    pub x: f64,
}

impl Position {
    /// Whether the image lies where one lies of which nothing is said.
    pub fn is_origin(&self) -> bool {
        *self == Position::default()
    }
}

/// A number with a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// The number.
    pub value: f64,
    /// Its unit in the words of NGFF (`second`, `millisecond` …).
    pub unit: String,
}

/// Pixels of a level per pixel of level 0, along each axis of the scene.
pub type Downsample = [f64; 6];

/// One resolution of a scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelInfo {
    /// Extents at this level.
    pub shape: Shape,
    /// Level-0 pixels per pixel, T C Z Y X S.
    pub downsample: Downsample,
    /// Where the middle of its first pixel lies, in level-0 pixels from the middle of the first of those; zeros where nothing
    /// is said of it.
    pub origin: Downsample,
    /// How the pixels are stored.
    pub storage: StorageInfo,
}

/// How pixels lie in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StorageInfo {
    /// Strips, tiles, chunks or shards.
    pub kind: StorageKind,
    /// Extents of a stored tile: what must be decoded to get one pixel.
    pub tile: Shape,
    /// Extents of a shard, where tiles are packed into shards.
    pub shard: Option<Shape>,
    /// Extents of the least box that is read without reading more than it. Equals `tile` for compressed data; for raw
    /// data it is one row or less.
    pub granule: Shape,
    /// The compression by name (`none`, `lzw`, `deflate`, `zstd`, `blosc` …), predictors and filters behind a `+`.
    pub codec: String,
}

/// Name of the unit of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// TIFF strips: tiles of full width.
    Strips,
    /// TIFF tiles.
    Tiles,
    /// Zarr chunks, one object each.
    Chunks,
    /// Zarr chunks packed into shards.
    Shards,
    /// No file: memory or arithmetic.
    Memory,
}

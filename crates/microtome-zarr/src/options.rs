//! What a caller chooses about an output, and what the output says of itself.

use microtome_array::{ArrayError, ArraySpec, Axis, PerAxis, Shape};
use microtome_io::{Channel, Downsample, PixelSize, Position, Quantity, SceneInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::codec::{Blosc, BloscInner, Codec, Gzip, Zstd};

/// How an output is stored. Defaults depend on the image alone: see [`default_layout`](crate::default_layout).
///
/// # Examples
/// ```
/// use microtome_zarr::{Compression, ShardChoice, ZarrOptions};
/// let options = ZarrOptions { compression: Compression::parse("zstd", Some(5)).unwrap(), ..ZarrOptions::default() };
/// assert_eq!(options.shard, ShardChoice::Auto);
/// assert!(!options.overwrite);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZarrOptions {
    /// Which version of OME-Zarr is written, and with it which of Zarr.
    pub version: NgffVersion,
    /// Extents of a stored chunk; cut to the array, and whole along S. `None`: the default.
    pub chunk: Option<Shape>,
    /// How stored chunks are packed into files.
    pub shard: ShardChoice,
    /// How stored chunks are compressed.
    pub compression: Compression,
    /// Whether an output of this name, and an unfinished one, may be replaced.
    pub overwrite: bool,
}

/// A version of OME-Zarr that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NgffVersion {
    /// 0.4: Zarr v2, a file a stored chunk.
    V04,
    /// 0.5: Zarr v3, stored chunks packed into shards.
    #[default]
    V05,
}

impl NgffVersion {
    /// Every version that is written.
    pub const ALL: [NgffVersion; 2] = [NgffVersion::V04, NgffVersion::V05];

    /// Its number.
    pub fn name(self) -> &'static str {
        match self {
            NgffVersion::V04 => "0.4",
            NgffVersion::V05 => "0.5",
        }
    }

    /// The version of a number.
    ///
    /// # Examples
    /// ```
    /// use microtome_zarr::NgffVersion;
    /// assert_eq!(NgffVersion::parse("0.4"), Some(NgffVersion::V04));
    /// assert_eq!(NgffVersion::parse("0.1"), None);
    /// ```
    pub fn parse(text: &str) -> Option<NgffVersion> {
        NgffVersion::ALL.into_iter().find(|version| version.name() == text)
    }
}

/// How stored chunks are packed into files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardChoice {
    /// Whole planes along Z up to 32 MiB a file, where that makes fewer files; a file a stored chunk in OME-Zarr 0.4.
    #[default]
    Auto,
    /// A file a stored chunk.
    None,
    /// Shards of these extents: a multiple of the stored chunk on every axis, or the rest of the array.
    Shape(Shape),
}

/// How stored chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Zstandard at a level from 1 to 22.
    Zstd {
        /// Effort.
        level: i32,
    },
    /// Blosc: pixels shuffled by bytes, then compressed.
    Blosc {
        /// The compressor inside.
        inner: BloscCompressor,
        /// Effort, 0 to 9.
        level: u8,
    },
    /// Gzip at a level from 0 to 9.
    Gzip {
        /// Effort.
        level: i32,
    },
}

/// The compressor inside Blosc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BloscCompressor {
    /// LZ4: fastest.
    Lz4,
    /// Zstandard: smaller.
    Zstd,
}

impl Default for Compression {
    /// Blosc with Zstandard at level 1, shuffled: measured on 16-bit images smaller *and* faster to write than
    /// plain Zstandard, which does not see that the high bytes are alike.
    fn default() -> Self {
        Compression::Blosc { inner: BloscCompressor::Zstd, level: 1 }
    }
}

impl Compression {
    /// The compression of a name as the command line takes it (`none`, `zstd`, `blosc`, `gzip`), at a level or its
    /// default one.
    ///
    /// # Examples
    /// ```
    /// use microtome_zarr::Compression;
    /// assert_eq!(Compression::parse("gzip", None), Some(Compression::Gzip { level: 6 }));
    /// assert_eq!(Compression::parse("jpeg", None), None);
    /// ```
    pub fn parse(name: &str, level: Option<i32>) -> Option<Compression> {
        match name {
            "none" => Some(Compression::None),
            "zstd" => Some(Compression::Zstd { level: level.unwrap_or(1) }),
            "gzip" => Some(Compression::Gzip { level: level.unwrap_or(6) }),
            "blosc" | "blosc-zstd" => {
                Some(Compression::Blosc { inner: BloscCompressor::Zstd, level: blosc_level(level, 1)? })
            }
            "blosc-lz4" => Some(Compression::Blosc { inner: BloscCompressor::Lz4, level: blosc_level(level, 5)? }),
            _ => None,
        }
    }

    /// What is wrong with the level, if anything.
    pub(crate) fn complaint(self) -> Option<String> {
        let (name, level, range) = match self {
            Compression::None => return None,
            Compression::Zstd { level } => ("zstd", level, 1..=22),
            Compression::Blosc { level, .. } => ("blosc", i32::from(level), 0..=9),
            Compression::Gzip { level } => ("gzip", level, 0..=9),
        };
        let (low, high) = (range.start(), range.end());
        (!range.contains(&level)).then(|| format!("{name} has levels {low} to {high}, not {level}"))
    }

    /// The codec for pixels of a size, if any.
    pub(crate) fn codec(self, element: usize) -> Option<Box<dyn Codec>> {
        match self {
            Compression::None => None,
            Compression::Zstd { level } => Some(Box::new(Zstd { level })),
            Compression::Gzip { level } => Some(Box::new(Gzip { level, zlib: false })),
            Compression::Blosc { inner, level } => Some(Box::new(blosc(inner, level, element))),
        }
    }

    /// Its metadata in an array's document.
    pub(crate) fn metadata(self, element: usize, version: NgffVersion) -> Option<Value> {
        let (name, configuration) = match self {
            Compression::None => return None,
            Compression::Zstd { level } if version == NgffVersion::V04 => ("zstd", json!({"level": level})),
            Compression::Zstd { level } => ("zstd", json!({"level": level, "checksum": false})),
            Compression::Gzip { level } => ("gzip", json!({"level": level})),
            Compression::Blosc { inner, level } => {
                let blosc = blosc(inner, level, element);
                let (cname, shuffle) = (blosc.inner.name(), blosc.shuffle_name());
                let configuration = match version {
                    NgffVersion::V05 => json!({
                        "cname": cname, "clevel": level, "shuffle": shuffle, "typesize": element, "blocksize": 0,
                    }),
                    // numcodecs has numbers for the ways to shuffle, and takes the size of a pixel from its array.
                    NgffVersion::V04 => json!({
                        "cname": cname, "clevel": level, "shuffle": u8::from(shuffle == "shuffle"), "blocksize": 0,
                    }),
                };
                ("blosc", configuration)
            }
        };
        Some(match version {
            NgffVersion::V05 => json!({"name": name, "configuration": configuration}),
            NgffVersion::V04 => with_id(name, configuration),
        })
    }
}

fn blosc(inner: BloscCompressor, level: u8, element: usize) -> Blosc {
    let inner = match inner {
        BloscCompressor::Lz4 => BloscInner::Lz4,
        BloscCompressor::Zstd => BloscInner::Zstd,
    };
    Blosc::shuffled(inner, level, element)
}

/// A codec as Zarr v2 describes it.
fn with_id(name: &str, mut configuration: Value) -> Value {
    configuration["id"] = json!(name);
    configuration
}

fn blosc_level(level: Option<i32>, default: u8) -> Option<u8> {
    level.map_or(Some(default), |l| u8::try_from(l).ok())
}

/// A level of an output.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, Axis, PixelType, Shape};
/// use microtome_zarr::LevelSpec;
/// let full = ArraySpec { shape: Shape::new([1, 2, 9, 301, 400, 1])?, dtype: PixelType::U16 };
/// let half = LevelSpec::reduced(full, [1, 1, 1, 2, 2, 1])?;
/// assert_eq!(half.array.shape.extents(), [1, 2, 9, 151, 200, 1]);
/// assert_eq!(half.downsample, [1.0, 1.0, 1.0, 2.0, 2.0, 1.0]);
/// # Ok::<(), microtome_array::ArrayError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelSpec {
    /// Shape and type of its array.
    pub array: ArraySpec,
    /// Level-0 pixels per pixel, T C Z Y X S.
    pub downsample: Downsample,
    /// Where the middle of its first pixel lies, in level-0 pixels from the middle of the first of those.
    pub origin: Downsample,
}

impl LevelSpec {
    /// The full resolution.
    pub fn full(array: ArraySpec) -> LevelSpec {
        LevelSpec { array, downsample: [1.0; 6], origin: [0.0; 6] }
    }

    /// A level each of whose pixels stands for a block of so many pixels of the full resolution and lies in the middle of
    /// it; blocks on a far edge are cut to the array.
    ///
    /// # Errors
    /// [`ArrayError`] if a factor is 0.
    pub fn reduced(full: ArraySpec, factors: [u64; 6]) -> Result<LevelSpec, ArrayError> {
        let factors = PerAxis(factors);
        if let Some(axis) = Axis::ALL.into_iter().find(|&a| factors[a] == 0) {
            return Err(ArrayError::EmptyChunk { axis });
        }
        let extents = PerAxis::from_fn(|a| full.shape.get(a).div_ceil(factors[a]));
        let array = ArraySpec { shape: Shape::new(extents.0)?, dtype: full.dtype };
        let downsample = factors.0.map(|f| f as f64);
        Ok(LevelSpec { array, downsample, origin: downsample.map(|f| (f - 1.0) / 2.0) })
    }
}

/// What an output says of its image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputMeta {
    /// Name for people, or empty.
    pub name: String,
    /// Channels in order; missing ones are unnamed.
    pub channels: Vec<Channel>,
    /// Distance between pixels.
    pub pixel_size: PixelSize,
    /// Time between two frames.
    pub time_increment: Option<Quantity>,
    /// Where the first pixel lies.
    pub position: Position,
    /// How lower levels are made from the one before, as NGFF's `type` (`mean`); said where there are lower levels.
    pub downsampling: Option<String>,
    /// The OME-XML of the image that it is made from, kept to the letter.
    pub ome_xml: Option<OmeXml>,
    /// What the output is made from and how, for the record of its provenance; `null` for no record.
    pub provenance: Value,
    /// What a label says of itself, as NGFF's `image-label`; `null` for an image.
    pub label: Value,
    /// The range of each channel that a viewer shows, as NGFF's `window`; that of the pixel type where there is none.
    pub windows: Vec<Value>,
}

/// An OME-XML to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmeXml {
    /// As found.
    pub text: String,
    /// Whether it describes the output, too: it has the same pixels. Others look for such a one in `OME/METADATA.ome.xml`; one
    /// that describes more, or something else, is kept among our own records as `.microtome/source.ome.xml`.
    pub describes_output: bool,
}

impl From<&SceneInfo> for OutputMeta {
    fn from(scene: &SceneInfo) -> Self {
        OutputMeta {
            name: scene.name.clone(),
            channels: scene.channels.clone(),
            pixel_size: scene.pixel_size.clone(),
            time_increment: scene.time_increment.clone(),
            position: scene.position,
            ..OutputMeta::default()
        }
    }
}

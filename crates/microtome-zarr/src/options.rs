//! What a caller chooses about an output, and what the output says of itself.

use microtome_array::{ArrayError, ArraySpec, Axis, PerAxis, Shape};
use microtome_io::{Channel, Downsample, PixelSize, Quantity, SceneInfo};
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZarrOptions {
    /// Extents of a stored chunk; cut to the array, and whole along S. `None`: the default.
    pub chunk: Option<Shape>,
    /// How stored chunks are packed into files.
    pub shard: ShardChoice,
    /// How stored chunks are compressed.
    pub compression: Compression,
    /// Whether an output of this name, and an unfinished one, may be replaced.
    pub overwrite: bool,
}

/// How stored chunks are packed into files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardChoice {
    /// Whole planes along Z up to 32 MiB a file, where that makes fewer files.
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

    /// The codec for pixels of a size, if any, with its metadata for Zarr v3.
    pub(crate) fn codec(self, element: usize) -> Option<(Box<dyn Codec>, serde_json::Value)> {
        match self {
            Compression::None => None,
            Compression::Zstd { level } => {
                let json = serde_json::json!({"name": "zstd", "configuration": {"level": level, "checksum": false}});
                Some((Box::new(Zstd { level }), json))
            }
            Compression::Gzip { level } => {
                let json = serde_json::json!({"name": "gzip", "configuration": {"level": level}});
                Some((Box::new(Gzip { level, zlib: false }), json))
            }
            Compression::Blosc { inner, level } => {
                let inner = match inner {
                    BloscCompressor::Lz4 => BloscInner::Lz4,
                    BloscCompressor::Zstd => BloscInner::Zstd,
                };
                let blosc = Blosc::shuffled(inner, level, element);
                let configuration = serde_json::json!({
                    "cname": inner.name(), "clevel": level, "shuffle": blosc.shuffle_name(),
                    "typesize": element, "blocksize": 0,
                });
                Some((Box::new(blosc), serde_json::json!({"name": "blosc", "configuration": configuration})))
            }
        }
    }
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
}

impl LevelSpec {
    /// The full resolution.
    pub fn full(array: ArraySpec) -> LevelSpec {
        LevelSpec { array, downsample: [1.0; 6] }
    }

    /// A level each of whose pixels stands for a block of so many pixels of the full resolution; blocks on a far edge are
    /// cut to the array.
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
        Ok(LevelSpec { array, downsample: factors.0.map(|f| f as f64) })
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
    /// How lower levels are made from the one before, as NGFF's `type` (`mean`); said where there are lower levels.
    pub downsampling: Option<String>,
}

impl From<&SceneInfo> for OutputMeta {
    fn from(scene: &SceneInfo) -> Self {
        OutputMeta {
            name: scene.name.clone(),
            channels: scene.channels.clone(),
            pixel_size: scene.pixel_size.clone(),
            time_increment: scene.time_increment.clone(),
            downsampling: None,
        }
    }
}

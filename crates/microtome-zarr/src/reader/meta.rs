//! The metadata of one array, of Zarr v2 (`.zarray`) or v3 (`zarr.json`).
//!
//! Sources: the Zarr v2 specification; Zarr core v3; the `sharding_indexed` codec.

use microtome_array::PixelType;
use serde_json::Value;

use super::chain::{Chain, Shard, chain};
use super::fill;
use crate::codec::{self, Codec};

/// More dimensions than any image has.
const MOST_RANK: usize = 32;
/// More codecs than any chain has.
pub(super) const MOST_CODECS: usize = 16;

/// What keeps an array from being read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Metadata that contradict themselves or the specification.
    Wrong(String),
    /// A codec, pixel type or layout that is not read.
    Unread(String),
    /// More than a limit allows.
    Over { what: &'static str, found: u64, limit: u64 },
}

impl From<String> for Problem {
    fn from(why: String) -> Self {
        Problem::Wrong(why)
    }
}

impl From<&str> for Problem {
    fn from(why: &str) -> Self {
        Problem::Wrong(why.to_owned())
    }
}

/// How an array is stored. Extents are in the order of the file's own axes.
#[derive(Debug)]
pub(super) struct ArrayMeta {
    /// The name of its document.
    pub(super) document: &'static str,
    pub(super) shape: Vec<u64>,
    /// Extents of what one file holds: a chunk, or a shard.
    pub(super) outer: Vec<u64>,
    /// Extents of what is decoded at once.
    pub(super) tile: Vec<u64>,
    pub(super) dtype: PixelType,
    pub(super) big_endian: bool,
    /// The fill value, little-endian.
    pub(super) fill: Vec<u8>,
    /// The axes of a decoded tile, slowest first.
    pub(super) order: Vec<usize>,
    /// From bytes to bytes, in the order of encoding.
    pub(super) codecs: Vec<Box<dyn Codec>>,
    /// Shards in shards, outermost first; none where a file is one chunk.
    pub(super) shards: Vec<Shard>,
    pub(super) keys: Keys,
    /// Names of the axes in Zarr v3's own metadata.
    pub(super) names: Vec<Option<String>>,
}

/// How chunks are named.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: bool,
    separator: char,
}

impl ArrayMeta {
    /// From the document of either version; what is wrong with it is told in words.
    pub(super) fn parse(document: &Value) -> Result<ArrayMeta, Problem> {
        let meta = match document.get("zarr_format").and_then(Value::as_u64) {
            Some(2) => v2(document)?,
            Some(3) => v3(document)?,
            Some(other) => return Err(Problem::Unread(format!("Zarr version {other}"))),
            None => return Err("zarr_format is missing".into()),
        };
        meta.check()?;
        Ok(meta)
    }

    fn check(&self) -> Result<(), Problem> {
        let rank = self.shape.len();
        if self.outer.len() != rank || self.tile.len() != rank {
            return Err(format!("the shape has {rank} dimensions, the chunks have {}", self.outer.len()).into());
        }
        if self.outer.iter().chain(&self.tile).any(|&n| n == 0) {
            return Err("a chunk of extent 0 holds nothing".into());
        }
        let parts = self.shards.iter().map(|shard| &shard.part);
        for (whole, part) in std::iter::once(&self.outer).chain(parts.clone()).zip(parts) {
            if part.len() != rank || part.contains(&0) || whole.iter().zip(part).any(|(w, p)| w % p != 0) {
                return Err(format!("shards of {whole:?} are not made of whole chunks of {part:?}").into());
            }
        }
        if self.outer.iter().try_fold(32u64, |n, &extent| n.checked_mul(extent)).is_none() {
            return Err(format!("chunks of {:?} are too large to be counted", self.outer).into());
        }
        Ok(())
    }

    /// Bytes of a decoded tile, if they can be counted.
    pub(super) fn tile_bytes(&self) -> Option<u64> {
        self.tile.iter().try_fold(self.dtype.size() as u64, |n, &t| n.checked_mul(t))
    }

    /// Number of tiles in a file along each axis.
    pub(super) fn tiles_in_file(&self) -> impl Iterator<Item = u64> + '_ {
        self.outer.iter().zip(&self.tile).map(|(outer, tile)| outer / tile)
    }

    /// Extents of what a shard of some depth is cut from, outermost 0: the file's, or those of the shard round it.
    pub(super) fn whole_of(&self, depth: usize) -> &[u64] {
        if depth == 0 { &self.outer } else { &self.shards[depth - 1].part }
    }

    /// Bytes of the index of a shard of some depth, with its checksum.
    pub(super) fn index_bytes(&self, depth: usize) -> u64 {
        let shard = &self.shards[depth];
        let parts: u64 = self.whole_of(depth).iter().zip(&shard.part).map(|(whole, part)| whole / part).product();
        16 * parts + if shard.checksum { 4 } else { 0 }
    }

    /// The codecs in words: `blosc(lz4)`.
    pub(super) fn codec_name(&self) -> String {
        let names: Vec<String> = self.codecs.iter().rev().map(|c| c.name()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join("+") }
    }
}

impl Keys {
    /// The name of a chunk's file below its array.
    pub(super) fn name(&self, index: &[u64]) -> String {
        let parts: Vec<String> = index.iter().map(u64::to_string).collect();
        let joined = parts.join(self.separator.encode_utf8(&mut [0; 4]));
        match (self.prefix, joined.is_empty()) {
            (true, true) => "c".to_owned(),
            (true, false) => format!("c{}{joined}", self.separator),
            (false, true) => "0".to_owned(),
            (false, false) => joined,
        }
    }
}

pub(super) fn extents(value: Option<&Value>, what: &str) -> Result<Vec<u64>, Problem> {
    let list = value.and_then(Value::as_array).ok_or_else(|| format!("{what} is missing or no list"))?;
    let numbers: Option<Vec<u64>> = list.iter().map(Value::as_u64).collect();
    let numbers = numbers.ok_or_else(|| format!("{what} holds something that is no whole number"))?;
    within("the number of dimensions", numbers.len(), MOST_RANK)?;
    Ok(numbers)
}

pub(super) fn within(what: &'static str, found: usize, limit: usize) -> Result<(), Problem> {
    if found <= limit { Ok(()) } else { Err(Problem::Over { what, found: found as u64, limit: limit as u64 }) }
}

fn separator(value: Option<&Value>, default: char) -> Result<char, Problem> {
    match value.map(|v| v.as_str()) {
        None => Ok(default),
        Some(Some(".")) => Ok('.'),
        Some(Some("/")) => Ok('/'),
        Some(other) => Err(format!("the chunk key separator is {other:?}, not \".\" or \"/\"").into()),
    }
}

fn v2(document: &Value) -> Result<ArrayMeta, Problem> {
    let shape = extents(document.get("shape"), "shape")?;
    let chunks = extents(document.get("chunks"), "chunks")?;
    let text = document.get("dtype").ok_or("dtype is missing")?;
    let text = text.as_str().ok_or_else(|| Problem::Unread("a structured pixel type".to_owned()))?;
    let (dtype, big_endian) = v2_dtype(text)?;
    let mut order: Vec<usize> = (0..shape.len()).collect();
    if document.get("order").and_then(Value::as_str) == Some("F") {
        order.reverse();
    }
    let filters = document.get("filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let compressor = document.get("compressor").filter(|c| !c.is_null());
    within("the number of codecs", filters.len(), MOST_CODECS)?;
    let codecs = filters.iter().chain(compressor).map(|c| {
        let name = c.get("id").and_then(Value::as_str).ok_or("a codec has no id")?;
        codec::build(name, dtype.size(), c).map_err(|why| unknown(name, &why))
    });
    Ok(ArrayMeta {
        document: ".zarray",
        outer: chunks.clone(),
        tile: chunks,
        dtype,
        big_endian,
        fill: fill::parse(document.get("fill_value"), dtype)?,
        order,
        codecs: codecs.collect::<Result<_, Problem>>()?,
        shards: Vec::new(),
        keys: Keys { prefix: false, separator: separator(document.get("dimension_separator"), '.')? },
        names: names(document, shape.len()),
        shape,
    })
}

/// The names of the axes.
fn names(document: &Value, rank: usize) -> Vec<Option<String>> {
    let names = document.get("dimension_names").and_then(Value::as_array);
    names.map_or_else(|| vec![None; rank], |n| n.iter().map(|v| v.as_str().map(str::to_owned)).collect())
}

pub(super) fn unknown(name: &str, why: &str) -> Problem {
    Problem::Unread(format!("the codec {name:?} ({why}; known are {})", codec::known()))
}

/// NumPy's type strings: byte order, kind, size.
fn v2_dtype(text: &str) -> Result<(PixelType, bool), Problem> {
    let unknown = || Problem::Unread(format!("the pixel type {text:?}"));
    let (order, kind) = text.split_at_checked(1).ok_or_else(unknown)?;
    let dtype = match kind {
        "b1" => PixelType::Bool,
        "u1" => PixelType::U8,
        "u2" => PixelType::U16,
        "u4" => PixelType::U32,
        "u8" => PixelType::U64,
        "i1" => PixelType::I8,
        "i2" => PixelType::I16,
        "i4" => PixelType::I32,
        "i8" => PixelType::I64,
        "f2" => PixelType::F16,
        "f4" => PixelType::F32,
        "f8" => PixelType::F64,
        "c8" => PixelType::C64,
        "c16" => PixelType::C128,
        _ => return Err(unknown()),
    };
    match order {
        "<" | "|" => Ok((dtype, false)),
        ">" => Ok((dtype, true)),
        _ => Err(unknown()),
    }
}

fn v3(document: &Value) -> Result<ArrayMeta, Problem> {
    let shape = extents(document.get("shape"), "shape")?;
    let grid = document.get("chunk_grid").ok_or("chunk_grid is missing")?;
    if name_of(grid) != Some("regular") {
        return Err(Problem::Unread(format!("the chunk grid {:?}", name_of(grid).unwrap_or_default())));
    }
    let outer = extents(grid.pointer("/configuration/chunk_shape"), "chunk_shape")?;
    let text = document.get("data_type").ok_or("data_type is missing")?;
    let known = name_of(text).and_then(|name| name.parse().ok());
    let dtype: PixelType = known.ok_or_else(|| Problem::Unread(format!("the pixel type {text}")))?;
    if document.get("storage_transformers").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return Err(Problem::Unread("a storage transformer".to_owned()));
    }
    let names = names(document, shape.len());
    let Chain { order, big_endian, codecs, shards } = chain(document.get("codecs"), shape.len(), dtype)?;
    Ok(ArrayMeta {
        document: "zarr.json",
        tile: shards.last().map_or_else(|| outer.clone(), |shard| shard.part.clone()),
        outer,
        dtype,
        big_endian,
        fill: fill::parse(document.get("fill_value"), dtype)?,
        order,
        codecs,
        shards,
        keys: keys(document.get("chunk_key_encoding"))?,
        names,
        shape,
    })
}

fn keys(encoding: Option<&Value>) -> Result<Keys, Problem> {
    let given = encoding.and_then(|e| e.pointer("/configuration/separator"));
    match encoding.and_then(name_of) {
        None | Some("default") => Ok(Keys { prefix: true, separator: separator(given, '/')? }),
        Some("v2") => Ok(Keys { prefix: false, separator: separator(given, '.')? }),
        Some(other) => Err(Problem::Unread(format!("the chunk key encoding {other:?}"))),
    }
}

/// Name of an extension point, which may be a bare string.
pub(super) fn name_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("name").and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_both_versions() {
        let key = |prefix, separator: char, index: &[u64]| Keys { prefix, separator }.name(index);
        assert_eq!(key(false, '.', &[1, 0, 22]), "1.0.22");
        assert_eq!(key(true, '/', &[1, 0]), "c/1/0");
        assert_eq!(key(true, '/', &[]), "c");
        assert_eq!(key(false, '.', &[]), "0");
    }

    #[test]
    fn impossible_chunks_are_refused() {
        let with = |chunks: Value| json!({"zarr_format": 2, "shape": [4, 4], "chunks": chunks, "dtype": "<u2", "fill_value": 0});
        assert!(ArrayMeta::parse(&with(json!([2, 2]))).is_ok());
        for chunks in [json!([0, 2]), json!([2]), json!([-1, 2]), json!("x")] {
            assert!(ArrayMeta::parse(&with(chunks)).is_err());
        }
    }
}

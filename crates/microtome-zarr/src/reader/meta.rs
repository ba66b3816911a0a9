//! The metadata of one array, of Zarr v2 (`.zarray`) or v3 (`zarr.json`).
//!
//! Sources: the Zarr v2 specification; Zarr core v3; the `sharding_indexed` codec.

use microtome_array::PixelType;
use serde_json::Value;

use super::fill;
use crate::codec::{self, Codec};

/// More dimensions than any image has.
const MOST_RANK: usize = 32;
/// More codecs than any chain has.
const MOST_CODECS: usize = 16;

/// How an array is stored. Extents are in the order of the file's own axes.
#[derive(Debug)]
pub(super) struct ArrayMeta {
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
    pub(super) shard: Option<Shard>,
    pub(super) keys: Keys,
    /// Names of the axes in Zarr v3's own metadata.
    pub(super) names: Vec<Option<String>>,
}

/// How the index of a shard is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shard {
    pub(super) at_end: bool,
    pub(super) checksum: bool,
}

/// How chunks are named.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: bool,
    separator: char,
}

impl ArrayMeta {
    /// From the document of either version; what is wrong with it is told in words.
    pub(super) fn parse(document: &Value) -> Result<ArrayMeta, String> {
        let meta = match document.get("zarr_format").and_then(Value::as_u64) {
            Some(2) => v2(document)?,
            Some(3) => v3(document)?,
            other => return Err(format!("zarr_format is {other:?}, known are 2 and 3")),
        };
        meta.check()?;
        Ok(meta)
    }

    fn check(&self) -> Result<(), String> {
        let rank = self.shape.len();
        if rank > MOST_RANK {
            return Err(format!("{rank} dimensions, over the limit of {MOST_RANK}"));
        }
        if self.outer.len() != rank || self.tile.len() != rank {
            return Err(format!("the shape has {rank} dimensions, the chunks have {}", self.outer.len()));
        }
        if self.outer.iter().chain(&self.tile).any(|&n| n == 0) {
            return Err("a chunk of extent 0 holds nothing".to_owned());
        }
        if self.outer.iter().zip(&self.tile).any(|(o, t)| o % t != 0) {
            return Err(format!("shards of {:?} are not made of whole chunks of {:?}", self.outer, self.tile));
        }
        if self.codecs.len() > MOST_CODECS {
            return Err(format!("{} codecs, over the limit of {MOST_CODECS}", self.codecs.len()));
        }
        Ok(())
    }

    /// Bytes of a decoded tile, if they can be counted.
    pub(super) fn tile_bytes(&self) -> Option<u64> {
        self.tile.iter().try_fold(self.dtype.size() as u64, |n, &t| n.checked_mul(t))
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

fn extents(value: Option<&Value>, what: &str) -> Result<Vec<u64>, String> {
    let list = value.and_then(Value::as_array).ok_or_else(|| format!("{what} is missing or no list"))?;
    let numbers: Option<Vec<u64>> = list.iter().map(Value::as_u64).collect();
    numbers.ok_or_else(|| format!("{what} holds something that is no whole number"))
}

fn separator(value: Option<&Value>, default: char) -> Result<char, String> {
    match value.map(|v| v.as_str()) {
        None => Ok(default),
        Some(Some(".")) => Ok('.'),
        Some(Some("/")) => Ok('/'),
        Some(other) => Err(format!("a chunk key separator of {other:?}; known are \".\" and \"/\"")),
    }
}

fn v2(document: &Value) -> Result<ArrayMeta, String> {
    let shape = extents(document.get("shape"), "shape")?;
    let chunks = extents(document.get("chunks"), "chunks")?;
    let text = document.get("dtype").and_then(Value::as_str).ok_or("dtype is missing or structured")?;
    let (dtype, big_endian) = v2_dtype(text)?;
    let mut order: Vec<usize> = (0..shape.len()).collect();
    if document.get("order").and_then(Value::as_str) == Some("F") {
        order.reverse();
    }
    let filters = document.get("filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let compressor = document.get("compressor").filter(|c| !c.is_null());
    let codecs = filters.iter().chain(compressor).map(|c| {
        let name = c.get("id").and_then(Value::as_str).ok_or("a codec without an id")?;
        codec::build(name, dtype.size(), c).map_err(|why| unknown(name, &why))
    });
    Ok(ArrayMeta {
        outer: chunks.clone(),
        tile: chunks,
        dtype,
        big_endian,
        fill: fill::parse(document.get("fill_value"), dtype)?,
        order,
        codecs: codecs.collect::<Result<_, String>>()?,
        shard: None,
        keys: Keys { prefix: false, separator: separator(document.get("dimension_separator"), '.')? },
        names: vec![None; shape.len()],
        shape,
    })
}

fn unknown(name: &str, why: &str) -> String {
    format!("codec {name:?}: {why}; known are {}", codec::known())
}

/// NumPy's type strings: byte order, kind, size.
fn v2_dtype(text: &str) -> Result<(PixelType, bool), String> {
    let unknown = || format!("pixel type {text:?}");
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

fn v3(document: &Value) -> Result<ArrayMeta, String> {
    let shape = extents(document.get("shape"), "shape")?;
    let grid = document.get("chunk_grid").ok_or("chunk_grid is missing")?;
    if name_of(grid) != Some("regular") {
        return Err(format!("chunk grid {:?}; known is \"regular\"", name_of(grid)));
    }
    let outer = extents(grid.pointer("/configuration/chunk_shape"), "chunk_shape")?;
    let text = document.get("data_type").and_then(Value::as_str).ok_or("data_type is missing or an extension")?;
    let dtype: PixelType = text.parse().map_err(|_| format!("pixel type {text:?}"))?;
    let names = document.get("dimension_names").and_then(Value::as_array);
    let names =
        names.map_or_else(|| vec![None; shape.len()], |n| n.iter().map(|v| v.as_str().map(str::to_owned)).collect());
    let chain = chain(document.get("codecs"), shape.len(), dtype)?;
    let (tile, chain, shard) = match chain.shard {
        None => (outer.clone(), chain, None),
        Some((tile, inner, shard)) => (tile, *inner, Some(shard)),
    };
    Ok(ArrayMeta {
        outer,
        tile,
        dtype,
        big_endian: chain.big_endian,
        fill: fill::parse(document.get("fill_value"), dtype)?,
        order: chain.order,
        codecs: chain.codecs,
        shard,
        keys: keys(document.get("chunk_key_encoding"))?,
        names,
        shape,
    })
}

fn keys(encoding: Option<&Value>) -> Result<Keys, String> {
    let given = encoding.and_then(|e| e.pointer("/configuration/separator"));
    match encoding.and_then(name_of) {
        None | Some("default") => Ok(Keys { prefix: true, separator: separator(given, '/')? }),
        Some("v2") => Ok(Keys { prefix: false, separator: separator(given, '.')? }),
        Some(other) => Err(format!("chunk key encoding {other:?}")),
    }
}

/// Name of an extension point, which may be a bare string.
fn name_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("name").and_then(Value::as_str))
}

/// A chain of codecs, understood.
struct Chain {
    order: Vec<usize>,
    big_endian: bool,
    codecs: Vec<Box<dyn Codec>>,
    shard: Option<(Vec<u64>, Box<Chain>, Shard)>,
}

fn chain(value: Option<&Value>, rank: usize, dtype: PixelType) -> Result<Chain, String> {
    let list = value.and_then(Value::as_array).ok_or("codecs is missing or no list")?;
    let mut out = Chain { order: (0..rank).collect(), big_endian: false, codecs: Vec::new(), shard: None };
    let none = Value::Null;
    for entry in list.iter().take(MOST_CODECS + 1) {
        let name = name_of(entry).ok_or("a codec without a name")?;
        let configuration = entry.get("configuration").unwrap_or(&none);
        if out.shard.is_some() {
            return Err(format!("codec {name:?} behind sharding_indexed"));
        }
        match name {
            "bytes" | "endian" => {
                out.big_endian = configuration.get("endian").and_then(Value::as_str) == Some("big");
            }
            "transpose" => out.order = transpose(configuration, &out.order)?,
            "sharding_indexed" => {
                let straight = out.codecs.is_empty() && out.order.iter().copied().eq(0..rank);
                if !straight {
                    return Err("sharding_indexed behind another codec".to_owned());
                }
                out.shard = Some(sharding(configuration, rank, dtype)?);
            }
            _ => out.codecs.push(codec::build(name, dtype.size(), configuration).map_err(|why| unknown(name, &why))?),
        }
    }
    Ok(out)
}

fn transpose(configuration: &Value, before: &[usize]) -> Result<Vec<usize>, String> {
    let order = extents(configuration.get("order"), "the order of transpose")?;
    let mut seen = order.clone();
    seen.sort_unstable();
    if !seen.into_iter().eq(0..before.len() as u64) {
        return Err(format!("a transpose by {order:?}, which is no permutation"));
    }
    Ok(order.into_iter().map(|n| before[n as usize]).collect())
}

fn sharding(configuration: &Value, rank: usize, dtype: PixelType) -> Result<(Vec<u64>, Box<Chain>, Shard), String> {
    let tile = extents(configuration.get("chunk_shape"), "chunk_shape of a shard")?;
    let inner = chain(configuration.get("codecs"), rank, dtype)?;
    if inner.shard.is_some() {
        return Err("shards within shards".to_owned());
    }
    let index: Vec<&str> = match configuration.get("index_codecs").and_then(Value::as_array) {
        Some(list) => list.iter().filter_map(name_of).collect(),
        None => return Err("index_codecs of a shard is missing".to_owned()),
    };
    let checksum = match index[..] {
        ["bytes"] => false,
        ["bytes", "crc32c"] => true,
        _ => return Err(format!("a shard index encoded by {index:?}")),
    };
    let at_end = match configuration.get("index_location").and_then(Value::as_str) {
        None | Some("end") => true,
        Some("start") => false,
        Some(other) => return Err(format!("a shard index at {other:?}")),
    };
    Ok((tile, Box::new(inner), Shard { at_end, checksum }))
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

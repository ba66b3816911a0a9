//! The codecs of a Zarr v3 array: from pixels to pixels, to bytes or shards, and from bytes to bytes.
//!
//! Sources: Zarr core v3; the `sharding_indexed`, `bytes`, `transpose` and `packbits` codecs.

use microtome_array::PixelType;
use serde_json::Value;

use super::meta::{MOST_CODECS, Problem, extents, name_of, unknown, within};
use crate::codec::{self, Codec, Stage, Swap};

/// More shards in shards than anybody writes.
const MOST_SHARDS: usize = 4;

/// What a shard is made of, and how its index is stored.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    /// Extents of its chunks, in the order of the file's axes.
    pub(super) part: Vec<u64>,
    /// The axes along which its index counts, slowest first.
    pub(super) order: Vec<usize>,
    pub(super) at_end: bool,
    pub(super) checksum: bool,
    pub(super) big_endian: bool,
}

/// A chain of codecs, understood.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The axes of a decoded tile, slowest first.
    pub(super) order: Vec<usize>,
    /// Whether decoded pixels have their last byte first.
    pub(super) big_endian: bool,
    /// In the order of encoding.
    pub(super) codecs: Vec<Box<dyn Codec>>,
    /// Outermost first.
    pub(super) shards: Vec<Shard>,
}

/// A chain that is being read.
struct Builder {
    chain: Chain,
    dtype: PixelType,
    /// Size of an element as the codecs so far leave it.
    element: usize,
    /// How deep this chain lies in shards.
    depth: usize,
    is_bytes: bool,
}

/// Understands the codecs of an array of some rank.
pub(super) fn chain(value: Option<&Value>, rank: usize, dtype: PixelType) -> Result<Chain, Problem> {
    nested(value, (0..rank).collect(), dtype, 0)
}

/// The chain of an array, or of the chunks of a shard, whose axes come in some order already.
fn nested(value: Option<&Value>, order: Vec<usize>, dtype: PixelType, depth: usize) -> Result<Chain, Problem> {
    let list = value.and_then(Value::as_array).ok_or("codecs is missing or no list")?;
    within("the number of codecs", list.len(), MOST_CODECS)?;
    within("the number of shards within each other", depth, MOST_SHARDS)?;
    let chain = Chain { order, ..Chain::default() };
    let mut builder = Builder { chain, dtype, element: dtype.size(), depth, is_bytes: false };
    for entry in list {
        let name = name_of(entry).ok_or("a codec has no name")?;
        builder.add(name, entry.get("configuration").unwrap_or(&Value::Null))?;
    }
    if builder.is_bytes { Ok(builder.chain) } else { Err("no codec turns pixels into bytes".into()) }
}

impl Builder {
    fn add(&mut self, name: &str, configuration: &Value) -> Result<(), Problem> {
        if !self.chain.shards.is_empty() {
            return Err(Problem::Unread(format!("the codec {name:?} round a whole shard")));
        }
        match name {
            "transpose" if !self.is_bytes => self.transpose(configuration),
            "bytes" | "endian" if !self.is_bytes => {
                self.bytes(configuration.get("endian").and_then(Value::as_str) == Some("big"));
                Ok(())
            }
            "packbits" if !self.is_bytes => {
                let element = if self.dtype == PixelType::Bool { self.element } else { 0 };
                let codec = codec::registered_packbits(element, configuration);
                self.chain.codecs.push(codec.map_err(|why| unknown(name, &why))?);
                self.is_bytes = true;
                Ok(())
            }
            "sharding_indexed" if !self.is_bytes => self.sharding(configuration),
            "transpose" | "bytes" | "endian" | "packbits" | "sharding_indexed" => {
                Err(format!("the codec {name:?} stands behind the one that makes bytes").into())
            }
            _ => self.other(name, configuration),
        }
    }

    fn other(&mut self, name: &str, configuration: &Value) -> Result<(), Problem> {
        let codec = codec::build(name, self.element, configuration).map_err(|why| unknown(name, &why))?;
        let is_pixels = codec::stage(name) == Stage::Pixels;
        if is_pixels == self.is_bytes {
            let place = if is_pixels { "behind" } else { "before" };
            return Err(format!("the codec {name:?} stands {place} \"bytes\"").into());
        }
        if is_pixels && !codec.keeps_places() && !self.is_in_order() {
            return Err(Problem::Unread(format!("the codec {name:?} behind a transpose")));
        }
        self.element = codec.element(self.element);
        self.chain.codecs.push(codec);
        Ok(())
    }

    /// Pixels become bytes. Without codecs before, the pixels are turned round where they are used.
    fn bytes(&mut self, big_endian: bool) {
        self.is_bytes = true;
        if self.chain.codecs.is_empty() {
            self.chain.big_endian = big_endian;
        } else if big_endian {
            let component = if self.dtype.is_complex() { self.element / 2 } else { self.element };
            self.chain.codecs.push(Box::new(Swap(component)));
        }
    }

    fn is_in_order(&self) -> bool {
        self.chain.order.iter().copied().eq(0..self.chain.order.len())
    }

    fn transpose(&mut self, configuration: &Value) -> Result<(), Problem> {
        if self.chain.codecs.iter().any(|codec| !codec.keeps_places()) {
            return Err(Problem::Unread("a transpose behind a codec that mixes pixels".to_owned()));
        }
        let before = &self.chain.order;
        let order = extents(configuration.get("order"), "the order of transpose")?;
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..before.len() as u64) {
            return Err(format!("a transpose by {order:?} is no permutation").into());
        }
        self.chain.order = order.into_iter().map(|n| before[n as usize]).collect();
        Ok(())
    }

    fn sharding(&mut self, configuration: &Value) -> Result<(), Problem> {
        if !self.chain.codecs.is_empty() {
            return Err(Problem::Unread("a shard of pixels that a codec has changed".to_owned()));
        }
        let order = self.chain.order.clone();
        let given = extents(configuration.get("chunk_shape"), "chunk_shape of a shard")?;
        if given.len() != order.len() {
            return Err(format!("the chunks of a shard have {} dimensions, not {}", given.len(), order.len()).into());
        }
        let mut part = vec![0; order.len()];
        order.iter().zip(given).for_each(|(&axis, extent)| part[axis] = extent);
        let inner = nested(configuration.get("codecs"), order.clone(), self.dtype, self.depth + 1)?;
        let shard = shard(configuration, part, order)?;
        self.chain = Chain { shards: [vec![shard], inner.shards].concat(), ..inner };
        self.is_bytes = true;
        Ok(())
    }
}

/// The index of a shard.
fn shard(configuration: &Value, part: Vec<u64>, order: Vec<usize>) -> Result<Shard, Problem> {
    let index = configuration.get("index_codecs").and_then(Value::as_array);
    let index = index.ok_or("index_codecs of a shard is missing")?;
    within("the number of codecs", index.len(), MOST_CODECS)?;
    let names: Vec<&str> = index.iter().map(|c| name_of(c).unwrap_or("?")).collect();
    let checksum = match names[..] {
        ["bytes"] => false,
        ["bytes", "crc32c"] => true,
        _ => return Err(Problem::Unread(format!("a shard index encoded by {}", names.join(", ")))),
    };
    let big_endian = index[0].pointer("/configuration/endian").and_then(Value::as_str) == Some("big");
    let at_end = match configuration.get("index_location").and_then(Value::as_str) {
        None | Some("end") => true,
        Some("start") => false,
        Some(other) => return Err(format!("the shard index lies at {other:?}, not at \"start\" or \"end\"").into()),
    };
    Ok(Shard { part, order, at_end, checksum, big_endian })
}

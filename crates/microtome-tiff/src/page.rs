//! How the pixels of a page lie in the file: what pages share, apart from where each one lies.
//!
//! *Invariant:* a [`Layout`] that exists has checked sizes: products below do not overflow, and no divisor is 0.

use std::sync::Arc;

use microtome_array::PixelType;
use tiff::tags::{CompressionMethod, PhotometricInterpretation, PlanarConfiguration, Predictor};

use crate::codec::{self, Chunk, Codec, Gives};
use crate::pixels::Packing;

/// Values of the tags that shape a page, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tags {
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) depth: u64,
    pub(crate) samples: u64,
    /// Bits of a sample; 0 where samples differ.
    pub(crate) bits: u64,
    /// The sample format; 0 where samples differ.
    pub(crate) format: u64,
    pub(crate) compression: u64,
    pub(crate) predictor: u64,
    pub(crate) photometric: u64,
    pub(crate) planar: u64,
    pub(crate) fill_order: u64,
    /// Width and height of a tile; a width of 0 means strips.
    pub(crate) tile: (u64, u64),
    pub(crate) subsampling: (u64, u64),
    pub(crate) subfile: u64,
    pub(crate) big_endian: bool,
    /// Number of samples that are no colours (tag 338).
    pub(crate) extra: u64,
    /// Options of CCITT group 3 (tag 292).
    pub(crate) t4_options: u64,
    /// What LERC lies within: 0 nothing, 1 Deflate, 2 Zstandard (tag 50674).
    pub(crate) lerc: u64,
    /// Tables of JPEG that strips share (tag 347).
    pub(crate) tables: Option<Arc<[u8]>>,
    /// Whether strips and tiles are parts of one stream of JPEG between restart markers, whose header is in `tables`.
    pub(crate) restarts: bool,
    /// All reds, then all greens, then all blues of a palette (tag 320); kept of the first pages alone.
    pub(crate) colours: Option<Arc<[u16]>>,
}

impl Default for Tags {
    fn default() -> Self {
        Tags {
            width: 0,
            height: 0,
            depth: 1,
            samples: 1,
            bits: 1,
            format: 1,
            compression: 1,
            predictor: 1,
            photometric: 1,
            planar: 1,
            fill_order: 1,
            tile: (0, u64::MAX),
            subsampling: (2, 2),
            subfile: 0,
            big_endian: false,
            extra: 0,
            t4_options: 0,
            lerc: 0,
            tables: None,
            restarts: false,
            colours: None,
        }
    }
}

/// Why pixels are not read, though the page is described.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) hint: &'static str,
}

/// The layout shared by pages whose [`Tags`] are equal.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) tags: Tags,
    pub(crate) dtype: PixelType,
    pub(crate) packing: Packing,
    /// The codec, or why there is none.
    pub(crate) codec: Result<&'static Codec, Refusal>,
    /// Extents of a strip or tile in pixels.
    pub(crate) tile_width: u64,
    pub(crate) tile_height: u64,
    /// Tiles in a row, and rows of tiles.
    pub(crate) across: u64,
    pub(crate) down: u64,
    /// Samples stored together, and how often such a plane of samples is stored.
    pub(crate) samples_together: u64,
    pub(crate) sample_planes: u64,
    /// Bytes of a stored row of a tile.
    pub(crate) row_bytes: u64,
    /// Whether multi-byte values are to be swapped.
    pub(crate) swap: bool,
    /// Largest stored size of a tile seen in any page.
    pub(crate) most_encoded: u64,
}

/// Pages wider than this are refused, so that sizes of rows and tiles are safe.
const MOST_EXTENT: u64 = 1 << 32;
/// Most values of a page, as for any array.
const MOST_VALUES: u64 = 1 << 56;

impl Layout {
    /// Understands the tags, or says what is wrong with them.
    pub(crate) fn new(tags: &Tags) -> Result<Layout, String> {
        let (width, height, samples) = (tags.width, tags.height, tags.samples);
        let sane = |n: u64| (1..=MOST_EXTENT).contains(&n);
        let values = width.checked_mul(height).and_then(|n| n.checked_mul(samples.max(1)));
        if !sane(width) || !sane(height) || samples == 0 || samples > 65_535 || values.is_none_or(|n| n > MOST_VALUES) {
            return Err(format!("it has {width} × {height} pixels of {samples} samples"));
        }
        let (dtype, packing) = Packing::of(tags.format, tags.bits, tags.big_endian).ok_or_else(|| {
            let Tags { bits, format, .. } = tags;
            format!("its samples of {bits} bits in sample format {format} are of no known type")
        })?;
        let codec = find_codec(tags, packing);
        let pictures = matches!(codec, Ok(c) if c.gives == Gives::Pictures);
        let packing = if pictures { Packing::Whole } else { packing };
        let strips = tags.tile.0 == 0;
        let tile_width = if strips { width } else { tags.tile.0 };
        let tile_height = if strips { tags.tile.1.min(height) } else { tags.tile.1 };
        let impossible =
            || format!("its tiles have a width of {} and a height of {tile_height}", tile_width % u64::MAX);
        if !sane(tile_width) || !sane(tile_height) {
            return Err(impossible()); // a width of 0 is kept as the largest number, 0 means strips
        }
        let separate = tags.planar == u64::from(PlanarConfiguration::Planar.to_u16()) && samples > 1;
        let samples_together = if separate { 1 } else { samples };
        let bits = packing.stored_bits(dtype);
        let whole_swap = packing == Packing::Whole && dtype.component_size() > 1 && !pictures;
        let layout = Layout {
            dtype,
            packing,
            codec,
            tile_width,
            tile_height,
            across: width.div_ceil(tile_width),
            down: height.div_ceil(tile_height),
            samples_together,
            sample_planes: samples / samples_together,
            row_bytes: (tile_width * samples_together * bits).div_ceil(8),
            swap: tags.big_endian && whole_swap,
            most_encoded: 0,
            tags: tags.clone(),
        };
        let bytes = layout.row_bytes.checked_mul(layout.tile_height);
        bytes.map(|_| layout).ok_or_else(impossible)
    }

    pub(crate) fn is_tiled(&self) -> bool {
        self.tags.tile.0 != 0
    }

    /// Number of strips or tiles of a page.
    pub(crate) fn segments(&self) -> u64 {
        self.across * self.down * self.sample_planes
    }

    /// Stored rows of the tiles in a row of tiles: strips at the lower edge are cut, tiles are not.
    pub(crate) fn stored_rows(&self, tile_row: u64) -> u64 {
        if self.is_tiled() {
            self.tile_height
        } else {
            self.tile_height.min(self.tags.height - tile_row * self.tile_height)
        }
    }

    /// Bytes that the tiles in a row of tiles decode to.
    pub(crate) fn tile_bytes(&self, tile_row: u64) -> u64 {
        self.row_bytes * self.stored_rows(tile_row)
    }

    /// Bytes of all pixels as decoded and stored one after the other.
    pub(crate) fn raw_bytes(&self) -> u64 {
        let rows = if self.is_tiled() { self.down * self.tile_height } else { self.tags.height };
        self.row_bytes.saturating_mul(rows).saturating_mul(self.across * self.sample_planes)
    }

    /// Whether stored bytes are pixels, packed or not, so that any rows can be read apart.
    pub(crate) fn is_uncompressed(&self) -> bool {
        matches!(self.codec, Ok(c) if c.name == "none")
    }

    /// Whether stored bytes are those in memory, but for byte order.
    pub(crate) fn is_raw(&self) -> bool {
        self.is_uncompressed() && self.packing == Packing::Whole && self.tags.fill_order != 2
    }

    /// Whether the bits of stored bytes are to be turned round; streams of pictures have an order of their own.
    pub(crate) fn reverses_bits(&self) -> bool {
        self.tags.fill_order == 2 && !self.gives_pictures()
    }

    /// The colours of a palette, one for each value that a sample can have; empty if values are no indices.
    pub(crate) fn palette(&self) -> Vec<[u16; 3]> {
        let indexed = self.tags.photometric == u64::from(PhotometricInterpretation::RGBPalette.to_u16());
        let Some(colours) = self.tags.colours.as_deref().filter(|c| indexed && c.len() % 3 == 0) else {
            return Vec::new();
        };
        let count = colours.len() / 3;
        (0..count).map(|n| [colours[n], colours[count + n], colours[2 * count + n]]).collect()
    }

    /// Whether programs disagree about the order of the bytes of a sample.
    pub(crate) fn has_doubtful_order(&self) -> bool {
        self.packing == Packing::Bits(24) && !self.tags.big_endian
    }

    /// Whether strips and tiles are pictures with a size and type of their own.
    pub(crate) fn gives_pictures(&self) -> bool {
        matches!(self.codec, Ok(c) if c.gives == Gives::Pictures)
    }

    /// A strip or tile by its number in the page.
    pub(crate) fn chunk(&self, number: u64) -> Chunk<'_> {
        let within = number % (self.across * self.down);
        let (down, across) = (within / self.across, within % self.across);
        let left = |extent: u64, start: u64, size: u64| size.min(extent.saturating_sub(start));
        Chunk {
            tags: &self.tags,
            dtype: self.dtype,
            width: self.tile_width,
            rows: self.stored_rows(down),
            full_rows: self.tile_height,
            inside: [
                left(self.tags.width, across * self.tile_width, self.tile_width),
                left(self.tags.height, down * self.tile_height, self.tile_height),
            ],
            samples: self.samples_together,
        }
    }

    /// Most bytes that decoding a strip or tile takes beside what is encoded and decoded.
    pub(crate) fn work(&self) -> u64 {
        self.codec.as_ref().map_or(0, |codec| (codec.work)(&self.chunk(0)))
    }

    /// Most stored bytes of a tile that are of use: what is beyond cannot belong to it.
    pub(crate) fn encoded_cap(&self) -> u64 {
        let headers = if self.gives_pictures() { 1 << 20 } else { 4096 }; // profiles and tables of a picture
        (self.row_bytes * self.tile_height).saturating_mul(2).saturating_add(headers)
    }

    /// The predictor to undo, 1 for none.
    pub(crate) fn predictor(&self) -> u64 {
        if matches!(self.codec, Ok(c) if c.predicts) { self.tags.predictor.max(1) } else { 1 }
    }

    /// The name of the compression with its predictor.
    pub(crate) fn codec_name(&self) -> String {
        let name = if let Ok(codec) = &self.codec {
            codec.name.to_owned()
        } else {
            let code = u16::try_from(self.tags.compression).unwrap_or(0);
            codec::find(code).map_or_else(|| codec::name_of(code), |c| c.name).to_lowercase()
        };
        if self.predictor() > 1 { format!("{name}+predictor{}", self.predictor()) } else { name }
    }

    /// Whether a page of this layout can be a plane of the same image as one of the other.
    pub(crate) fn same_plane(&self, other: &Layout) -> bool {
        let key = |l: &Layout| (l.tags.width, l.tags.height, l.tags.samples, l.dtype);
        key(self) == key(other)
    }
}

fn find_codec(tags: &Tags, packing: Packing) -> Result<&'static Codec, Refusal> {
    let refuse = |what: String, hint| Err(Refusal { what, hint });
    let code = u16::try_from(tags.compression).unwrap_or(0);
    let Some(codec) = codec::find(code) else {
        let what = format!("compression {} (tag 259 Compression = {})", codec::name_of(code), tags.compression);
        return refuse(what, codec::reader_of(code));
    };
    if tags.depth > 1 {
        return refuse(
            format!("a page of {} slices (tag 32997 ImageDepth)", tags.depth),
            "rewrite it with one page a slice",
        );
    }
    let ycbcr = tags.photometric == u64::from(PhotometricInterpretation::YCbCr.to_u16());
    if ycbcr && tags.subsampling != (1, 1) && codec.gives == Gives::Bytes && tags.samples > 1 {
        let what = format!("subsampled YCbCr without JPEG (tag 530 YCbCrSubSampling = {:?})", tags.subsampling);
        return refuse(what, "rewrite it as RGB, for example with tiff2rgba");
    }
    (codec.accepts)(tags)?;
    if !codec.predicts || tags.predictor <= 1 {
        return Ok(codec);
    }
    let known = tags.predictor == u64::from(Predictor::Horizontal.to_u16())
        || (tags.predictor == u64::from(Predictor::FloatingPoint.to_u16()) && tags.format == 3);
    if packing == Packing::Whole && known {
        return Ok(codec);
    }
    let compression = CompressionMethod::from_u16_exhaustive(code);
    let what = format!("predictor {} on samples of {} bits ({compression:?})", tags.predictor, tags.bits);
    refuse(what, "rewrite the file without a predictor")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> Tags {
        Tags { width: 100, height: 50, bits: 16, tile: (0, 16), ..Tags::default() }
    }

    #[test]
    fn the_last_strip_is_cut_and_the_last_tile_is_not() {
        let strips = Layout::new(&tags()).unwrap();
        assert_eq!((strips.segments(), strips.tile_bytes(0), strips.tile_bytes(3)), (4, 3200, 400));
        let tiles = Layout::new(&Tags { tile: (32, 16), ..tags() }).unwrap();
        assert_eq!((tiles.segments(), tiles.tile_bytes(3)), (16, 1024));
        assert_eq!(tiles.raw_bytes(), 16 * 1024);
    }

    #[test]
    fn rows_of_packed_bits_start_on_a_byte() {
        let layout = Layout::new(&Tags { bits: 12, width: 3, ..tags() }).unwrap();
        assert_eq!((layout.row_bytes, layout.dtype), (5, PixelType::U16));
    }

    #[test]
    fn impossible_pages_are_refused() {
        assert!(Layout::new(&Tags { width: 0, ..tags() }).is_err());
        assert!(Layout::new(&Tags { tile: (16, 0), ..tags() }).is_err());
        assert!(Layout::new(&Tags { bits: 255, ..tags() }).is_err());
        assert!(Layout::new(&Tags { samples: 1 << 40, ..tags() }).is_err());
        assert!(Layout::new(&Tags { tile: (1 << 32, 1 << 32), samples: 65_535, ..tags() }).is_err());
    }

    #[test]
    fn an_unknown_codec_is_described_and_refused() {
        let layout = Layout::new(&Tags { compression: 6, ..tags() }).unwrap();
        assert_eq!(layout.codec_name(), "old-style jpeg");
        let refusal = layout.codec.unwrap_err();
        assert!(refusal.what.contains("Compression = 6") && refusal.hint.contains("tiffcp"));
    }
}

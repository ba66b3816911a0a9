//! The compressions that are read and written, one file each.
//!
//! *Invariant:* a decoder writes into the slice it is given and nowhere else: however large a stored strip claims to
//! become, it cannot take more memory than the strip should.

mod chunk;
mod codestream;
mod colour;
mod deflate;
mod encoder;
mod fax;
mod jpeg;
mod jpeg2000;
mod jpeg_header;
mod jpegxl;
mod lerc;
mod lzma;
mod lzw;
mod none;
mod packbits;
mod png;
mod webp;
mod zstd;

use chunk::guarded;
pub(crate) use chunk::{Chunk, Size};
pub(crate) use encoder::Encoder;
pub(crate) use jpeg_header::ScanHeader;

use crate::page::{Refusal, Tags};

/// A compression and how to undo it.
pub(crate) struct Codec {
    /// Values of the tag Compression that mean it.
    pub(crate) codes: &'static [u16],
    /// Its name.
    pub(crate) name: &'static str,
    /// What it decodes to.
    pub(crate) gives: Gives,
    /// Whether the tag Predictor applies to it.
    pub(crate) predicts: bool,
    /// Most bytes that a byte can decode to, so that a small strip that claims to be a large one costs no memory.
    pub(crate) most_ratio: u64,
    /// Most bytes it takes beside what is encoded and decoded.
    pub(crate) work: fn(&Chunk<'_>) -> u64,
    /// Refuses pages whose pixels it cannot decode to.
    pub(crate) accepts: fn(&Tags) -> Result<(), Refusal>,
    /// Decodes into `out` and gives the number of bytes written.
    pub(crate) decode: Decode,
}

/// What decodes a strip or tile.
type Decode = fn(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault>;

/// What a codec decodes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// Rows of bytes as an uncompressed strip has them: packed, in the byte and bit order of the file.
    Bytes,
    /// Pixels of whole values in the order of the machine; their streams have a size and a type of their own.
    Pictures,
}

/// Why bytes do not decode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They decode to more than fits.
    TooLong,
    /// They are damaged.
    Bad(String),
}

/// Every compression that is read. A new one is a file and a line.
pub(crate) const CODECS: [Codec; 13] = [
    none::CODEC,
    lzw::CODEC,
    deflate::CODEC,
    zstd::CODEC,
    packbits::CODEC,
    lzma::CODEC,
    fax::CODEC,
    jpeg::CODEC,
    jpeg2000::CODEC,
    jpegxl::CODEC,
    webp::CODEC,
    png::CODEC,
    lerc::CODEC,
];

/// The codec of a value of the tag Compression.
pub(crate) fn find(code: u16) -> Option<&'static Codec> {
    CODECS.iter().find(|c| c.codes.contains(&code))
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Compressions that are known and not read: their name, and what reads them.
const OTHERS: [(&[u16], &str, &str); 9] = [
    (&[6], "old-style JPEG", "rewrite it with `tiffcp -c lzw`, which reads it"),
    (&[22610, 34934], "JPEG XR", "tifffile reads it (with imagecodecs): rewrite it with none, deflate or zstd"),
    (&[32809], "ThunderScan", "rewrite it with `tiffcp -c lzw`, which reads it"),
    (&[32908, 32909], "Pixar", "rewrite it with `tiffcp -c lzw`, which reads it"),
    (&[34676, 34677], "SGI LogLuv", "rewrite it with `tiffcp -c lzw`, which reads it"),
    (&[65000, 65001, 65002], "EER", "tifffile reads it (with imagecodecs): rewrite it with none, deflate or zstd"),
    (&[48124], "Jetraw", "its vendor's library reads it: rewrite it with none, deflate or zstd"),
    (&[34661], "JBIG", "rewrite it with `tiffcp -c g4`, which reads it"),
    (&[34713], "Nikon NEF", "LibRaw reads it: rewrite it with none, deflate or zstd"),
];

/// The name of a compression that is not read, `unknown` if nobody knows it.
pub(crate) fn name_of(code: u16) -> &'static str {
    other(code).map_or("unknown", |(_, name, _)| name)
}

/// What reads a compression that is not read here.
pub(crate) fn reader_of(code: u16) -> &'static str {
    other(code)
        .map_or("rewrite the file with none, lzw, deflate or zstd, for example with bfconvert", |(_, _, hint)| hint)
}

fn other(code: u16) -> Option<&'static (&'static [u16], &'static str, &'static str)> {
    OTHERS.iter().find(|(codes, _, _)| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;

    #[test]
    fn each_code_has_one_codec() {
        let mut codes: Vec<u16> =
            CODECS.iter().flat_map(|c| c.codes).chain(OTHERS.iter().flat_map(|o| o.0)).copied().collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn no_decoder_writes_past_its_slice_or_panics_on_noise() {
        let mut state = 1u32;
        let tags = Tags::default();
        for codec in &CODECS {
            for len in 0..600 {
                let noise: Vec<u8> = (0..len)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    })
                    .collect();
                let mut out = [0; 100];
                if let Ok(n) = (codec.decode)(&plain(&tags), &noise, &mut out) {
                    assert!(n <= 100, "{codec:?}");
                }
            }
        }
    }
}

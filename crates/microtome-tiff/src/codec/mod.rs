//! The compressions that are read and written, one file each.
//!
//! *Invariant:* a decoder writes into the slice it is given and nowhere else: however large a stored strip claims to
//! become, it cannot take more memory than the strip should.

mod deflate;
mod encoder;
mod lzw;
mod none;
mod packbits;
mod zstd;

pub(crate) use encoder::Encoder;

/// A compression and how to undo it.
pub(crate) struct Codec {
    /// Values of the tag Compression that mean it.
    pub(crate) codes: &'static [u16],
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether the tag Predictor applies to it.
    pub(crate) predicts: bool,
    /// Most bytes that a byte can decode to, so that a small strip that claims to be a large one costs no memory.
    pub(crate) most_ratio: u64,
    /// Decodes into `out` and gives the number of bytes written.
    pub(crate) decode: fn(encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault>,
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
pub(crate) const CODECS: [Codec; 5] = [none::CODEC, lzw::CODEC, deflate::CODEC, zstd::CODEC, packbits::CODEC];

/// The codec of a value of the tag Compression.
pub(crate) fn find(code: u16) -> Option<&'static Codec> {
    CODECS.iter().find(|c| c.codes.contains(&code))
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Names of compressions that are known and not read.
const OTHERS: [(&[u16], &str); 14] = [
    (&[2], "CCITT RLE"),
    (&[3], "CCITT G3 fax"),
    (&[4], "CCITT G4 fax"),
    (&[6], "old-style JPEG"),
    (&[7, 33007, 34892], "JPEG"),
    (&[33003, 33004, 33005, 34712], "JPEG 2000"),
    (&[22610, 34934], "JPEG XR"),
    (&[50002, 52546], "JPEG XL"),
    (&[34925], "LZMA"),
    (&[34887], "LERC"),
    (&[34933], "PNG"),
    (&[50001, 34927], "WebP"),
    (&[34676, 34677], "SGI LogLuv"),
    (&[32809], "ThunderScan"),
];

/// The name of a compression that is not read, `unknown` if nobody knows it.
pub(crate) fn name_of(code: u16) -> &'static str {
    OTHERS.iter().find(|(codes, _)| codes.contains(&code)).map_or("unknown", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for codec in &CODECS {
            for len in 0..600 {
                let noise: Vec<u8> = (0..len)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    })
                    .collect();
                let mut out = [0; 100];
                if let Ok(n) = (codec.decode)(&noise, &mut out) {
                    assert!(n <= 100, "{codec:?}");
                }
            }
        }
    }
}

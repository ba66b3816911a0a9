//! No compression.

use super::{Chunk, Codec, Fault, Gives};

pub(super) const CODEC: Codec = Codec {
    codes: &[1],
    name: "none",
    gives: Gives::Bytes,
    predicts: false,
    most_ratio: 1,
    work: |_| 0,
    accepts: |_| Ok(()),
    decode,
};

#[expect(clippy::unnecessary_wraps, reason = "one signature for every codec")]
fn decode(_: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let n = encoded.len().min(out.len());
    out[..n].copy_from_slice(&encoded[..n]);
    Ok(n)
}

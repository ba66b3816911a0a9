//! No compression.

use super::{Codec, Fault};

pub(super) const CODEC: Codec = Codec { codes: &[1], name: "none", predicts: false, most_ratio: 1, decode };

#[expect(clippy::unnecessary_wraps, reason = "one signature for every codec")]
fn decode(encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let n = encoded.len().min(out.len());
    out[..n].copy_from_slice(&encoded[..n]);
    Ok(n)
}

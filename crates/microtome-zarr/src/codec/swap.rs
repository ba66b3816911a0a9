//! The order of bytes in the pixels that Zarr v3's `bytes` stores, where other codecs stand before it.

use super::{Codec, Damage, Tools};
use crate::strided::swap_bytes;

/// The codec: each component of some bytes, stored with its last byte first.
#[derive(Debug)]
pub(crate) struct Swap(pub(crate) usize);

impl Codec for Swap {
    fn name(&self) -> String {
        "big-endian".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let expected = out.len();
        let too_long = || Damage::Length { codec: self.name(), expected, found: encoded.len() };
        let out = out.get_mut(..encoded.len()).ok_or_else(too_long)?;
        out.copy_from_slice(encoded);
        swap_bytes(out, self.0);
        Ok(encoded.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_each_component_change_places() {
        let mut out = [0; 5];
        assert_eq!(Swap(2).decode(&[1, 2, 3, 4], &mut out, &mut Tools::default()).unwrap(), 4);
        assert_eq!(out, [2, 1, 4, 3, 0]);
        assert!(Swap(2).decode(&[0; 6], &mut out, &mut Tools::default()).is_err());
    }
}

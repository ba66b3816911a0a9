//! `crc32c`: four bytes of checksum behind the data, little-endian.

use serde_json::Value;

use super::{Codec, Damage, Tools};

/// The codec.
#[derive(Debug)]
struct Crc32c;

pub(super) fn build(_element: usize, _parameters: &Value) -> Result<Box<dyn Codec>, String> {
    Ok(Box::new(Crc32c))
}

/// The bytes before the checksum, if it is theirs.
pub(crate) fn checked(encoded: &[u8]) -> Result<&[u8], Damage> {
    let Some((data, sum)) = encoded.split_last_chunk::<4>() else {
        return Err(Damage::Length { codec: "crc32c".to_owned(), expected: 4, found: encoded.len() });
    };
    let (stored, computed) = (u32::from_le_bytes(*sum), crc32c::crc32c(data));
    if stored == computed { Ok(data) } else { Err(Damage::Checksum { stored, computed }) }
}

impl Codec for Crc32c {
    fn name(&self) -> String {
        "crc32c".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + 4
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn view<'a>(&self, encoded: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
        checked(encoded).map(Some)
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        copy(checked(encoded)?, out)
    }

    fn encode(&self, decoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let len = copy(decoded, out)?;
        out[len..len + 4].copy_from_slice(&crc32c::crc32c(decoded).to_le_bytes());
        Ok(len + 4)
    }
}

fn copy(data: &[u8], out: &mut [u8]) -> Result<usize, Damage> {
    let too_long = || Damage::Length { codec: "crc32c".to_owned(), expected: out.len(), found: data.len() };
    if data.len() > out.len() {
        return Err(too_long());
    }
    out[..data.len()].copy_from_slice(data);
    Ok(data.len())
}

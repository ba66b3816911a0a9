//! `lz4` of numcodecs: four bytes with the decoded length, then one block of LZ4.

use serde_json::Value;

use super::{Codec, Damage, Tools};

/// The codec.
#[derive(Debug)]
struct Lz4;

pub(super) fn build(_element: usize, _parameters: &Value) -> Result<Box<dyn Codec>, String> {
    Ok(Box::new(Lz4))
}

fn damage(why: impl ToString) -> Damage {
    Damage::Codec { codec: "lz4", why: why.to_string() }
}

impl Codec for Lz4 {
    fn name(&self) -> String {
        "lz4".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + decoded / 255 + 1024
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let (head, block) = encoded.split_first_chunk::<4>().ok_or_else(|| damage("too short for a length"))?;
        let (expected, found) = (out.len(), u32::from_le_bytes(*head) as usize);
        let too_long = || Damage::Length { codec: self.name(), expected, found };
        let target = out.get_mut(..found).ok_or_else(too_long)?;
        let written = lz4_flex::block::decompress_into(block, target).map_err(damage)?;
        if written == found { Ok(found) } else { Err(damage(format_args!("{written} bytes of {found} announced"))) }
    }
}

//! `shuffle` of numcodecs: first bytes of all elements, then second bytes, and so on.

use serde_json::Value;

use super::{Codec, Damage, Tools, integer};

/// The codec.
#[derive(Debug)]
struct Shuffle {
    size: usize,
}

/// Without a size the default of numcodecs; where it is `null`, the pixel's.
pub(super) fn build(element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let unsaid = if parameters.get("elementsize").is_some() { element as i64 } else { 4 };
    match integer(parameters, "elementsize").unwrap_or(unsaid) {
        size @ 1..=256 => Ok(Box::new(Shuffle { size: size as usize })),
        size => Err(format!("an element of {size} bytes cannot be shuffled")),
    }
}

impl Shuffle {
    /// Bytes behind the last whole element stay where they are.
    fn check(&self, from: &[u8], out: &[u8]) -> Result<usize, Damage> {
        if from.len() > out.len() {
            return Err(Damage::Length { codec: self.name(), expected: out.len(), found: from.len() });
        }
        Ok(from.len() / self.size)
    }
}

impl Codec for Shuffle {
    fn name(&self) -> String {
        "shuffle".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let count = self.check(encoded, out)?;
        for byte in 0..self.size {
            for (n, value) in encoded[byte * count..(byte + 1) * count].iter().enumerate() {
                out[n * self.size + byte] = *value;
            }
        }
        let whole = count * self.size;
        out[whole..encoded.len()].copy_from_slice(&encoded[whole..]);
        Ok(encoded.len())
    }

    fn encode(&self, decoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let count = self.check(decoded, out)?;
        for byte in 0..self.size {
            for n in 0..count {
                out[byte * count + n] = decoded[n * self.size + byte];
            }
        }
        let whole = count * self.size;
        out[whole..decoded.len()].copy_from_slice(&decoded[whole..]);
        Ok(decoded.len())
    }
}

//! `crc32`, `crc32c`, `adler32` and `fletcher32`: four bytes of checksum before or behind the data, little-endian.

use serde_json::Value;

use super::{Codec, Damage, Tools};

/// Bytes of a checksum.
const SUM: usize = 4;

/// Computes a checksum.
type Sum = fn(&[u8]) -> u32;

/// The codec.
#[derive(Debug)]
struct Checksum {
    name: &'static str,
    sum: Sum,
    at_start: bool,
}

fn build(name: &'static str, sum: Sum, at_start: bool, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let at_start = match parameters.get("location").and_then(Value::as_str) {
        None => at_start,
        Some("start") => true,
        Some("end") => false,
        Some(other) => return Err(format!("a checksum at {other:?}")),
    };
    Ok(Box::new(Checksum { name, sum, at_start }))
}

pub(super) fn build_crc32(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    build("crc32", crc32, true, parameters)
}

pub(super) fn build_crc32c(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    build("crc32c", crc32c::crc32c, false, parameters)
}

pub(super) fn build_adler32(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    build("adler32", adler32, true, parameters)
}

pub(super) fn build_fletcher32(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    build("fletcher32", fletcher32, false, parameters)
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = libdeflater::Crc::new();
    crc.update(data);
    crc.sum()
}

/// RFC 1950. Both sums stay below 2³² for the 5552 bytes between two divisions.
fn adler32(data: &[u8]) -> u32 {
    const MOD: u32 = 65_521;
    let (mut a, mut b) = (1, 0);
    for part in data.chunks(5552) {
        for &byte in part {
            a += u32::from(byte);
            b += a;
        }
        a %= MOD;
        b %= MOD;
    }
    b << 16 | a
}

/// As HDF5 has it: sums modulo 65,535 of big-endian words of two bytes, of which an odd last byte is the high one.
fn fletcher32(data: &[u8]) -> u32 {
    let add = |a: u32, b: u32| if a + b > 0xffff { a + b - 0xffff } else { a + b };
    let (mut a, mut b) = (0, 0);
    for word in data.chunks(2) {
        a = add(a, u32::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u32::from(low)));
        b = add(b, a);
    }
    b << 16 | a
}

impl Checksum {
    /// The bytes beside the checksum, if it is theirs.
    fn checked<'a>(&self, encoded: &'a [u8]) -> Result<&'a [u8], Damage> {
        let parts = if self.at_start {
            encoded.split_first_chunk::<SUM>().map(|(sum, data)| (data, sum))
        } else {
            encoded.split_last_chunk::<SUM>()
        };
        let too_short = || Damage::Length { codec: self.name(), expected: SUM, found: encoded.len() };
        let (data, sum) = parts.ok_or_else(too_short)?;
        let (stored, computed) = (u32::from_le_bytes(*sum), (self.sum)(data));
        if stored == computed { Ok(data) } else { Err(Damage::Checksum { codec: self.name, stored, computed }) }
    }
}

impl Codec for Checksum {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + SUM as u64
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn view<'a>(&self, encoded: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
        self.checked(encoded).map(Some)
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let data = self.checked(encoded)?;
        let expected = out.len();
        let target = out.get_mut(..data.len());
        let too_long = || Damage::Length { codec: self.name(), expected, found: data.len() };
        target.ok_or_else(too_long)?.copy_from_slice(data);
        Ok(data.len())
    }

    fn encode(&self, decoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let (len, expected) = (decoded.len() + SUM, out.len());
        let too_long = || Damage::Length { codec: self.name(), expected, found: len };
        let out = out.get_mut(..len).ok_or_else(too_long)?;
        let (sum, data) = if self.at_start { (0, SUM) } else { (decoded.len(), 0) };
        out[data..data + decoded.len()].copy_from_slice(decoded);
        out[sum..sum + SUM].copy_from_slice(&(self.sum)(decoded).to_le_bytes());
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_known_texts() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        // By numcodecs 0.16.6.
        assert_eq!((fletcher32(b"abcd"), fletcher32(b"abcde")), (0x2629_c4c6, 0x4ff0_29c7));
        assert_eq!(fletcher32(&[0; 10]), 0);
    }
}

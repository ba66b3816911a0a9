//! `bz2`, for reading old arrays: decoded as a stream that is cut off at the size of the array.

use std::io::Read;

use serde_json::Value;

use super::{Codec, Damage, Tools};

/// What a decoder takes at the largest block size, in round figures.
const DECODER: u64 = 5 << 20;

/// The codec.
#[derive(Debug)]
struct Bz2;

pub(super) fn build(_element: usize, _parameters: &Value) -> Result<Box<dyn Codec>, String> {
    Ok(Box::new(Bz2))
}

fn damage(why: impl ToString) -> Damage {
    Damage::Codec { codec: "bz2", why: why.to_string() }
}

impl Codec for Bz2 {
    fn name(&self) -> String {
        "bz2".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + decoded / 8 + 1024
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        DECODER
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let mut decoder = bzip2::read::MultiBzDecoder::new(encoded);
        let mut at = 0;
        while at < out.len() {
            match decoder.read(&mut out[at..]).map_err(damage)? {
                0 => return Ok(at),
                read => at += read,
            }
        }
        match decoder.read(&mut [0]).map_err(damage)? {
            0 => Ok(at),
            _ => Err(damage(format_args!("decodes to more than the {at} bytes expected"))),
        }
    }
}

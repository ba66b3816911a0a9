//! LZW as TIFF 6.0 has it, and the older kind with the bits of a byte the other way round.

use std::cell::RefCell;

use weezl::decode::Decoder;
use weezl::encode::Encoder;
use weezl::{BitOrder, LzwStatus};

use super::{Chunk, Codec, Fault, Gives};

pub(super) const CODEC: Codec = Codec {
    codes: &[5],
    name: "lzw",
    gives: Gives::Bytes,
    predicts: true,
    most_ratio: 4096,
    work: |_| 0, // each thread keeps its context
    accepts: |_| Ok(()),
    decode,
};

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::with_tiff_size_switch(BitOrder::Msb, 8));
}

fn decode(_: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    if let [0, second, ..] = encoded
        && second & 1 == 1
    {
        return run(&mut Decoder::new(BitOrder::Lsb, 8), encoded, out); // libtiff's test for the older kind
    }
    DECODER.with_borrow_mut(|decoder| {
        decoder.reset();
        run(decoder, encoded, out)
    })
}

/// Goes on until the output is full: one call may stop earlier.
fn run(decoder: &mut Decoder, mut encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let mut done = 0;
    while done < out.len() {
        let step = decoder.decode_bytes(encoded, &mut out[done..]);
        encoded = &encoded[step.consumed_in..];
        done += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(LzwStatus::Ok | LzwStatus::NoProgress | LzwStatus::Done) => break,
            Err(e) => return Err(Fault::Bad(e.to_string())),
        }
    }
    Ok(done)
}

/// What a context takes: a table of 4096 codes, and 512 bytes more for each that goes on in many ways.
pub(super) const WORK: u64 = 3 << 20;

pub(super) fn encoder() -> Encoder {
    Encoder::with_tiff_size_switch(BitOrder::Msb, 8)
}

/// A code has at most 12 bits and stands for a byte or more; one in some thousand codes clears the table.
pub(super) fn most_encoded(decoded: u64) -> u64 {
    decoded + decoded / 2 + decoded / 256 + 64
}

pub(super) fn encode(encoder: &mut Encoder, mut decoded: &[u8], out: &mut [u8]) -> Result<usize, String> {
    encoder.reset();
    encoder.finish();
    let mut done = 0;
    loop {
        let step = encoder.encode_bytes(decoded, &mut out[done..]);
        decoded = &decoded[step.consumed_in..];
        done += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Done) => return Ok(done),
            Ok(LzwStatus::Ok) if done < out.len() => {}
            Ok(LzwStatus::Ok | LzwStatus::NoProgress) => return Err("lzw: it becomes too long".to_owned()),
            Err(e) => return Err(format!("lzw: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;
    use crate::page::Tags;

    #[test]
    fn a_long_run_is_decoded_to_its_end() {
        let pixels: Vec<u8> = (0..200_000u32).map(|n| (n / 1000) as u8).collect();
        let encoded = Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(&pixels).unwrap();
        let mut out = vec![0; pixels.len()];
        assert_eq!(decode(&plain(&Tags::default()), &encoded, &mut out), Ok(pixels.len()));
        assert_eq!(out, pixels);
    }

    #[test]
    fn a_cut_strip_gives_fewer_bytes() {
        let encoded = Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(&[7; 10_000]).unwrap();
        let mut out = vec![0; 10_000];
        assert!(decode(&plain(&Tags::default()), &encoded[..encoded.len() / 2], &mut out).unwrap() < 10_000);
    }
}

//! LZMA: an xz stream a strip, as libtiff writes it.

use liblzma::stream::{Action, Status, Stream};

use super::{Chunk, Codec, Fault, Gives};

pub(super) const CODEC: Codec = Codec {
    codes: &[34925],
    name: "lzma",
    gives: Gives::Bytes,
    predicts: true,
    most_ratio: 8192,
    work: |_| MOST_MEMORY,
    accepts: |_| Ok(()),
    decode,
};

/// Memory of a decoder: the dictionary of preset 9, the largest that writers choose, and its tables.
const MOST_MEMORY: u64 = 66 << 20;

fn decode(_: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let bad = |e: liblzma::stream::Error| Fault::Bad(e.to_string());
    let mut stream = Stream::new_stream_decoder(MOST_MEMORY, 0).map_err(bad)?;
    loop {
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        let found = stream.process(&encoded[read..], &mut out[written..], Action::Finish);
        let done = stream.total_out() as usize;
        match found {
            Ok(Status::StreamEnd) => return Ok(done),
            Ok(_) if stream.total_in() as usize > read || done > written => {}
            // Nothing moves: the output is full though the stream has not ended, or the stream is cut.
            Ok(_) => return full_or(out.len(), done, encoded, &mut stream),
            Err(e) => return Err(bad(e)),
        }
    }
}

/// Tells a stream that has more than fits from one that is cut: of the first, another byte can be had.
fn full_or(len: usize, done: usize, encoded: &[u8], stream: &mut Stream) -> Result<usize, Fault> {
    if done < len {
        return Ok(done);
    }
    let read = stream.total_in() as usize;
    match stream.process(&encoded[read..], &mut [0], Action::Finish) {
        Ok(_) if stream.total_out() as usize > done => Err(Fault::TooLong),
        _ => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::codec::chunk::plain;
    use crate::page::Tags;

    fn encode(pixels: &[u8], preset: u32) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), preset);
        encoder.write_all(pixels).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn more_than_fits_is_told_from_damage_and_from_a_cut() {
        let tags = Tags::default();
        let encoded = encode(&[3; 1000], 6);
        assert_eq!(decode(&plain(&tags), &encoded, &mut [0; 1000]), Ok(1000));
        assert_eq!(decode(&plain(&tags), &encoded, &mut [0; 999]), Err(Fault::TooLong));
        assert!(decode(&plain(&tags), &encoded[..encoded.len() / 2], &mut [0; 1000]).is_ok_and(|n| n < 1000));
        assert!(matches!(decode(&plain(&tags), &[7; 100], &mut [0; 1000]), Err(Fault::Bad(_))));
    }

    #[test]
    fn the_largest_preset_fits_the_memory_that_is_declared() {
        let tags = Tags::default();
        let encoded = encode(&vec![5; 70_000], 9);
        assert_eq!(decode(&plain(&tags), &encoded, &mut vec![0; 70_000]), Ok(70_000));
    }
}

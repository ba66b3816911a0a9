//! `PackBits`: runs of equal bytes, and runs of bytes as they are.

use super::{Chunk, Codec, Fault, Gives};

pub(super) const CODEC: Codec = Codec {
    codes: &[32773],
    name: "packbits",
    gives: Gives::Bytes,
    predicts: true,
    most_ratio: 64,
    work: |_| 0,
    accepts: |_| Ok(()),
    decode,
};

#[expect(clippy::unnecessary_wraps, reason = "one signature for every codec")]
fn decode(_: &Chunk<'_>, mut encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let mut done = 0;
    while done < out.len() {
        let Some((&head, rest)) = encoded.split_first() else { break };
        let left = out.len() - done;
        encoded = match head {
            0..=127 => {
                let n = usize::from(head) + 1;
                let n = n.min(rest.len());
                let kept = n.min(left);
                out[done..done + kept].copy_from_slice(&rest[..kept]);
                done += kept;
                &rest[n..]
            }
            128 => rest,
            129..=255 => {
                let Some((&value, rest)) = rest.split_first() else { break };
                let n = (257 - usize::from(head)).min(left);
                out[done..done + n].fill(value);
                done += n;
                rest
            }
        };
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;
    use crate::page::Tags;

    #[test]
    fn the_example_of_apple_technical_note_1023() {
        let encoded = [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let expected = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        let mut out = [0; 24];
        assert_eq!(decode(&plain(&Tags::default()), &encoded, &mut out), Ok(24));
        assert_eq!(out, expected);
    }

    #[test]
    fn a_cut_run_gives_fewer_bytes() {
        assert_eq!(decode(&plain(&Tags::default()), &[5, 1, 2], &mut [0; 6]), Ok(2));
        assert_eq!(decode(&plain(&Tags::default()), &[0xfe], &mut [0; 6]), Ok(0));
    }
}

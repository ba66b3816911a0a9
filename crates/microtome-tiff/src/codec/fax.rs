//! CCITT: modified Huffman (2), group 3 in one and two dimensions (3), group 4 (4). White is 0, black is 1.

use hayro_ccitt::{DecodeSettings, Decoder, DecoderContext, EncodingMode, decode as decode_rows};

use super::{Chunk, Codec, Fault, Gives, guarded};
use crate::page::{Refusal, Tags};

pub(super) const CODEC: Codec = Codec {
    codes: &[2, 3, 4],
    name: "ccitt",
    gives: Gives::Bytes,
    predicts: false,
    most_ratio: u64::MAX,
    work: |chunk| chunk.width.saturating_mul(8).saturating_add(4096), // changes of colour of two rows
    accepts,
    decode,
};

fn accepts(tags: &Tags) -> Result<(), Refusal> {
    if tags.bits == 1 && tags.samples == 1 {
        return Ok(());
    }
    let (bits, samples) = (tags.bits, tags.samples);
    Err(Refusal {
        what: format!("{samples} samples of {bits} bits as CCITT fax"),
        hint: "rewrite it without compression",
    })
}

/// Rows of packed bits.
struct Rows<'a> {
    out: &'a mut [u8],
    row: usize,
    width: usize,
    done: usize,
}

impl Decoder for Rows<'_> {
    fn push_row(&mut self, changes: &[u32]) {
        let Some(row) = self.out.get_mut(self.done * self.row..(self.done + 1) * self.row) else { return };
        row.fill(0);
        for black in changes.chunks(2) {
            let end = black.get(1).map_or(self.width, |&end| end as usize).min(self.width);
            set(row, (black[0] as usize).min(end), end);
        }
        self.done += 1;
    }
}

/// Sets the bits `from..to`, the first the most significant of its byte.
fn set(row: &mut [u8], from: usize, to: usize) {
    if from >= to {
        return;
    }
    let (first, last) = (from / 8, (to - 1) / 8);
    let (head, tail) = (0xffu8 >> (from % 8), 0xffu8 << (7 - (to - 1) % 8));
    if first == last {
        row[first] |= head & tail;
        return;
    }
    row[first] |= head;
    row[first + 1..last].fill(0xff);
    row[last] |= tail;
}

fn decode(chunk: &Chunk<'_>, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let columns = u32::try_from(chunk.width).map_err(|_| Fault::Bad("it is too wide".to_owned()))?;
    let (compression, options) = (chunk.tags.compression, chunk.tags.t4_options);
    let encoding = match (compression, options & 1) {
        (2, _) | (3, 0) => EncodingMode::Group3_1D,
        (3, _) => EncodingMode::Group3_2D,
        _ => EncodingMode::Group4,
    };
    let row = (chunk.width as usize).div_ceil(8);
    let settings = DecodeSettings {
        columns,
        rows: (out.len() / row.max(1)) as u32,
        end_of_block: compression != 2,
        end_of_line: false, // found where there are any
        rows_are_byte_aligned: compression == 2,
        encoding,
        strict: true,
    };
    let mut rows = Rows { out, row, width: chunk.width as usize, done: 0 };
    let found = guarded("ccitt", || {
        decode_rows(encoded, &mut rows, &mut DecoderContext::new(settings)).map_err(|e| Fault::Bad(format!("{e:?}")))
    });
    let done = rows.done * row;
    match found {
        Ok(_) => Ok(done),
        // Damage after the last row is none.
        Err(_) if done == rows.out.len() => Ok(done),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::chunk::plain;

    #[test]
    fn runs_of_bits() {
        let mut row = [0; 4];
        set(&mut row, 3, 5);
        set(&mut row, 7, 25);
        assert_eq!(row, [0b0001_1001, 0xff, 0xff, 0b1000_0000]);
        set(&mut row, 9, 9);
        assert_eq!(row[1], 0xff);
    }

    #[test]
    fn a_white_row_and_a_black_one_of_group_4() {
        // Row 0: vertical 0 (1). Row 1: horizontal (001), white 0 (00110101), black 8 (000101).
        let encoded = [0b1001_0011, 0b0101_0001, 0b0100_0000];
        let tags = Tags { compression: 4, photometric: 0, ..Tags::default() };
        let chunk = Chunk { width: 8, rows: 2, full_rows: 2, inside: [8, 2], ..plain(&tags) };
        let mut out = [7; 2];
        assert_eq!(decode(&chunk, &encoded, &mut out), Ok(2));
        assert_eq!(out, [0x00, 0xff]);
    }
}

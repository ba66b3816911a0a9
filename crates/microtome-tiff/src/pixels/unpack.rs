//! Samples of 1 to 31 bits, packed with the most significant bit first, to whole bytes.

/// Unpacks the values `first..first + out.len() / size` of a packed row into little-endian values of `size` bytes.
///
/// Bits past the end of `row` count as 0.
pub(crate) fn unpack_row(row: &[u8], bits: u64, first: u64, out: &mut [u8], size: usize) {
    if bits == 1 {
        for (value, n) in out.iter_mut().zip(first..) {
            *value = row.get((n / 8) as usize).map_or(0, |byte| byte >> (7 - n % 8) & 1);
        }
        return;
    }
    let mut at = first * bits;
    for value in out.chunks_exact_mut(size.max(1)) {
        let word = window(row, (at / 8) as usize);
        let shifted = word << (at % 8) >> (64 - bits);
        value.copy_from_slice(&shifted.to_le_bytes()[..size]);
        at += bits;
    }
}

/// Eight bytes from `at` on as one number, the first byte on top.
fn window(row: &[u8], at: usize) -> u64 {
    let rest = row.get(at..).unwrap_or(&[]);
    if let Some(eight) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*eight);
    }
    rest.iter().zip(0..).fold(0, |word, (&byte, n)| word | u64::from(byte) << (56 - 8 * n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_twelve_bits_and_single_bits() {
        let mut out = [0; 3];
        unpack_row(&[0x12, 0x34], 4, 1, &mut out, 1);
        assert_eq!(out, [2, 3, 4]);
        let mut out = [0; 4];
        unpack_row(&[0xab, 0xcd, 0xef], 12, 0, &mut out, 2);
        assert_eq!(out, [0xbc, 0x0a, 0xef, 0x0d]);
        let mut out = [9; 10];
        unpack_row(&[0b1010_0000, 0b1000_0000], 1, 0, &mut out, 1);
        assert_eq!(out, [1, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_row_that_is_too_short_ends_in_zeros() {
        let mut out = [9; 2];
        unpack_row(&[0xf0], 6, 0, &mut out, 1);
        assert_eq!(out, [0b11_1100, 0]);
    }
}

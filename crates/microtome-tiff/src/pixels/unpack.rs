//! Samples that are stored otherwise than they lie in memory: packed bits, 24-bit floats, complex integers.

use super::Packing;

/// Unpacks the values `first..first + out.len() / size` of a stored row into values of `size` bytes in memory order.
///
/// Bits past the end of `row` count as 0.
pub(crate) fn unpack_row(row: &[u8], packing: Packing, first: u64, out: &mut [u8], size: usize) {
    match packing {
        Packing::Whole => {}
        Packing::Bits(1) => {
            for (value, n) in out.iter_mut().zip(first..) {
                *value = row.get((n / 8) as usize).map_or(0, |byte| byte >> (7 - n % 8) & 1);
            }
        }
        Packing::Bits(bits) => numbers(row, bits, first, out, size, |top| top >> (64 - bits)),
        Packing::Signed(bits) => numbers(row, bits, first, out, size, |top| (top as i64 >> (64 - bits)) as u64),
        Packing::Float24(big) => whole::<3, 4>(row, first, out, |three| float24(three, big).to_le_bytes()),
        Packing::ComplexInt16(big) => whole::<4, 8>(row, first, out, |four| complex(four, big)),
    }
}

/// Numbers of `bits` bits; `value` gets each on top of 64 bits.
fn numbers(row: &[u8], bits: u64, first: u64, out: &mut [u8], size: usize, value: impl Fn(u64) -> u64) {
    let mut at = first * bits;
    for out in out.chunks_exact_mut(size.max(1)) {
        let word = window(row, (at / 8) as usize);
        out.copy_from_slice(&value(word << (at % 8)).to_le_bytes()[..size]);
        at += bits;
    }
}

/// Values of whole bytes, each from `N` bytes to `M`.
fn whole<const N: usize, const M: usize>(row: &[u8], first: u64, out: &mut [u8], value: impl Fn([u8; N]) -> [u8; M]) {
    let (values, _) = row.get(first as usize * N..).unwrap_or(&[]).as_chunks::<N>();
    let (out, _) = out.as_chunks_mut::<M>();
    let zeros = std::iter::repeat(&[0; N]);
    out.iter_mut().zip(values.iter().chain(zeros)).for_each(|(out, &stored)| *out = value(stored));
}

/// 1 bit of sign, 7 of exponent with a bias of 63, 16 of mantissa, as IEEE 754 would have it.
fn float24([a, b, c]: [u8; 3], big_endian: bool) -> f32 {
    let bits = if big_endian { u32::from_be_bytes([0, a, b, c]) } else { u32::from_le_bytes([a, b, c, 0]) };
    let (sign, exponent, mantissa) = (bits >> 23 << 31, bits >> 16 & 0x7f, bits & 0xffff);
    match exponent {
        0 => f32::from_bits(sign | (mantissa as f32 * 2f32.powi(-62 - 16)).to_bits()),
        0x7f => f32::from_bits(sign | 0xff << 23 | mantissa << 7),
        _ => f32::from_bits(sign | (exponent + 127 - 63) << 23 | mantissa << 7),
    }
}

fn complex([a, b, c, d]: [u8; 4], big_endian: bool) -> [u8; 8] {
    let part =
        |two| f32::from(if big_endian { i16::from_be_bytes(two) } else { i16::from_le_bytes(two) }).to_le_bytes();
    let ([r0, r1, r2, r3], [i0, i1, i2, i3]) = (part([a, b]), part([c, d]));
    [r0, r1, r2, r3, i0, i1, i2, i3]
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
        unpack_row(&[0x12, 0x34], Packing::Bits(4), 1, &mut out, 1);
        assert_eq!(out, [2, 3, 4]);
        let mut out = [0; 4];
        unpack_row(&[0xab, 0xcd, 0xef], Packing::Bits(12), 0, &mut out, 2);
        assert_eq!(out, [0xbc, 0x0a, 0xef, 0x0d]);
        let mut out = [9; 10];
        unpack_row(&[0b1010_0000, 0b1000_0000], Packing::Bits(1), 0, &mut out, 1);
        assert_eq!(out, [1, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_row_that_is_too_short_ends_in_zeros() {
        let mut out = [9; 2];
        unpack_row(&[0xf0], Packing::Bits(6), 0, &mut out, 1);
        assert_eq!(out, [0b11_1100, 0]);
    }

    #[test]
    fn the_sign_is_carried_up() {
        let mut out = [0; 4];
        unpack_row(&[0b1111_1111, 0b1101_1111, 0b1111_0000], Packing::Signed(10), 0, &mut out, 2);
        assert_eq!(out.map(i16::from), [0xff, 0xff, 0xff, 0x01], "-1 and 511");
        let mut wide = [0; 8];
        unpack_row(&[0x80, 0, 0, 0, 0x01], Packing::Signed(40), 0, &mut wide, 8);
        assert_eq!(i64::from_le_bytes(wide), -(1 << 39) + 1);
    }

    #[test]
    fn floats_of_24_bits() {
        let check = |bits: u32, expected: f32| {
            let [_, a, b, c] = bits.to_be_bytes();
            assert_eq!(float24([a, b, c], true), expected);
            assert_eq!(float24([c, b, a], false), expected);
        };
        check(0x3f_0000, 1.0);
        check(0xbf_8000, -1.5);
        check(0x00_0000, 0.0);
        check(0x00_0001, 2f32.powi(-78));
        check(0x7f_0000, f32::INFINITY);
        check(0x01_0000, 2f32.powi(-62));
    }

    #[test]
    fn complex_integers_become_floats() {
        let mut out = [0; 8];
        unpack_row(&[0xfe, 0xff, 0x03, 0x00], Packing::ComplexInt16(false), 0, &mut out, 8);
        assert_eq!(out, [(-2f32).to_le_bytes(), 3f32.to_le_bytes()].concat()[..]);
    }
}

//! The types of samples: what bits of a sample format mean, and the pixel type they become.

use microtome_array::PixelType;
use tiff::tags::SampleFormat;

/// How one sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Just as it is in memory, but for byte order.
    Whole,
    /// An unsigned number of so many bits, packed, the most significant bit first; rows start on a byte.
    Bits(u64),
    /// The same, in two's complement.
    Signed(u64),
    /// A floating point number of 24 bits: 1 of sign, 7 of exponent, 16 of mantissa; `true` for the first byte on top.
    Float24(bool),
    /// A complex number of two integers of 16 bits; `true` for the first byte on top.
    ComplexInt16(bool),
}

/// The sample formats that the crate `tiff` has no name for.
const COMPLEX_INT: u64 = 5;
const COMPLEX: u64 = 6;

impl Packing {
    /// The pixel type of a sample format and a number of bits, and how it is stored.
    pub(crate) fn of(format: u64, bits: u64, big_endian: bool) -> Option<(PixelType, Packing)> {
        let is = |f: SampleFormat| format == u64::from(f.to_u16());
        let unsigned = is(SampleFormat::Uint) || is(SampleFormat::Void);
        let whole = |t| Some((t, Packing::Whole));
        match bits {
            1 if unsigned => Some((PixelType::Bool, Packing::Bits(1))),
            8 | 16 | 32 | 64 if unsigned => whole(unsigned_type(bits)),
            2..=57 if unsigned => Some((unsigned_type(bits), Packing::Bits(bits))),
            8 | 16 | 32 | 64 if is(SampleFormat::Int) => whole(signed_type(bits)),
            2..=57 if is(SampleFormat::Int) => Some((signed_type(bits), Packing::Signed(bits))),
            16 if is(SampleFormat::IEEEFP) => whole(PixelType::F16),
            24 if is(SampleFormat::IEEEFP) => Some((PixelType::F32, Packing::Float24(big_endian))),
            32 if is(SampleFormat::IEEEFP) => whole(PixelType::F32),
            64 if is(SampleFormat::IEEEFP) => whole(PixelType::F64),
            32 if format == COMPLEX_INT => Some((PixelType::C64, Packing::ComplexInt16(big_endian))),
            64 if format == COMPLEX => whole(PixelType::C64),
            128 if format == COMPLEX => whole(PixelType::C128),
            _ => None,
        }
    }

    /// Bits that a sample of a type takes in a stored row.
    pub(crate) fn stored_bits(self, dtype: PixelType) -> u64 {
        match self {
            Packing::Whole => dtype.size() as u64 * 8,
            Packing::Bits(bits) | Packing::Signed(bits) => bits,
            Packing::Float24(_) => 24,
            Packing::ComplexInt16(_) => 32,
        }
    }
}

fn unsigned_type(bits: u64) -> PixelType {
    match bits {
        0..=8 => PixelType::U8,
        9..=16 => PixelType::U16,
        17..=32 => PixelType::U32,
        _ => PixelType::U64,
    }
}

fn signed_type(bits: u64) -> PixelType {
    match bits {
        0..=8 => PixelType::I8,
        9..=16 => PixelType::I16,
        17..=32 => PixelType::I32,
        _ => PixelType::I64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_widths_become_the_next_type() {
        let of = |format, bits| Packing::of(format, bits, false).map(|(dtype, packing)| (dtype.name(), packing));
        assert_eq!(of(1, 1), Some(("bool", Packing::Bits(1))));
        assert_eq!(of(1, 12), Some(("uint16", Packing::Bits(12))));
        assert_eq!(of(1, 24), Some(("uint32", Packing::Bits(24))));
        assert_eq!(of(2, 10), Some(("int16", Packing::Signed(10))));
        assert_eq!(of(3, 24), Some(("float32", Packing::Float24(false))));
        assert_eq!(of(4, 16), Some(("uint16", Packing::Whole)));
        assert_eq!(of(5, 32), Some(("complex64", Packing::ComplexInt16(false))));
        assert_eq!((of(3, 12), of(1, 0), of(1, 63), of(1, 255), of(7, 8)), (None, None, None, None, None));
    }
}

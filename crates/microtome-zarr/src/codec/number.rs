//! Numbers as NumPy names their types: what codecs that compute need of the bytes of a chunk.
//!
//! *Invariant:* arithmetic is NumPy's: integers wrap, and a float keeps its width at every step.

use half::f16;

/// What the bits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unsigned,
    Signed,
    Float,
}

/// The type of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) kind: Kind,
    /// In bytes: 1, 2, 4 or 8.
    pub(super) size: usize,
    big: bool,
}

impl Number {
    /// From `<u2`, `|i1`, `>f8`, `uint16`.
    pub(super) fn parse(text: &str) -> Result<Number, String> {
        let unknown = || format!("numbers of type {text:?}");
        let words = [("uint", Kind::Unsigned), ("int", Kind::Signed), ("float", Kind::Float)];
        let bits = |(word, kind)| Some((kind, text.strip_prefix(word)?.parse::<usize>().ok()? / 8, false));
        let (kind, size, big) = words.into_iter().find_map(bits).or_else(|| typestr(text)).ok_or_else(unknown)?;
        let known = matches!((kind, size), (_, 2 | 4 | 8) | (Kind::Unsigned | Kind::Signed, 1));
        if known { Ok(Number { kind, size, big }) } else { Err(unknown()) }
    }

    /// The bits of a number, zeros above.
    fn bits(self, bytes: &[u8]) -> u64 {
        let mut wide = [0; 8];
        wide[..self.size].copy_from_slice(&bytes[..self.size]);
        if self.big {
            wide[..self.size].reverse();
        }
        u64::from_le_bytes(wide)
    }

    fn put_bits(self, bits: u64, out: &mut [u8]) {
        let out = &mut out[..self.size];
        out.copy_from_slice(&bits.to_le_bytes()[..self.size]);
        if self.big {
            out.reverse();
        }
    }

    /// An integer in two's complement of 64 bits; the sign reaches to the top.
    pub(super) fn integer(self, bytes: &[u8]) -> u64 {
        let spare = 64 - 8 * self.size as u32;
        match self.kind {
            Kind::Signed => (((self.bits(bytes) << spare) as i64) >> spare) as u64,
            Kind::Unsigned | Kind::Float => self.bits(bytes),
        }
    }

    /// Stores the low bits of an integer.
    pub(super) fn put_integer(self, value: u64, out: &mut [u8]) {
        self.put_bits(value, out);
    }

    /// Any number as a float.
    pub(super) fn float(self, bytes: &[u8]) -> f64 {
        match (self.kind, self.size) {
            (Kind::Float, 2) => f16::from_bits(self.bits(bytes) as u16).to_f64(),
            (Kind::Float, 4) => f64::from(f32::from_bits(self.bits(bytes) as u32)),
            (Kind::Float, _) => f64::from_bits(self.bits(bytes)),
            (Kind::Signed, _) => (self.integer(bytes) as i64) as f64,
            (Kind::Unsigned, _) => self.bits(bytes) as f64,
        }
    }

    /// Stores a float, cut towards zero where the type is of integers.
    pub(super) fn put_float(self, value: f64, out: &mut [u8]) {
        let bits = match (self.kind, self.size) {
            (Kind::Float, 2) => u64::from(f16::from_f64(value).to_bits()),
            (Kind::Float, 4) => u64::from((value as f32).to_bits()),
            (Kind::Float, _) => value.to_bits(),
            (Kind::Signed, _) => (value as i64) as u64,
            (Kind::Unsigned, _) if value < 0.0 => (value as i64) as u64,
            (Kind::Unsigned, _) => value as u64,
        };
        self.put_bits(bits, out);
    }

    /// A float rounded to the width in which NumPy computes with such numbers: their own, or 64 bits for integers.
    pub(super) fn rounded(self, value: f64) -> f64 {
        match (self.kind, self.size) {
            (Kind::Float, 2) => f16::from_f64(value).to_f64(),
            (Kind::Float, 4) => f64::from(value as f32),
            _ => value,
        }
    }
}

/// Order of bytes, letter of the kind, size.
fn typestr(text: &str) -> Option<(Kind, usize, bool)> {
    let (order, rest) = text.split_at_checked(1)?;
    let (letter, size) = rest.split_at_checked(1)?;
    let kind = match letter {
        "u" => Kind::Unsigned,
        "i" => Kind::Signed,
        "f" => Kind::Float,
        _ => return None,
    };
    Some((kind, size.parse().ok()?, order == ">"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_numpy() {
        let of = |text| Number::parse(text).unwrap();
        assert_eq!(of("<u2"), of("uint16"));
        assert_eq!(of("|i1").integer(&[0xff]), u64::MAX);
        assert_eq!(of(">i2").integer(&[0xff, 0xfe]), (-2i64) as u64);
        assert_eq!(of(">f4").float(&1.5f32.to_be_bytes()), 1.5);
        for wrong in ["<c8", "|b1", "", "<", "<u", "<u3", "uint7", "<f1", "é"] {
            assert!(Number::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn floats_become_integers_as_in_c() {
        let mut out = [0; 2];
        Number::parse("<i2").unwrap().put_float(-2.9, &mut out);
        assert_eq!(i16::from_le_bytes(out), -2);
        Number::parse("<u2").unwrap().put_float(65_535.7, &mut out);
        assert_eq!(u16::from_le_bytes(out), 65_535);
    }
}

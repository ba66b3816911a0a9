//! `packbits`: eight booleans a byte, as numcodecs packs them and as the registered codec of Zarr v3 does.
//!
//! Both may say in a byte of their own how many bits at the end are padding; numcodecs begins with the highest bit of a
//! byte, Zarr v3 with the lowest.

use serde_json::Value;

use super::{Codec, Damage, Tools, integer};

/// Where the number of padding bits stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    Unsaid,
    First,
    Last,
}

/// The codec.
#[derive(Debug)]
struct PackBits {
    padding: Padding,
    lowest_first: bool,
}

pub(super) fn build(_element: usize, _parameters: &Value) -> Result<Box<dyn Codec>, String> {
    Ok(Box::new(PackBits { padding: Padding::First, lowest_first: false }))
}

/// The codec that Zarr v3 registers, which stands in the place of `bytes`.
pub(crate) fn build_registered(element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let padding = match parameters.get("padding_encoding").and_then(Value::as_str) {
        None | Some("none") => Padding::Unsaid,
        Some("first_byte" | "start_byte") => Padding::First,
        Some("last_byte" | "end_byte") => Padding::Last,
        Some(other) => return Err(format!("padding at {other:?}")),
    };
    let part = ["first_bit", "last_bit"].iter().any(|key| integer(parameters, key).is_some_and(|bit| bit != 0));
    if element != 1 || part {
        return Err("packed numbers that are no booleans".to_owned());
    }
    Ok(Box::new(PackBits { padding, lowest_first: true }))
}

fn damage(why: impl ToString) -> Damage {
    Damage::Codec { codec: "packbits", why: why.to_string() }
}

impl Codec for PackBits {
    fn name(&self) -> String {
        "packbits".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded.div_ceil(8) + u64::from(self.padding != Padding::Unsaid)
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn element(&self, _decoded: usize) -> usize {
        1
    }

    fn keeps_places(&self) -> bool {
        false
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let parts = match self.padding {
            Padding::Unsaid => Some((None, encoded)),
            Padding::First => encoded.split_first().map(|(n, bits)| (Some(*n), bits)),
            Padding::Last => encoded.split_last().map(|(n, bits)| (Some(*n), bits)),
        };
        let (padding, bits) = parts.ok_or_else(|| damage("the byte that counts the padding is missing"))?;
        let count = match padding {
            None => out.len().min(8 * bits.len()),
            Some(padding @ 0..8) if padding == 0 || !bits.is_empty() => 8 * bits.len() - usize::from(padding),
            Some(padding) => return Err(damage(format_args!("{padding} bits of padding"))),
        };
        if count > out.len() || bits.len() > out.len().div_ceil(8) {
            return Err(Damage::Length { codec: self.name(), expected: out.len(), found: 8 * bits.len() });
        }
        for (n, value) in out[..count].iter_mut().enumerate() {
            let bit = if self.lowest_first { n % 8 } else { 7 - n % 8 };
            *value = (bits[n / 8] >> bit) & 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(codec: &dyn Codec, encoded: &[u8]) -> Result<Vec<u8>, Damage> {
        let mut out = vec![9; 10];
        let len = codec.decode(encoded, &mut out, &mut Tools::default())?;
        out.truncate(len);
        Ok(out)
    }

    #[test]
    fn bits_of_both_orders() {
        let numcodecs = build(1, &json!({})).unwrap();
        assert_eq!(decode(numcodecs.as_ref(), &[6, 0b1010_0000, 0b0100_0000]).unwrap(), [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        let registered = |padding: &str| build_registered(1, &json!({"padding_encoding": padding})).unwrap();
        let expected = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(decode(registered("none").as_ref(), &[0b101, 0b10]).unwrap(), expected);
        assert_eq!(decode(registered("first_byte").as_ref(), &[6, 0b101, 0b10]).unwrap(), expected);
        assert_eq!(decode(registered("last_byte").as_ref(), &[0b101, 0b10, 6]).unwrap(), expected);
    }

    #[test]
    fn padding_that_cannot_be_and_bits_that_are_too_many_are_errors() {
        let codec = build(1, &json!({})).unwrap();
        for wrong in [&[][..], &[8, 1, 1], &[1], &[0, 1, 1], &[0, 1, 1, 1]] {
            assert!(decode(codec.as_ref(), wrong).is_err(), "{wrong:?}");
        }
        assert!(build_registered(2, &json!({})).is_err());
        assert!(build_registered(1, &json!({"padding_encoding": "middle"})).is_err());
    }
}

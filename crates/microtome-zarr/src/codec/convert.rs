//! `delta`, `fixedscaleoffset` and `astype` of numcodecs: chunks of one type of number computed from those of another.

use serde_json::Value;

use super::number::{Kind, Number};
use super::{Codec, Damage, Tools};

/// What is done with each stored number.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Each is the difference to the one before.
    Delta,
    /// Each was scaled and moved.
    ScaleOffset { scale: f64, offset: f64 },
    /// Each has another type.
    Type,
}

/// The codec.
#[derive(Debug)]
struct Convert {
    name: &'static str,
    rule: Rule,
    stored: Number,
    decoded: Number,
}

fn word<'a>(parameters: &'a Value, key: &str) -> Option<&'a str> {
    parameters.get(key).and_then(Value::as_str)
}

fn type_of(parameters: &Value, key: &str) -> Result<Number, String> {
    Number::parse(word(parameters, key).ok_or_else(|| format!("without {key}"))?)
}

/// A number, which may be one of the words that JSON has none for.
fn real(parameters: &Value, key: &str, default: f64) -> Result<f64, String> {
    match parameters.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_f64().ok_or_else(|| format!("{key} is {value}, no number")),
    }
}

pub(super) fn build_delta(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let decoded = type_of(parameters, "dtype")?;
    let stored = word(parameters, "astype").map_or(Ok(decoded), Number::parse)?;
    if stored.kind == Kind::Float && decoded.kind != Kind::Float {
        return Err("integers stored as differences of floats".to_owned());
    }
    Ok(Box::new(Convert { name: "delta", rule: Rule::Delta, stored, decoded }))
}

pub(super) fn build_scale_offset(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let decoded = type_of(parameters, "dtype")?;
    let stored = word(parameters, "astype").map_or(Ok(decoded), Number::parse)?;
    let rule = Rule::ScaleOffset { scale: real(parameters, "scale", 1.0)?, offset: real(parameters, "offset", 0.0)? };
    Ok(Box::new(Convert { name: "fixedscaleoffset", rule, stored, decoded }))
}

pub(super) fn build_type(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let (stored, decoded) = (type_of(parameters, "encode_dtype")?, type_of(parameters, "decode_dtype")?);
    Ok(Box::new(Convert { name: "astype", rule: Rule::Type, stored, decoded }))
}

impl Convert {
    fn run(&self, pairs: impl Iterator<Item = (usize, usize)>, from: &[u8], out: &mut [u8]) {
        let (stored, decoded) = (self.stored, self.decoded);
        let (mut whole, mut real) = (0u64, 0.0);
        let is_float = decoded.kind == Kind::Float;
        for (at, to) in pairs {
            let (bytes, out) = (&from[at..], &mut out[to..]);
            match self.rule {
                Rule::Delta if is_float => {
                    real = if at == 0 { stored.float(bytes) } else { decoded.rounded(real + stored.float(bytes)) };
                    decoded.put_float(real, out);
                }
                Rule::Delta => {
                    whole = whole.wrapping_add(stored.integer(bytes));
                    decoded.put_integer(whole, out);
                }
                Rule::ScaleOffset { scale, offset } => {
                    let scaled = stored.rounded(stored.float(bytes) / stored.rounded(scale));
                    decoded.put_float(stored.rounded(scaled + stored.rounded(offset)), out);
                }
                Rule::Type if is_float || stored.kind == Kind::Float => decoded.put_float(stored.float(bytes), out),
                Rule::Type => decoded.put_integer(stored.integer(bytes), out),
            }
        }
    }
}

impl Codec for Convert {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        (decoded / self.decoded.size as u64).saturating_mul(self.stored.size as u64)
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn element(&self, _decoded: usize) -> usize {
        self.stored.size
    }

    fn keeps_places(&self) -> bool {
        !matches!(self.rule, Rule::Delta)
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let (stored, decoded) = (self.stored.size, self.decoded.size);
        if !encoded.len().is_multiple_of(stored) {
            let why = format!("{} bytes are no whole number of elements of {stored}", encoded.len());
            return Err(Damage::Codec { codec: self.name, why });
        }
        let count = encoded.len() / stored;
        if count > out.len() / decoded {
            return Err(Damage::Length { codec: self.name(), expected: out.len(), found: count * decoded });
        }
        self.run((0..count).map(|n| (n * stored, n * decoded)), encoded, out);
        Ok(count * decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::build;
    use serde_json::json;

    fn decoded(name: &str, parameters: &Value, encoded: &[u8], bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        let codec = build(name, 2, parameters).unwrap();
        assert_eq!(codec.decode(encoded, &mut out, &mut Tools::default()).unwrap(), bytes);
        assert_eq!(codec.most_encoded(bytes as u64), encoded.len() as u64);
        out
    }

    #[test]
    fn differences_add_up_and_wrap() {
        let stored: Vec<u8> = [5i8, -6, 1, 127].iter().map(|n| *n as u8).collect();
        let found = decoded("delta", &json!({"dtype": "<u2", "astype": "|i1"}), &stored, 8);
        let numbers: Vec<u16> = found.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        assert_eq!(numbers, [5, 65_535, 0, 127]);
    }

    #[test]
    fn scaled_numbers_are_computed_as_numpy_computes_them() {
        let parameters = json!({"scale": 10, "offset": 1000, "dtype": "<f8", "astype": "|u1"});
        let found = decoded("fixedscaleoffset", &parameters, &[0, 13, 255], 24);
        let numbers: Vec<f64> = found.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(numbers, [1000.0, 1001.3, 1025.5]);
    }

    #[test]
    fn types_that_do_not_fit_are_refused() {
        assert!(build("delta", 2, &json!({"dtype": "<i2", "astype": "<f4"})).is_err());
        assert!(build("delta", 2, &json!({"dtype": "<c8"})).is_err());
        assert!(build("delta", 2, &json!({})).is_err());
        assert!(build("astype", 2, &json!({"encode_dtype": "<U4", "decode_dtype": "<u2"})).is_err());
        let codec = build("delta", 2, &json!({"dtype": "<u2"})).unwrap();
        let mut out = [0; 4];
        assert!(codec.decode(&[1, 2, 3], &mut out, &mut Tools::default()).is_err());
        assert!(codec.decode(&[1, 2, 3, 4, 5, 6], &mut out, &mut Tools::default()).is_err());
    }
}

//! `bitround` and `quantize` of numcodecs: pixels that were rounded when they were written and are kept as they then were.

use serde_json::Value;

use super::number::Number;
use super::{Codec, Damage, Tools};

/// The codec.
#[derive(Debug)]
struct Rounded;

/// `quantize` may store another type than it took, which is refused.
pub(super) fn build(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let number = |key: &str| parameters.get(key).and_then(Value::as_str).map(Number::parse).transpose();
    match (number("dtype")?, number("astype")?) {
        (Some(one), Some(other)) if one != other => Err("rounded numbers of another type".to_owned()),
        _ => Ok(Box::new(Rounded)),
    }
}

impl Codec for Rounded {
    fn name(&self) -> String {
        "rounded".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded
    }

    fn work_bytes(&self, _decoded: u64) -> u64 {
        0
    }

    fn view<'a>(&self, encoded: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
        Ok(Some(encoded))
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let expected = out.len();
        let too_long = || Damage::Length { codec: self.name(), expected, found: encoded.len() };
        out.get_mut(..encoded.len()).ok_or_else(too_long)?.copy_from_slice(encoded);
        Ok(encoded.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pixels_stay_as_they_are() {
        let mut out = [0; 4];
        let codec = build(4, &json!({"digits": 3, "dtype": "<f4", "astype": "<f4"})).unwrap();
        assert_eq!(codec.decode(&[1, 2, 3, 4], &mut out, &mut Tools::default()).unwrap(), 4);
        assert_eq!(out, [1, 2, 3, 4]);
        assert!(codec.decode(&[0; 5], &mut out, &mut Tools::default()).is_err());
        assert!(build(4, &json!({"digits": 3, "dtype": "<f8", "astype": "<f4"})).is_err());
    }
}

//! Fill values: what a chunk that is not stored holds.

use half::f16;
use microtome_array::PixelType;
use serde_json::Value;

/// The bytes of a fill value, little-endian; none given is 0.
pub(super) fn parse(value: Option<&Value>, dtype: PixelType) -> Result<Vec<u8>, String> {
    let zero = || vec![0; dtype.size()];
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(zero()) };
    let wrong = || format!("a fill value of {value} for {dtype} pixels");
    if let (true, Value::Array(parts)) = (dtype.is_complex(), value) {
        let [real, imaginary] = &parts[..] else { return Err(wrong()) };
        let part = if dtype == PixelType::C64 { PixelType::F32 } else { PixelType::F64 };
        return Ok([parse(Some(real), part)?, parse(Some(imaginary), part)?].concat());
    }
    match dtype {
        PixelType::Bool => Ok(vec![u8::from(value.as_bool().or(value.as_u64().map(|n| n != 0)).ok_or_else(wrong)?)]),
        PixelType::F16 | PixelType::F32 | PixelType::F64 => float(value, dtype).ok_or_else(wrong),
        PixelType::C64 | PixelType::C128 => {
            if value.as_f64() == Some(0.0) {
                Ok(zero())
            } else {
                Err(wrong())
            }
        }
        _ => integer(value, dtype).ok_or_else(wrong),
    }
}

fn integer(value: &Value, dtype: PixelType) -> Option<Vec<u8>> {
    let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 2f64.powi(63)).then_some(f as i128);
    // Some writers of version 2 put numbers into strings.
    let text = value.as_str().and_then(|s| s.parse::<i128>().ok());
    let given = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)).or(text);
    let number = given.or(value.as_f64().and_then(whole))?;
    let bits = dtype.size() as u32 * 8;
    let (low, high) = if dtype.is_signed_integer() {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    };
    (low..=high).contains(&number).then(|| number.to_le_bytes()[..dtype.size()].to_vec())
}

fn float(value: &Value, dtype: PixelType) -> Option<Vec<u8>> {
    if let Some(hex) = value.as_str().and_then(|s| s.strip_prefix("0x")) {
        let bits = u64::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 2 * dtype.size())?;
        return Some(bits.to_le_bytes()[..dtype.size()].to_vec());
    }
    let number = match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        Some(text) => text.parse().ok()?,
        None => value.as_f64()?,
    };
    Some(match dtype {
        PixelType::F16 => f16::from_f64(number).to_le_bytes().to_vec(),
        PixelType::F32 => (number as f32).to_le_bytes().to_vec(),
        _ => number.to_le_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_words_and_bits() {
        let of = |value: Value, dtype| parse(Some(&value), dtype);
        assert_eq!(of(json!(7), PixelType::U16).unwrap(), [7, 0]);
        assert_eq!(of(json!(-1), PixelType::I16).unwrap(), [255, 255]);
        assert_eq!(of(json!("NaN"), PixelType::F32).unwrap(), f32::NAN.to_le_bytes());
        assert_eq!(of(json!("0x7fc00001"), PixelType::F32).unwrap(), 0x7fc0_0001u32.to_le_bytes());
        assert_eq!(of(json!([1.0, "Infinity"]), PixelType::C64).unwrap()[4..], f32::INFINITY.to_le_bytes());
        assert_eq!(of(json!(true), PixelType::Bool).unwrap(), [1]);
        assert_eq!(parse(None, PixelType::F64).unwrap(), [0; 8]);
        assert_eq!(of(json!("-3"), PixelType::I8).unwrap(), [253]);
        assert!(of(json!(300), PixelType::U8).is_err());
        assert!(of(json!("seven"), PixelType::F32).is_err());
    }
}

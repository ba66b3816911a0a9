//! A pixel size as people write it: `z=0.3,y=0.1,x=0.1,unit=um`.

use microtome::PixelSize;

/// Parses a pixel size; what is not named is `None`.
pub(super) fn parse(text: &str) -> Result<PixelSize, String> {
    let mut size = PixelSize::default();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| unclear(part))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let twice = match name.as_str() {
            "z" => size.z.replace(length(value)?).is_some(),
            "y" => size.y.replace(length(value)?).is_some(),
            "x" => size.x.replace(length(value)?).is_some(),
            "unit" if !value.is_empty() => size.unit.replace(value.to_owned()).is_some(),
            _ => return Err(unclear(part)),
        };
        if twice {
            return Err(format!("{name} is given twice"));
        }
    }
    if size.z.or(size.y).or(size.x).is_none() {
        return Err("give at least one of z, y and x".to_owned());
    }
    Ok(size)
}

fn unclear(part: &str) -> String {
    format!("`{part}` is no size; write z=0.3,y=0.1,x=0.1,unit=um")
}

fn length(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    value.ok_or_else(|| format!("`{text}` is no distance between pixels; it is a number over 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_axis_is_named() {
        let size = PixelSize { z: Some(0.3), y: Some(0.1), x: Some(0.1), unit: Some("um".to_owned()) };
        assert_eq!(parse("z=0.3,y=0.1,x=0.1,unit=um"), Ok(size));
        assert_eq!(parse("z=2"), Ok(PixelSize { z: Some(2.0), ..PixelSize::default() }));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "z", "z=0", "z=-1", "z=nan", "t=1", "z=1,z=2", "unit=um", "z=1,unit="] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

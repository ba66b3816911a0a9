//! How to cut an array into chunks: by axis names, by shape, or by a number of bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ArrayError, ArraySpec, Axis, ChunkGrid, PerAxis, Shape};

/// How to cut an array into chunks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChunkDims {
    /// Whole along the axes named, one pixel along the others. Samples are never parted.
    Axes(Vec<Axis>),
    /// Chunks of this shape, whole along S whatever it says there.
    Shape(Shape),
    /// As many whole trailing axes as fit this many bytes, at least one row.
    Bytes(u64),
}

impl Default for ChunkDims {
    /// A plane: `YX`.
    fn default() -> Self {
        ChunkDims::Axes(vec![Axis::Y, Axis::X])
    }
}

impl ChunkDims {
    /// Parses `YX`, `1,1,1,512,512` (T,C,Z,Y,X or with S) or a size as `16MiB`.
    ///
    /// # Errors
    /// [`ArrayError::ChunkText`], [`ArrayError::UnknownAxis`], [`ArrayError::DuplicateAxis`] or
    /// [`ArrayError::EmptyChunk`].
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{Axis, ChunkDims};
    /// assert_eq!(ChunkDims::parse("ZYX")?, ChunkDims::Axes(vec![Axis::Z, Axis::Y, Axis::X]));
    /// assert_eq!(ChunkDims::parse("16MiB")?, ChunkDims::Bytes(16 << 20));
    /// assert!(ChunkDims::parse("1,0,1,8,8").is_err());
    /// # Ok::<(), microtome_array::ArrayError>(())
    /// ```
    pub fn parse(text: &str) -> Result<ChunkDims, ArrayError> {
        text.parse()
    }

    /// The grid this makes of an array.
    ///
    /// # Errors
    /// [`ArrayError::EmptyChunk`] for a shape with an extent of 0.
    pub fn grid(&self, spec: &ArraySpec) -> Result<ChunkGrid, ArrayError> {
        let chunk = match self {
            ChunkDims::Axes(axes) => {
                let whole = |a: Axis| a == Axis::S || axes.contains(&a);
                Shape::new(PerAxis::from_fn(|a| if whole(a) { spec.shape.get(a).max(1) } else { 1 }).0)?
            }
            ChunkDims::Shape(shape) => shape.with(Axis::S, spec.shape.get(Axis::S).max(1))?,
            ChunkDims::Bytes(bytes) => by_bytes(spec, *bytes)?,
        };
        ChunkGrid::new(spec.shape, chunk)
    }
}

/// Takes axes whole from the fast end while they fit, then as much of the next one as fits.
fn by_bytes(spec: &ArraySpec, bytes: u64) -> Result<Shape, ArrayError> {
    let mut chunk = PerAxis::splat(1);
    let mut size = spec.dtype.size() as u64;
    for axis in Axis::ALL.into_iter().rev() {
        let extent = spec.shape.get(axis).max(1);
        let row = matches!(axis, Axis::S | Axis::X);
        chunk[axis] = if row { extent } else { (bytes / size).clamp(1, extent) };
        size *= chunk[axis];
        if chunk[axis] < extent {
            break;
        }
    }
    Shape::new(chunk.0)
}

impl FromStr for ChunkDims {
    type Err = ArrayError;
    fn from_str(text: &str) -> Result<Self, ArrayError> {
        let bad = || ArrayError::ChunkText { text: text.to_owned() };
        if text.contains(',') {
            let mut extents = [1; 6];
            let numbers: Vec<&str> = text.split(',').collect();
            if !(5..=6).contains(&numbers.len()) {
                return Err(bad());
            }
            for (extent, number) in extents.iter_mut().zip(numbers) {
                *extent = number.trim().replace('_', "").parse().map_err(|_| bad())?;
            }
            let shape = Shape::new(extents)?;
            ChunkGrid::new(shape, shape)?;
            return Ok(ChunkDims::Shape(shape));
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return parse_size(text).map(ChunkDims::Bytes).ok_or_else(bad);
        }
        let mut axes = Vec::new();
        for letter in text.chars() {
            let axis = Axis::parse(letter)?;
            if axes.contains(&axis) {
                return Err(ArrayError::DuplicateAxis { axis, text: text.to_owned() });
            }
            axes.push(axis);
        }
        if axes.is_empty() { Err(bad()) } else { Ok(ChunkDims::Axes(axes)) }
    }
}

/// Reads a size: `4G`, `4GiB`, `500MB`, `1_000_000`. A bare letter or `iB` counts in powers of 1024, `B` after the
/// letter in powers of 1000.
///
/// # Examples
/// ```
/// assert_eq!(microtome_array::parse_size("500MB"), Some(500_000_000));
/// assert_eq!(microtome_array::parse_size("2G"), Some(2 << 30));
/// assert_eq!(microtome_array::parse_size("-1"), None);
/// ```
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '_' || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.chars().next() {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some(_) => return None,
    };
    let base: u64 = match unit.get(1..) {
        None | Some("" | "ib") => 1024,
        Some("b") => 1000,
        Some(_) => return None,
    };
    let scale = base.pow(power);
    let number = number.replace('_', "");
    if number.contains('.') {
        let value = number.parse::<f64>().ok()? * scale as f64;
        return (value.is_finite() && value < 1e18).then_some(value as u64);
    }
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// Writes a count with `_` between thousands.
///
/// # Examples
/// ```
/// use microtome_array::format_count;
/// assert_eq!(format_count(999), "999");
/// assert_eq!(format_count(91_226_112), "91_226_112");
/// ```
pub fn format_count(n: u64) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let mut out = digits[..head].to_owned();
    for (place, group) in digits.as_bytes()[head..].chunks(3).enumerate() {
        if head > 0 || place > 0 {
            out.push('_');
        }
        out.extend(group.iter().map(|&b| char::from(b)));
    }
    out
}

/// Writes a size in binary units with three digits.
///
/// # Examples
/// ```
/// use microtome_array::format_size;
/// assert_eq!(format_size(1), "1 byte");
/// assert_eq!(format_size(1000), "1_000 bytes");
/// assert_eq!(format_size(2_949_120), "2.81 MiB");
/// assert_eq!(format_size(64 << 20), "64.0 MiB");
/// assert_eq!(format_size(1_048_570), "1.00 MiB");
/// assert_eq!(format_size(u64::MAX), "16.0 EiB");
/// ```
pub fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    match bytes {
        1 => return "1 byte".to_owned(),
        0..1024 => return format!("{} bytes", format_count(bytes)),
        _ => {}
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // A value that would be rounded up to 1024 and more goes into the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", UNITS[unit])
}

impl fmt::Display for ChunkDims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkDims::Axes(axes) => axes.iter().try_for_each(|a| write!(f, "{a}")),
            ChunkDims::Shape(shape) => {
                let parts: Vec<String> = shape.present().iter().map(u64::to_string).collect();
                f.write_str(&parts.join(","))
            }
            ChunkDims::Bytes(bytes) => write!(f, "{bytes}B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelType;

    fn chunk(text: &str) -> [u64; 6] {
        let spec = ArraySpec { shape: Shape::new([2, 3, 20, 100, 200, 1]).unwrap(), dtype: PixelType::U16 };
        ChunkDims::parse(text).unwrap().grid(&spec).unwrap().chunk().extents()
    }

    #[test]
    fn by_names_by_shape_and_by_bytes() {
        assert_eq!(chunk("YX"), [1, 1, 1, 100, 200, 1]);
        assert_eq!(chunk("zyx"), [1, 1, 20, 100, 200, 1]);
        assert_eq!(chunk("1,1,4,50,999"), [1, 1, 4, 50, 200, 1]);
        assert_eq!(chunk("40000"), [1, 1, 1, 100, 200, 1]);
        assert_eq!(chunk("4KiB"), [1, 1, 1, 10, 200, 1]);
        assert_eq!(chunk("100KiB"), [1, 1, 2, 100, 200, 1]);
    }

    #[test]
    fn the_samples_of_a_pixel_stay_together() {
        let spec = ArraySpec { shape: Shape::new([1, 1, 1, 8, 8, 3]).unwrap(), dtype: PixelType::U8 };
        for text in ["YX", "1,1,1,4,4", "1,1,1,4,4,1", "1"] {
            assert_eq!(ChunkDims::parse(text).unwrap().grid(&spec).unwrap().chunk().get(Axis::S), 3, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "YY", "YQ", "1,2", "1,1,1,0,5", "12parsecs", "1,1,1,x,5"] {
            assert!(ChunkDims::parse(text).is_err(), "{text}");
        }
    }
}

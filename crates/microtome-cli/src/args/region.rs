//! A region as people write it: `t=0:10,z=5,y=0:512`; axes that are not named are whole.

use std::str::FromStr;

use microtome::{ArrayError, Axis, PerAxis, Region, Shape};

use super::number;

/// A region that is open where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialRegion(PerAxis<Option<Range>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    /// `None`: to the end of the axis.
    end: Option<u64>,
}

impl PartialRegion {
    /// The region in an array.
    pub(crate) fn within(&self, shape: &Shape) -> Result<Region, ArrayError> {
        let range = |axis: Axis| self.0[axis].unwrap_or(Range { start: 0, end: None });
        let end = PerAxis::from_fn(|axis| range(axis).end.unwrap_or(shape.get(axis)));
        let start = PerAxis::from_fn(|axis| range(axis).start);
        for axis in Axis::ALL {
            let (start, end, extent) = (start[axis], end[axis], shape.get(axis));
            if start >= end || end > extent {
                return Err(ArrayError::OutOfBounds { axis, start, end, extent });
            }
        }
        Region::new(start, end)
    }
}

impl FromStr for PartialRegion {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut region = PartialRegion::default();
        for part in text.split(',') {
            let (axis, range) = part.split_once('=').ok_or_else(|| unclear(part))?;
            let axis = parse_axis(axis.trim())?;
            if region.0[axis].replace(parse_range(range.trim(), part)?).is_some() {
                return Err(format!("axis {axis} is given twice"));
            }
        }
        Ok(region)
    }
}

fn unclear(part: &str) -> String {
    format!("`{part}` is no range; write t=0:10 (from 0 up to, not including, 10), t=5:, t=:10 or t=5 (just that one)")
}

fn parse_axis(name: &str) -> Result<Axis, String> {
    let mut letters = name.chars();
    match (letters.next().map(Axis::parse), letters.next()) {
        (Some(Ok(Axis::S)), None) => Err("the samples of a pixel stay together; leave s out".to_owned()),
        (Some(Ok(axis)), None) => Ok(axis),
        _ => Err(format!("`{name}` is no axis; axes are t, c, z, y and x")),
    }
}

fn parse_range(range: &str, part: &str) -> Result<Range, String> {
    let number = |text: &str| number::count(text).map_err(|_| unclear(part));
    let Some((start, end)) = range.split_once(':') else {
        let start = number(range)?;
        return Ok(Range { start, end: start.checked_add(1) });
    };
    let start = if start.is_empty() { 0 } else { number(start)? };
    let end = if end.is_empty() { None } else { Some(number(end)?) };
    Ok(Range { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(text: &str) -> Result<String, String> {
        let shape = Shape::new([10, 3, 20, 512, 600, 1]).unwrap();
        let region = text.parse::<PartialRegion>()?.within(&shape).map_err(|e| e.to_string())?;
        Ok(region.to_string())
    }

    #[test]
    fn axes_that_are_not_named_are_whole() {
        assert_eq!(within("z=5"), Ok("t=0..10 c=0..3 z=5..6 y=0..512 x=0..600".to_owned()));
    }

    #[test]
    fn ranges_are_half_open_and_may_lack_an_end() {
        assert_eq!(
            within("t=0:2,c=1:,Z=:4,y=1_0:2_0,x=599"),
            Ok("t=0..2 c=1..3 z=0..4 y=10..20 x=599..600".to_owned())
        );
    }

    #[test]
    fn a_region_outside_names_its_axis() {
        assert_eq!(within("z=20"), Err("region 20..21 of axis Z is outside 0..20".to_owned()));
        assert_eq!(within("c=1:9"), Err("region 1..9 of axis C is outside 0..3".to_owned()));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "z", "z=", "z=a", "q=1", "zz=1", "z=1,z=2", "s=0", "z=1:2:3", "z=-1", "y=5:5", "y=7:3"] {
            assert!(within(text).is_err(), "{text}");
        }
    }
}

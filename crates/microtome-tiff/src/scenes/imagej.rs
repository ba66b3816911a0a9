//! `ImageJ` hyperstacks: the sizes are lines of the description, the order is C, Z, T.

use microtome_array::Axis;
use microtome_io::ome::{length_unit, time_unit};
use microtome_io::{PixelSize, Quantity};

use super::{Draft, in_order, pages, plain};
use crate::set::{PlaneRef, Set};

/// The order of planes in a hyperstack, fastest first.
const ORDER: [Axis; 3] = [Axis::C, Axis::Z, Axis::T];

pub(super) fn arrange(set: &mut Set, text: &str) -> Vec<Draft> {
    let settings = Settings(text);
    let chain = u64::from(set.main().index.chain());
    let images = settings.count("images").unwrap_or(chain).max(1);
    let found = available(set, images);
    let mut size = ["frames", "channels", "slices"].map(|name| settings.count(name).unwrap_or(1).max(1));
    let product = size.iter().try_fold(1u64, |p, &n| p.checked_mul(n));
    if product != Some(images) {
        if product != Some(1) {
            set.warn(format!(
                "the ImageJ description has {images} images in {size:?} (T C Z); they are taken as slices"
            ));
        }
        size = [1, 1, images];
    }
    if found < images {
        let is = pages(found as usize);
        set.warn(format!(
            "the ImageJ description has {images} images, the file {is}; the image is cut to what is there"
        ));
        size = cut(size, found);
    }
    let count = size.iter().product::<u64>();
    if chain > count && chain > 1 {
        set.warn(format!(
            "the ImageJ description has {count} images, the file {}; the rest is left out",
            pages(chain as usize)
        ));
    }
    let planes = planes(set, count, chain);
    let same = planes.iter().all(|&p| set.layout(p).is_some());
    if !same {
        return plain::arrange(set);
    }
    let mut draft = Draft::new(size, in_order(&planes, ORDER, size));
    draft.page_order = ORDER;
    for (channel, color) in draft.channels.iter_mut().zip(colors(set)) {
        channel.color = Some(color);
    }
    draft.pixel_size = pixel_size(set, &settings);
    draft.time_increment = time_increment(&settings);
    vec![draft]
}

/// The `key=value` lines of a description.
struct Settings<'a>(&'a str);

impl<'a> Settings<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0)
    }
}

/// The brightest colour of each channel's table of colours, of the private metadata of `ImageJ`.
///
/// Blocks of bytes, of which a tag has the sizes; the first one lists kinds of blocks and how many there are of each.
fn colors(set: &Set) -> Vec<String> {
    let (Some(sizes), Some(blocks)) = (set.value(SIZES), set.value(BLOCKS)) else { return Vec::new() };
    let Some(header) = sizes.u32(0) else { return Vec::new() };
    let (mut at, mut block, mut found) = (header as usize, 1, Vec::new());
    for kind in (4..header as usize).step_by(8) {
        let (Some(name), Some(count)) = (blocks.u32(kind), blocks.u32(kind + 4)) else { break };
        for _ in 0..count {
            let Some(size) = sizes.u32(4 * block) else { return found };
            if name == TABLES
                && size == 768
                && let Some(table) = blocks.bytes(at, 768)
            {
                found.push(format!("{:02X}{:02X}{:02X}", table[255], table[511], table[767]));
            }
            (at, block) = (at.saturating_add(size as usize), block + 1);
        }
    }
    found
}

/// Tags of the private metadata: sizes of blocks, and the blocks.
const SIZES: u16 = 50838;
const BLOCKS: u16 = 50839;
/// `luts` as a number.
const TABLES: u32 = u32::from_be_bytes(*b"luts");

/// How many of `images` planes the file has: as pages, or following the only page without headers of their own.
fn available(set: &Set, images: u64) -> u64 {
    let index = &set.main().index;
    let chain = u64::from(index.chain());
    if chain > 1 || images == 1 {
        return chain.min(images);
    }
    let Some(first) = index.contiguous(0) else { return 1 };
    let fits = set.main().source.size().saturating_sub(first.offset) / first.bytes;
    // One image is a description that outlived its stack; several and not all are a stack that was cut off, whose
    // lost planes stay in their places and are errors.
    let end = images.checked_mul(first.bytes).and_then(|n| n.checked_add(first.offset)).filter(|&n| n >> 63 == 0);
    if fits > 1 && images <= set.limits.pages && end.is_some() { images } else { fits.clamp(1, images) }
}

/// The first `count` planes, as pages or as what follows the only page.
fn planes(set: &mut Set, count: u64, chain: u64) -> Vec<PlaneRef> {
    let index = &mut set.files[0].index;
    if count <= chain {
        return (0..count as u32).map(|page| PlaneRef::new(0, page)).collect();
    }
    let next = index.len();
    let more = count as u32 - 1;
    index.push_contiguous(0, more);
    std::iter::once(0).chain(next..next + more).map(|page| PlaneRef::new(0, page)).collect()
}

/// Sizes (T C Z) cut so that at most `found` planes in file order are needed.
fn cut(size: [u64; 3], found: u64) -> [u64; 3] {
    let [t, c, z] = size;
    let (slices, frames) = (found / c, found / (c * z));
    if frames > 0 {
        [frames.min(t), c, z]
    } else if slices > 0 {
        [1, c, slices]
    } else {
        [1, found.max(1), 1]
    }
}

/// Pixel sizes in micrometres where the unit is a length, else in the unit as it stands.
fn pixel_size(set: &mut Set, settings: &Settings<'_>) -> PixelSize {
    let [x, y] = set.first.resolution.map(|r| r.map(|per_unit| 1.0 / per_unit));
    let z = settings.number("spacing");
    let Some(text) = settings.get("unit").or(match set.first.resolution_unit {
        2 => Some("inch"),
        3 => Some("cm"),
        _ => None,
    }) else {
        return PixelSize { z, y, x, unit: None };
    };
    for (axis, key) in [("y", "yunit"), ("z", "zunit")] {
        if let Some(own) = settings.get(key).filter(|own| *own != text) {
            set.warn(format!("the ImageJ description has unit={text} and {key}={own}; {axis} is given in {text} as ImageJ's own scale is"));
        }
    }
    let (unit, micrometer) = (length_unit(text), length_unit("um"));
    if unit.size.is_none() {
        return PixelSize { z, y, x, unit: Some(unit.name) };
    }
    let convert = |v: Option<f64>| v.and_then(|v| unit.to(&micrometer, v));
    PixelSize { z: convert(z), y: convert(y), x: convert(x), unit: Some(micrometer.name.clone()) }
}

fn time_increment(settings: &Settings<'_>) -> Option<Quantity> {
    let value = settings.number("finterval")?;
    Some(Quantity { value, unit: time_unit(settings.get("tunit").unwrap_or("s")).name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_cut_along_its_slowest_axis_first() {
        assert_eq!(cut([4, 2, 3], 13), [2, 2, 3]);
        assert_eq!(cut([4, 2, 3], 5), [1, 2, 2]);
        assert_eq!(cut([4, 2, 3], 1), [1, 1, 1]);
    }

    #[test]
    fn settings_are_whole_lines() {
        let settings = Settings("ImageJ=1.53\nimages=12\nunit=\\u00B5m\nfinterval=0\n");
        assert_eq!(settings.count("images"), Some(12));
        assert_eq!(settings.get("image"), None);
        assert_eq!(settings.number("finterval"), None);
    }
}

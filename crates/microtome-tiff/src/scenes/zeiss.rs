//! Zeiss LSM: a block of sizes and offsets (tag 34412); each page has all channels as separate samples, and a thumbnail after it.
//!
//! Samples become channels, as pages of the index that hold one each. Two habits of the writer are undone: offsets have 32
//! bits and wrap beyond 4 GiB, and sizes of compressed strips are those of their pixels.

use microtome_array::Axis;
use microtome_io::{Channel, Quantity};

use super::Draft;
use super::fit::{Said, fit, micrometers};
use super::zeiss_strips::planes;
use crate::notes::Fields;
use crate::set::{PlaneRef, Set};

/// The tag of the block.
pub(super) const LSM: u16 = 34412;

/// Where fields lie in the block.
mod at {
    pub(super) const CHANNELS: usize = 20;
    pub(super) const TIMES: usize = 24;
    pub(super) const SLICES: usize = 16;
    pub(super) const VOXEL: [usize; 3] = [56, 48, 40]; // Z, Y, X in metres
    pub(super) const SCAN: usize = 88;
    pub(super) const COLOURS: usize = 108;
    pub(super) const INTERVAL: usize = 112;
    pub(super) const STAMPS: usize = 132;
    pub(super) const POSITIONS: usize = 264;
    pub(super) const MOSAIC: usize = 268;
}

/// Longest block of colours or time stamps that is read.
const MOST_BLOCK: u64 = 1 << 20;

pub(super) fn arrange(set: &mut Set) -> Option<Vec<Draft>> {
    let Some(info) = set.value(LSM).filter(|i| matches!(i.u32(0), Some(0x0300_494C | 0x0400_494C))) else {
        set.warn("the LSM metadata are not understood; pages are shown in file order");
        return None;
    };
    let index = &set.main().index;
    let whole = |&page: &u32| index.layout(page).is_none_or(|l| l.tags.subfile & 1 == 0);
    let pages: Vec<u32> = (0..index.chain()).filter(whole).collect();
    let layout = index.layout(*pages.first()?)?;
    let samples = layout.tags.samples;
    let channels = if layout.sample_planes > 1 { samples } else { 1 };
    let stated = info.count(at::CHANNELS).unwrap_or(1);
    if stated.max(1) != samples {
        set.warn(format!(
            "the LSM metadata say {stated} channel(s), the pages have {samples} samples; the pages are right"
        ));
    }
    let [t, z] = sizes(&info);
    let count = |at| info.count(at).unwrap_or(0).max(1);
    let positions = count(at::POSITIONS).saturating_mul(count(at::MOSAIC));
    let planes = planes(set, &pages, (positions, t))?;
    let said = Said { what: "the LSM metadata", size: [t, channels, z], order: [Axis::C, Axis::Z, Axis::T] };
    let mut drafts = scenes(set, &said, planes, positions);
    for draft in &mut drafts {
        let um = |at: usize| info.f64(at).map(|metres| metres * 1e6);
        draft.pixel_size = micrometers(at::VOXEL.map(um));
        draft.time_increment = time_increment(set, &info).filter(|_| draft.size[0] > 1);
        name_channels(set, &info, &mut draft.channels);
    }
    Some(drafts)
}

/// Pages along T and Z, by the kind of scan: in some kinds Z or T lies within the page.
fn sizes(info: &Fields) -> [u64; 2] {
    let (t, z) = (info.count(at::TIMES).unwrap_or(1).max(1), info.count(at::SLICES).unwrap_or(1).max(1));
    match info.u16(at::SCAN).unwrap_or(0) {
        0 => [1, z],
        3 | 4 | 9 => [t, 1],
        1 | 2 | 5 | 8 | 10 => [1, 1],
        _ => [t, z],
    }
}

/// A scene for each position, tiles of a mosaic among them; the last ones may be cut.
fn scenes(set: &mut Set, said: &Said<'_>, planes: Vec<PlaneRef>, positions: u64) -> Vec<Draft> {
    let each = said.size.iter().try_fold(1u64, |p, &n| p.checked_mul(n)).unwrap_or(u64::MAX);
    if positions == 1 || (planes.len() as u64) <= each {
        return vec![fit(set, said, planes)];
    }
    let found = (planes.len() as u64).div_ceil(each).min(positions);
    let mut drafts = Vec::new();
    for (n, part) in planes.chunks(each as usize).take(found as usize).enumerate() {
        let mut draft = fit(set, said, part.to_vec());
        draft.name = format!("position {n}");
        drafts.push(draft);
    }
    if found < positions {
        set.warn(format!("the LSM metadata say {positions} positions, the file has {found}"));
    }
    drafts
}

/// Seconds between frames, as stated or else as the mean of the time stamps.
fn time_increment(set: &Set, info: &Fields) -> Option<Quantity> {
    let seconds = |value: f64| (value > 0.0).then(|| Quantity { value, unit: "second".to_owned() });
    if let Some(stated) = info.f64(at::INTERVAL).and_then(seconds) {
        return Some(stated);
    }
    let stamps = block(set, info, at::STAMPS)?;
    let count = stamps.count(4).filter(|&n| n > 1 && 8 + 8 * n <= stamps.len() as u64)? as usize;
    seconds((stamps.f64(8 * count)? - stamps.f64(8)?) / (count - 1) as f64)
}

/// Names and colours of channels, from a block of offsets to both.
fn name_channels(set: &Set, info: &Fields, channels: &mut [Channel]) {
    let Some(block) = block(set, info, at::COLOURS) else { return };
    let [count, names, colours_at, mut name_at] = [4, 8, 12, 16].map(|at| block.u32(at).unwrap_or(0) as usize);
    for (n, channel) in channels.iter_mut().enumerate() {
        if n < count
            && let Some(&[r, g, b, _]) = block.bytes(colours_at.saturating_add(4 * n), 4)
        {
            channel.color = Some(format!("{r:02X}{g:02X}{b:02X}"));
        }
        if n < names {
            let Some(len) = block.u32(name_at) else { continue };
            channel.name = block.text(name_at + 4, len as usize);
            name_at = name_at.saturating_add(4).saturating_add(len as usize);
        }
    }
}

/// A block that a field has the offset of.
fn block(set: &Set, info: &Fields, at: usize) -> Option<Fields> {
    let offset = info.u32(at).filter(|&o| o >= 8)?;
    set.fields_up_to(u64::from(offset), MOST_BLOCK)
}

//! Which page each plane of an OME image is, from its `TiffData`.

use microtome_array::Axis;
use microtome_io::ome::{OmeImage, TiffData};

use super::ome::label;
use super::ome_files::Slot;
use super::plane_at;
use crate::set::{PlaneRef, Set};

/// The planes an image should have.
pub(super) struct Plan {
    /// Along T, C, Z.
    pub(super) size: [u64; 3],
    /// Fastest first.
    pub(super) order: [Axis; 3],
    /// Samples of a page.
    pub(super) samples: u64,
}

/// A run of planes that lie in pages following each other.
struct Run {
    /// Number of the first plane in file order.
    start: u64,
    count: u64,
    first: PlaneRef,
}

/// The size along T, C, Z, cut to what is there, and the planes in the order T, C, Z.
///
/// `None`, with a warning, if the image has more planes than the limits allow and few of them are there.
pub(super) fn assign(
    set: &mut Set,
    image: &OmeImage,
    files: &[Slot],
    plan: &Plan,
) -> Option<([u64; 3], Vec<PlaneRef>)> {
    let total = plan.size.iter().try_fold(1u64, |p, &n| p.checked_mul(n)).unwrap_or(u64::MAX);
    let runs = runs(set, image, files, plan, total)?;
    let end = runs.iter().map(|r| r.start + r.count).max().unwrap_or(0);
    let size = cut(plan, end);
    if size != plan.size {
        let (is, should) = (size, plan.size);
        set.warn(format!(
            "image {} has {should:?} planes (T C Z) in the OME-XML and pages for {is:?}; it is cut to what is there",
            label(image)
        ));
    }
    let count = size.iter().try_fold(1u64, |p, &n| p.checked_mul(n)).filter(|&n| n <= set.limits.pages);
    let Some(count) = count else {
        set.warn(format!("image {} has more planes than pages are allowed; its OME-XML is not used", label(image)));
        return None;
    };
    if end == 0 {
        set.warn(format!("no page belongs to image {}; the OME-XML is not used", label(image)));
        return None;
    }
    Some((size, fill(set, image, plan, size, (count, &runs))))
}

fn fill(set: &mut Set, image: &OmeImage, plan: &Plan, size: [u64; 3], (count, runs): (u64, &[Run])) -> Vec<PlaneRef> {
    let unnamed = set.reason("the OME-XML names no page for it".to_owned());
    let mut planes = vec![unnamed; count as usize];
    for run in runs {
        for n in 0..run.count.min(count.saturating_sub(run.start)) {
            let page = if run.first.is_absent() {
                run.first
            } else {
                PlaneRef::new(run.first.file(), run.first.page() + n as u32)
            };
            planes[plane_at(run.start + n, plan.order, size)] = page;
        }
    }
    let holes = planes.iter().filter(|&&p| p == unnamed).count();
    if holes > 0 {
        set.warn(format!("{holes} of {count} planes of image {} have no page; reading them is an error", label(image)));
    }
    planes
}

/// Sizes cut along the slowest axis to the first `end` planes; then along the next one if one plane of it is left.
pub(super) fn cut(plan: &Plan, end: u64) -> [u64; 3] {
    let mut size = plan.size;
    for n in (0..3).rev() {
        let axis = plan.order[n].index();
        let stride = plan.order[..n].iter().fold(1u64, |p, a| p.saturating_mul(size[a.index()]));
        size[axis] = size[axis].min(end.div_ceil(stride)).max(1);
        if size[axis] > 1 {
            break;
        }
    }
    size
}

fn runs(set: &mut Set, image: &OmeImage, files: &[Slot], plan: &Plan, total: u64) -> Option<Vec<Run>> {
    let default = [TiffData::default()];
    let data = if image.tiff_data.is_empty() { &default[..] } else { &image.tiff_data[..] };
    let base = base(data, plan);
    let mut left = set.limits.pages;
    let mut lost = 0;
    let mut runs = Vec::with_capacity(data.len());
    for entry in data {
        let Some(start) = start(entry, plan, base).filter(|&s| s < total) else {
            lost += 1;
            continue;
        };
        let ifd = entry.ifd.unwrap_or(0);
        let slot = entry.file.map_or(Slot::File(0), |n| files[n as usize]);
        let wanted = entry.plane_count.or(entry.ifd.map(|_| 1));
        let (first, count) = match slot {
            Slot::Absent(plane) => (plane, wanted.unwrap_or(1)),
            Slot::File(file) => {
                let pages = u64::from(set.files[file as usize].index.chain()).saturating_sub(ifd);
                let count = wanted.unwrap_or(pages);
                lost += u64::from(count > pages);
                (PlaneRef::new(file, ifd as u32), count.min(pages))
            }
        };
        let count = count.min(total - start);
        if count > left {
            set.warn(format!("image {} has more planes than pages are allowed; its OME-XML is not used", label(image)));
            return None;
        }
        left -= count;
        if count > 0 {
            runs.push(Run { start, count, first });
        }
    }
    if lost > 0 {
        set.warn(format!("{lost} TiffData of image {} name planes or pages that are not there", label(image)));
    }
    Some(runs)
}

/// What is subtracted from `FirstT`, `FirstC`, `FirstZ`: 1 where a writer counted from 1, as the schema of 2003 allowed.
fn base(data: &[TiffData], plan: &Plan) -> [u64; 3] {
    std::array::from_fn(|axis| {
        let least = data.iter().map(|d| d.first[axis]).min().unwrap_or(0);
        let most = data.iter().map(|d| d.first[axis]).max().unwrap_or(0);
        u64::from(least == 1 && most == plan.size[axis])
    })
}

/// Number of the first plane of an entry in file order.
fn start(entry: &TiffData, plan: &Plan, base: [u64; 3]) -> Option<u64> {
    let mut at = [0; 3];
    for (n, at) in at.iter_mut().enumerate() {
        *at = entry.first[n].checked_sub(base[n])?;
    }
    // FirstC counts channels; some writers count samples.
    if at[1] >= plan.size[1] && at[1] % plan.samples == 0 {
        at[1] /= plan.samples;
    }
    if (0..3).any(|n| at[n] >= plan.size[n]) {
        return None;
    }
    let mut stride = 1u64;
    let mut start = 0u64;
    for axis in plan.order {
        start = start.checked_add(at[axis.index()].checked_mul(stride)?)?;
        stride = stride.saturating_mul(plan.size[axis.index()]);
    }
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(size: [u64; 3]) -> Plan {
        Plan { size, order: [Axis::Z, Axis::C, Axis::T], samples: 1 }
    }

    #[test]
    fn a_short_file_is_cut_along_the_slowest_axis() {
        assert_eq!(cut(&plan([10, 2, 5]), 100), [10, 2, 5]);
        assert_eq!(cut(&plan([10, 2, 5]), 35), [4, 2, 5]);
        assert_eq!(cut(&plan([10, 2, 5]), 3), [1, 1, 3]);
        assert_eq!(cut(&plan([1 << 31, 1, 1]), 1), [1, 1, 1]);
    }

    #[test]
    fn planes_counted_from_one_are_understood() {
        let data: Vec<TiffData> = (1..=3).map(|z| TiffData { first: [0, 0, z], ..TiffData::default() }).collect();
        assert_eq!(base(&data, &plan([1, 1, 3])), [0, 0, 1]);
        assert_eq!(start(&data[2], &plan([1, 1, 3]), [0, 0, 1]), Some(2));
    }
}

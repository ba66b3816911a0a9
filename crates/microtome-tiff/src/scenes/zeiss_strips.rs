//! Where the strips of an LSM lie: offsets unwrapped beyond 4 GiB, sizes of compressed strips found, samples taken apart.

use crate::page::{Layout, Tags};
use crate::set::{PlaneRef, Set};

/// Offsets and sizes of the strips of a page.
type Strips = (Vec<u64>, Vec<u64>);

/// The planes of pages in file order, one for each sample; `None`, with a warning, if there are more than are allowed.
pub(super) fn planes(set: &mut Set, pages: &[u32], (positions, times): (u64, u64)) -> Option<Vec<PlaneRef>> {
    let index = &set.main().index;
    let touched = |page: &u32| index.layout(*page).is_some_and(|l| l.sample_planes > 1 || !l.is_uncompressed());
    let far = set.main().source.size() >> 32 > 0;
    if !far && !pages.iter().any(touched) {
        return Some(pages.iter().map(|&page| PlaneRef::new(0, page)).collect());
    }
    let channels = pages.first().and_then(|&page| index.layout(page)).map_or(1, |l| l.sample_planes);
    let all = channels.saturating_mul(pages.len() as u64).saturating_add(u64::from(index.len()));
    if all > set.limits.pages {
        set.warn("the LSM file has more planes than pages are allowed; pages are shown in file order");
        return None;
    }
    let mut strips: Vec<Strips> = (0..index.chain()).map(|page| strips(set, page)).collect();
    if far {
        unwrap(&mut strips, &order(index.chain() as usize, positions, times));
    }
    let mut starts: Vec<u64> = strips.iter().filter_map(|(offsets, _)| offsets.first().copied()).collect();
    starts.sort_unstable();
    let end = set.main().source.size();
    let odd = set.reason("its page has not the samples of the first one".to_owned());
    let index = &mut set.files[0].index;
    let (mut found, mut different) = (Vec::new(), 0);
    for &page in pages {
        let Some(layout) = index.layout(page).filter(|l| l.sample_planes == channels) else {
            // Its planes keep their places, and reading them is an error.
            found.extend((0..channels).map(|_| odd));
            different += 1;
            continue;
        };
        let (offsets, mut sizes) = std::mem::take(&mut strips[page as usize]);
        if !layout.is_uncompressed() {
            sizes = true_sizes(&offsets, &sizes, &starts, end);
        }
        let each = (layout.across * layout.down) as usize;
        let tags = apart(layout);
        for sample in 0..channels as usize {
            // Strips that the page does not list are missed when they are read.
            let part = |list: &[u64]| list.iter().skip(sample * each).take(each).copied().collect::<Vec<_>>();
            found.push(PlaneRef::new(0, index.len()));
            index.push(&tags, &part(&offsets), &part(&sizes));
        }
    }
    index.shrink();
    if different > 0 {
        set.warn(format!("{different} pages have not the samples of the first one; reading their planes is an error"));
    }
    Some(found)
}

/// The tags of a page that holds one of the separate samples.
fn apart(layout: &Layout) -> Tags {
    let tags = layout.tags.clone();
    if layout.sample_planes > 1 { Tags { samples: 1, planar: 1, extra: 0, photometric: 1, ..tags } } else { tags }
}

fn strips(set: &Set, page: u32) -> Strips {
    let index = &set.main().index;
    let Some(layout) = index.layout(page) else { return Strips::default() };
    (0..layout.segments()).map_while(|n| index.segment(page, layout, n)).map(|s| (s.offset, s.bytes)).unzip()
}

/// Pages in the order in which they were written: each position of a time before those of the next.
fn order(pages: usize, positions: u64, times: u64) -> Vec<usize> {
    let parts = positions.saturating_mul(times).saturating_mul(2);
    if positions < 2 || !(pages as u64).is_multiple_of(parts) {
        return (0..pages).collect();
    }
    let (positions, times) = (positions as usize, times as usize);
    let each = pages / positions / times;
    let at = |t: usize, p: usize| (p * times + t) * each..(p * times + t + 1) * each;
    (0..times).flat_map(|t| (0..positions).flat_map(move |p| at(t, p))).collect()
}

/// Adds what was lost of offsets of 32 bits: one that is less than the one before lies 4 GiB further on.
fn unwrap(strips: &mut [Strips], order: &[usize]) {
    let first = |page: usize| strips.get(page).and_then(|(offsets, _)| offsets.first().copied());
    // The thumbnail may have been written before its page.
    let turned = matches!((first(0), first(1)), (Some(page), Some(thumbnail)) if page > thumbnail);
    let (mut wrapped, mut before) = (0, 0);
    for pair in order.chunks(2) {
        let pair: Vec<usize> = if turned { pair.iter().rev().copied().collect() } else { pair.to_vec() };
        for page in pair {
            for offset in &mut strips[page].0 {
                let stated = *offset;
                if stated < before {
                    wrapped += 1 << 32;
                }
                *offset = stated.saturating_add(wrapped);
                before = stated;
            }
        }
    }
}

/// Sizes from where the next strip begins; of the last one of a page at most twice what is stated.
fn true_sizes(offsets: &[u64], stated: &[u64], starts: &[u64], end: u64) -> Vec<u64> {
    let until = |n: usize| {
        let own = offsets[n];
        let most = end.min(own.saturating_add(stated[n].saturating_mul(2)));
        let next = starts.partition_point(|&start| start <= own);
        let next = offsets.get(n + 1).or_else(|| starts.get(next)).copied().filter(|&next| next > own);
        next.map_or(most, |next| next.min(end.max(own))).saturating_sub(own)
    };
    (0..offsets.len().min(stated.len())).map(until).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_fall_lie_4_gib_further_on() {
        let page = |offsets: &[u64]| (offsets.to_vec(), vec![1; offsets.len()]);
        let mut strips =
            vec![page(&[100, 3_000_000_000]), page(&[4_000_000_000]), page(&[50, 2_000_000_000]), page(&[20])];
        unwrap(&mut strips, &[0, 1, 2, 3]);
        let found: Vec<&[u64]> = strips.iter().map(|s| &s.0[..]).collect();
        assert_eq!(found[1], [4_000_000_000]);
        assert_eq!(found[2], [50 + (1 << 32), 2_000_000_000 + (1 << 32)]);
        assert_eq!(found[3], [20 + (2 << 32)]);
    }

    #[test]
    fn positions_of_a_time_were_written_together() {
        assert_eq!(order(8, 2, 2), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(order(6, 1, 3), [0, 1, 2, 3, 4, 5]);
        assert_eq!(order(6, 2, 3), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_strip_ends_where_the_next_begins() {
        assert_eq!(true_sizes(&[100, 130], &[64, 64], &[100, 400], 1000), [30, 270]);
        assert_eq!(true_sizes(&[100, 130], &[64, 64], &[100], 1000), [30, 128]);
        assert_eq!(true_sizes(&[100, 990], &[64, 64], &[100], 1000), [890, 10]);
    }
}

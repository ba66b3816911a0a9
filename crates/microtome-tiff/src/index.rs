//! The compact index of the pages of a file: a structure of arrays, 20 bytes a page and nothing per plane on the heap.
//!
//! *Invariant:* every page has a layout number and a run; strips that do not follow each other are listed in one shared
//! arena. Offsets and sizes are as the file states them: they are checked against the file when they are used.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::page::{Layout, Tags};

/// The pages of one file.
#[derive(Debug, Default)]
pub(crate) struct PageIndex {
    layouts: Vec<PageKind>,
    known: HashMap<Tags, u32>,
    layout_of: Vec<u32>,
    runs: Vec<Run>,
    /// Offsets, then sizes, of the strips of pages that have them apart.
    arena: Vec<u64>,
    /// Pages of the main chain come first, then those of SubIFDs.
    chain: u32,
    subs: Vec<Sub>,
}

/// A layout, or why a page has none.
pub(crate) type PageKind = Result<Layout, String>;

/// Where the strips of a page lie.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Offset of the first strip in the file, or start of the list in the arena.
    start: u64,
    /// Bytes of all strips, which follow each other; or the number of strips in the arena with [`LISTED`].
    bytes: u64,
}

/// Marks a run that is a list in the arena.
const LISTED: u64 = 1 << 63;

/// The pages that a page of the chain has below it.
#[derive(Clone, Copy, Debug)]
struct Sub {
    parent: u32,
    first: u32,
    count: u32,
}

/// A strip or tile in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl PageIndex {
    /// Number of pages of the main chain.
    pub(crate) fn chain(&self) -> u32 {
        self.chain
    }

    /// The layout of a page, or why it has none.
    pub(crate) fn kind(&self, page: u32) -> &PageKind {
        &self.layouts[self.layout_of[page as usize] as usize]
    }

    /// The layout of a page, if it has one.
    pub(crate) fn layout(&self, page: u32) -> Option<&Layout> {
        self.kind(page).as_ref().ok()
    }

    /// Number of the layout of a page: equal numbers, equal layouts.
    pub(crate) fn layout_number(&self, page: u32) -> u32 {
        self.layout_of[page as usize]
    }

    /// The page that is the `n`th SubIFD of a page.
    pub(crate) fn sub(&self, page: u32, n: u32) -> Option<u32> {
        let at = self.subs.binary_search_by_key(&page, |s| s.parent).ok()?;
        let sub = self.subs[at];
        (n < sub.count).then_some(sub.first + n)
    }

    /// Where a strip or tile of a page lies; `None` if the file does not list it.
    pub(crate) fn segment(&self, page: u32, layout: &Layout, number: u64) -> Option<Segment> {
        let run = self.runs[page as usize];
        if run.bytes & LISTED != 0 {
            let count = run.bytes & !LISTED;
            let at = (run.start + number) as usize;
            return (number < count)
                .then(|| Segment { offset: self.arena[at], bytes: self.arena[at + count as usize] });
        }
        let segments = layout.segments();
        if segments == 1 {
            return (number == 0).then_some(Segment { offset: run.start, bytes: run.bytes });
        }
        let per_plane = layout.across * layout.down;
        let (plane, within) = (number / per_plane, number % per_plane);
        let plane_bytes = run.bytes / layout.sample_planes;
        let offset = run.start + plane * plane_bytes + within * layout.tile_bytes(0);
        (number < segments).then(|| Segment { offset, bytes: layout.tile_bytes(within / layout.across) })
    }

    /// Adds a page; the offsets and sizes of its strips are cut to the number its layout has.
    pub(crate) fn push(&mut self, tags: &Tags, offsets: &[u64], sizes: &[u64]) {
        let number = self.intern(tags);
        let run = match &mut self.layouts[number as usize] {
            Ok(layout) => run(layout, offsets, sizes, &mut self.arena),
            Err(_) => Run { start: 0, bytes: 0 },
        };
        self.layout_of.push(number);
        self.runs.push(run);
    }

    /// Adds planes that follow a page without headers of their own.
    pub(crate) fn push_contiguous(&mut self, page: u32, count: u32) {
        let (run, layout) = (self.runs[page as usize], self.layout_of[page as usize]);
        for n in 1..=u64::from(count) {
            self.runs.push(Run { start: run.start + n * run.bytes, bytes: run.bytes });
            self.layout_of.push(layout);
        }
    }

    /// Offset and size of a page whose raw strips follow each other without gap.
    pub(crate) fn contiguous(&self, page: u32) -> Option<Segment> {
        let run = self.runs[page as usize];
        let layout = self.layout(page)?;
        let whole = layout.is_raw() && run.bytes & LISTED == 0 && run.bytes == layout.raw_bytes() && run.bytes > 0;
        whole.then_some(Segment { offset: run.start, bytes: run.bytes })
    }

    /// Ends the main chain: pages added from now on belong to SubIFDs or follow a page.
    pub(crate) fn end_chain(&mut self) {
        self.chain = self.len();
    }

    /// States that `count` pages from `first` on are the SubIFDs of `parent`; parents come in order.
    pub(crate) fn adopt(&mut self, parent: u32, first: u32, count: u32) {
        self.subs.push(Sub { parent, first, count });
    }

    /// Number of pages of all kinds.
    pub(crate) fn len(&self) -> u32 {
        self.layout_of.len() as u32
    }

    /// Frees what only building needs.
    pub(crate) fn shrink(&mut self) {
        self.known = HashMap::new();
        self.layout_of.shrink_to_fit();
        self.runs.shrink_to_fit();
        self.arena.shrink_to_fit();
        self.subs.shrink_to_fit();
    }

    /// Adds everything that decides which bytes a pixel is made of to a hash.
    pub(crate) fn hash(&self, hash: &mut Sha256) {
        for kind in &self.layouts {
            hash.update(format!("{:?}", kind.as_ref().map(|l| &l.tags)));
        }
        for (run, layout) in self.runs.iter().zip(&self.layout_of) {
            hash.update(run.start.to_le_bytes());
            hash.update(run.bytes.to_le_bytes());
            hash.update(layout.to_le_bytes());
        }
        for n in &self.arena {
            hash.update(n.to_le_bytes());
        }
        for sub in &self.subs {
            hash.update([sub.parent, sub.first, sub.count].map(u32::to_le_bytes).concat());
        }
    }

    fn intern(&mut self, tags: &Tags) -> u32 {
        // Pages mostly look like the one before.
        if let Some(&last) = self.layout_of.last()
            && matches!(&self.layouts[last as usize], Ok(layout) if layout.tags == *tags)
        {
            return last;
        }
        if let Some(&number) = self.known.get(tags) {
            return number;
        }
        let number = self.layouts.len() as u32;
        self.layouts.push(Layout::new(tags));
        self.known.insert(tags.clone(), number);
        number
    }
}

/// Keeps the strips of a page: as one run if they are raw and follow each other, else in the arena.
fn run(layout: &mut Layout, offsets: &[u64], sizes: &[u64], arena: &mut Vec<u64>) -> Run {
    let segments = usize::try_from(layout.segments()).unwrap_or(usize::MAX);
    let count = offsets.len().min(sizes.len()).min(segments);
    let (offsets, sizes) = (&offsets[..count], &sizes[..count]);
    let most = sizes.iter().copied().max().unwrap_or(0);
    layout.most_encoded = layout.most_encoded.max(most);
    if segments == 1 && count == 1 && sizes[0] & LISTED == 0 {
        return Run { start: offsets[0], bytes: sizes[0] };
    }
    if count == segments && most > 0 && is_contiguous(layout, offsets, sizes) {
        return Run { start: offsets[0], bytes: layout.raw_bytes() };
    }
    let start = arena.len() as u64;
    arena.extend_from_slice(offsets);
    arena.extend_from_slice(sizes);
    Run { start, bytes: LISTED | count as u64 }
}

fn is_contiguous(layout: &Layout, offsets: &[u64], sizes: &[u64]) -> bool {
    let per_plane = layout.across * layout.down;
    let mut next = offsets[0];
    layout.is_raw()
        && offsets[0].checked_add(layout.raw_bytes()).is_some_and(|end| end & LISTED == 0)
        && offsets.iter().zip(sizes).zip(0u64..).all(|((&offset, &bytes), n)| {
            let expected = layout.tile_bytes(n % per_plane / layout.across);
            let follows = offset == next && bytes == expected;
            next = next.saturating_add(expected);
            follows
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> Tags {
        Tags { width: 10, height: 10, bits: 8, tile: (0, 4), ..Tags::default() }
    }

    fn segments(index: &PageIndex, page: u32) -> Vec<(u64, u64)> {
        let layout = index.layout(page).unwrap();
        (0..layout.segments()).map_while(|n| index.segment(page, layout, n)).map(|s| (s.offset, s.bytes)).collect()
    }

    #[test]
    fn strips_that_follow_each_other_cost_no_list() {
        let mut index = PageIndex::default();
        index.push(&tags(), &[100, 140, 180], &[40, 40, 20]);
        index.push(&tags(), &[100, 140, 181], &[40, 40, 20]);
        assert_eq!(index.arena.len(), 6);
        assert_eq!(segments(&index, 0), [(100, 40), (140, 40), (180, 20)]);
        assert_eq!(segments(&index, 1), [(100, 40), (140, 40), (181, 20)]);
        assert_eq!(index.contiguous(0), Some(Segment { offset: 100, bytes: 100 }));
        assert_eq!(index.contiguous(1), None);
    }

    #[test]
    fn separate_planes_of_samples_are_one_run_too() {
        let mut index = PageIndex::default();
        let tags = Tags { samples: 2, planar: 2, ..tags() };
        let (offsets, sizes) = ([8, 48, 88, 108, 148, 188], [40, 40, 20, 40, 40, 20]);
        index.push(&tags, &offsets, &sizes);
        assert!(index.arena.is_empty());
        assert_eq!(segments(&index, 0), offsets.into_iter().zip(sizes).collect::<Vec<_>>());
    }

    #[test]
    fn a_strip_that_is_not_listed_is_none() {
        let mut index = PageIndex::default();
        index.push(&tags(), &[100, 140], &[40, 40]);
        assert_eq!(segments(&index, 0), [(100, 40), (140, 40)]);
    }

    #[test]
    fn equal_pages_share_a_layout() {
        let mut index = PageIndex::default();
        for width in [10, 10, 20, 10] {
            index.push(&Tags { width, ..tags() }, &[], &[]);
        }
        assert_eq!(index.layout_of, [0, 0, 1, 0]);
    }
}

//! The walk over the headers of a file: the chain of IFDs and the SubIFDs below them, read once.
//!
//! *Invariant:* each IFD is visited at most once, values are read only of tags that matter, and no value is allocated
//! before it is checked against the size of the file and the limits.

use std::collections::HashSet;

use microtome_io::{Limits, ReadError};
use tiff::tags::Tag;

use crate::file::{SourceFile, Window};
use crate::header::{Entry, Header};
use crate::index::PageIndex;
use crate::notes::{PageNotes, Stored};
use crate::page::Tags;
use crate::restarts;

/// What is read of a file when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) index: PageIndex,
    pub(crate) first: FirstPage,
    /// `ImageDescription`s of later pages, where the first one says that they tell of series or scenes.
    pub(crate) later: Vec<(u32, String)>,
    /// What private tags of single pages say.
    pub(crate) notes: PageNotes,
    pub(crate) warnings: Vec<String>,
}

/// What only the first page says about the image.
#[derive(Debug, Default)]
pub(crate) struct FirstPage {
    pub(crate) description: Option<String>,
    /// Pixels per unit along X and Y.
    pub(crate) resolution: [Option<f64>; 2],
    /// 1 none, 2 inch, 3 centimetre.
    pub(crate) resolution_unit: u64,
    /// Tags that say nothing about how pixels are read.
    pub(crate) others: Vec<u16>,
    /// All tags, with the places of their values.
    pub(crate) table: Vec<Stored>,
    /// Byte order of the file.
    pub(crate) big_endian: bool,
    /// Whether this is NDPI, with offsets of 64 bits in a classic TIFF.
    pub(crate) ndpi: bool,
}

impl FirstPage {
    /// Where the value of a tag lies.
    pub(crate) fn stored(&self, tag: u16) -> Option<Stored> {
        self.table.iter().find(|stored| stored.tag == tag).copied()
    }

    /// Whether the page has a tag.
    pub(crate) fn has(&self, tag: u16) -> bool {
        self.stored(tag).is_some()
    }
}

/// Reads the headers of a file.
pub(crate) fn walk(file: &SourceFile, limits: &Limits) -> Result<Headers, ReadError> {
    walk_with(file, limits, true)
}

/// Reads the headers of a file that another one's metadata describe: its own text, which may be as long as theirs, is not read.
pub(crate) fn walk_described(file: &SourceFile, limits: &Limits) -> Result<Headers, ReadError> {
    walk_with(file, limits, false)
}

fn walk_with(file: &SourceFile, limits: &Limits, reads_text: bool) -> Result<Headers, ReadError> {
    let mut window = Window::new(file);
    let header = Header::read(&mut window)?;
    let mut walker = Walker {
        window,
        header,
        limits,
        headers: Headers {
            first: FirstPage { big_endian: header.big_endian, ndpi: header.is_ndpi(), ..FirstPage::default() },
            ..Headers::default()
        },
        visited: Visited::default(),
        reads_text,
        tag_bytes: 0,
        page: Scratch::default(),
        pending: Vec::new(),
    };
    walker.chain()?;
    walker.subs()?;
    walker.headers.index.shrink();
    Ok(walker.headers)
}

struct Walker<'a> {
    window: Window<'a>,
    header: Header,
    limits: &'a Limits,
    headers: Headers,
    visited: Visited,
    reads_text: bool,
    tag_bytes: u64,
    page: Scratch,
    /// SubIFDs seen, by page of the chain.
    pending: Vec<(u32, Vec<u64>)>,
}

/// The offsets of IFDs that were read: mostly each lies after the one before, which a list holds without hashing.
#[derive(Default)]
struct Visited {
    ascending: Vec<u64>,
    others: HashSet<u64>,
}

impl Visited {
    /// Adds an offset; `false` if it was there.
    fn insert(&mut self, at: u64) -> bool {
        if self.ascending.last().is_none_or(|&last| at > last) {
            self.ascending.push(at);
            return true;
        }
        self.ascending.binary_search(&at).is_err() && self.others.insert(at)
    }
}

/// The page being read; its vectors are used again for the next one.
#[derive(Default)]
struct Scratch {
    ifd: Vec<u8>,
    tags: Tags,
    rows_per_strip: u64,
    offsets: Vec<u64>,
    sizes: Vec<u64>,
    has_sizes: bool,
    values: Vec<u64>,
    subs: Vec<u64>,
    /// Where parts of a stream begin that can be decoded alone: the lower and the upper 32 bits.
    restarts: Vec<u64>,
    restarts_high: Vec<u64>,
}

impl Walker<'_> {
    fn chain(&mut self) -> Result<(), ReadError> {
        let mut at = self.header.first;
        while at != 0 {
            let number = self.headers.index.len();
            if !self.visited.insert(at) {
                let warning = format!("the chain of pages turns back after page {number}; it is taken to end there");
                self.headers.warnings.push(warning);
                break;
            }
            self.check_pages()?;
            at = self.ifd(at, number, true)?;
            if !self.page.subs.is_empty() {
                self.pending.push((number, std::mem::take(&mut self.page.subs)));
            }
        }
        self.headers.index.end_chain();
        Ok(())
    }

    fn subs(&mut self) -> Result<(), ReadError> {
        for (parent, offsets) in std::mem::take(&mut self.pending) {
            let first = self.headers.index.len();
            for at in offsets {
                if at == 0 || !self.visited.insert(at) {
                    let warning = format!("a SubIFD of page {parent} is a page that was seen before; it is left out");
                    self.headers.warnings.push(warning);
                    continue;
                }
                self.check_pages()?;
                self.ifd(at, parent, false)?;
            }
            let count = self.headers.index.len() - first;
            self.headers.index.adopt(parent, first, count);
        }
        Ok(())
    }

    fn check_pages(&self) -> Result<(), ReadError> {
        let found = u64::from(self.headers.index.len()) + 1;
        self.within("number of pages", found, self.limits.pages.min(u64::from(u32::MAX / 2)))
    }

    /// Checks a limit; `what` is put into words only when it is passed, for this runs for each tag.
    fn within(&self, what: impl std::fmt::Display, found: u64, limit: u64) -> Result<(), ReadError> {
        if found <= limit {
            return Ok(());
        }
        let path = self.window.file().path().to_owned();
        Err(ReadError::OverLimit { path, what: what.to_string(), location: String::new(), found, limit })
    }

    /// Reads one IFD into the index and gives the offset of the next.
    fn ifd(&mut self, at: u64, number: u32, in_chain: bool) -> Result<u64, ReadError> {
        let location = |e| locate(e, number);
        let count = self.header.entry_count(&mut self.window, at).map_err(location)?;
        let bytes = self.header.ifd_bytes(count);
        self.within("tag table (bytes)", bytes, self.limits.tag_bytes).map_err(location)?;
        let mut ifd = std::mem::take(&mut self.page.ifd);
        ifd.clear();
        let body = at + self.header.count_size();
        ifd.extend_from_slice(self.window.get(body, bytes as usize, "the tag table").map_err(location)?);
        self.page.start(self.header.big_endian);
        for n in 0..count {
            let entry = self.header.entry(&ifd, n);
            if in_chain && number == 0 {
                self.note(body, n, &entry);
            }
            self.entry(&entry, number, in_chain).map_err(location)?;
        }
        let next = self.header.next(&ifd, count);
        self.page.ifd = ifd;
        self.finish().map_err(location)?;
        Ok(next)
    }

    /// Keeps where the values of the first page lie: one of the layouts of `scenes` may ask for them.
    fn note(&mut self, table: u64, n: u64, entry: &Entry) {
        if let Some((offset, bytes)) = self.header.value(table, n, entry) {
            let stored = Stored { tag: entry.tag, kind: entry.kind, count: entry.count, offset, bytes };
            self.headers.first.table.push(stored);
        }
    }

    /// Cuts the stream of a page of NDPI at its restart markers, so that parts of it can be decoded alone.
    fn cut_at_restarts(&mut self) -> Result<(), ReadError> {
        let page = &mut self.page;
        let jpeg = page.tags.compression == 7 && page.tags.tile.0 == 0 && page.offsets.len() == 1;
        let (Some(&start), Some(&first)) = (page.offsets.first(), page.restarts.first()) else { return Ok(()) };
        if !jpeg || page.sizes.len() != 1 || first > restarts::MOST_HEADER {
            return Ok(());
        }
        let stream = self.window.get(start, first as usize, "the header of a JPEG stream")?;
        if let Some(cut) =
            restarts::cut(&page.tags, stream, &page.restarts, &page.restarts_high, (start, page.sizes[0]))
        {
            page.tags.tile = cut.tile;
            page.tags.tables = Some(cut.header.into());
            page.tags.restarts = true;
            (page.offsets, page.sizes) = (cut.offsets, cut.sizes);
        }
        Ok(())
    }

    /// Adds the page to the index.
    fn finish(&mut self) -> Result<(), ReadError> {
        if self.header.is_ndpi() {
            self.cut_at_restarts()?;
        }
        let page = &mut self.page;
        if page.tags.tile.0 == 0 {
            let rows = if page.rows_per_strip == 0 { u64::MAX } else { page.rows_per_strip };
            page.tags.tile.1 = rows.min(page.tags.height.max(1));
        }
        if !page.has_sizes && page.tags.compression == 1 {
            page.derive_sizes();
        }
        let pixels = page.tags.width.saturating_mul(page.tags.height);
        self.within("number of pixels", pixels, self.limits.plane_pixels)?;
        self.headers.index.push(&self.page.tags, &self.page.offsets, &self.page.sizes);
        let newest = self.headers.index.len() - 1;
        let Some(layout) = self.headers.index.layout(newest).filter(|l| l.codec.is_ok()) else { return Ok(()) };
        // Of raw strips any rows can be read apart; anything else is decoded whole.
        let (what, rows) = match (layout.is_uncompressed(), layout.is_tiled()) {
            (true, _) => ("bytes of a stored row", 1),
            (false, true) => ("bytes of a tile", layout.tile_height),
            (false, false) => ("bytes of a strip", layout.tile_height),
        };
        self.within(what, layout.row_bytes * rows, self.limits.tile_bytes)?;
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, number: u32, in_chain: bool) -> Result<(), ReadError> {
        match Tag::from_u16_exhaustive(entry.tag) {
            NDPI_LENS | NDPI_RESTARTS | NDPI_RESTARTS_HIGH if self.header.is_ndpi() => {
                self.ndpi(entry, number, in_chain)
            }
            Tag::StripOffsets | Tag::TileOffsets => {
                let mut list = std::mem::take(&mut self.page.offsets);
                let read = self.values(entry, &mut list);
                self.page.offsets = list;
                read
            }
            Tag::StripByteCounts | Tag::TileByteCounts => {
                self.page.has_sizes = true;
                let mut list = std::mem::take(&mut self.page.sizes);
                let read = self.values(entry, &mut list);
                self.page.sizes = list;
                read
            }
            Tag::SubIfd if in_chain => {
                let mut list = std::mem::take(&mut self.page.subs);
                let read = self.values(entry, &mut list);
                self.page.subs = list;
                read
            }
            Tag::JPEGTables => self.tables(entry),
            // Of a stack every page may have its own copy of the same colours.
            Tag::ColorMap if in_chain && number < PALETTE_PAGES => {
                let mut values = std::mem::take(&mut self.page.values);
                let read = self.within("ColorMap (values)", entry.count, MOST_COLOURS);
                let read = read.and_then(|()| self.values(entry, &mut values));
                self.page.tags.colours = Some(values.iter().map(|&v| v as u16).collect());
                self.page.values = values;
                read
            }
            Tag::ImageDescription if in_chain && !self.reads_text => Ok(()),
            Tag::ImageDescription if in_chain => self.description(entry, number),
            Tag::XResolution if in_chain && number == 0 => self.resolution(entry, 0),
            Tag::YResolution if in_chain && number == 0 => self.resolution(entry, 1),
            Tag::ResolutionUnit if in_chain && number == 0 => {
                self.headers.first.resolution_unit = entry.inline(&self.header);
                Ok(())
            }
            tag if wants(tag) => {
                let mut values = std::mem::take(&mut self.page.values);
                let read = self.values(entry, &mut values);
                self.bits_apart(tag, entry, &mut values);
                self.page.set(tag, &values);
                self.page.values = values;
                read
            }
            _ if in_chain && number == 0 => {
                self.headers.first.others.push(entry.tag);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Reads a tag that only NDPI has.
    fn ndpi(&mut self, entry: &Entry, number: u32, in_chain: bool) -> Result<(), ReadError> {
        let tag = Tag::from_u16_exhaustive(entry.tag);
        if tag == NDPI_LENS {
            if in_chain {
                self.headers.notes.lenses.push((number, f32::from_bits(entry.bits(&self.header))));
            }
            return Ok(());
        }
        let mut list = Vec::new();
        self.values(entry, &mut list)?;
        *(if tag == NDPI_RESTARTS { &mut self.page.restarts } else { &mut self.page.restarts_high }) = list;
        Ok(())
    }

    /// Reads the integers of an entry.
    fn values(&mut self, entry: &Entry, out: &mut Vec<u64>) -> Result<(), ReadError> {
        out.clear();
        let Some(bytes) = self.check(entry)? else { return Ok(()) };
        let header = self.header;
        if let Some(inline) = entry.inline_bytes(&header, bytes) {
            header.integers(entry, inline, out);
            return Ok(());
        }
        let stored = self.window.get(entry.offset(&header), bytes, "the value of a tag")?;
        header.integers(entry, stored, out);
        Ok(())
    }

    /// Two numbers of bits that differ are the offset of two that do not: the writer of LSM stores them apart, though they
    /// would fit the entry.
    fn bits_apart(&mut self, tag: Tag, entry: &Entry, values: &mut Vec<u64>) {
        if tag != Tag::BitsPerSample || values.len() != 2 || values[0] == values[1] {
            return;
        }
        let header = self.header;
        let at = u64::from(entry.bits(&header));
        let Ok(stored) = self.window.get(at, 4, "the bits of samples") else { return };
        let mut apart = Vec::new();
        header.integers(entry, stored, &mut apart);
        if entry.kind == 3 && apart.len() == 2 && apart[0] == apart[1] && (1..=64).contains(&apart[0]) {
            *values = apart;
        }
    }

    /// Bytes of a value, checked against the limits; `None` for types that are not known.
    fn check(&mut self, entry: &Entry) -> Result<Option<usize>, ReadError> {
        let Some(size) = entry.type_size() else { return Ok(None) };
        let bytes = entry.count.saturating_mul(size);
        self.within(format_args!("value of tag {} (bytes)", entry.tag), bytes, self.limits.tag_bytes)?;
        if bytes > 8 {
            self.tag_bytes = self.tag_bytes.saturating_add(bytes);
            self.within("sum of tag values (bytes)", self.tag_bytes, self.limits.total_tag_bytes)?;
        }
        Ok(Some(bytes as usize))
    }

    /// Reads the tables that the JPEG streams of a page share.
    fn tables(&mut self, entry: &Entry) -> Result<(), ReadError> {
        let Some(bytes) = self.check(entry)? else { return Ok(()) };
        self.within("JPEGTables (bytes)", bytes as u64, MOST_TABLES)?;
        let header = self.header;
        let stored = match entry.inline_bytes(&header, bytes) {
            Some(inline) => inline,
            None => self.window.get(entry.offset(&header), bytes, "the JPEGTables")?,
        };
        self.page.tags.tables = Some(stored.into());
        Ok(())
    }

    fn description(&mut self, entry: &Entry, number: u32) -> Result<(), ReadError> {
        let first = self.headers.first.description.as_deref().unwrap_or_default();
        let Some(prefix) = LATER.iter().find(|prefix| number == 0 || first.starts_with(**prefix)) else {
            return Ok(());
        };
        let Some(bytes) = self.check(entry)? else { return Ok(()) };
        let header = self.header;
        let stored = match entry.inline_bytes(&header, bytes) {
            Some(inline) => inline,
            None => self.window.get(entry.offset(&header), bytes, "the ImageDescription")?,
        };
        let text = String::from_utf8_lossy(stored).trim_end_matches('\0').to_owned();
        if number == 0 {
            self.headers.first.description = Some(text);
        } else if text.starts_with(prefix) {
            self.headers.later.push((number, text));
        }
        Ok(())
    }

    fn resolution(&mut self, entry: &Entry, axis: usize) -> Result<(), ReadError> {
        if entry.kind != 5 || entry.count == 0 {
            return Ok(()); // not a rational: no resolution
        }
        let header = self.header;
        let mut eight = [0; 8];
        match entry.inline_bytes(&header, 8) {
            Some(inline) => eight.copy_from_slice(inline),
            None => match self.window.get(entry.offset(&header), 8, "the resolution") {
                Ok(stored) => eight.copy_from_slice(stored),
                // Pixels do not depend on it, so a resolution that is not there is none.
                Err(ReadError::Truncated { .. }) => return Ok(()),
                Err(other) => return Err(other),
            },
        }
        let (over, under) = (header.u32(&eight), header.u32(&eight[4..]));
        if over > 0 && under > 0 {
            self.headers.first.resolution[axis] = Some(f64::from(over) / f64::from(under));
        }
        Ok(())
    }
}

impl Scratch {
    fn start(&mut self, big_endian: bool) {
        self.tags = Tags { big_endian, ..Tags::default() };
        self.rows_per_strip = u64::MAX;
        self.has_sizes = false;
        self.offsets.clear();
        self.sizes.clear();
        self.subs.clear();
        self.restarts.clear();
        self.restarts_high.clear();
    }

    fn set(&mut self, tag: Tag, values: &[u64]) {
        let Some(&first) = values.first() else { return };
        let same = if values.iter().all(|&v| v == first) { first } else { 0 };
        let tags = &mut self.tags;
        match tag {
            Tag::NewSubfileType => tags.subfile = first,
            Tag::ImageWidth => tags.width = first,
            Tag::ImageLength => tags.height = first,
            Tag::BitsPerSample => tags.bits = same,
            Tag::Compression => tags.compression = first.max(1),
            Tag::PhotometricInterpretation => tags.photometric = first,
            Tag::FillOrder => tags.fill_order = first,
            Tag::SamplesPerPixel => tags.samples = first,
            Tag::RowsPerStrip => self.rows_per_strip = first,
            Tag::PlanarConfiguration => tags.planar = first,
            Tag::Predictor => tags.predictor = first,
            Tag::TileWidth => tags.tile.0 = if first == 0 { u64::MAX } else { first }, // 0 here would mean strips
            Tag::TileLength => tags.tile.1 = first,
            Tag::SampleFormat => tags.format = same,
            Tag::ChromaSubsampling => tags.subsampling = (first, values.get(1).copied().unwrap_or(first)),
            IMAGE_DEPTH => tags.depth = first,
            Tag::ExtraSamples => tags.extra = values.len() as u64,
            T4_OPTIONS => tags.t4_options = first,
            LERC_PARAMETERS => tags.lerc = values.get(1).copied().unwrap_or(0),
            _ => {}
        }
    }

    /// Raw strips without byte counts, as very old writers leave them: they have the size their pixels need.
    fn derive_sizes(&mut self) {
        let Ok(layout) = crate::page::Layout::new(&self.tags) else { return };
        let per_plane = layout.across * layout.down;
        let count = self.offsets.len() as u64;
        self.sizes.extend((0..count).map(|n| layout.tile_bytes((n % per_plane / layout.across).min(layout.down - 1))));
    }
}

/// The tag of volumetric pages, which has no name in the crate's table.
const IMAGE_DEPTH: Tag = Tag::Unknown(32997);
/// Options of CCITT group 3.
const T4_OPTIONS: Tag = Tag::Unknown(292);
/// The version of LERC, and the compression around it.
const LERC_PARAMETERS: Tag = Tag::Unknown(50674);
/// The magnification of a page of NDPI, or what it is instead.
const NDPI_LENS: Tag = Tag::Unknown(65421);
const NDPI_RESTARTS: Tag = Tag::Unknown(65426);
const NDPI_RESTARTS_HIGH: Tag = Tag::Unknown(65432);
/// How descriptions begin of which every page has its own: those of tifffile's series, and of Aperio's slides.
const LATER: [&str; 2] = ["{\"shape\"", "Aperio "];
/// Most bytes of shared tables of JPEG: four of each kind take some 2,000.
const MOST_TABLES: u64 = 64 << 10;
/// Values of the palette of samples of 16 bits.
const MOST_COLOURS: u64 = 3 << 16;
/// Pages of the chain whose palette is kept.
const PALETTE_PAGES: u32 = 64;

/// Adds the page to an error that does not know it.
fn locate(error: ReadError, number: u32) -> ReadError {
    let place = |location: String| if location.is_empty() { format!("page {number}") } else { location };
    match error {
        ReadError::Truncated { path, what, location, offset, length, file_bytes } => {
            ReadError::Truncated { path, what, location: place(location), offset, length, file_bytes }
        }
        ReadError::OverLimit { path, what, location, found, limit } => {
            ReadError::OverLimit { path, what, location: place(location), found, limit }
        }
        other => other,
    }
}

/// Whether a tag says how the pixels of a page are to be understood.
fn wants(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::NewSubfileType
            | Tag::ImageWidth
            | Tag::ImageLength
            | Tag::BitsPerSample
            | Tag::Compression
            | Tag::PhotometricInterpretation
            | Tag::FillOrder
            | Tag::SamplesPerPixel
            | Tag::RowsPerStrip
            | Tag::PlanarConfiguration
            | Tag::Predictor
            | Tag::TileWidth
            | Tag::TileLength
            | Tag::SampleFormat
            | Tag::ChromaSubsampling
            | Tag::ExtraSamples
            | IMAGE_DEPTH
            | T4_OPTIONS
            | LERC_PARAMETERS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_new_once_in_any_order() {
        let mut visited = Visited::default();
        let new: Vec<bool> = [8, 100, 50, 200, 100, 50, 8, 60].into_iter().map(|at| visited.insert(at)).collect();
        assert_eq!(new, [true, true, true, true, false, false, false, true]);
    }
}

//! Reading the part of one plane that a region asks for.
//!
//! *Invariant:* only strips and tiles that share pixels with the region are touched; raw full-width rows go from the
//! file into the result with nothing between.

use microtome_array::BufferPool;
use microtome_io::{Io, MAP_BYTES, ReadError};

use crate::fetch::{Fetch, RAW_BLOCK, check_ratio, check_raw, is_whole};
use crate::file::SourceFile;
use crate::index::{PageIndex, Segment};
use crate::mapped::View;
use crate::page::Layout;
use crate::pixels::{Packing, swap, unpack_row};
use crate::spot::Spot;

/// Rows and columns of a plane, half-open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) y0: u64,
    pub(crate) y1: u64,
    pub(crate) x0: u64,
    pub(crate) x1: u64,
}

impl Window {
    fn width(&self) -> u64 {
        self.x1 - self.x0
    }
}

/// A page to read from.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) file: &'a SourceFile,
    pub(crate) index: &'a PageIndex,
    pub(crate) layout: &'a Layout,
    pub(crate) number: u32,
    /// T, C, Z of the plane.
    pub(crate) plane: [u64; 3],
}

/// Reads planes, one after the other, into one result; raw runs that follow each other are read as one.
pub(crate) struct PlaneReader<'a> {
    fetch: Fetch<'a>,
    pending: Option<Pending<'a>>,
}

/// Raw bytes to be read into the result.
struct Pending<'a> {
    file: &'a SourceFile,
    offset: u64,
    at: usize,
    len: usize,
    swap: usize,
}

/// A strip or tile and the part of it that is wanted.
struct Part<'a> {
    spot: Spot<'a>,
    segment: Segment,
    /// First row and column of the tile in the plane.
    top: u64,
    left: u64,
    rows: std::ops::Range<u64>,
    columns: std::ops::Range<u64>,
    /// The sample it holds, where samples are stored apart.
    sample: u64,
}

impl Part<'_> {
    /// Stored bytes before the first wanted row.
    fn skip(&self) -> u64 {
        (self.rows.start - self.top) * self.spot.layout.row_bytes
    }

    /// Stored bytes of the wanted rows.
    fn stored_bytes(&self) -> usize {
        ((self.rows.end - self.rows.start) * self.spot.layout.row_bytes) as usize
    }
}

/// Most bytes read at once where values are to be swapped, so that they are still in the cache.
const SWAP_BLOCK: usize = 256 << 10;

impl<'a> PlaneReader<'a> {
    pub(crate) fn new(pool: &'a BufferPool, io: Io) -> Self {
        PlaneReader { fetch: Fetch { pool, io, fetched: 0 }, pending: None }
    }

    /// Reads `window` of `page` into `out[at..at + len]`, which holds that window of the plane and no more.
    ///
    /// Raw rows may be left pending until [`PlaneReader::finish`].
    pub(crate) fn plane(&mut self, page: Page<'a>, window: Window, out: &mut [u8], at: usize) -> Result<(), ReadError> {
        let layout = page.layout;
        let tiles = |from: u64, to: u64, size: u64| from / size..to.div_ceil(size);
        for sample in 0..layout.sample_planes {
            for down in tiles(window.y0, window.y1, layout.tile_height) {
                for across in tiles(window.x0, window.x1, layout.tile_width) {
                    let number = (sample * layout.down + down) * layout.across + across;
                    let part = part(page, window, [number, down, across, sample])?;
                    self.part(&part, window, out, at)?;
                }
            }
        }
        Ok(())
    }

    /// Reads what is pending and gives the bytes that were taken from storage.
    pub(crate) fn finish(mut self, out: &mut [u8]) -> Result<u64, ReadError> {
        self.flush(out)?;
        Ok(self.fetch.fetched)
    }

    fn part(&mut self, part: &Part<'a>, window: Window, out: &mut [u8], at: usize) -> Result<(), ReadError> {
        let layout = part.spot.layout;
        let target = Target::new(layout, window);
        if part.segment.bytes == 0 {
            // A tile that was never written is 0 (the convention of GDAL and libtiff).
            target.zero(part, out, at);
            return Ok(());
        }
        let codec = layout.codec.as_ref().map_err(|refusal| ReadError::Unsupported {
            path: part.spot.file.path().to_owned(),
            what: refusal.what.clone(),
            location: part.spot.to_string(),
            hint: refusal.hint.to_owned(),
        })?;
        if layout.is_uncompressed() {
            return self.raw(part, &target, out, at);
        }
        let stored = layout.tile_bytes(part.top / layout.tile_height);
        check_ratio(&part.spot, codec, part.segment, stored)?;
        let stored = stored as usize;
        if target.takes_all(part) {
            let to = at + target.row_start(part.rows.start);
            return self.fetch.decode(&part.spot, codec, part.segment, &mut out[to..to + stored]);
        }
        let mut decoded = self.fetch.pool.take(stored);
        self.fetch.decode(&part.spot, codec, part.segment, decoded.bytes_mut())?;
        let skip = ((part.rows.start - part.top) * layout.row_bytes) as usize;
        target.copy(part, &decoded.bytes()[skip..], out, at);
        Ok(())
    }

    fn raw(&mut self, part: &Part<'a>, target: &Target, out: &mut [u8], at: usize) -> Result<(), ReadError> {
        let layout = part.spot.layout;
        let rows = part.rows.end - part.rows.start;
        let skip = (part.rows.start - part.top) * layout.row_bytes;
        if layout.is_raw() && target.has_whole_rows(part) {
            let offset = check_raw(&part.spot, part.segment, skip, rows * layout.row_bytes)?;
            let to = at + target.row_start(part.rows.start);
            let len = (rows * layout.row_bytes) as usize;
            let swap = if layout.swap { layout.dtype.component_size() } else { 0 };
            return self.push(Pending { file: part.spot.file, offset, at: to, len, swap }, out);
        }
        check_raw(&part.spot, part.segment, skip, rows * layout.row_bytes)?; // before anything is allocated
        let per_block = (RAW_BLOCK / layout.row_bytes).clamp(1, rows);
        let mut block = None;
        let mut row = part.rows.start;
        while row < part.rows.end {
            let end = (row + per_block).min(part.rows.end);
            let rows = Part { rows: row..end, columns: part.columns.clone(), ..*part };
            row = end;
            if layout.is_raw() && self.fetch.io == Io::Mmap && self.mapped(&rows, target, out, at)? {
                continue;
            }
            let block = block.get_or_insert_with(|| self.fetch.pool.take((per_block * layout.row_bytes) as usize));
            let bytes = &mut block.bytes_mut()[..rows.stored_bytes()];
            self.fetch.raw(&part.spot, part.segment, rows.skip(), bytes)?;
            target.copy(&rows, bytes, out, at);
        }
        Ok(())
    }

    /// Copies the wanted columns of raw rows out of a map, whose other pages are not touched; `false` where that cannot be.
    fn mapped(&mut self, part: &Part<'a>, target: &Target, out: &mut [u8], at: usize) -> Result<bool, ReadError> {
        let len = part.stored_bytes();
        if target.interleave || len as u64 > MAP_BYTES {
            return Ok(false);
        }
        let offset = check_raw(&part.spot, part.segment, part.skip(), len as u64)?;
        let _mapped = self.fetch.pool.charge(len as u64);
        let done = part.spot.file.with_map(offset, len, false, |view| target.copy_mapped(part, view, out, at))?;
        self.fetch.fetched += if done { len as u64 } else { 0 };
        Ok(done)
    }

    /// Joins raw bytes to the pending ones if they follow in file and result.
    fn push(&mut self, new: Pending<'a>, out: &mut [u8]) -> Result<(), ReadError> {
        if let Some(last) = &mut self.pending
            && std::ptr::eq(last.file, new.file)
            && last.offset + last.len as u64 == new.offset
            && last.at + last.len == new.at
            && last.swap == new.swap
        {
            last.len += new.len;
            return Ok(());
        }
        self.flush(out)?;
        self.pending = Some(new);
        Ok(())
    }

    fn flush(&mut self, out: &mut [u8]) -> Result<(), ReadError> {
        let Some(run) = self.pending.take() else { return Ok(()) };
        let bytes = &mut out[run.at..run.at + run.len];
        self.fetch.fetched += run.len as u64;
        if run.swap == 0 {
            return self.fetch.stored(run.file, bytes, run.offset);
        }
        let mut offset = run.offset;
        for block in bytes.chunks_mut(SWAP_BLOCK) {
            self.fetch.stored(run.file, block, offset)?;
            swap(block, run.swap);
            offset += block.len() as u64;
        }
        Ok(())
    }
}

fn part(page: Page<'_>, window: Window, [number, down, across, sample]: [u64; 4]) -> Result<Part<'_>, ReadError> {
    let Page { file, index, layout, .. } = page;
    let in_chain = page.number < index.chain();
    let spot = Spot { file, layout, page: page.number, in_chain, plane: page.plane, number };
    let segment = index.segment(page.number, layout, number).ok_or_else(|| spot.not_listed())?;
    let (top, left) = (down * layout.tile_height, across * layout.tile_width);
    let rows = window.y0.max(top)..window.y1.min(top + layout.tile_height);
    let columns = window.x0.max(left)..window.x1.min(left + layout.tile_width);
    Ok(Part { spot, segment, top, left, rows, columns, sample })
}

/// How rows of a tile lie in the result.
struct Target {
    window: Window,
    /// Bytes of a pixel in the result, all samples.
    pixel: usize,
    row: usize,
    whole: bool,
    size: usize,
    stored_row: usize,
    interleave: bool,
    tile_width: u64,
}

impl Target {
    fn new(layout: &Layout, window: Window) -> Target {
        let pixel = layout.dtype.size() * layout.tags.samples as usize;
        Target {
            window,
            pixel,
            row: window.width() as usize * pixel,
            whole: is_whole(layout),
            size: layout.dtype.size(),
            stored_row: layout.row_bytes as usize,
            interleave: layout.sample_planes > 1,
            tile_width: layout.tile_width,
        }
    }

    fn row_start(&self, y: u64) -> usize {
        (y - self.window.y0) as usize * self.row
    }

    /// Whether stored rows are rows of the result.
    fn has_whole_rows(&self, part: &Part<'_>) -> bool {
        let columns = part.columns.end - part.columns.start;
        self.whole && !self.interleave && columns == self.tile_width && columns == self.window.width()
    }

    /// Whether all of the decoded tile belongs in one piece into the result.
    fn takes_all(&self, part: &Part<'_>) -> bool {
        let stored = part.spot.layout.stored_rows(part.top / part.spot.layout.tile_height);
        self.has_whole_rows(part) && part.rows.end - part.rows.start == stored
    }

    /// Copies the wanted columns of stored rows; `rows` starts with the first wanted row.
    fn copy(&self, part: &Part<'_>, rows: &[u8], out: &mut [u8], at: usize) {
        let layout = part.spot.layout;
        let together = layout.samples_together as usize;
        let skip = (part.columns.start - part.left) as usize * together;
        let values = (part.columns.end - part.columns.start) as usize * together;
        let x = (part.columns.start - self.window.x0) as usize * self.pixel + part.sample as usize * self.size;
        for (y, row) in part.rows.clone().zip(rows.chunks_exact(self.stored_row)) {
            let out = &mut out[at + self.row_start(y) + x..];
            match layout.packing {
                Packing::Whole => {
                    let row = &row[skip * self.size..][..values * self.size];
                    if self.interleave { self.scatter(row, out) } else { out[..row.len()].copy_from_slice(row) }
                }
                packing if self.interleave => {
                    let mut value = [0; 16];
                    for n in 0..values {
                        unpack_row(row, packing, (skip + n) as u64, &mut value[..self.size], self.size);
                        out[n * self.pixel..][..self.size].copy_from_slice(&value[..self.size]);
                    }
                }
                packing => unpack_row(row, packing, skip as u64, &mut out[..values * self.size], self.size),
            }
        }
    }

    /// Copies the wanted columns of raw rows, of all samples together.
    fn copy_mapped(&self, part: &Part<'_>, view: &View<'_>, out: &mut [u8], at: usize) {
        let layout = part.spot.layout;
        let pixel = layout.samples_together as usize * self.size;
        let skip = (part.columns.start - part.left) as usize * pixel;
        let len = (part.columns.end - part.columns.start) as usize * pixel;
        let x = (part.columns.start - self.window.x0) as usize * self.pixel;
        for (n, y) in part.rows.clone().enumerate() {
            let row = &mut out[at + self.row_start(y) + x..][..len];
            view.copy(n * self.stored_row + skip, row);
            if layout.swap {
                swap(row, layout.dtype.component_size());
            }
        }
    }

    /// Values of one sample into pixels of several.
    fn scatter(&self, row: &[u8], out: &mut [u8]) {
        match self.size {
            1 => scatter::<1>(row, out, self.pixel),
            2 => scatter::<2>(row, out, self.pixel),
            4 => scatter::<4>(row, out, self.pixel),
            8 => scatter::<8>(row, out, self.pixel),
            _ => scatter::<16>(row, out, self.pixel),
        }
    }

    /// Writes 0 to all pixels that the part fills.
    fn zero(&self, part: &Part<'_>, out: &mut [u8], at: usize) {
        let columns = (part.columns.end - part.columns.start) as usize;
        let x = (part.columns.start - self.window.x0) as usize * self.pixel;
        for y in part.rows.clone() {
            let row = &mut out[at + self.row_start(y) + x..][..columns * self.pixel];
            if !self.interleave {
                row.fill(0);
                continue;
            }
            for pixel in row.chunks_exact_mut(self.pixel) {
                pixel[part.sample as usize * self.size..][..self.size].fill(0);
            }
        }
    }
}

fn scatter<const N: usize>(row: &[u8], out: &mut [u8], pixel: usize) {
    let (values, _) = row.as_chunks::<N>();
    for (value, out) in values.iter().zip(out.chunks_mut(pixel)) {
        out[..N].copy_from_slice(value);
    }
}

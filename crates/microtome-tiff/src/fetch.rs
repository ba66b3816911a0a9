//! From a strip or tile in the file to rows of decoded bytes.
//!
//! *Invariant:* what comes out has just the bytes the layout asks for, or there is an error: a short strip is never
//! filled up.

use microtome_array::{Buffer, BufferPool};
use microtome_io::{Io, MAP_BYTES, ReadError};

use crate::codec::{Codec, Fault};
use crate::file::SourceFile;
use crate::index::Segment;
use crate::page::Layout;
use crate::pixels::{Packing, reverse_bits, swap, undo_float, undo_horizontal};
use crate::spot::Spot;

/// Reads and decodes the strips and tiles of one read.
pub(crate) struct Fetch<'a> {
    pub(crate) pool: &'a BufferPool,
    pub(crate) io: Io,
    pub(crate) fetched: u64,
}

impl Fetch<'_> {
    /// Fills `out` with stored bytes from `skip` bytes into a segment on: for raw segments, of which parts can be read.
    pub(crate) fn raw(
        &mut self,
        spot: &Spot<'_>,
        segment: Segment,
        skip: u64,
        out: &mut [u8],
    ) -> Result<(), ReadError> {
        let offset = check_raw(spot, segment, skip, out.len() as u64)?;
        self.stored(spot.file, out, offset)?;
        self.fetched += out.len() as u64;
        if spot.layout.tags.fill_order == 2 {
            reverse_bits(out);
        }
        if spot.layout.swap {
            swap(out, spot.layout.dtype.component_size());
        }
        Ok(())
    }

    /// Fills `out` with bytes of a file, through maps where that was asked for.
    pub(crate) fn stored(&self, file: &SourceFile, out: &mut [u8], mut offset: u64) -> Result<(), ReadError> {
        if self.io != Io::Mmap {
            return file.read_exact(out, offset);
        }
        for block in out.chunks_mut(MAP_BYTES as usize) {
            let _mapped = self.pool.charge(block.len() as u64);
            file.read_exact_mapped(block, offset)?;
            offset += block.len() as u64;
        }
        Ok(())
    }

    /// Decodes a compressed segment into `out`, which has just its decoded size, as rows of values in memory order.
    pub(crate) fn decode(
        &mut self,
        spot: &Spot<'_>,
        codec: &Codec,
        segment: Segment,
        out: &mut [u8],
    ) -> Result<(), ReadError> {
        let encoded = self.encoded(spot, segment)?;
        let chunk = spot.layout.chunk(spot.number);
        let work = self.pool.charge((codec.work)(&chunk));
        let found = match (codec.decode)(&chunk, encoded.bytes(), out) {
            Ok(found) => found,
            Err(Fault::TooLong) => self.decode_longer(spot, codec, segment, (encoded.bytes(), &mut *out))?,
            Err(Fault::Bad(why)) => {
                return Err(spot.corrupt(segment, format!("it does not decode ({}): {why}", codec.name)));
            }
        };
        if found < out.len() {
            return Err(spot.corrupt(segment, short(found as u64, out.len() as u64, codec.name)));
        }
        drop((encoded, work));
        self.unpredict(spot.layout, out);
        Ok(())
    }

    /// The stored bytes, without what cannot belong to the segment.
    fn encoded(&mut self, spot: &Spot<'_>, segment: Segment) -> Result<Buffer, ReadError> {
        if segment.offset.checked_add(segment.bytes).is_none_or(|end| end > spot.file.size()) {
            return Err(spot.beyond(segment.offset, segment.bytes));
        }
        let bytes = segment.bytes.min(spot.layout.encoded_cap());
        let mut encoded = self.pool.take(bytes as usize);
        spot.file.read_exact(encoded.bytes_mut(), segment.offset)?;
        self.fetched += bytes;
        if spot.layout.reverses_bits() {
            reverse_bits(encoded.bytes_mut());
        }
        Ok(encoded)
    }

    /// Some writers fill the last strip up to its full height: decodes all of it and keeps what the page has.
    fn decode_longer(
        &mut self,
        spot: &Spot<'_>,
        codec: &Codec,
        segment: Segment,
        (encoded, out): (&[u8], &mut [u8]),
    ) -> Result<usize, ReadError> {
        let full = spot.layout.tile_bytes(0) as usize;
        let mut whole = self.pool.take(full);
        match (codec.decode)(&spot.layout.chunk(spot.number), encoded, whole.bytes_mut()) {
            Ok(found) if full > out.len() => {
                let kept = found.min(out.len());
                out[..kept].copy_from_slice(&whole.bytes()[..kept]);
                Ok(kept)
            }
            Ok(_) | Err(Fault::TooLong) => {
                let why = format!("it decodes to more than the {} bytes expected ({})", out.len(), codec.name);
                Err(spot.corrupt(segment, why))
            }
            Err(Fault::Bad(why)) => Err(spot.corrupt(segment, format!("it does not decode ({}): {why}", codec.name))),
        }
    }

    fn unpredict(&self, layout: &Layout, rows: &mut [u8]) {
        let (row, samples) = (layout.row_bytes as usize, layout.samples_together as usize);
        let size = layout.dtype.component_size();
        let predictor = layout.predictor();
        if predictor == 3 {
            let mut scratch = self.pool.take(row);
            for row in rows.chunks_exact_mut(row) {
                undo_float(row, samples, size, scratch.bytes_mut());
            }
            return;
        }
        if layout.swap {
            swap(rows, size);
        }
        if predictor == 2 {
            undo_horizontal(rows, row, samples, size);
        }
    }
}

/// Checks that part of a raw segment is there, and gives its offset in the file.
pub(crate) fn check_raw(spot: &Spot<'_>, segment: Segment, skip: u64, len: u64) -> Result<u64, ReadError> {
    let needed = skip + len;
    if segment.bytes < needed {
        return Err(spot.corrupt(segment, short(segment.bytes, needed, "none")));
    }
    match segment.offset.checked_add(needed) {
        Some(end) if end <= spot.file.size() => Ok(segment.offset + skip),
        _ => Err(spot.beyond(segment.offset, segment.bytes)),
    }
}

/// Checks that a compressed segment can have the pixels it should, before they are given memory.
pub(crate) fn check_ratio(spot: &Spot<'_>, codec: &Codec, segment: Segment, decoded: u64) -> Result<(), ReadError> {
    if decoded <= segment.bytes.saturating_mul(codec.most_ratio).saturating_add(64) {
        return Ok(());
    }
    let why = format!("{} bytes of {} cannot decode to the {decoded} bytes expected", segment.bytes, codec.name);
    Err(spot.corrupt(segment, why))
}

fn short(found: u64, expected: u64, codec: &str) -> String {
    format!("it has {found} bytes of pixels, expected {expected} ({codec}); the file is probably truncated")
}

/// Most bytes that [`Fetch`] takes from the pool at once for a segment of this layout, the decoded rows included.
pub(crate) fn scratch(layout: &Layout) -> u64 {
    let decoded = layout.tile_bytes(0);
    if layout.is_uncompressed() {
        return BufferPool::charged(decoded.min(RAW_BLOCK.max(layout.row_bytes)));
    }
    let encoded = layout.most_encoded.min(layout.encoded_cap());
    let predicted = if layout.predictor() == 3 { layout.row_bytes } else { 0 };
    let fits = layout.is_tiled() || layout.gives_pictures();
    let last = if fits || layout.tags.height.is_multiple_of(layout.tile_height) { 0 } else { decoded };
    let buffers: u64 = [decoded, encoded, last.max(predicted)].into_iter().map(BufferPool::charged).sum();
    buffers.saturating_add(layout.work())
}

/// Rows of raw strips that are not read straight into the result pass through a block of about this size.
pub(crate) const RAW_BLOCK: u64 = 256 << 10;

/// Whether values lie in memory as they are stored.
pub(crate) fn is_whole(layout: &Layout) -> bool {
    layout.packing == Packing::Whole
}

//! Pages of NDPI are one stream of JPEG each, of any size: a list of where its restart markers lie makes tiles of it.
//!
//! *Invariant:* a stream is cut only if its parts are whole rows of units that tile the page without remainder; else it
//! stays as it is, and is refused where it is larger than a strip may be.

use crate::codec::ScanHeader;
use crate::page::Tags;

/// Longest header of a stream.
pub(crate) const MOST_HEADER: u64 = 64 << 10;

/// A stream as tiles.
pub(crate) struct Cut {
    /// Width and height.
    pub(crate) tile: (u64, u64),
    /// What comes before the bytes of each tile.
    pub(crate) header: Vec<u8>,
    pub(crate) offsets: Vec<u64>,
    pub(crate) sizes: Vec<u64>,
}

/// Cuts a stream (offset and bytes), of which `head` is what lies before the first unit.
pub(crate) fn cut(tags: &Tags, head: &[u8], low: &[u64], high: &[u64], (start, bytes): (u64, u64)) -> Option<Cut> {
    let header = ScanHeader::find(head)?;
    let width = header.unit[0].checked_mul(header.interval).filter(|&w| u16::try_from(w).is_ok())?;
    let tile = (width, header.unit[1]);
    let units = tags.width.div_ceil(header.unit[0]);
    let count = units.checked_mul(tags.height.div_ceil(tile.1))? / header.interval;
    if !units.is_multiple_of(header.interval) || count != low.len() as u64 {
        return None;
    }
    let mut begins = Vec::with_capacity(low.len() + 1);
    for (n, &low) in low.iter().enumerate() {
        begins.push(high.get(n).copied().unwrap_or(0).checked_mul(1 << 32)?.checked_add(low)?);
    }
    begins.push(bytes);
    let offsets: Option<Vec<u64>> = begins[..low.len()].iter().map(|&b| start.checked_add(b)).collect();
    let sizes: Option<Vec<u64>> =
        begins.windows(2).map(|pair| pair[1].checked_sub(pair[0]).filter(|&n| n > 0)).collect();
    let mut patched = head.get(..header.length)?.to_vec();
    let size = [(tile.1 as u16).to_be_bytes(), (tile.0 as u16).to_be_bytes()].concat();
    patched.get_mut(header.size_at..header.size_at + 4)?.copy_from_slice(&size);
    Some(Cut { tile, header: patched, offsets: offsets?, sizes: sizes? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 32 × 16 pixels in units of 8 × 8, two units between markers.
    const HEAD: [u8; 27] =
        [0xff, 0xd8, 0xff, 0xdd, 0, 4, 0, 2, 0xff, 0xc0, 0, 11, 8, 0, 16, 0, 32, 1, 1, 0x11, 0, 0xff, 0xda, 0, 4, 1, 2];

    fn tags(width: u64) -> Tags {
        Tags { width, height: 16, ..Tags::default() }
    }

    #[test]
    fn a_stream_becomes_tiles_of_the_size_between_markers() {
        let found = cut(&tags(32), &HEAD, &[27, 40, 50, 70], &[0, 0, 0, 1], (1000, (1 << 32) + 100)).unwrap();
        assert_eq!(found.tile, (16, 8));
        assert_eq!(found.offsets, [1027, 1040, 1050, 1070 + (1 << 32)]);
        assert_eq!(found.sizes, [13, 10, (1 << 32) + 20, 30]);
        assert_eq!(found.header[13..17], [0, 8, 0, 16]);
    }

    #[test]
    fn parts_that_do_not_tile_the_page_are_left_together() {
        assert!(cut(&tags(24), &HEAD, &[27, 40, 50], &[], (0, 100)).is_none());
        assert!(cut(&tags(32), &HEAD, &[27, 40, 50], &[], (0, 100)).is_none());
        assert!(cut(&tags(32), &HEAD, &[27, 40, 30, 50], &[], (0, 100)).is_none());
        assert!(cut(&tags(32), &HEAD[..20], &[27, 40, 50, 70], &[], (0, 100)).is_none());
    }
}

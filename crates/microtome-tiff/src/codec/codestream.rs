//! The headers of a JPEG 2000 codestream: its size, and what its blocks would cost, before anything is decoded.
//!
//! *Invariant:* walks boxes and marker segments only, each of which moves it on; nothing is allocated.

use super::Size;

/// A codestream and what its main header says.
#[derive(Debug)]
pub(super) struct Codestream<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) size: Size,
    pub(super) components: u64,
    /// Bits of each component, which all have the same.
    pub(super) bits: u8,
    pub(super) signed: bool,
    /// Whether components have other resolutions than the first.
    pub(super) subsampled: bool,
    /// Whether components are transformed, so that the decoder gives RGB.
    pub(super) transformed: bool,
    /// Tiles of the codestream itself.
    tiles: u64,
    /// Bytes that code-blocks, precincts and layers may take.
    memory: u64,
}

const JP2: &[u8] = b"\0\0\0\x0cjP  ";
const START: &[u8] = &[0xff, 0x4f, 0xff, 0x51];

impl<'a> Codestream<'a> {
    /// Finds the codestream in `bytes` and reads its headers.
    pub(super) fn find(bytes: &'a [u8]) -> Result<Codestream<'a>, String> {
        let stream = if bytes.starts_with(JP2) { contiguous(bytes) } else { Some(bytes) };
        let stream = stream.filter(|s| s.starts_with(START)).ok_or("it has no codestream of JPEG 2000")?;
        let mut found = size(stream).ok_or("the size in its header is cut or impossible")??;
        found.headers().ok_or("its headers are cut or impossible")?;
        Ok(found)
    }

    /// Refuses streams whose blocks would take more than `most` bytes.
    pub(super) fn check_memory(&self, most: u64) -> Result<(), String> {
        // What is noted of a tile of the codestream, whether or not anything of it is there.
        let tiles = self.tiles.saturating_mul(256 + 256 * self.components);
        let needed = self.memory.saturating_add(tiles);
        if needed <= most {
            return Ok(());
        }
        Err(format!("its code-blocks, layers and tiles would take {needed} bytes, more than the {most} expected"))
    }

    /// Goes through the marker segments of the main header and of those of tile-parts.
    fn headers(&mut self) -> Option<()> {
        let mut rest = &self.bytes[2..];
        let mut part_end: Option<&[u8]> = None;
        loop {
            let marker = u16::from_be_bytes(*rest.first_chunk()?);
            match marker {
                0xffd9 => return Some(()),
                0xff93 => {
                    // The data of a tile-part, up to where its header said.
                    rest = part_end.take()?;
                    if rest.is_empty() {
                        return Some(());
                    }
                    continue;
                }
                0xff30..=0xff3f => {
                    rest = &rest[2..];
                    continue;
                }
                _ => {}
            }
            let length = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?));
            let body = rest.get(4..2 + length.max(2))?;
            match marker {
                0xff90 => {
                    let part = u32::from_be_bytes(*body.get(2..)?.first_chunk()?) as usize;
                    part_end = Some(if part == 0 { &[] } else { rest.get(part.max(12)..).unwrap_or(&[]) });
                }
                0xff52 => {
                    let layers = u64::from(u16::from_be_bytes(*body.get(2..)?.first_chunk()?));
                    self.transformed |= *body.get(4)? != 0;
                    self.blocks(body[0] & 1 != 0, layers.max(1), body.get(5..)?, self.components)?;
                }
                0xff53 => {
                    let skip = if self.components < 257 { 1 } else { 2 };
                    // It does not state layers; 64 are more than writers use together with it.
                    self.blocks(*body.get(skip)? & 1 != 0, 64, body.get(skip + 1..)?, 1)?;
                }
                _ => {}
            }
            rest = &rest[2 + length.max(2)..];
        }
    }

    /// Adds what blocks of a coding style may take: those of the whole picture, however tiles share them.
    fn blocks(&mut self, precincts: bool, layers: u64, style: &[u8], components: u64) -> Option<()> {
        let &[levels, width, height, _, _] = style.first_chunk()?;
        if levels > 32 || width > 8 || height > 8 {
            return None;
        }
        let block = [width + 2, height + 2];
        let mut bytes = 0u64;
        for level in 0..=levels {
            let both = if precincts { *style.get(5 + usize::from(level))? } else { 0xff };
            let precinct = [both & 15, both >> 4];
            let shift = levels - level;
            let bands = if level == 0 { 1 } else { 3 };
            let count = |log: [u8; 2]| {
                let along = |extent: u64, log: u8| (extent >> shift >> log).saturating_add(2);
                along(self.size.width, log[0]).saturating_mul(along(self.size.height, log[1]))
            };
            let halved = precinct.map(|log| log.saturating_sub(u8::from(level > 0)));
            let block = [block[0].min(halved[0]), block[1].min(halved[1])];
            let half = block.map(|log| log + u8::from(level > 0));
            let of_blocks = count(half).saturating_mul(160 + 24 * layers);
            let of_level = of_blocks.saturating_add(count(precinct).saturating_mul(320));
            bytes = bytes.saturating_add(of_level.saturating_mul(bands));
        }
        self.memory = self.memory.saturating_add(bytes.saturating_mul(components));
        Some(())
    }
}

/// The codestream within the boxes of a JP2 file.
fn contiguous(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as u64;
        let name = rest.get(4..8)?;
        let (header, length) = match length {
            0 => (8, rest.len() as u64),
            1 => (16, u64::from_be_bytes(*rest.get(8..)?.first_chunk()?)),
            n => (8, n),
        };
        let end = usize::try_from(length).ok().filter(|&end| end >= header)?;
        if name == b"jp2c" {
            return rest.get(header..end.min(rest.len()));
        }
        rest = rest.get(end..)?;
    }
}

/// Reads the segment SIZ; the inner error is one that can be explained.
fn size(stream: &[u8]) -> Option<Result<Codestream<'_>, String>> {
    let body = stream.get(6..)?;
    let number = |at: usize| body.get(at..)?.first_chunk().map(|b| u64::from(u32::from_be_bytes(*b)));
    let [x, y, x0, y0] = [number(2)?, number(6)?, number(10)?, number(14)?];
    let [tile_x, tile_y, tile_x0, tile_y0] = [number(18)?, number(22)?, number(26)?, number(30)?];
    let components = u64::from(u16::from_be_bytes(*body.get(34..)?.first_chunk()?));
    let (width, height) = (x.checked_sub(x0)?, y.checked_sub(y0)?);
    if width == 0 || height == 0 || tile_x == 0 || tile_y == 0 || components == 0 || tile_x0 > x || tile_y0 > y {
        return None;
    }
    let each = body.get(36..36 + 3 * components as usize)?;
    let first = each.first_chunk::<3>()?;
    let subsampled = each.chunks_exact(3).any(|c| c[1..] != first[1..]);
    if each.chunks_exact(3).any(|c| c[0] != first[0]) || (first[1..] != [1, 1]) {
        return Some(Err("its components have several types or resolutions".to_owned()));
    }
    let (bits, signed) = ((first[0] & 0x7f) + 1, first[0] & 0x80 != 0);
    if bits > 16 {
        return Some(Err(format!("its samples have {bits} bits, and at most 16 are read")));
    }
    let tiles = (x - tile_x0).div_ceil(tile_x).saturating_mul((y - tile_y0).div_ceil(tile_y));
    let size = Size { width, height };
    Some(Ok(Codestream {
        bytes: stream,
        size,
        components,
        bits,
        signed,
        subsampled,
        transformed: false,
        tiles,
        memory: 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A main header of `width` × `height` pixels in one tile, blocks of 2^`block`, and an end.
    fn header(width: u32, height: u32, block: u8, layers: u16) -> Vec<u8> {
        let mut bytes = vec![0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0];
        for n in [width, height, 0, 0, width, height, 0, 0] {
            bytes.extend(n.to_be_bytes());
        }
        bytes.extend([0, 1, 15, 1, 1]);
        bytes.extend([0xff, 0x52, 0, 12, 0, 0]);
        bytes.extend(layers.to_be_bytes());
        bytes.extend([0, 5, block - 2, block - 2, 0, 1]);
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    #[test]
    fn the_size_and_type_are_found_bare_and_in_a_file() {
        let bare = header(300, 200, 6, 1);
        let file = [&b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\0jp2c"[..], &bare].concat();
        for bytes in [bare, file] {
            let found = Codestream::find(&bytes).unwrap();
            assert_eq!((found.size, found.components), (Size { width: 300, height: 200 }, 1));
            assert_eq!((found.bits, found.signed, found.transformed), (16, false, false));
            found.check_memory(1 << 20).unwrap();
        }
    }

    #[test]
    fn small_blocks_and_many_layers_are_refused_where_they_cost_memory() {
        for (block, layers) in [(2, 1), (6, 65_535)] {
            let bytes = header(20_000, 20_000, block, layers);
            let found = Codestream::find(&bytes).unwrap();
            assert!(found.check_memory(20_000 * 20_000 * 8).is_err(), "{block} {layers}");
        }
        let bytes = header(20_000, 20_000, 6, 12);
        Codestream::find(&bytes).unwrap().check_memory(20_000 * 20_000 * 8).unwrap();
    }

    #[test]
    fn cut_headers_are_an_error() {
        let whole = header(300, 200, 6, 1);
        for len in 0..whole.len() {
            assert!(Codestream::find(&whole[..len]).is_err(), "{len}");
        }
    }
}

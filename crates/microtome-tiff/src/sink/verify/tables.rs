//! Where the tag tables say that each tile lies, against where it lies.

use microtome_io::{Difference, HowDifferent, Limits, ReadError};

use super::list::{Belongs, List};
use super::tiles::difference;
use crate::file::SourceFile;
use crate::index::{PageIndex, Segment};
use crate::walk::walk;

/// The tiles that the tables name wrong, or not at all.
///
/// # Errors
/// [`ReadError`] if the tables cannot be read.
pub(super) fn look_at(file: &SourceFile, list: &List) -> Result<Vec<Difference>, ReadError> {
    let index = walk(file, &Limits::default())?.index;
    let (mut walked, mut out) = (list.begin(), Vec::new());
    loop {
        let piece = list.piece(file, &mut walked)?;
        if piece.is_empty() {
            return Ok(out);
        }
        for tile in piece {
            let said = list.place(tile.number).and_then(|belongs| said(&index, &belongs));
            if said != Some(tile.segment) {
                let found = said.map(|said| [said.offset, said.bytes]);
                let how = HowDifferent::Listed { expected: [tile.segment.offset, tile.segment.bytes], found };
                out.push(difference(file, list, &tile, how));
            }
        }
    }
}

/// Where a tile lies, as the tables say.
fn said(index: &PageIndex, belongs: &Belongs) -> Option<Segment> {
    let page = u32::try_from(belongs.page).ok().filter(|page| *page < index.chain())?;
    let page = match belongs.level {
        0 => page,
        level => index.sub(page, u32::try_from(level - 1).ok()?)?,
    };
    index.segment(page, index.layout(page)?, belongs.of_plane)
}

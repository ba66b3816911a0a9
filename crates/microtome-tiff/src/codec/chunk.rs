//! What a strip or tile is to decode to, and how a picture of nearly that size is laid into it.
//!
//! *Invariant:* a picture is decoded only after its own header was compared with the strip or tile: what a header claims
//! costs no memory unless it is what the page asks for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use microtome_array::PixelType;

use super::Fault;
use crate::page::Tags;

/// A strip or tile as its page describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) tags: &'a Tags,
    pub(crate) dtype: PixelType,
    /// Columns and rows it is stored with.
    pub(crate) width: u64,
    pub(crate) rows: u64,
    /// Rows of all but the last strip, which some writers fill up.
    pub(crate) full_rows: u64,
    /// Columns and rows of it that lie within the plane.
    pub(crate) inside: [u64; 2],
    /// Samples stored together.
    pub(crate) samples: u64,
}

/// The size in pixels that a picture says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u64,
    pub(crate) height: u64,
}

impl Chunk<'_> {
    /// Bytes of a pixel of the samples stored together.
    pub(crate) fn pixel(&self) -> usize {
        self.samples as usize * self.dtype.size()
    }

    /// Values of the strip or tile, as most pictures can have them.
    pub(crate) fn values(&self) -> u64 {
        self.width.saturating_mul(self.full_rows).saturating_mul(self.samples)
    }

    /// Checks what a picture says of itself: a tile at the edge of the plane may be cut, the last strip filled up.
    pub(crate) fn admit(&self, size: Size, samples: u64) -> Result<(), Fault> {
        let Size { width, height } = size;
        let wide = width == self.width || width == self.inside[0];
        let high = (self.inside[1]..=self.full_rows.max(self.rows)).contains(&height);
        if wide && high && samples == self.samples {
            return Ok(());
        }
        let (columns, rows) = (self.width, self.rows);
        Err(Fault::Bad(format!(
            "it says it has {height} × {width} pixels of {samples} samples, the page asks for {rows} × {columns} of {}",
            self.samples
        )))
    }

    /// Checks the type a picture says it has against that of the page.
    pub(crate) fn admit_bits(&self, bits: u64) -> Result<(), Fault> {
        let most = self.dtype.size() as u64 * 8;
        let page = if self.tags.bits == 0 { most } else { self.tags.bits };
        if bits == page || (bits <= most && bits > most / 2) {
            return Ok(());
        }
        Err(Fault::Bad(format!("it says it has samples of {bits} bits, the page asks for {page}")))
    }

    /// Whether rows of a picture of this size are just those of the strip or tile.
    pub(crate) fn is_exact(&self, size: Size) -> bool {
        size.width == self.width && size.height == self.rows
    }

    /// Decodes a picture that was [admitted](Chunk::admit): straight into `out` if it has its size, else through memory of
    /// its own. Pixels of `out` that it does not have lie outside the plane and become 0.
    pub(crate) fn fill(
        &self,
        size: Size,
        out: &mut [u8],
        decode: impl FnOnce(&mut [u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        if self.is_exact(size) {
            decode(out)?;
            return Ok(out.len());
        }
        let row = size.width as usize * self.pixel();
        let mut picture = vec![0; row * size.height as usize];
        decode(&mut picture)?;
        let stored = self.width as usize * self.pixel();
        let mut rows = picture.chunks_exact(row.max(1));
        for target in out.chunks_exact_mut(stored.max(1)) {
            match rows.next() {
                Some(source) => {
                    let kept = source.len().min(target.len());
                    target[..kept].copy_from_slice(&source[..kept]);
                    target[kept..].fill(0);
                }
                None => target.fill(0),
            }
        }
        Ok(out.len())
    }
}

/// Runs a decoder of others: should it panic, the strip or tile is bad and the process goes on.
pub(super) fn guarded<T>(name: &str, decode: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Fault::Bad(format!("the decoder of {name} gave up on it"))))
}

/// A chunk of so many bytes without shape, for tests of codecs that do not look at it.
#[cfg(test)]
pub(crate) fn plain(tags: &Tags) -> Chunk<'_> {
    Chunk { tags, dtype: PixelType::U8, width: 1, rows: 1, full_rows: 1, inside: [1, 1], samples: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tile of 4 × 4 pixels of which 3 columns and 2 rows lie within the plane.
    fn tile(tags: &Tags) -> Chunk<'_> {
        Chunk { width: 4, rows: 4, full_rows: 4, inside: [3, 2], ..plain(tags) }
    }

    #[test]
    fn a_cut_picture_is_laid_into_the_corner() {
        let tags = Tags::default();
        let size = Size { width: 3, height: 2 };
        tile(&tags).admit(size, 1).unwrap();
        let mut out = [9; 16];
        tile(&tags)
            .fill(size, &mut out, |picture| {
                picture.copy_from_slice(&[1, 2, 3, 4, 5, 6]);
                Ok(())
            })
            .unwrap();
        assert_eq!(out, [1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn other_sizes_are_refused() {
        let tags = Tags::default();
        for (width, height, samples) in [(5, 4, 1), (2, 4, 1), (4, 1, 1), (4, 5, 1), (4, 4, 3), (65_535, 65_535, 1)] {
            let found = tile(&tags).admit(Size { width, height }, samples);
            assert!(matches!(found, Err(Fault::Bad(_))), "{height} × {width} × {samples}");
        }
    }

    #[test]
    fn the_last_strip_may_be_filled_up() {
        let tags = Tags::default();
        let strip = Chunk { width: 2, rows: 1, full_rows: 3, inside: [2, 1], ..plain(&tags) };
        let size = Size { width: 2, height: 3 };
        strip.admit(size, 1).unwrap();
        let mut out = [0; 2];
        strip
            .fill(size, &mut out, |picture| {
                picture.copy_from_slice(&[1, 2, 3, 4, 5, 6]);
                Ok(())
            })
            .unwrap();
        assert_eq!(out, [1, 2]);
    }

    #[test]
    fn a_panic_is_a_fault() {
        let found: Result<(), Fault> = guarded("test", || panic!("as a decoder might"));
        assert_eq!(found, Err(Fault::Bad("the decoder of test gave up on it".to_owned())));
    }
}

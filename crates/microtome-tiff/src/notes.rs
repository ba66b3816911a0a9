//! Values of private tags, and the blocks of bytes that they point at: read only when a layout asks for them.
//!
//! *Invariant:* nothing is read from beyond the end of the file or over the limits, and what is not there is `None`.

use crate::set::Set;

/// A tag and the place of its value in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) tag: u16,
    pub(crate) kind: u16,
    pub(crate) count: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// What private tags of pages of the chain say.
#[derive(Debug, Default)]
pub(crate) struct PageNotes {
    /// The lens that a page of NDPI was taken with; pages come in order.
    pub(crate) lenses: Vec<(u32, f32)>,
}

/// Bytes of the file, read as numbers in its byte order.
#[derive(Debug)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Set {
    /// The value of a tag of the first page.
    pub(crate) fn value(&self, tag: u16) -> Option<Fields> {
        let stored = self.first.stored(tag)?;
        self.fields(stored.offset, stored.bytes)
    }

    /// Bytes of the file.
    pub(crate) fn fields(&self, offset: u64, bytes: u64) -> Option<Fields> {
        let source = &self.main().source;
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= source.size());
        if !inside || bytes > self.limits.tag_bytes || bytes > self.limits.metadata_bytes {
            return None;
        }
        let mut found = vec![0; bytes as usize];
        source.read_exact(&mut found, offset).ok()?;
        Some(Fields { bytes: found, big_endian: self.first.big_endian })
    }

    /// At most so many bytes from an offset on: fewer where the file ends before.
    pub(crate) fn fields_up_to(&self, offset: u64, most: u64) -> Option<Fields> {
        let left = self.main().source.size().checked_sub(offset)?;
        self.fields(offset, most.min(left))
    }

    /// The text that a tag of the first page has.
    pub(crate) fn text(&self, tag: u16) -> Option<String> {
        let fields = self.value(tag)?;
        Some(fields.text(0, fields.len()))
    }
}

impl Fields {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut found: [u8; N] = *self.bytes.get(at..)?.first_chunk()?;
        if self.big_endian {
            found.reverse();
        }
        Some(found)
    }

    pub(crate) fn bytes(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.bytes.get(at..at.checked_add(len)?)
    }

    pub(crate) fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// A number of 32 bits as a count: 0 if it is negative.
    pub(crate) fn count(&self, at: usize) -> Option<u64> {
        self.u32(at).map(|n| u64::try_from(n as i32).unwrap_or(0))
    }

    /// A finite number.
    pub(crate) fn f64(&self, at: usize) -> Option<f64> {
        self.array(at).map(f64::from_le_bytes).filter(|v| v.is_finite())
    }

    /// A fraction of two numbers of 32 bits.
    pub(crate) fn fraction(&self, at: usize) -> Option<f64> {
        let (over, under) = (self.u32(at)?, self.u32(at.checked_add(4)?)?);
        (under > 0).then(|| f64::from(over) / f64::from(under))
    }

    /// The text of at most `len` bytes up to the first NUL.
    pub(crate) fn text(&self, at: usize, len: usize) -> String {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let all = &rest[..len.min(rest.len())];
        let end = all.iter().position(|&b| b == 0).unwrap_or(all.len());
        String::from_utf8_lossy(&all[..end]).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_the_byte_order_of_the_file_and_never_beyond_it() {
        let bytes = vec![0, 0, 1, 0, 0, 0, 0, 2, b'a', 0, b'b'];
        let little = Fields { bytes: bytes.clone(), big_endian: false };
        let big = Fields { bytes, big_endian: true };
        assert_eq!((little.u32(0), big.u32(0)), (Some(1 << 16), Some(1 << 8)));
        assert_eq!((big.u16(6), big.u32(8), big.f64(4), big.u16(usize::MAX)), (Some(2), None, None, None));
        assert_eq!((big.fraction(0), little.text(8, 9)), (Some(128.0), "a".to_owned()));
    }
}

//! The first bytes of a file and the entries of its tag tables, classic and `BigTIFF`, both byte orders.

use microtome_io::ReadError;

use crate::file::Window;

/// Byte order, size of offsets, and the first page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) big_endian: bool,
    /// Whether this is `BigTIFF`.
    big: bool,
    /// Whether this is NDPI: a classic TIFF, but for the upper halves of offsets, which follow the entries of a table.
    ndpi: bool,
    /// Offset of the first IFD.
    pub(crate) first: u64,
}

/// The tag that every page of NDPI has.
const NDPI: u16 = 65420;
/// An integer of 64 bits.
const LONG8: u16 = 16;

/// Whether bytes start as a TIFF file does, classic or `BigTIFF`, in either byte order. Eight bytes are enough.
///
/// # Examples
/// ```
/// assert!(microtome_tiff::is_tiff(b"II*\0\x08\0\0\0"));
/// assert!(microtome_tiff::is_tiff(b"MM\0+\0\x08\0\0"));
/// assert!(!microtome_tiff::is_tiff(b"\x89PNG\r\n\x1a\n"));
/// assert!(!microtome_tiff::is_tiff(b"II"));
/// ```
pub fn is_tiff(first_bytes: &[u8]) -> bool {
    matches!(first_bytes, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

/// An entry of a tag table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) tag: u16,
    pub(crate) kind: u16,
    pub(crate) count: u64,
    value: [u8; 8],
}

impl Header {
    pub(crate) fn read(window: &mut Window<'_>) -> Result<Header, ReadError> {
        let path = window.file().path().to_owned();
        let refuse = |why: String| Err(ReadError::NotAnImage { path: path.clone(), why });
        let len = window.file().size().min(16) as usize;
        let bytes = window.get(0, len, "the header")?.to_vec();
        if !is_tiff(&bytes) {
            return refuse(format!("its first bytes are {:02x?}, not those of a TIFF", &bytes[..len.min(8)]));
        }
        let big_endian = bytes[0] == b'M';
        let mut header = Header { big_endian, big: bytes[2].max(bytes[3]) == 43, ndpi: false, first: 0 };
        if len < header.len() {
            return refuse(format!("it has {len} bytes, a TIFF header has {}", header.len()));
        }
        if header.big {
            if header.u16(&bytes[4..]) != 8 {
                return refuse(format!("as BigTIFF it has offsets of {} bytes, not 8", header.u16(&bytes[4..])));
            }
            header.first = header.u64(&bytes[8..]);
        } else {
            header.first = u64::from(header.u32(&bytes[4..]));
            if let Some(first) = header.ndpi_start(&bytes, window)? {
                (header.ndpi, header.first) = (true, first);
            }
        }
        Ok(header)
    }

    /// The first table, at an offset of 64 bits, if it has the tag that all files of NDPI have.
    fn ndpi_start(&self, bytes: &[u8], window: &mut Window<'_>) -> Result<Option<u64>, ReadError> {
        if self.big_endian || bytes.len() < 12 {
            return Ok(None);
        }
        let first = self.u64(&bytes[4..]);
        let size = window.file().size();
        if first.checked_add(2).is_none_or(|end| end > size) {
            return Ok(None);
        }
        let count = u64::from(self.u16(window.get(first, 2, "the tag table")?));
        let table = count * self.entry_size() as u64;
        if first + 2 + table > size {
            return Ok(None);
        }
        let entries = window.get(first + 2, table as usize, "the tag table")?;
        Ok(entries.chunks_exact(self.entry_size()).any(|entry| self.u16(entry) == NDPI).then_some(first))
    }

    /// Whether this is NDPI.
    pub(crate) fn is_ndpi(&self) -> bool {
        self.ndpi
    }

    /// Bytes of the header.
    pub(crate) fn len(&self) -> usize {
        if self.big { 16 } else { 8 }
    }

    /// Bytes of the number of entries.
    pub(crate) fn count_size(&self) -> u64 {
        if self.big { 8 } else { 2 }
    }

    fn entry_size(&self) -> usize {
        if self.big { 20 } else { 12 }
    }

    fn offset_size(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// Number of entries of the IFD at an offset.
    pub(crate) fn entry_count(&self, window: &mut Window<'_>, at: u64) -> Result<u64, ReadError> {
        let size = self.count_size() as usize;
        // Most tables fit what is read here, so that the count and the table cost one read.
        let bytes = window.get(at, size, "the tag table")?;
        Ok(if self.big { self.u64(bytes) } else { u64::from(self.u16(bytes)) })
    }

    /// Bytes of the entries of an IFD and of what follows them: the offset of the next, and upper halves of offsets.
    pub(crate) fn ifd_bytes(&self, count: u64) -> u64 {
        if self.ndpi {
            return count.saturating_mul(16).saturating_add(8);
        }
        count.saturating_mul(self.entry_size() as u64).saturating_add(self.offset_size() as u64)
    }

    /// The `n`th entry of the bytes after the count.
    pub(crate) fn entry(&self, ifd: &[u8], n: u64) -> Entry {
        let bytes = &ifd[n as usize * self.entry_size()..];
        let mut value = [0; 8];
        let at = if self.big { 12 } else { 8 };
        value[..self.offset_size()].copy_from_slice(&bytes[at..at + self.offset_size()]);
        let count = if self.big { self.u64(&bytes[4..]) } else { u64::from(self.u32(&bytes[4..])) };
        let mut kind = self.u16(&bytes[2..]);
        if self.ndpi {
            let entries = (ifd.len() - 8) / 16;
            value[4..].copy_from_slice(&ifd[entries * 12 + 8 + n as usize * 4..][..4]);
            if count == 1 && matches!(kind, 4 | 9 | 13) && value[4..] != [0; 4] {
                kind = LONG8;
            }
        }
        Entry { tag: self.u16(bytes), kind, count, value }
    }

    /// Offset and length of the value of the `n`th entry of a table whose entries begin at an offset: in the entry itself where
    /// it fits; `None` for a type that TIFF does not have.
    pub(crate) fn value(&self, table: u64, n: u64, entry: &Entry) -> Option<(u64, u64)> {
        let bytes = entry.count.checked_mul(entry.type_size()?)?;
        let inside = table + n * self.entry_size() as u64 + (self.entry_size() - self.offset_size()) as u64;
        Some((if bytes <= self.offset_size() as u64 { inside } else { entry.offset(self) }, bytes))
    }

    /// Offset of the next IFD, 0 for none.
    pub(crate) fn next(&self, ifd: &[u8], count: u64) -> u64 {
        let bytes = &ifd[count as usize * self.entry_size()..];
        if self.ndpi { self.u64(bytes) } else { self.word(bytes) }
    }

    /// Appends the integers stored in `bytes`.
    pub(crate) fn integers(&self, entry: &Entry, bytes: &[u8], out: &mut Vec<u64>) {
        match entry.kind {
            1 | 2 | 6 | 7 => out.extend(bytes.iter().map(|&b| u64::from(b))),
            3 | 8 => out.extend(bytes.chunks_exact(2).map(|b| u64::from(self.u16(b)))),
            4 | 9 | 13 => out.extend(bytes.chunks_exact(4).map(|b| u64::from(self.u32(b)))),
            16..=18 => out.extend(bytes.chunks_exact(8).map(|b| self.u64(b))),
            _ => {}
        }
    }

    fn word(&self, bytes: &[u8]) -> u64 {
        if self.big { self.u64(bytes) } else { u64::from(self.u32(bytes)) }
    }

    pub(crate) fn u16(&self, bytes: &[u8]) -> u16 {
        let two = first(bytes);
        if self.big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }
    }

    pub(crate) fn u32(&self, bytes: &[u8]) -> u32 {
        let four = first(bytes);
        if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    }

    fn u64(&self, bytes: &[u8]) -> u64 {
        let eight = first(bytes);
        if self.big_endian { u64::from_be_bytes(eight) } else { u64::from_le_bytes(eight) }
    }
}

/// The first `N` bytes; zeros where there are fewer.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

impl Entry {
    /// Bytes of one value, `None` for a type that TIFF does not have.
    pub(crate) fn type_size(&self) -> Option<u64> {
        match self.kind {
            1 | 2 | 6 | 7 => Some(1),
            3 | 8 => Some(2),
            4 | 9 | 11 | 13 => Some(4),
            5 | 10 | 12 | 16..=18 => Some(8),
            _ => None,
        }
    }

    /// The value where it fits the entry itself.
    pub(crate) fn inline_bytes(&self, header: &Header, bytes: usize) -> Option<&[u8]> {
        let patched = header.ndpi && self.kind == LONG8 && self.count == 1;
        if bytes <= header.offset_size() || patched { Some(&self.value[..bytes]) } else { None }
    }

    /// The first integer of a value that fits the entry, else 0.
    pub(crate) fn inline(&self, header: &Header) -> u64 {
        let mut out = Vec::new();
        let size = self.type_size().unwrap_or(0).min(self.value.len() as u64) as usize;
        header.integers(self, &self.value[..size], &mut out);
        out.first().copied().unwrap_or(0)
    }

    /// The first four bytes of a value that fits the entry.
    pub(crate) fn bits(&self, header: &Header) -> u32 {
        header.u32(&self.value)
    }

    /// Where the value lies when it does not fit the entry.
    pub(crate) fn offset(&self, header: &Header) -> u64 {
        if header.ndpi { header.u64(&self.value) } else { header.word(&self.value) }
    }
}

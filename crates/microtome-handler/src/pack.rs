//! Packs: many small items as one compact body. Arguments travel to a worker so, results come back so.
//!
//! `u32le items | u8 mode | u32le raw length | u32le stored length | stored`. Raw are the items one after the other, each
//! `u32le length | bytes`. Where all items have the same length (counters, coordinates, fixed records) they are stored as
//! columns instead, each byte as its difference to the one before: counters become runs that nearly vanish. Mode bit 0:
//! compressed with zstd; bit 1: columns. A body is any number of packs. Dask keeps recent messages, so each byte counts.
//!
//! *Invariant:* unpacking a pack gives the items back bit by bit; any other bytes give an error, never a panic, and no
//! allocation beyond what the header may claim.

use std::io;
use std::ops::Range;

const COMPRESSED: u8 = 1;
const COLUMNS: u8 = 2;
const HEAD: usize = 13;
/// Level 1: the pipe is fast and items are many.
const LEVEL: i32 = 1;
/// More than any pack we make.
const MOST_RAW: usize = 1 << 30;

/// Collects items for a pack.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Packer {
    /// Adds an item: `fill` appends its bytes. If it fails, nothing is added.
    pub(crate) fn push<E>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<usize, E> {
        let start = self.bytes.len();
        if let Err(error) = fill(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        self.ends.push(self.bytes.len() as u32);
        Ok(self.bytes.len() - start)
    }

    /// Takes the last item away again.
    pub(crate) fn pop(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// Items so far.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all items so far, not compressed.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of all items so far, one after the other.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the pack of all items to `out`; the packer is empty afterwards and keeps its memory.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let (mode, raw) = self.raw();
        let packed = zstd::bulk::compress(&raw, LEVEL).ok().filter(|packed| packed.len() < raw.len());
        let compressed = packed.as_ref().map_or(0, |_| COMPRESSED);
        let stored = packed.as_ref().unwrap_or(&raw);
        out.reserve(HEAD + stored.len());
        out.extend_from_slice(&(self.ends.len() as u32).to_le_bytes());
        out.push(mode | compressed);
        out.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
        out.extend_from_slice(stored);
        self.bytes.clear();
        self.ends.clear();
    }

    /// The items as columns where all have one length, else each behind its length.
    fn raw(&self) -> (u8, Vec<u8>) {
        let len = self.ends.first().map_or(0, |end| *end as usize);
        let even = len > 0 && self.ends.iter().zip(1..).all(|(end, n)| *end as usize == n * len);
        if even && self.ends.len() > 1 {
            return (COLUMNS, to_columns(&self.bytes, len));
        }
        let mut raw = Vec::with_capacity(self.bytes.len() + 4 * self.ends.len());
        let mut start = 0;
        for end in &self.ends {
            raw.extend_from_slice(&(end - start).to_le_bytes());
            raw.extend_from_slice(&self.bytes[start as usize..*end as usize]);
            start = *end;
        }
        (0, raw)
    }
}

/// Bytes of records of `len` bytes, column by column, each as its difference to the one above.
fn to_columns(records: &[u8], len: usize) -> Vec<u8> {
    let mut columns = Vec::with_capacity(records.len());
    for column in 0..len {
        let mut last = 0_u8;
        columns.extend(records.iter().skip(column).step_by(len).map(|&byte| {
            let difference = byte.wrapping_sub(last);
            last = byte;
            difference
        }));
    }
    columns
}

/// The inverse of [`to_columns`].
fn from_columns(columns: &[u8], len: usize) -> Vec<u8> {
    let mut records = vec![0; columns.len()];
    let items = columns.len() / len;
    for (column, differences) in columns.chunks_exact(items).enumerate() {
        let mut last = 0_u8;
        for (record, &difference) in records.iter_mut().skip(column).step_by(len).zip(differences) {
            last = last.wrapping_add(difference);
            *record = last;
        }
    }
    records
}

/// The items of one pack.
#[derive(Debug)]
pub(crate) struct Unpacked {
    bytes: Vec<u8>,
    form: Form,
    items: usize,
    next: usize,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// All items have this length.
    Even(usize),
    /// Each stands behind its length; the next one's place.
    Lengths(usize),
}

impl Unpacked {
    /// Takes the first pack off a body; `None` at its end.
    ///
    /// # Errors
    /// `InvalidData` where the bytes are no pack.
    pub(crate) fn take(body: &mut &[u8]) -> io::Result<Option<Unpacked>> {
        if body.is_empty() {
            return Ok(None);
        }
        let head = body.get(..HEAD).ok_or_else(|| invalid("its head is cut"))?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (items, mode, raw_len, stored_len) = (number(0), head[4], number(5), number(9));
        let stored = body.get(HEAD..HEAD + stored_len).ok_or_else(|| invalid("it is cut"))?;
        *body = &body[HEAD + stored_len..];
        let raw = match mode & COMPRESSED {
            0 => stored.to_vec(),
            _ if raw_len > MOST_RAW => return Err(invalid("it claims more than a pack holds")),
            _ => zstd::bulk::decompress(stored, raw_len)?,
        };
        if raw.len() != raw_len {
            return Err(invalid("its length is another than it says"));
        }
        Unpacked::new(items, mode, raw).map(Some)
    }

    fn new(items: usize, mode: u8, raw: Vec<u8>) -> io::Result<Unpacked> {
        if mode & COLUMNS == 0 {
            return Ok(Unpacked { bytes: raw, form: Form::Lengths(0), items, next: 0 });
        }
        if items == 0 || raw.is_empty() || !raw.len().is_multiple_of(items) {
            return Err(invalid("its columns have different lengths"));
        }
        let len = raw.len() / items;
        Ok(Unpacked { bytes: from_columns(&raw, len), form: Form::Even(len), items, next: 0 })
    }

    /// The next item's bytes; `None` after the last.
    ///
    /// # Errors
    /// `InvalidData` where its length does not fit.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.next == self.items {
            return Ok(None);
        }
        let range = self.range()?;
        self.next += 1;
        Ok(Some(&self.bytes[range]))
    }

    fn range(&mut self) -> io::Result<Range<usize>> {
        match &mut self.form {
            Form::Even(len) => Ok(self.next * *len..(self.next + 1) * *len),
            Form::Lengths(at) => {
                let length = self.bytes.get(*at..*at + 4).ok_or_else(|| invalid("an item has no length"))?;
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
                let start = *at + 4;
                let end = start.checked_add(length).filter(|end| *end <= self.bytes.len());
                let end = end.ok_or_else(|| invalid("an item is longer than its pack"))?;
                *at = end;
                Ok(start..end)
            }
        }
    }
}

/// Cuts a body after its first `items` items: two bodies.
///
/// # Errors
/// `InvalidData` where the body is none.
pub(crate) fn split(body: &[u8], items: usize) -> io::Result<[Vec<u8>; 2]> {
    let mut packers = [Packer::default(), Packer::default()];
    let mut rest = body;
    let mut seen = 0;
    while let Some(mut pack) = Unpacked::take(&mut rest)? {
        while let Some(item) = pack.next()? {
            let side = &mut packers[usize::from(seen >= items)];
            // Appending bytes that are there cannot fail.
            let _ = side.push(|bytes| -> Result<(), std::convert::Infallible> {
                bytes.extend_from_slice(item);
                Ok(())
            });
            seen += 1;
        }
    }
    Ok(packers.map(|mut packer| {
        let mut out = Vec::new();
        packer.finish(&mut out);
        out
    }))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a pack is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn pack(items: &[Vec<u8>]) -> Vec<u8> {
        let mut packer = Packer::default();
        for item in items {
            packer
                .push(|bytes| {
                    bytes.extend_from_slice(item);
                    Ok::<(), Infallible>(())
                })
                .unwrap();
        }
        let mut out = Vec::new();
        packer.finish(&mut out);
        out
    }

    fn unpack(mut body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        while let Some(mut pack) = Unpacked::take(&mut body)? {
            while let Some(item) = pack.next()? {
                all.push(item.to_vec());
            }
        }
        Ok(all)
    }

    #[test]
    fn counters_nearly_vanish() {
        let items: Vec<Vec<u8>> = (70_000_u64..170_000).map(|n| rmp_serde::to_vec(&n).unwrap()).collect();
        let body = pack(&items);
        assert!(body.len() < 1000, "100,000 numbers in {} bytes", body.len());
        assert_eq!(unpack(&body).unwrap(), items);
    }

    #[test]
    fn bodies_may_stand_behind_each_other() {
        let body = [pack(&[vec![1], vec![2, 3]]), pack(&[]), pack(&[vec![]])].concat();
        assert_eq!(unpack(&body).unwrap(), [vec![1], vec![2, 3], vec![]]);
    }

    #[test]
    fn an_item_that_cannot_be_made_is_left_out() {
        let mut packer = Packer::default();
        assert!(
            packer
                .push(|bytes| {
                    bytes.push(9);
                    Err("no")
                })
                .is_err()
        );
        packer
            .push(|bytes| {
                bytes.push(7);
                Ok::<(), &str>(())
            })
            .unwrap();
        assert_eq!((packer.len(), packer.raw_bytes()), (1, 1));
    }

    proptest! {
        #[test]
        fn packing_keeps_every_bit(items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..200)) {
            prop_assert_eq!(unpack(&pack(&items)).unwrap(), items);
        }

        #[test]
        fn items_of_one_length_too(len in 1_usize..9, noise in proptest::collection::vec(any::<u8>(), 0..900)) {
            let items: Vec<Vec<u8>> = noise.chunks_exact(len).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(unpack(&pack(&items)).unwrap(), items);
        }

        #[test]
        fn a_body_may_be_cut_between_any_items(items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 1..50), at in 0_usize..60) {
            let [head, tail] = split(&pack(&items), at).unwrap();
            let cut = at.min(items.len());
            prop_assert_eq!(unpack(&head).unwrap(), &items[..cut]);
            prop_assert_eq!(unpack(&tail).unwrap(), &items[cut..]);
        }

        #[test]
        fn damage_is_an_error_or_other_items(items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..40), at in any::<usize>(), bit in 0_u8..8) {
            let mut body = pack(&items);
            let at = at % body.len();
            body[at] ^= 1 << bit;
            let _ = unpack(&body);
        }

        #[test]
        fn noise_is_an_error_or_items(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = unpack(&noise);
        }
    }
}

//! The headers of a JPEG stream: its frame, before anything is allocated for it, and tables from elsewhere.
//!
//! *Invariant:* looks at marker segments only, each of which moves it on by at least two bytes.

use super::{Fault, Size};

/// What the start of frame says, and whether the stream calls itself JFIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) components: u64,
    pub(super) precision: u8,
    /// The number of the marker: 0 baseline, 1 extended, 2 progressive, 3 lossless.
    pub(super) process: u8,
    pub(super) jfif: bool,
}

impl Default for Frame {
    fn default() -> Self {
        Frame { size: Size { width: 1, height: 1 }, components: 1, precision: 8, process: 0, jfif: false }
    }
}

/// A marker and its segment.
struct Segment<'a> {
    marker: u8,
    body: &'a [u8],
    rest: &'a [u8],
}

/// The next marker that has a segment, or a start or end.
fn next(stream: &[u8]) -> Option<Segment<'_>> {
    let mut rest = stream;
    loop {
        let (&first, tail) = rest.split_first()?;
        rest = tail;
        if first != 0xff {
            continue; // what lies between markers is skipped, as others do
        }
        match *rest.first()? {
            0xff | 0x00 => {}
            marker @ (0x01 | 0xd0..=0xd9) => return Some(Segment { marker, body: &[], rest: &rest[1..] }),
            marker => {
                let length = usize::from(u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?]));
                let body = rest.get(3..1 + length.max(2))?;
                return Some(Segment { marker, body, rest: &rest[1 + length.max(2)..] });
            }
        }
    }
}

impl Frame {
    /// Finds the start of frame.
    pub(super) fn find(stream: &[u8]) -> Result<Frame, String> {
        let mut jfif = false;
        let mut rest = stream;
        while let Some(segment) = next(rest) {
            rest = segment.rest;
            match (segment.marker, segment.body) {
                (0xe0, body) => jfif |= body.starts_with(b"JFIF\0"),
                (0xc4 | 0xc8 | 0xcc, _) => {}
                (marker @ 0xc0..=0xcf, &[precision, h1, h0, w1, w0, components, ..]) => {
                    let [height, width] = [[h1, h0], [w1, w0]].map(|b| u64::from(u16::from_be_bytes(b)));
                    let (process, components) = (marker & 15, u64::from(components));
                    return Ok(Frame { size: Size { width, height }, components, precision, process, jfif });
                }
                (0xd9 | 0xda, _) => break,
                _ => {}
            }
        }
        Err("the JPEG stream has no start of frame".to_owned())
    }

    /// Refuses what the decoder does not decode, by name.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let what = match (self.process, self.precision) {
            (0..=2, 8) | (0..=1, 12) | (3, 2..=16) => return Ok(()),
            (0..=3, bits) => format!("the JPEG stream has samples of {bits} bits"),
            (process, _) => format!("the JPEG stream is of the kind SOF{process}"),
        };
        Err(Fault::Bad(format!("{what}, which is not read; rewrite the file with another compression")))
    }
}

/// The stream with the tables of the page before its own, `None` where there are none to add.
pub(super) fn join(tables: Option<&[u8]>, stream: &[u8]) -> Option<Vec<u8>> {
    let tables = tables.filter(|t| t.len() > 4 && t.starts_with(&[0xff, 0xd8]))?;
    let own = stream.strip_prefix(&[0xff, 0xd8])?;
    let end = if tables.ends_with(&[0xff, 0xd9]) { tables.len() - 2 } else { tables.len() };
    Some([&tables[..end], own].concat())
}

/// A whole stream from its header and what lies between two restart markers.
pub(super) fn close(header: &[u8], scan: &[u8]) -> Vec<u8> {
    let end = matches!(scan, [.., 0xff, 0xd0..=0xd7 | 0xd9]).then(|| scan.len() - 2);
    [header, &scan[..end.unwrap_or(scan.len())], &[0xff, 0xd9]].concat()
}

/// The header of a stream up to its scan, as [`crate::restarts`] needs it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScanHeader {
    /// Bytes up to the first of the scan.
    pub(crate) length: usize,
    /// Where the height lies, which the width follows.
    pub(crate) size_at: usize,
    /// Units of the scan between restart markers, and the pixels of a unit along X and Y.
    pub(crate) interval: u64,
    pub(crate) unit: [u64; 2],
}

impl ScanHeader {
    /// Finds the header of a baseline stream with restart markers.
    pub(crate) fn find(stream: &[u8]) -> Option<ScanHeader> {
        let mut found = ScanHeader { length: 0, size_at: 0, interval: 0, unit: [0, 0] };
        let mut rest = stream;
        loop {
            let segment = next(rest)?;
            rest = segment.rest;
            let end = stream.len() - rest.len();
            match (segment.marker, segment.body) {
                (0xdd, &[high, low, ..]) => found.interval = u64::from(u16::from_be_bytes([high, low])),
                (0xc0 | 0xc1, &[_, _, _, _, _, count, ref components @ ..]) => {
                    found.size_at = end - segment.body.len() + 1;
                    let factors = components.chunks_exact(3).take(usize::from(count)).map(|c| c[1]);
                    let most = factors.fold([1, 1], |[x, y], f| [x.max(f >> 4), y.max(f & 15)]);
                    found.unit = most.map(|n| u64::from(n) * 8);
                }
                (0xd9, _) => return None,
                (0xda, _) => {
                    found.length = end;
                    return (found.size_at > 0 && found.interval > 0).then_some(found);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: [u8; 2] = [0xff, 0xd8];
    const FRAME: [u8; 13] = [0xff, 0xc0, 0, 11, 8, 0, 16, 0, 32, 1, 1, 0x11, 0];

    #[test]
    fn the_frame_is_found_behind_other_segments() {
        let jfif = [0xff, 0xe0, 0, 7, b'J', b'F', b'I', b'F', 0];
        let found = Frame::find(&[&START[..], &jfif, &FRAME].concat()).unwrap();
        assert_eq!((found.size, found.components), (Size { width: 32, height: 16 }, 1));
        assert!(found.jfif && found.check().is_ok());
    }

    #[test]
    fn tables_come_before_the_stream_and_keep_one_start() {
        let tables = [0xff, 0xd8, 0xff, 0xdb, 0, 2, 0xff, 0xd9];
        let joined = join(Some(&tables), &[0xff, 0xd8, 1, 2]).unwrap();
        assert_eq!(joined, [0xff, 0xd8, 0xff, 0xdb, 0, 2, 1, 2]);
        assert_eq!(join(None, &START), None);
        assert_eq!(join(Some(&tables), &[1, 2]), None);
    }

    #[test]
    fn cut_and_odd_streams_have_no_frame() {
        let whole = [&START[..], &FRAME].concat();
        for len in 0..whole.len() - 3 {
            assert!(Frame::find(&whole[..len]).is_err(), "{len}");
        }
        assert!(Frame::find(&[0xff; 100]).is_err());
        assert!(Frame::find(&[0xff, 0xe0, 0, 0, 0xff, 0xe0, 0, 1]).is_err());
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let check = |process, precision| match (Frame { precision, process, ..Frame::default() }).check() {
            Err(Fault::Bad(why)) => why,
            other => format!("{other:?}"),
        };
        assert!(check(1, 10).contains("10 bits"));
        assert!(check(9, 8).contains("SOF9"));
    }
}

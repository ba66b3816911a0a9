//! The index of an `NDTiff` folder: for each image its axes, the file and the bytes it lies in.
//!
//! *Invariant:* what is read is within the file; an index that ends amid an entry, as that of a stopped run, gives the entries
//! before it.

use serde_json::{Map, Value};

/// An image of the index.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) axes: Map<String, Value>,
    /// Number of its file among [`Index::files`].
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) kind: u32,
    /// Where its own metadata lie, and their length.
    pub(super) metadata: (u64, u64),
}

/// What the index says.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) files: Vec<String>,
    pub(super) entries: Vec<Entry>,
    /// What was odd.
    pub(super) warnings: Vec<String>,
}

impl Entry {
    /// Samples of a pixel, and bits of each as stored; `None` for a type that is not known.
    pub(super) fn pixel(&self) -> Option<(u64, u64)> {
        match self.kind {
            0 => Some((1, 8)),
            2 => Some((3, 8)),
            1 | 3..=6 => Some((1, 16)), // 16, 10, 12, 14 and 11 bits, each in two bytes
            _ => None,
        }
    }
}

/// Reads an index; at most `most` entries of it.
pub(super) fn parse(bytes: &[u8], most: u64) -> Result<Index, String> {
    let mut index = Index::default();
    let mut left = bytes;
    while !left.is_empty() {
        let Some(entry) = entry(&mut left, &mut index.files) else {
            let read = index.entries.len();
            index.warnings.push(format!("NDTiff.index ends within an entry; the {read} before it are used"));
            break;
        };
        let Some(entry) = entry? else {
            break; // zeros: space for entries that were never written
        };
        if index.entries.len() as u64 == most {
            return Err(format!("it has more than {most} entries, the limit of pages"));
        }
        index.entries.push(entry);
    }
    if index.entries.is_empty() {
        return Err("it has no entry".to_owned());
    }
    Ok(index)
}

/// The next entry: `None` if the bytes end within it, `Some(Ok(None))` after the last one.
fn entry(left: &mut &[u8], files: &mut Vec<String>) -> Option<Result<Option<Entry>, String>> {
    let start = *left;
    let length = number(left)? as usize;
    if length == 0 {
        return Some(Ok(None));
    }
    let axes = take(left, length)?;
    let length = number(left)? as usize;
    let name = take(left, length)?;
    let mut numbers = [0; 8];
    for n in &mut numbers {
        *n = number(left)?;
    }
    let axes: Map<String, Value> = match serde_json::from_slice(axes) {
        Ok(axes) => axes,
        Err(error) => return Some(Err(format!("the axes of entry at byte {} are none: {error}", start.len()))),
    };
    let name = String::from_utf8_lossy(name);
    let known = files.last().filter(|last| **last == name).map(|_| files.len() - 1);
    let file = known.or_else(|| files.iter().position(|file| *file == name)).unwrap_or_else(|| {
        files.push(name.into_owned());
        files.len() - 1
    });
    let [offset, width, height, kind, compression, at, bytes, _] = numbers;
    if compression != 0 {
        return Some(Err(format!("its images have compression {compression}, of which nothing is known")));
    }
    let entry = Entry {
        axes,
        file,
        offset: u64::from(offset),
        width: u64::from(width),
        height: u64::from(height),
        kind,
        metadata: (u64::from(at), u64::from(bytes)),
    };
    Some(Ok(Some(entry)))
}

fn take<'a>(left: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(taken)
}

fn number(left: &mut &[u8]) -> Option<u32> {
    let (four, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(axes: &str, file: &str, numbers: [u32; 8]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in [axes, file] {
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(numbers.map(u32::to_le_bytes).concat());
        out
    }

    #[test]
    fn entries_are_read_up_to_where_the_index_ends() {
        let one = bytes(r#"{"time": 3, "channel": "DAPI"}"#, "a.tif", [100, 20, 10, 4, 0, 500, 7, 0]);
        let two = bytes(r#"{"time": 4}"#, "b.tif", [8, 20, 10, 1, 0, 500, 7, 0]);
        let whole = [&one[..], &two].concat();
        let index = parse(&whole, 10).unwrap();
        assert_eq!((index.files.len(), index.entries[1].file, index.entries[0].offset), (2, 1, 100));
        assert_eq!(index.entries[0].pixel(), Some((1, 16)));
        for end in one.len() + 1..whole.len() {
            let index = parse(&whole[..end], 10).unwrap();
            assert_eq!((index.entries.len(), index.warnings.len()), (1, 1), "{end}");
        }
        assert_eq!(parse(&[&one[..], &[0; 64]].concat(), 10).unwrap().entries.len(), 1);
        assert!(parse(&whole, 1).is_err() && parse(&[], 1).is_err() && parse(&[9, 0, 0, 0], 1).is_err());
        assert!(parse(&bytes("[1]", "a", [0; 8]), 1).unwrap_err().contains("are none"));
    }
}

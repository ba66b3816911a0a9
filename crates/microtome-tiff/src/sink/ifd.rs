//! The tag tables of an output: where each lies follows from their sizes alone, so they are written one after another.
//!
//! The pages of an image come first, in the order of their planes, then below each its smaller levels; then the next image. *Invariant:* no table or list of
//! them is in memory but the one being written.

use std::io::{self, Write};

use super::level::TiffLevel;

/// The private tag of the record of a finished output: JSON, of the type UNDEFINED. In the first page alone.
pub(super) const RECORD: u16 = 65_333;
/// The private tag of length and CRC-32C of every tile, two little-endian numbers of 32 bits each, level after level; of the
/// type UNDEFINED. In the first page alone.
pub(super) const UNITS: u16 = 65_334;

const SHORT: u16 = 3;
const LONG: u16 = 4;
const ASCII: u16 = 2;
const UNDEFINED: u16 = 7;
const IFD: u16 = 13;
const LONG8: u16 = 16;
const IFD8: u16 = 18;

const SOFTWARE: &str = concat!("microtome ", env!("CARGO_PKG_VERSION"), "\0");

/// A file whose offsets have 4 bytes, or a `BigTIFF`, with 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) big: bool,
}

impl Width {
    /// The first bytes of a file whose first table lies at an offset.
    pub(super) fn header(self, first: u64) -> Vec<u8> {
        let mut out = b"II".to_vec();
        if self.big {
            out.extend([43, 0, 8, 0, 0, 0]);
        } else {
            out.extend([42, 0]);
        }
        out.extend(self.word(first));
        out
    }

    fn bytes(self) -> u64 {
        if self.big { 8 } else { 4 }
    }

    fn word(self, value: u64) -> Vec<u8> {
        value.to_le_bytes()[..self.bytes() as usize].to_vec()
    }

    fn offset_type(self) -> u16 {
        if self.big { LONG8 } else { LONG }
    }

    fn table_type(self) -> u16 {
        if self.big { IFD8 } else { IFD }
    }

    /// Bytes of a table and the values that do not fit it, a multiple of 8.
    fn size(self, fields: &[Field<'_>]) -> u64 {
        let values =
            fields.iter().map(|f| f.value.len()).filter(|len| len > &self.bytes()).map(|len| len.next_multiple_of(8));
        self.table(fields.len() as u64).next_multiple_of(8) + values.sum::<u64>()
    }

    fn table(self, entries: u64) -> u64 {
        if self.big { 8 + 20 * entries + 8 } else { 2 + 12 * entries + 4 }
    }

    /// Writes a table that lies at an offset.
    fn write(self, fields: &[Field<'_>], at: u64, next: u64, out: &mut impl Write) -> io::Result<()> {
        let count = fields.len() as u64;
        let mut table = count.to_le_bytes()[..if self.big { 8 } else { 2 }].to_vec();
        let mut beyond = at + self.table(count).next_multiple_of(8);
        for field in fields {
            table.extend(field.tag.to_le_bytes());
            table.extend(field.kind.to_le_bytes());
            table.extend(self.word(field.value.len() / type_size(field.kind)));
            let mut entry = Vec::with_capacity(8);
            if field.value.len() > self.bytes() {
                entry.extend(self.word(beyond));
                beyond += field.value.len().next_multiple_of(8);
            } else {
                field.value.write(&mut entry)?;
                entry.resize(self.bytes() as usize, 0);
            }
            table.extend(entry);
        }
        table.extend(self.word(next));
        table.resize(table.len().next_multiple_of(8), 0);
        out.write_all(&table)?;
        for field in fields.iter().filter(|field| field.value.len() > self.bytes()) {
            field.value.write(out)?;
            out.write_all(&[0; 8][..(field.value.len().wrapping_neg() & 7) as usize])?;
        }
        Ok(())
    }
}

fn type_size(kind: u16) -> u64 {
    match kind {
        SHORT => 2,
        LONG | IFD => 4,
        LONG8 | IFD8 => 8,
        _ => 1,
    }
}

struct Field<'a> {
    tag: u16,
    kind: u16,
    value: Value<'a>,
}

enum Value<'a> {
    Bytes(&'a [u8]),
    /// Numbers of so many bytes each.
    Numbers(u64, &'a [u64]),
    /// A number again and again.
    Again(u64, u64, u64),
}

impl Value<'_> {
    fn len(&self) -> u64 {
        match self {
            Value::Bytes(bytes) => bytes.len() as u64,
            Value::Numbers(size, numbers) => size * numbers.len() as u64,
            Value::Again(size, _, count) => size * count,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut number = |size: u64, value: u64| out.write_all(&value.to_le_bytes()[..size as usize]);
        match self {
            Value::Bytes(bytes) => out.write_all(bytes),
            Value::Numbers(size, numbers) => numbers.iter().try_for_each(|&value| number(*size, value)),
            Value::Again(size, value, count) => (0..*count).try_for_each(|_| number(*size, *value)),
        }
    }
}

/// What the first page alone has.
#[derive(Clone, Copy, Debug)]
pub(super) struct First<'a> {
    /// The OME-XML, ending in a zero.
    pub(super) xml: &'a [u8],
    pub(super) record: &'a [u8],
    pub(super) units: &'a [u8],
}

/// The tiles of a level in the whole file.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiles {
    pub(super) offsets: Vec<u64>,
    pub(super) lengths: Vec<u64>,
}

impl Tiles {
    /// Tiles that lie one behind another from an offset.
    pub(super) fn at(start: u64, lengths: Vec<u64>) -> Tiles {
        let mut next = start;
        let offsets = lengths.iter().map(|length| {
            next += length;
            next - length
        });
        Tiles { offsets: offsets.collect(), lengths }
    }
}

/// Where the tables of an image lie.
pub(super) struct Tables<'a> {
    width: Width,
    levels: &'a [TiffLevel],
    /// In the first image of the file.
    first: Option<First<'a>>,
    planes: u64,
    /// Where the first lies, and bytes of it, of each other page, and of each smaller level of a page.
    at: u64,
    sizes: (u64, u64, Vec<u64>),
}

impl<'a> Tables<'a> {
    /// Tables that begin at an offset, a multiple of 8.
    pub(super) fn new(width: Width, levels: &'a [TiffLevel], first: Option<First<'a>>, at: u64) -> Tables<'a> {
        let per_plane = levels.first().map_or(1, TiffLevel::tiles_of_plane).max(1);
        let planes = levels.first().map_or(0, |level| level.spec.units.count()) / per_plane;
        let mut tables = Tables { width, levels, first, planes, at, sizes: (0, 0, Vec::new()) };
        let size = |level: usize, plane: u64| {
            let tiles = vec![0; levels[level].tiles_of_plane() as usize];
            let below = vec![0; levels.len() - 1];
            width.size(&tables.fields((level, plane), (&tiles, &tiles), &below))
        };
        tables.sizes = (size(0, 0), size(0, 1), (1..levels.len()).map(|level| size(level, 1)).collect());
        tables
    }

    /// Where the first lies.
    pub(super) fn begin(&self) -> u64 {
        self.at
    }

    /// Where the last ends.
    pub(super) fn end(&self) -> u64 {
        self.table(self.planes, 0) + self.planes * self.sizes.2.iter().sum::<u64>()
    }

    /// Where the table of a level of a plane lies.
    fn table(&self, plane: u64, level: usize) -> u64 {
        let (first, other, smaller) = &self.sizes;
        let page = |plane: u64| if plane == 0 { self.at } else { self.at + first + (plane - 1) * other };
        if level == 0 {
            return page(plane);
        }
        let before: u64 = smaller[..level - 1].iter().sum();
        page(self.planes) + plane * smaller.iter().sum::<u64>() + before
    }

    /// Writes all; the last page leads to the page at an offset, to none for 0.
    pub(super) fn write(&self, tiles: &[Tiles], then: u64, out: &mut impl Write) -> io::Result<()> {
        for plane in 0..self.planes {
            let next = if plane + 1 < self.planes { self.table(plane + 1, 0) } else { then };
            self.write_one((0, plane), &tiles[0], next, out)?;
        }
        for plane in 0..self.planes {
            (1..self.levels.len()).try_for_each(|level| self.write_one((level, plane), &tiles[level], 0, out))?;
        }
        Ok(())
    }

    fn write_one(
        &self,
        (level, plane): (usize, u64),
        tiles: &Tiles,
        next: u64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let per_plane = self.levels[level].tiles_of_plane();
        let mine = (plane * per_plane) as usize..((plane + 1) * per_plane) as usize;
        let below: Vec<u64> = (1..self.levels.len()).map(|level| self.table(plane, level)).collect();
        let fields = self.fields((level, plane), (&tiles.offsets[mine.clone()], &tiles.lengths[mine]), &below);
        self.width.write(&fields, self.table(plane, level), next, out)
    }

    /// The fields of a table, in the order of their tags.
    fn fields<'f>(
        &'f self,
        (level, plane): (usize, u64),
        (offsets, lengths): (&'f [u64], &'f [u64]),
        below: &'f [u64],
    ) -> Vec<Field<'f>> {
        let tags = &self.levels[level].tags;
        let mut fields = Vec::with_capacity(20);
        let mut add = |tag: u16, kind: u16, value: Value<'f>| fields.push(Field { tag, kind, value });
        let one = |kind: u16, number: u64| Value::Again(type_size(kind), number, 1);
        let first = self.first.filter(|_| level == 0 && plane == 0);
        add(254, LONG, one(LONG, u64::from(level > 0))); // NewSubfileType: 1 is a smaller level
        add(256, LONG, one(LONG, tags.width));
        add(257, LONG, one(LONG, tags.height));
        add(258, SHORT, Value::Again(2, tags.bits, tags.samples));
        add(259, SHORT, one(SHORT, tags.compression));
        add(262, SHORT, one(SHORT, tags.photometric));
        if let Some(first) = first {
            add(270, ASCII, Value::Bytes(first.xml));
        }
        add(277, SHORT, one(SHORT, tags.samples));
        add(284, SHORT, one(SHORT, 1)); // PlanarConfiguration: the samples of a pixel together
        if first.is_some() {
            add(305, ASCII, Value::Bytes(SOFTWARE.as_bytes()));
        }
        if tags.predictor > 1 {
            add(317, SHORT, one(SHORT, tags.predictor));
        }
        add(322, LONG, one(LONG, tags.tile.0));
        add(323, LONG, one(LONG, tags.tile.1));
        add(324, self.width.offset_type(), Value::Numbers(self.width.bytes(), offsets));
        add(325, LONG, Value::Numbers(4, lengths));
        if level == 0 && !below.is_empty() {
            add(330, self.width.table_type(), Value::Numbers(self.width.bytes(), below));
        }
        let colors = if tags.photometric == 2 { 3 } else { 1 };
        if tags.samples > colors {
            add(338, SHORT, Value::Again(2, 0, tags.samples - colors)); // ExtraSamples: of no stated meaning
        }
        add(339, SHORT, Value::Again(2, tags.format, tags.samples));
        if let Some(first) = first {
            add(RECORD, UNDEFINED, Value::Bytes(first.record));
            add(UNITS, UNDEFINED, Value::Bytes(first.units));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_long_as_was_said_and_its_values_lie_where_it_says() {
        for big in [false, true] {
            let width = Width { big };
            let text = b"nine byte\0";
            let fields = [
                Field { tag: 256, kind: LONG, value: Value::Again(4, 77, 1) },
                Field { tag: 258, kind: SHORT, value: Value::Again(2, 8, 3) },
                Field { tag: 270, kind: ASCII, value: Value::Bytes(text) },
                Field { tag: 324, kind: width.offset_type(), value: Value::Numbers(width.bytes(), &[5, 6, 7]) },
            ];
            let mut out = Vec::new();
            width.write(&fields, 64, 1234, &mut out).unwrap();
            assert_eq!(out.len() as u64, width.size(&fields));
            let at = out.windows(10).position(|w| w == text).unwrap();
            let offset = (64 + at as u64).to_le_bytes();
            assert!(out.windows(width.bytes() as usize).any(|w| w == &offset[..width.bytes() as usize]));
            assert_eq!((64 + at) % 8, 0, "values begin on a word");
        }
    }
}

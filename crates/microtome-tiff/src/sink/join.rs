//! The end of an output: the tiles of all levels of all images in one file, and what stands behind them.
//!
//! *Invariant:* the file grows behind the tiles of the first level alone, and its header leads to nothing until all else is
//! there: an end that was broken off is made again from the same parts.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use microtome_io::WriteError;

use super::complete::{Record, Sum};
use super::ifd::{First, Tables, Tiles, Width};
use super::level::TiffLevel;

/// The tiles of a level, one behind another in a file of its own.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) path: PathBuf,
    pub(super) lengths: Vec<u64>,
}

/// The file that becomes the output: that of the first level.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    pub(super) width: Width,
}

impl Whole<'_> {
    /// Puts the tiles of all levels behind those of the first, which begin behind the header; gives where each lies, and where
    /// the last ends.
    pub(super) fn join(&self, pieces: Vec<Piece>) -> Result<(Vec<Tiles>, u64), WriteError> {
        let mut end = self.width.header(0).len() as u64;
        let mut all = Vec::with_capacity(pieces.len());
        for (n, Piece { path, lengths }) in pieces.into_iter().enumerate() {
            let bytes: u64 = lengths.iter().sum();
            if n == 0 {
                self.cut(end + bytes)?;
            } else {
                self.append(&path, end, bytes)?;
            }
            all.push(Tiles::at(end, lengths));
            end += bytes;
        }
        Ok((all, end))
    }

    /// Removes what lies behind the tiles of the first level.
    fn cut(&self, end: u64) -> Result<(), WriteError> {
        let long = self.file.metadata().map_err(|e| WriteError::os(self.path, "look at", e))?.len();
        if long < end {
            return Err(WriteError::os(self.path, "read the tiles of", std::io::ErrorKind::UnexpectedEof.into()));
        }
        self.file.set_len(end).map_err(|e| WriteError::os(self.path, "cut", e))
    }

    /// Appends the first bytes of a file, which has a start of no header.
    fn append(&self, path: &Path, at: u64, bytes: u64) -> Result<(), WriteError> {
        let from = File::open(path).map_err(|e| WriteError::os(path, "open", e))?;
        let os = |e| WriteError::os(path, "append to the levels before", e);
        let mut to = self.file;
        to.seek(SeekFrom::Start(at)).map_err(os)?;
        let copied = std::io::copy(&mut std::io::Read::take(from, bytes), &mut to).map_err(os)?;
        if copied != bytes {
            return Err(os(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// Writes what stands behind the tiles, then the header. `images` are the levels of each.
    pub(super) fn write_tables(
        &self,
        images: &[&[TiffLevel]],
        (tiles, end): (&[Tiles], u64),
        (record, xml, units): (Record, &[u8], &[u8]),
    ) -> Result<(), WriteError> {
        let at = end.next_multiple_of(8);
        let behind = |record: &Record, mut out: &mut dyn Write| {
            let record = record.to_bytes();
            let first = First { xml, record: &record, units };
            out.write_all(&[0; 8][..(at - end) as usize])?;
            let (mut tables, mut begin): (Vec<Tables<'_>>, u64) = (Vec::with_capacity(images.len()), at);
            for (n, levels) in images.iter().enumerate() {
                let of_image = Tables::new(self.width, levels, (n == 0).then_some(first), begin);
                begin = of_image.end();
                tables.push(of_image);
            }
            let mut tiles = tiles;
            for (n, of_image) in tables.iter().enumerate() {
                let (mine, rest) = tiles.split_at(images[n].len());
                of_image.write(mine, tables.get(n + 1).map_or(0, Tables::begin), &mut out)?;
                tiles = rest;
            }
            Ok(())
        };
        let mut sum = Sum::default();
        let failed = |e| WriteError::os(self.path, "write the tag tables of", e);
        behind(&record, &mut sum).map_err(failed)?;
        if !self.width.big && end + sum.bytes > u64::from(u32::MAX) {
            let why = "the list of what is missing in it makes it larger than a TIFF may be".to_owned();
            return Err(WriteError::Unsupported { path: self.path.to_owned(), why });
        }
        let mut file = self.file;
        let written = file.seek(SeekFrom::Start(end)).and_then(|_| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            behind(&record.sealed(sum), &mut out)?;
            out.flush()
        });
        let written = written.and_then(|()| self.file.write_all_at(&self.width.header(at), 0));
        written.map_err(failed)
    }
}

//! Codecs without a file around them: what fuzzing and the tests of hostile streams call.
//!
//! Not part of the interface: it may change with any commit.

use std::path::Path;

use microtome_io::{Limits, ReadError};

use crate::codec::{CODECS, Fault};
use crate::page::{Layout, Tags};
use crate::set::Set;

/// A strip as the tags of a page describe it; the fields have the meaning of the tags.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// Compression (259).
    pub compression: u16,
    /// `ImageWidth` (256).
    pub width: u32,
    /// `ImageLength` (257) and `RowsPerStrip` (278).
    pub height: u32,
    /// `SamplesPerPixel` (277), stored together.
    pub samples: u16,
    /// `BitsPerSample` (258), of every sample.
    pub bits: u16,
    /// `SampleFormat` (339).
    pub format: u16,
    /// `PhotometricInterpretation` (262).
    pub photometric: u16,
    /// `T4Options` (292).
    pub t4_options: u32,
    /// The second of `LercParameters` (50674).
    pub lerc: u32,
    /// `JPEGTables` (347).
    pub tables: Option<Vec<u8>>,
}

impl Strip {
    /// The values of Compression that are read, with the name of the codec of each.
    pub fn compressions() -> impl Iterator<Item = (u16, &'static str)> {
        CODECS.iter().flat_map(|codec| codec.codes.iter().map(|&code| (code, codec.name)))
    }

    /// The first strip or tile of the first page of a file, and its stored bytes.
    ///
    /// # Errors
    /// [`ReadError`] if the file does not open, or has no such strip.
    pub fn first_of(path: &Path) -> Result<(Strip, Vec<u8>), ReadError> {
        let set = Set::open(path, &Limits::default())?;
        let file = set.main();
        let none = || ReadError::NotAnImage { path: path.to_owned(), why: "it has no strip".to_owned() };
        let layout = file.index.layout(0).ok_or_else(none)?;
        let segment = file.index.segment(0, layout, 0).ok_or_else(none)?;
        let mut encoded = vec![0; segment.bytes as usize];
        file.source.read_exact(&mut encoded, segment.offset)?;
        let tags = &layout.tags;
        let strip = Strip {
            compression: tags.compression as u16,
            width: layout.tile_width as u32,
            height: layout.tile_height as u32,
            samples: layout.samples_together as u16,
            bits: tags.bits as u16,
            format: tags.format as u16,
            photometric: tags.photometric as u16,
            t4_options: tags.t4_options as u32,
            lerc: tags.lerc as u32,
            tables: tags.tables.as_deref().map(<[u8]>::to_vec),
        };
        Ok((strip, encoded))
    }

    /// Decodes stored bytes as this strip, to what the codec gives: predictors, packed bits and byte order are left.
    ///
    /// # Errors
    /// In words: tags that make no strip, more than `most` bytes, a codec that is not read, a stream that does not decode.
    pub fn decode(&self, encoded: &[u8], most: u64) -> Result<Vec<u8>, String> {
        let layout = Layout::new(&self.tags())?;
        let codec = layout.codec.as_ref().map_err(|refusal| refusal.what.clone())?;
        let bytes = layout.tile_bytes(0);
        if bytes > most {
            return Err(format!("it would have {bytes} bytes"));
        }
        let mut out = vec![0; bytes as usize];
        let found = (codec.decode)(&layout.chunk(0), encoded, &mut out).map_err(|fault| match fault {
            Fault::TooLong => "it decodes to more than fits".to_owned(),
            Fault::Bad(why) => why,
        })?;
        out.truncate(found);
        Ok(out)
    }

    /// Bytes that the strip decodes to; 0 for one that makes no sense.
    pub fn bytes(&self) -> u64 {
        Layout::new(&self.tags()).map_or(0, |layout| layout.tile_bytes(0))
    }

    /// Bytes that decoding may take beside the stored and the decoded ones, as they are declared to a planner.
    pub fn work_bytes(&self) -> u64 {
        Layout::new(&self.tags()).map_or(0, |layout| layout.work())
    }

    fn tags(&self) -> Tags {
        Tags {
            width: u64::from(self.width),
            height: u64::from(self.height),
            samples: u64::from(self.samples),
            bits: u64::from(self.bits),
            format: u64::from(self.format),
            compression: u64::from(self.compression),
            photometric: u64::from(self.photometric),
            tile: (0, u64::from(self.height)),
            subsampling: (1, 1),
            t4_options: u64::from(self.t4_options),
            lerc: u64::from(self.lerc),
            tables: self.tables.as_deref().map(Into::into),
            ..Tags::default()
        }
    }
}

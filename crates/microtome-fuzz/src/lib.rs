//! Targets for a fuzzer: functions that take any bytes, and panic if what holds for all bytes does not.
//!
//! The program `fuzz` gives them what libFuzzer makes up, `tests/replay.rs` what is kept under `fixtures/fuzz`.
//!
//! *Invariant:* a target depends on its input alone, and leaves nothing behind: the same bytes do the same again.

mod codec;
mod document;
mod file_set;
mod places;
mod whole;

use microtome_io::Limits;

/// A function that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder under `fixtures/fuzz`.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Pages,
    Codec,
    Document,
    FileSet,
    Whole,
}

impl Target {
    /// All targets: those of files and documents, then one for each codec.
    pub fn all() -> Vec<Target> {
        let of_files = [
            ("pages", Kind::Pages),
            ("ome-xml", Kind::Document),
            ("file-set", Kind::FileSet),
            ("open-and-read", Kind::Whole),
        ];
        let files = of_files.into_iter().map(|(name, kind)| Target { name, kind });
        files.chain(codec::names().into_iter().map(|name| Target { name, kind: Kind::Codec })).collect()
    }

    /// The target of a name.
    pub fn find(name: &str) -> Option<Target> {
        Target::all().into_iter().find(|target| target.name == name)
    }

    /// Runs it.
    ///
    /// # Panics
    /// If something does not hold that holds for all bytes.
    pub fn run(&self, bytes: &[u8]) {
        match self.kind {
            Kind::Pages => whole::pages(bytes),
            Kind::Codec => codec::decode(self.name, bytes),
            Kind::Document => document::parse(bytes),
            Kind::FileSet => file_set::open(bytes),
            Kind::Whole => whole::open_and_read(bytes),
        }
    }
}

pub use codec::seed as codec_seed;

/// Limits under which whatever is accepted is done soon.
fn limits() -> Limits {
    Limits {
        plane_pixels: 1 << 18,
        tile_bytes: 1 << 18,
        pages: 1 << 10,
        files: 1 << 6,
        tag_bytes: 1 << 20,
        total_tag_bytes: 1 << 22,
        metadata_bytes: 1 << 20,
        ..Limits::default()
    }
}

//! The files an image consists of, and which page of which file each plane is.
//!
//! *Invariant:* a file that another one names is opened only if it lies beneath the folder of the image, or one that was
//! allowed.

use std::path::{Component, Path, PathBuf};

use microtome_io::{Limits, ReadError};
use sha2::{Digest, Sha256};

use crate::file::SourceFile;
use crate::index::PageIndex;
use crate::notes::PageNotes;
use crate::page::Layout;
use crate::walk::{FirstPage, Headers, walk, walk_described};

/// A TIFF file with the index of its pages.
#[derive(Debug)]
pub(crate) struct TiffFile {
    pub(crate) source: SourceFile,
    pub(crate) index: PageIndex,
}

/// A page of a file of a set, or the number of the reason why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaneRef {
    file: u32,
    page: u32,
}

const ABSENT: u32 = u32::MAX;

impl PlaneRef {
    pub(crate) fn new(file: u32, page: u32) -> PlaneRef {
        PlaneRef { file, page }
    }

    /// A plane that is not there; `reason` is an index into [`Set::absent`].
    pub(crate) fn absent(reason: u32) -> PlaneRef {
        PlaneRef { file: ABSENT, page: reason }
    }

    pub(crate) fn is_absent(self) -> bool {
        self.file == ABSENT
    }

    pub(crate) fn page(self) -> u32 {
        self.page
    }

    pub(crate) fn file(self) -> u32 {
        self.file
    }

    /// The same plane where its set was taken into another one.
    pub(crate) fn moved(self, by: Shift) -> PlaneRef {
        if self.is_absent() {
            return PlaneRef::absent(self.page + by.reasons);
        }
        PlaneRef { file: self.file + by.files, page: self.page }
    }
}

/// How far the numbers of a set's files and reasons moved when it was taken into another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    pub(crate) files: u32,
    pub(crate) reasons: u32,
}

/// The files of an image, and what was noticed while they were opened.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) files: Vec<TiffFile>,
    /// Files read for their metadata alone.
    pub(crate) companions: Vec<PathBuf>,
    pub(crate) missing: Vec<PathBuf>,
    /// Why planes are absent.
    pub(crate) absent: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) first: FirstPage,
    pub(crate) later: Vec<(u32, String)>,
    pub(crate) notes: PageNotes,
    /// Phrases about what was understood of the metadata, and has no place in an output.
    pub(crate) told: Vec<String>,
    pub(crate) limits: Limits,
}

impl Set {
    /// A set without files as yet.
    pub(crate) fn empty(limits: &Limits) -> Set {
        Set {
            files: Vec::new(),
            companions: Vec::new(),
            missing: Vec::new(),
            absent: Vec::new(),
            warnings: Vec::new(),
            first: FirstPage::default(),
            later: Vec::new(),
            notes: PageNotes::default(),
            told: Vec::new(),
            limits: limits.clone(),
        }
    }

    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Set, ReadError> {
        let source = SourceFile::open(path)?;
        let Headers { index, first, later, notes, warnings } = walk(&source, limits)?;
        if index.chain() == 0 {
            let why = "it has the header of a TIFF and no page".to_owned();
            return Err(ReadError::NotAnImage { path: path.to_owned(), why });
        }
        let files = vec![TiffFile { source, index }];
        Ok(Set { files, warnings, first, later, notes, ..Set::empty(limits) })
    }

    /// The file the image was opened by.
    pub(crate) fn main(&self) -> &TiffFile {
        &self.files[0]
    }

    pub(crate) fn path(&self) -> &Path {
        self.main().source.path()
    }

    /// Size and time of the file; of several the sum of their sizes, and a hash of all times: another time of any of them
    /// makes another stamp.
    pub(crate) fn stamp(&self) -> (u64, u64) {
        if let [one] = &self.files[..] {
            return one.source.stamp();
        }
        let (mut sizes, mut times) = (0_u64, Sha256::new());
        for (size, time) in self.files.iter().map(|file| file.source.stamp()) {
            sizes = sizes.saturating_add(size);
            times.update(time.to_le_bytes());
        }
        (sizes, times.finalize().iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte)))
    }

    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// The layout of a plane, if it is there and understood.
    pub(crate) fn layout(&self, plane: PlaneRef) -> Option<&Layout> {
        let file = self.files.get(plane.file as usize)?;
        (plane.page < file.index.len()).then(|| file.index.layout(plane.page)).flatten()
    }

    /// Number of the reason, the last one again if it is the same.
    pub(crate) fn reason(&mut self, why: String) -> PlaneRef {
        if self.absent.last() != Some(&why) {
            self.absent.push(why);
        }
        PlaneRef::absent(self.absent.len() as u32 - 1)
    }

    /// Takes in the files of another set, and what is absent of it; what was noticed in it is left to the caller.
    pub(crate) fn adopt(&mut self, other: Set) -> Shift {
        let shift = Shift { files: self.files.len() as u32, reasons: self.absent.len() as u32 };
        self.files.extend(other.files);
        self.companions.extend(other.companions);
        self.missing.extend(other.missing);
        self.absent.extend(other.absent);
        shift
    }

    /// Opens another file of the set and gives its number.
    pub(crate) fn add(&mut self, path: &Path) -> Result<u32, ReadError> {
        let (found, limit) = (self.files.len() as u64 + 1, self.limits.files);
        if found > limit {
            let (path, what) = (self.path().to_owned(), "number of files".to_owned());
            return Err(ReadError::OverLimit { path, what, location: String::new(), found, limit });
        }
        let source = SourceFile::open(path)?;
        let headers = walk_described(&source, &self.limits)?;
        self.warnings.extend(headers.warnings);
        self.files.push(TiffFile { source, index: headers.index });
        Ok(self.files.len() as u32 - 1)
    }
}

/// Where a name found in a file leads, if it stays beneath `folder`.
pub(crate) enum Beneath {
    /// To this file.
    File(PathBuf),
    /// To nothing.
    Missing(PathBuf),
    /// Out of the folder, or to what is no regular file.
    Refused,
}

/// Looks a name up beneath a folder: relative, without `..`, not through a link that leads out; or, by whatever path, in one
/// of the folders that were allowed.
pub(crate) fn beneath(folder: &Path, name: &str, allowed: &[PathBuf]) -> Beneath {
    let relative = Path::new(name);
    if name.is_empty() || name.contains('\0') || name.contains("://") {
        return Beneath::Refused;
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let path = folder.join(relative);
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    if !plain && allowed.is_empty() {
        return Beneath::Refused;
    }
    let Ok(real) = path.canonicalize() else {
        return if plain { Beneath::Missing(path) } else { Beneath::Refused };
    };
    let lies_in = |root: &Path| root.canonicalize().is_ok_and(|root| real.starts_with(root));
    let inside = (plain && lies_in(folder)) || allowed.iter().any(|root| lies_in(root));
    if inside && real.is_file() { Beneath::File(path) } else { Beneath::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::fs::write(inner.join("a.tif"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
        assert!(matches!(beneath(&inner, "a.tif", &[]), Beneath::File(_)));
        assert!(matches!(beneath(&inner, "b.tif", &[]), Beneath::Missing(_)));
        for name in ["../secret", "/etc/hosts", "link", "", ".", "a\0b", "file:///etc/hosts", "./../secret"] {
            assert!(matches!(beneath(&inner, name, &[]), Beneath::Refused), "{name}");
        }
    }

    #[test]
    fn names_that_lead_to_what_was_allowed_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["inner", "store/below", "store-not"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for name in ["store/below/a.tif", "store-not/a.tif", "secret.tif"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("../store/below/a.tif", dir.path().join("inner/link")).unwrap();
        std::os::unix::fs::symlink("../../secret.tif", dir.path().join("store/out")).unwrap();
        let (inner, allowed) = (dir.path().join("inner"), [dir.path().join("store")]);
        let absolute = dir.path().join("store/below/a.tif");
        for name in ["link", "../store/below/a.tif", absolute.to_str().unwrap()] {
            assert!(matches!(beneath(&inner, name, &allowed), Beneath::File(_)), "{name}");
            assert!(matches!(beneath(&inner, name, &[]), Beneath::Refused), "{name}");
        }
        for name in
            ["../store-not/a.tif", "../secret.tif", "../store/out", "../store/below", "file:///x", "../gone.tif"]
        {
            assert!(matches!(beneath(&inner, name, &allowed), Beneath::Refused), "{name}");
        }
    }
}

//! The other files of an OME-TIFF set: found by name beneath the folder, never elsewhere.

use std::path::{Path, PathBuf};

use microtome_io::ReadError;
use microtome_io::ome::{self, FileRef, Ome};

use crate::file::SourceFile;
use crate::set::{Beneath, PlaneRef, Set, beneath};

/// The file a `TiffData` names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    /// This file of the set.
    File(u32),
    /// One that is not there; planes in it are this absent plane.
    Absent(PlaneRef),
}

/// Where names are looked up, and which file they may mean without being looked up.
pub(super) struct Home {
    pub(super) folder: PathBuf,
    /// UUID of the file that was opened.
    pub(super) uuid: Option<String>,
    /// Whether the XML lies in the file that was opened, so that `TiffData` without a name means it.
    pub(super) owns_text: bool,
}

/// The file of a `TiffData`, if it is there.
pub(super) fn file_of(file: Option<u32>, slots: &[Slot]) -> Option<u32> {
    match file {
        None => Some(0),
        Some(n) => match slots.get(n as usize)? {
            Slot::File(file) => Some(*file),
            Slot::Absent(_) => None,
        },
    }
}

/// Opens the files of a set, or notes why they are absent; one slot for each of [`Ome::files`].
pub(super) fn resolve(set: &mut Set, home: &Home, ome: &Ome) -> Result<Vec<Slot>, ReadError> {
    let own = set.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut slots = Vec::with_capacity(ome.files.len());
    for file in &ome.files {
        let unnamed = file.name.is_empty() && home.owns_text;
        let known = file.name == own || unnamed || is_own_uuid(file, home, ome);
        slots.push(if known { Slot::File(0) } else { other(set, home, file)? });
    }
    Ok(slots)
}

/// A file that was renamed is still known by its UUID, if no other file has the name.
fn is_own_uuid(file: &FileRef, home: &Home, ome: &Ome) -> bool {
    let own = home.uuid.as_ref().is_some_and(|uuid| !uuid.is_empty() && *uuid == file.uuid);
    own && ome.files.iter().filter(|f| f.uuid == file.uuid).count() == 1
}

fn other(set: &mut Set, home: &Home, file: &FileRef) -> Result<Slot, ReadError> {
    let name = file.name.clone();
    let why = match beneath(&home.folder, &name, &set.limits.allowed_roots) {
        Beneath::File(path) => match set.add(&path) {
            Ok(number) => return Ok(Slot::File(number)),
            Err(over @ ReadError::OverLimit { .. }) => return Err(over),
            Err(error) => {
                set.warn(format!("{name} of the same image is not read: {error}"));
                format!("it lies in {name}, which cannot be read")
            }
        },
        Beneath::Missing(path) => {
            set.warn(format!("{name} of the same image is missing; reading its planes is an error"));
            set.missing.push(path);
            format!("it lies in {name}, which is missing")
        }
        Beneath::Refused => {
            set.warn(format!("{name:?} is named as part of the image and lies outside its folder; it is not opened; --allow-root allows a folder"));
            set.missing.push(PathBuf::from(&name));
            format!("it lies in {name:?}, outside the folder of the image")
        }
    };
    Ok(Slot::Absent(set.reason(why)))
}

/// The document a `BinaryOnly` file points at and its folder, or `None` with a warning.
pub(super) fn companion(set: &mut Set, folder: &Path, ome: &Ome) -> Option<(Ome, PathBuf)> {
    let name = ome.binary_only.as_ref()?.metadata_file.clone();
    let why = match beneath(folder, &name, &set.limits.allowed_roots) {
        Beneath::Missing(path) => {
            set.missing.push(path);
            "it is missing".to_owned()
        }
        Beneath::Refused => {
            set.missing.push(PathBuf::from(&name));
            "it lies outside the folder of the image".to_owned()
        }
        Beneath::File(path) => match read(&path, set) {
            Ok(found) => {
                let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                set.companions.push(path);
                return Some((found, folder));
            }
            Err(why) => why,
        },
    };
    set.warn(format!(
        "the metadata of this file are in {name:?}, which is not used: {why}; pages are shown in file order"
    ));
    None
}

fn read(path: &Path, set: &Set) -> Result<Ome, String> {
    let file = SourceFile::open(path).map_err(|e| e.to_string())?;
    if file.size() > set.limits.metadata_bytes {
        return Err(format!("it has {} bytes, over the limit of {}", file.size(), set.limits.metadata_bytes));
    }
    let mut bytes = vec![0; file.size() as usize];
    file.read_exact(&mut bytes, 0).map_err(|e| e.to_string())?;
    let found = ome::parse(&String::from_utf8_lossy(&bytes), &set.limits).map_err(|e| e.to_string())?;
    if found.images.is_empty() { Err("it describes no image".to_owned()) } else { Ok(found) }
}

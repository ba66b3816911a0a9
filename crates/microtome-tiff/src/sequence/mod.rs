//! Many files as one image: a sequence whose T, C and Z are in the names, scenes and wells of a plate.
//!
//! *Invariant:* a file that should be there and is not is listed, and reading its planes is an error; files of one scene
//! have the same shape and type, or nothing is opened.

mod gather;
mod grid;
mod join;
mod pattern;
mod search;

use std::path::Path;

use microtome_io::{Limits, ReadError};

use self::gather::{Gathered, gather};
use self::grid::Grid;
pub use self::pattern::is_pattern;
use self::pattern::{Field, Pattern, Values};
use self::search::Found;
pub use self::search::natural_order;
use crate::reader::{TiffReader, assemble};
use crate::scenes::Arranged;

/// Ends of the names of TIFF files.
const ENDS: [&str; 5] = ["tif", "tiff", "btf", "tf2", "tf8"];

/// Whether a folder holds TIFF files side by side.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir() && files_in(path).is_ok_and(|files| !files.is_empty())
}

/// Opens a folder of TIFF files each of which says in which well of a plate it lies; each image in them is a scene.
///
/// # Errors
/// [`ReadError::NotAnImage`] if one does not, with what to do; else as [`open`](crate::open).
pub fn open_folder(path: &Path, limits: &Limits) -> Result<TiffReader, ReadError> {
    let found = files_in(path)?;
    let refuse = |why: String| ReadError::NotAnImage { path: path.to_owned(), why };
    let Some(first) = found.first() else { return Err(refuse("the folder holds no TIFF file".to_owned())) };
    let first = first.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let gathered = gather(&found, limits)?;
    let outside = gathered.drafts.iter().any(|(draft, _)| draft.well.is_none());
    if outside || gathered.drafts.is_empty() {
        return Err(refuse(format!(
            "the folder holds {} TIFF files, as {first}, that do not say in which well of a plate they lie; open one of them, or \
             say by a pattern how they belong together, as --pattern 'img_t{{t}}_c{{c}}.tif'",
            found.len()
        )));
    }
    let Gathered { mut set, drafts, broken, description, ome_xml } = gathered;
    set.missing.extend(broken.keys().map(|&number| found[number].path.clone()));
    let drafts = drafts.into_iter().map(|(draft, _)| draft).collect();
    assemble(path, set, Arranged { format: "TIFF files", drafts, ome_xml, description })
}

fn files_in(folder: &Path) -> Result<Vec<Found>, ReadError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| ReadError::os(folder, "list", e))? {
        let path = entry.map_err(|e| ReadError::os(folder, "list", e))?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
        if !hidden && ENDS.contains(&end.as_str()) && path.is_file() {
            found.push(Found { path, values: Values::default() });
        }
    }
    search::sort(&mut found);
    Ok(found)
}

/// Opens the TIFF files whose names fit a pattern as one image; no pixel is read, and at most 64 files are held open.
///
/// In braces stand `{t}`, `{c}`, `{z}` for the axes, `{s}` for scenes, `{well}` or `{row}` and `{column}` with `{field}`
/// for the wells of a plate; `*` and `?` stand for what does not matter. Without braces the files follow each other along T,
/// unless each says in which well it lies: then each is a scene. Numbers that are left out are missing files.
/// What is in a file comes behind: its frames within the T of its name. Axes that a file does not name become the first of
/// T, Z and C that the pattern does not have.
///
/// # Errors
/// [`ReadError::NotAnImage`] if nothing fits or the pattern is none; [`ReadError::Mismatch`] if files of a scene differ in
/// shape or type; else as [`open`](crate::open) for the first file, if none can be read.
pub fn open_files(path: &Path, limits: &Limits) -> Result<TiffReader, ReadError> {
    let refuse = |why: String| ReadError::NotAnImage { path: path.to_owned(), why };
    let pattern = Pattern::parse(path).map_err(refuse)?;
    let found = search::search(&pattern)?;
    if found.is_empty() {
        return Err(refuse("no file has a name that fits this pattern".to_owned()));
    }
    let mut gathered = gather(&found, limits)?;
    let is_plate = gathered.drafts.iter().all(|(draft, _)| draft.well.is_some());
    let drafts = if pattern.has(Field::Star) && (is_plate || gathered.is_one_set()) {
        std::mem::take(&mut gathered.drafts).into_iter().map(|(draft, _)| draft).collect()
    } else {
        let grid = Grid::new(&pattern, &found)?;
        join::join(&mut gathered, &pattern, &grid, &found)?
    };
    let Gathered { set, description, ome_xml, .. } = gathered;
    assemble(path, set, Arranged { format: "TIFF files", drafts, ome_xml, description })
}

//! The images that paths stand for: themselves, or those in a folder that is no image.
//!
//! *Invariant:* what is in a folder comes as people count, and what is no image by its name is not looked at.

use std::path::{Path, PathBuf};

/// Ends of the names of images in a folder.
const ENDS: [&str; 8] = ["tif", "tiff", "btf", "tf2", "tf8", "zarr", "ozx", "zip"];

/// The images that paths stand for: of a folder that is neither a Zarr nor an NDTiff the TIFF files and Zarrs in it, not those in
/// folders below, in the order in which people count; of any other path itself, and of an empty folder too, so that it is told.
///
/// # Examples
/// ```
/// let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
/// let found = microtome::images_of(&[fixtures.clone()]);
/// assert!(found.len() > 5 && found.contains(&fixtures.join("cells.ome.tif")));
/// assert_eq!(microtome::images_of(&found), found);
/// ```
pub fn images_of(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().flat_map(|path| within(path).unwrap_or_else(|| vec![path.clone()])).collect()
}

/// The images in a folder that is none; `None` where there is none.
fn within(folder: &Path) -> Option<Vec<PathBuf>> {
    if !folder.is_dir() || microtome_zarr::is_zarr(folder) || microtome_tiff::is_ndtiff(folder) {
        return None;
    }
    let entries = std::fs::read_dir(folder).ok()?.map_while(Result::ok).map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| named_so(path)).collect();
    found.sort_by(|a, b| microtome_tiff::natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    (!found.is_empty()).then_some(found)
}

/// Whether a name is that of an image, and no hidden one.
fn named_so(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    !hidden && ENDS.contains(&end.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_images_as_people_count() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a10.tif", "a9.TIFF", ".a1.tif", "notes.txt", "b.ome.tif"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        std::fs::create_dir(folder.path().join("c.ome.zarr")).unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        let found = images_of(&[folder.path().to_owned(), "x.txt".into()]);
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a9.TIFF", "a10.tif", "b.ome.tif", "c.ome.zarr", "x.txt"]);
        let empty = folder.path().join("below");
        assert_eq!(images_of(std::slice::from_ref(&empty)), [empty]);
    }
}

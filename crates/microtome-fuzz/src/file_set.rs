//! An image of several files, which names them in its OME-XML or has a companion that does: nothing beside its folder is
//! opened, whatever the names are.

use std::cell::RefCell;
use std::path::PathBuf;

use microtome_io::Reader;
use tempfile::TempDir;

use crate::{places, whole};

/// What parts the XML in the file from that of its companion.
const BETWEEN: u8 = 0;

thread_local! {
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

/// A folder with the files of an image, and what lies around it.
struct Stage {
    _around: TempDir,
    /// The image's own folder, without links on the way.
    folder: PathBuf,
}

impl Stage {
    /// `set/` with two more files, one in a folder of its own, and links that lead out of it; a file beside `set/`.
    fn new() -> Stage {
        let around = places::folder();
        let root = around.path().canonicalize().unwrap_or_else(|error| panic!("the folder of inputs: {error}"));
        let folder = root.join("set");
        let made = std::fs::create_dir_all(folder.join("sub"));
        made.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in ["outside.tif", "set/b.tif", "set/sub/c.tif"] {
            places::write(&root, path, &tiff(b""));
        }
        let links = [("../outside.tif", "link.tif"), ("..", "up"), ("b.tif", "d.tif")];
        for (to, from) in links {
            let made = std::os::unix::fs::symlink(to, folder.join(from));
            made.unwrap_or_else(|error| panic!("{from}: {error}"));
        }
        Stage { _around: around, folder }
    }
}

/// Opens an image with this XML, and its companion.
///
/// # Panics
/// If a file outside its folder is one of the image's.
pub(crate) fn open(bytes: &[u8]) {
    STAGE.with_borrow_mut(|stage| {
        let stage = stage.get_or_insert_with(Stage::new);
        let mut parts = bytes.splitn(2, |&byte| byte == BETWEEN);
        let (own, companion) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = places::write(&stage.folder, "a.ome.tif", &tiff(own));
        places::write(&stage.folder, "x.companion.ome", companion);
        let Ok(reader) = microtome_tiff::open(&path, &crate::limits()) else { return };
        whole::check(&reader);
        for file in &reader.info().files {
            let real = file.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(real.starts_with(&stage.folder), "{} was opened", real.display());
        }
        whole::read(&reader);
    });
}

/// A TIFF of two pages of 2 × 3 pixels with a description.
fn tiff(description: &[u8]) -> Vec<u8> {
    const PAGE: usize = 2 + 8 * 12 + 4;
    let pixels = 8 + 2 * PAGE;
    let text = pixels + 6;
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    for page in 0..2 {
        file.extend(8u16.to_le_bytes());
        for (tag, value) in [(256u16, 3), (257, 2), (258, 8), (262, 1)] {
            entry(&mut file, tag, [4, 1, value]);
        }
        // A description of fewer than five bytes would lie in the entry: it is filled up.
        entry(&mut file, 270, [2, description.len().max(5), text]);
        for (tag, value) in [(273, pixels), (278, 2), (279, 6)] {
            entry(&mut file, tag, [4, 1, value]);
        }
        let next = if page == 0 { 8 + PAGE } else { 0 };
        file.extend((next as u32).to_le_bytes());
    }
    file.extend([1, 2, 3, 4, 5, 6]);
    file.extend(description);
    file.resize(file.len().max(text + 5), 0);
    file
}

fn entry(file: &mut Vec<u8>, tag: u16, [kind, count, value]: [usize; 3]) {
    file.extend(tag.to_le_bytes());
    file.extend((kind as u16).to_le_bytes());
    file.extend((count as u32).to_le_bytes());
    file.extend((value as u32).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_io::Limits;

    #[test]
    fn the_file_around_a_description_is_valid() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "a", "nothing known about it"] {
            let path = places::write(dir.path(), "a.tif", &tiff(text.as_bytes()));
            let reader = microtome_tiff::open(&path, &Limits::default()).unwrap();
            assert_eq!(reader.info().scenes[0].shape().extents(), [2, 1, 1, 2, 3, 1]);
        }
    }
}

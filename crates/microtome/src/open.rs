//! The list of formats that are read: the one place that names them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use microtome_io::{Limits, ReadError, Reader};

/// Opens a path from its headers.
pub type OpenFn = fn(&Path, &Limits) -> Result<Arc<dyn Reader>, ReadError>;

/// A format that can be opened.
#[derive(Debug)]
pub struct Format {
    /// Its family, for people.
    pub name: &'static str,
    /// Whether a path with these first bytes (none of a folder) is of this format.
    pub recognise: fn(&Path, &[u8]) -> bool,
    /// Opens it from its headers.
    pub open: OpenFn,
}

/// All formats, tried in order. A new reader is one line here.
pub const FORMATS: &[Format] = &[
    Format {
        name: "TIFF (OME-TIFF, ImageJ, BigTIFF)",
        recognise: |_, head| microtome_tiff::is_tiff(head),
        open: |path, limits| Ok(Arc::new(microtome_tiff::open(path, limits)?)),
    },
    Format {
        name: "Zarr folder (OME-Zarr)",
        recognise: |path, _| path.is_dir() && microtome_zarr::is_zarr(path),
        open: |path, limits| Ok(Arc::new(microtome_zarr::open(path, limits)?)),
    },
    Format {
        name: "a ZIP archive of a Zarr folder (.zip, .ozx)",
        recognise: |_, head| microtome_zarr::is_zip(head),
        open: |path, limits| Ok(Arc::new(microtome_zarr::open(path, limits)?)),
    },
    Format {
        name: "a folder of NDTiff (Micro-Manager)",
        recognise: |path, _| microtome_tiff::is_ndtiff(path),
        open: |path, limits| Ok(Arc::new(microtome_tiff::open_ndtiff(path, limits)?)),
    },
    Format {
        name: "a folder of TIFF files of a plate, or a pattern of their names as img_t{t}_c{c}.tif",
        recognise: |path, _| microtome_tiff::is_folder(path),
        open: |path, limits| Ok(Arc::new(microtome_tiff::open_folder(path, limits)?)),
    },
];

/// Ends of the names of files that are read here, but not behind a URL, and what to do with them.
const ONLY_HERE: [(&[&str], &str, &str); 2] = [
    (&["tif", "tiff", "btf", "tf2", "tf8"], "a TIFF", "download it, or convert it to OME-Zarr where it is"),
    (&["zip", "ozx"], "a ZIP archive", "download it, or unpack it where it is"),
];

/// Opens what is behind a URL: a Zarr.
fn open_url(path: &Path, limits: &Limits) -> Result<Arc<dyn Reader>, ReadError> {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    let here = ONLY_HERE.iter().find(|(ends, ..)| ends.contains(&end.as_str()));
    if let Some((_, what, hint)) = here {
        // Says what is wrong with the URL itself first, and keeps its secrets to itself.
        let path = microtome_zarr::checked_url(path)?;
        let (what, hint) = (format!("reading {what} behind a URL"), (*hint).to_owned());
        return Err(ReadError::Unsupported { path, what, location: String::new(), hint });
    }
    Ok(Arc::new(microtome_zarr::open(path, limits)?))
}

/// Opens a path with the first format that recognises it.
pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Arc<dyn Reader>, ReadError> {
    if microtome_zarr::is_url(path) {
        return open_url(path, limits);
    }
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // Whatever its name, what is there is meant before what fits a pattern.
        Err(_) if microtome_tiff::is_pattern(path) => return Ok(Arc::new(microtome_tiff::open_files(path, limits)?)),
        Err(error) => return Err(ReadError::os(path, "open", error)),
    };
    let head = if metadata.is_file() { first_bytes(path)? } else { Vec::new() };
    if !metadata.is_file() && !metadata.is_dir() {
        let why = "it is neither a file nor a folder".to_owned();
        return Err(ReadError::NotAnImage { path: path.to_owned(), why });
    }
    match FORMATS.iter().find(|f| (f.recognise)(path, &head)) {
        Some(format) => (format.open)(path, limits),
        None => Err(ReadError::NotAnImage { path: path.to_owned(), why: unknown(path, metadata.is_dir(), &head) }),
    }
}

fn first_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let file = File::open(path).map_err(|e| ReadError::os(path, "open", e))?;
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head).map_err(|e| ReadError::os(path, "read the first bytes of", e))?;
    Ok(head)
}

fn unknown(path: &Path, folder: bool, head: &[u8]) -> String {
    let images = microtome_zarr::images_in(path);
    if let [first, ..] = &images[..] {
        return format!("the folder holds {} images, as {first}; open one of them", images.len());
    }
    let known: Vec<&str> = FORMATS.iter().map(|f| f.name).collect();
    let seen = if folder {
        "the folder holds no zarr.json, .zgroup or .zarray".to_owned()
    } else if head.is_empty() {
        "the file is empty".to_owned()
    } else {
        let hex: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
        format!("it starts with the bytes {}", hex.join(" "))
    };
    format!("{seen}; known are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_images_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one.zarr", "two.zarr"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(".zgroup"), r#"{"zarr_format": 2}"#).unwrap();
        }
        let error = open(folder.path(), &Limits::default()).unwrap_err().to_string();
        assert!(error.ends_with("the folder holds 2 images, as one.zarr; open one of them"), "{error}");
    }

    #[test]
    fn an_archive_is_recognised_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.ozx");
        // The record at the end of an archive without files.
        std::fs::write(&path, [&b"PK\x05\x06"[..], &[0; 18]].concat()).unwrap();
        let error = open(&path, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("names no image and no array"), "{error}");
    }
}

//! Small steps on the file system, each with an error that names what was tried.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use crate::WriteError;

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// Writes a whole small file, and waits for the disk if asked to.
///
/// # Errors
/// [`WriteError::Os`] if it cannot be written.
pub fn write(path: &Path, bytes: &[u8], sync: bool) -> Result<(), WriteError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        if sync { file.sync_all() } else { Ok(()) }
    });
    written.map_err(|e| WriteError::os(path, "write", e))
}

/// Brings the names in a folder to the disk.
///
/// # Errors
/// [`WriteError::Os`] if the system cannot say that it did.
pub fn sync_folder(dir: &Path) -> Result<(), WriteError> {
    let folder = File::open(dir).map_err(|e| WriteError::os(dir, "open", e))?;
    folder.sync_all().map_err(|e| WriteError::os(dir, "bring to the disk", e))
}

/// Gives a file or folder another name.
///
/// # Errors
/// [`WriteError::Os`] naming both.
pub fn rename(from: &Path, to: &Path) -> Result<(), WriteError> {
    fs::rename(from, to).map_err(|e| WriteError::os(to, format!("rename {} to", from.display()), e))
}

/// Removes a file or a folder with all it holds, if it is there.
///
/// # Errors
/// [`WriteError::Os`] if what is there stays.
pub fn remove(path: &Path) -> Result<(), WriteError> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if !is_absent(&e) => Err(WriteError::os(path, "remove", e)),
        _ => Ok(()),
    }
}

/// What stands at a path; links are not followed.
///
/// # Errors
/// What the system says, but for a path at which nothing stands.
pub fn found(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The folder a path lies in.
///
/// # Examples
/// ```
/// use std::path::Path;
/// assert_eq!(microtome_io::disk::parent(Path::new("a.zarr")), Path::new("."));
/// ```
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The CRC-32C of a file's bytes.
///
/// # Errors
/// What the system says.
pub fn crc32c(path: &Path) -> io::Result<u32> {
    crc32c_of(File::open(path)?)
}

/// The CRC-32C of all that is read.
///
/// # Errors
/// What the system says.
pub fn crc32c_of(mut bytes: impl Read) -> io::Result<u32> {
    let (mut block, mut crc) = (vec![0; BLOCK], 0);
    loop {
        match bytes.read(&mut block) {
            Ok(0) => return Ok(crc),
            Ok(n) => crc = crc32c::crc32c_append(crc, &block[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

//! The file of one write unit: made at its first bytes, handed over when it is whole, removed when it is not.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use microtome_io::WriteError;

use super::building::WholeFile;

/// Bytes gathered before they go to the system: small chunks do not cost a call each.
pub(super) const BUFFER: usize = 64 << 10;
/// How the name of a file ends that has not got its place.
const TEMPORARY: &str = ".part";

/// A unit's file while it is written.
#[derive(Debug)]
pub(super) struct UnitFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: Option<BufWriter<File>>,
    len: u64,
    crc32c: u32,
}

impl UnitFile {
    /// A file that is not there yet. What several processes may write at a time has the mark of its process in its name.
    pub(super) fn new(path: PathBuf, mark: &str) -> UnitFile {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(mark);
        name.push(TEMPORARY);
        UnitFile { temporary: path.with_file_name(name), path, writer: None, len: 0, crc32c: 0 }
    }

    /// Where it will stand.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Puts bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.writer.is_none() {
            self.writer = Some(self.create()?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let at = self.len;
        let action = || format!("write {} bytes at offset {at} of", bytes.len());
        writer.write_all(bytes).map_err(|e| WriteError::os(&self.temporary, action(), e))?;
        self.len += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        Ok(())
    }

    fn create(&self) -> Result<BufWriter<File>, WriteError> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| WriteError::os(folder, "create", e))?;
        }
        let file = File::create(&self.temporary).map_err(|e| WriteError::os(&self.temporary, "create", e))?;
        Ok(BufWriter::with_capacity(BUFFER, file))
    }

    /// Ends the file, if there is one; returns it with its length and the CRC-32C of its bytes.
    pub(super) fn end(mut self) -> Result<(Option<WholeFile>, u64, u32), WriteError> {
        let Some(writer) = self.writer.take() else { return Ok((None, 0, 0)) };
        match writer.into_inner() {
            Ok(file) => {
                let (temporary, path) = (std::mem::take(&mut self.temporary), std::mem::take(&mut self.path));
                Ok((Some(WholeFile { temporary, path, file }), self.len, self.crc32c))
            }
            Err(failed) => {
                let (error, writer) = failed.into_parts();
                drop(writer.into_parts()); // without another try to write what is left
                remove(&self.temporary);
                Err(WriteError::os(&self.path, "finish", error))
            }
        }
    }
}

impl Drop for UnitFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer.into_parts()); // without another try to write what is left
            remove(&self.temporary);
        }
    }
}

/// Best effort: what cannot be removed here goes when the partial folder is taken up again, or with it.
fn remove(temporary: &Path) {
    let _ = std::fs::remove_file(temporary);
}

/// Whether a file of this name was being written.
pub(super) fn is_temporary(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(TEMPORARY.as_bytes())
}

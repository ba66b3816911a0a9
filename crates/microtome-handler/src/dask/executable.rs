//! The program that workers run: this very one, told apart by its content.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::protocol::{Executable, Ship};
use crate::error::ConnectError;
use crate::worker;

/// Which program, and how workers get it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// Another program than this one.
    pub(crate) path: Option<PathBuf>,
    pub(crate) ship: Ship,
    /// Threads of rayon's global pool in each child.
    pub(crate) threads: usize,
}

impl Program {
    /// Hashes it.
    pub(super) fn describe(&self) -> Result<Executable, ConnectError> {
        let (path, source) = self.find()?;
        let wrong = |error: io::Error| ConnectError::Executable { path: path.clone(), why: error.to_string() };
        let (sha256, size) = hash(&source).map_err(wrong)?;
        Ok(Executable {
            name: format!("microtome-{}", &sha256[..16]),
            sha256,
            size,
            path: (self.ship != Ship::Always).then_some(path),
            source,
            ship: self.ship,
            folder: std::env::current_dir().ok(),
            threads: self.threads.max(1),
        })
    }

    /// Its path for others, and where its content is to be read here.
    fn find(&self) -> Result<(PathBuf, PathBuf), ConnectError> {
        if let Some(path) = &self.path {
            let wrong = |error: io::Error| ConnectError::Executable { path: path.clone(), why: error.to_string() };
            let path = path.canonicalize().map_err(wrong)?;
            return Ok((path.clone(), path));
        }
        if !worker::is_initialised() {
            return Err(ConnectError::NotInitialised);
        }
        let wrong = |error: io::Error| ConnectError::Executable { path: "this program".into(), why: error.to_string() };
        let path = undeleted(std::env::current_exe().map_err(wrong)?);
        // What runs may have been replaced on disk since it was started.
        let running = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        let source = if running.exists() { running } else { path.clone() };
        Ok((path, source))
    }
}

/// The path of a file that is gone or was replaced, without what Linux appends to say so.
fn undeleted(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(before) if !path.exists() => before.into(),
        _ => path,
    }
}

fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let n = file.read(&mut block)?;
        if n == 0 {
            break;
        }
        digest.update(&block[..n]);
        size += n as u64;
    }
    Ok((hex(&digest.finalize()), size))
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, "abc").unwrap();
        let program = Program { path: Some(path.clone()), ship: Ship::Auto, threads: 0 };
        let described = program.describe().unwrap();
        assert_eq!(described.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((described.size, described.name.as_str()), (3, "microtome-ba7816bf8f01cfea"));
        assert_eq!((described.path, described.threads), (Some(path.canonicalize().unwrap()), 1));
    }

    #[test]
    fn without_init_this_program_is_no_worker() {
        assert!(matches!(Program::default().describe(), Err(ConnectError::NotInitialised)));
    }
}

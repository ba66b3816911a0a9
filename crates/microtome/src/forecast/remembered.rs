//! What is remembered of a machine: rates, and what runs have shown, in a file of plain text with a checksum.
//!
//! *Invariant:* a file is whole or is not used; it is replaced in one step, so of two programs that keep something at once
//! one wins, and neither breaks the other's file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use microtome_graph::{Learnt, Rate, Rates};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the first line of a file begins with; the SHA-256 of the rest follows.
const HEAD: &str = "microtome rates 1 ";
/// Entries of a file at most; beyond it all is forgotten.
const MOST_ENTRIES: usize = 4096;
/// A file is read up to so many bytes.
const MOST_BYTES: u64 = 16 << 20;

/// What is remembered, and where.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    file: Option<PathBuf>,
    pub(super) rates: Rates,
    learnt: BTreeMap<String, Learnt>,
}

/// The text behind the first line.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Text {
    rates: BTreeMap<String, Rate>,
    learnt: BTreeMap<String, Learnt>,
}

impl Remembered {
    /// What a folder remembers of this machine.
    pub(super) fn load(folder: Option<PathBuf>) -> Remembered {
        let file = folder.map(|folder| folder.join(format!("rates-{}", &digest(&machine())[..16])));
        let text = file.as_deref().and_then(read).unwrap_or_default();
        Remembered { file, rates: Rates(text.rates), learnt: text.learnt }
    }

    pub(super) fn take(&mut self, rates: Rates) {
        self.rates.0.extend(rates.0);
    }

    pub(super) fn learnt(&self, kind: &str) -> Learnt {
        self.learnt.get(kind).copied().unwrap_or_default()
    }

    pub(super) fn learn(&mut self, kind: String, ratio: f64) {
        let learnt = self.learnt.entry(kind).or_default();
        *learnt = learnt.and(ratio);
    }

    /// Writes the file. Nobody depends on it, so that it cannot be written is no matter.
    pub(super) fn keep(&self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = self.write(file) {
            tracing::debug!("{} cannot be written: {error}", file.display());
        }
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        let many = self.rates.0.len() + self.learnt.len() > MOST_ENTRIES;
        let all = || Text { rates: self.rates.0.clone(), learnt: self.learnt.clone() };
        let body = serde_json::to_string_pretty(&if many { Text::default() } else { all() })? + "\n";
        let folder = microtome_io::disk::parent(file);
        std::fs::create_dir_all(folder)?;
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        write!(beside, "{HEAD}{}\n{body}", digest(&body))?;
        beside.persist(file)?;
        Ok(())
    }
}

/// A file that is whole.
fn read(file: &Path) -> Option<Text> {
    let damaged = |why: &str| {
        tracing::warn!("{} is damaged ({why}) and ignored; it will be made anew", file.display());
        None
    };
    let bytes = match std::fs::metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return damaged(&error.to_string()),
    };
    if bytes > MOST_BYTES {
        return damaged("it is too long");
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return damaged(&error.to_string()),
    };
    let whole = text.strip_prefix(HEAD).and_then(|rest| rest.split_once('\n'));
    let Some((sum, body)) = whole.filter(|(sum, body)| *sum == digest(body)) else {
        return damaged("its checksum is another one");
    };
    debug_assert_eq!(sum.len(), 64);
    match serde_json::from_str(body) {
        Ok(text) => Some(text),
        Err(error) => damaged(&error.to_string()),
    }
}

/// The SHA-256 of a text, in hex.
pub(super) fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

/// This machine, in words that stay: its processor, how much of it may be used, and the system's name for it.
fn machine() -> String {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = text("/proc/cpuinfo");
    let model = processors.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model} {threads} {} {}", text("/etc/machine-id"), env!("CARGO_PKG_VERSION"))
}

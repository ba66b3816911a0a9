//! What can go wrong with a file, in words that name the file, the place in it, how far off it is, and what to do.

use std::path::{Path, PathBuf};

use microtome_array::ArrayError;

use crate::Place;

/// An input that cannot be opened or read. The command line exits with 4.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing at the path.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// Something at the path that is no image.
    #[error("{} is no image that microtome knows: {why}", path.display())]
    NotAnImage {
        /// The path.
        path: PathBuf,
        /// What was seen and what would be an image.
        why: String,
    },
    /// A format, codec or layout that is recognised but not read.
    #[error("{}: {what} is not supported{}; {hint}", path.display(), within(location))]
    Unsupported {
        /// The path.
        path: PathBuf,
        /// What is not supported, with its code.
        what: String,
        /// Where: page, array, tag; empty for the whole file.
        location: String,
        /// What to do instead.
        hint: String,
    },
    /// A file that ends before what it announces.
    #[error(
        "{}: {what}{} needs bytes {offset}..{} but the file has {file_bytes}; it is probably truncated",
        path.display(), within(location), offset.saturating_add(*length)
    )]
    Truncated {
        /// The path.
        path: PathBuf,
        /// What was to be read (`strip 4`, `the tag table`).
        what: String,
        /// Where: page, plane; may be empty.
        location: String,
        /// First byte wanted.
        offset: u64,
        /// Bytes wanted.
        length: u64,
        /// Bytes there are.
        file_bytes: u64,
    },
    /// Stored bytes that do not decode to what they should.
    #[error("{}: {what}{}: {why}", path.display(), within(location))]
    Corrupt {
        /// The path.
        path: PathBuf,
        /// What is damaged (`strip 4 at offset 91226112`).
        what: String,
        /// Where: plane t/c/z, page.
        location: String,
        /// How it is damaged: expected and found.
        why: String,
    },
    /// More than a limit allows.
    #[error("{}: {what}{} is {found}, over the limit of {limit}", path.display(), within(location))]
    OverLimit {
        /// The path.
        path: PathBuf,
        /// What is too large.
        what: String,
        /// Where; may be empty.
        location: String,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A scene or level that the image does not have.
    #[error(
        "{} has {scenes} scenes, and {levels} levels in scene {}; scene {} level {} is not among them (counted from 0)",
        path.display(), place.scene, place.scene, place.level
    )]
    NoSuchPlace {
        /// The path.
        path: PathBuf,
        /// What was asked for.
        place: Place,
        /// Number of scenes.
        scenes: usize,
        /// Number of levels of that scene.
        levels: usize,
    },
    /// A region or shape that does not fit.
    #[error("{}: {source}", path.display())]
    Array {
        /// The path.
        path: PathBuf,
        /// What does not fit.
        source: ArrayError,
    },
    /// Files that are to be one image and do not fit each other.
    #[error("{} and {} are not of one image: {why}", path.display(), other.display())]
    Mismatch {
        /// One of them.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
        /// How they differ, and what to do.
        why: String,
    },
    /// The file changed between opening and reading. The command line exits with 7.
    #[error("{} changed while it was being read: {why}; nothing was published, start again", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
        /// What changed.
        why: String,
    },
    /// An object behind a URL that could not be had. Nothing is known of its pixels: it is never taken for a bad plane.
    #[error("cannot read {}: {why}; {hint}", path.display())]
    Remote {
        /// The URL of the object.
        path: PathBuf,
        /// What was answered: the status of HTTP, or what kept an answer away.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Os {
        /// The path.
        path: PathBuf,
        /// What was tried (`open`, `read 4096 bytes at offset 8 of`).
        action: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ReadError {
    /// The file or folder that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            ReadError::NotFound { path }
            | ReadError::NotAnImage { path, .. }
            | ReadError::Unsupported { path, .. }
            | ReadError::Truncated { path, .. }
            | ReadError::Corrupt { path, .. }
            | ReadError::OverLimit { path, .. }
            | ReadError::NoSuchPlace { path, .. }
            | ReadError::Array { path, .. }
            | ReadError::Mismatch { path, .. }
            | ReadError::Changed { path, .. }
            | ReadError::Remote { path, .. }
            | ReadError::Os { path, .. } => path,
        }
    }

    /// The page of a TIFF and the byte offset that an error names, where it does.
    pub fn position(&self) -> (Option<u64>, Option<u64>) {
        let after = |text: &str, word: &str| {
            let rest = text.split(word).nth(1)?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        match self {
            ReadError::Truncated { location, offset, .. } => (after(location, "page "), Some(*offset)),
            ReadError::Corrupt { what, location, .. } | ReadError::OverLimit { what, location, .. } => {
                (after(location, "page "), after(what, "at offset "))
            }
            _ => (None, None),
        }
    }

    /// An operating system error, with "does not exist" told apart.
    pub fn os(path: &Path, action: impl Into<String>, source: std::io::Error) -> ReadError {
        if source.kind() == std::io::ErrorKind::NotFound {
            return ReadError::NotFound { path: path.to_owned() };
        }
        ReadError::Os { path: path.to_owned(), action: action.into(), source }
    }
}

fn within(location: &str) -> String {
    if location.is_empty() { String::new() } else { format!(" in {location}") }
}

fn what_to_do(same_plan: bool) -> &'static str {
    if same_plan {
        "this very plan; --resume goes on with it, --overwrite starts anew"
    } else {
        "another plan (another input or other parameters); --overwrite removes it"
    }
}

/// An output that cannot be written. The command line exits with 5.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output is already there.
    #[error("{} exists already; give another name or --overwrite", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The finished output of another plan is there.
    #[error(
        "{} is the finished output of another plan (another input or other parameters); give another name or --overwrite",
        path.display()
    )]
    OtherPlan {
        /// The path.
        path: PathBuf,
    },
    /// An unfinished output is there.
    #[error("{} is an unfinished output of {}", path.display(), what_to_do(*same_plan))]
    Unfinished {
        /// The partial path.
        path: PathBuf,
        /// Whether it is of the same plan.
        same_plan: bool,
    },
    /// Another run is at work on it.
    #[error("{} is being written by another run, {holder}; wait for it or stop it", path.display())]
    Locked {
        /// The output's path.
        path: PathBuf,
        /// Who writes it: process and host.
        holder: String,
    },
    /// The lock of a run on another machine, of which it cannot be told whether it still lives.
    #[error(
        "{} was locked by {holder}, of which nothing is known here; remove {} if that run is gone",
        path.display(), lock.display()
    )]
    LockedElsewhere {
        /// The output's path.
        path: PathBuf,
        /// The lock's path.
        lock: PathBuf,
        /// Who locked it: process and host.
        holder: String,
    },
    /// The record of an unfinished output that cannot be gone on from.
    #[error("{} cannot be gone on from: {why}", path.display())]
    Journal {
        /// The journal's path.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// Something is there that is not ours to replace, whatever was asked for.
    #[error("{} is not replaced: {why}; give another name", path.display())]
    NotReplaced {
        /// The path.
        path: PathBuf,
        /// What is there.
        why: String,
    },
    /// The sink cannot hold such an array.
    #[error("{} cannot hold this: {why}", path.display())]
    Unsupported {
        /// The path.
        path: PathBuf,
        /// What it cannot hold, and what to do.
        why: String,
    },
    /// Pixels that do not fit the unit: a bug in the caller.
    #[error("{}: {source}", path.display())]
    Array {
        /// The path.
        path: PathBuf,
        /// What does not fit.
        source: ArrayError,
    },
    /// A unit that another process has stored is not to be found as it said.
    #[error(
        "{} was stored elsewhere, and is not here as it was: {why}; do all machines of the cluster see the same storage?",
        path.display()
    )]
    Missing {
        /// The path of the unit.
        path: PathBuf,
        /// What is known of it.
        why: String,
    },
    /// An object in a bucket that could not be written, looked at or removed.
    #[error("cannot {action} {}: {why}; {hint}", path.display())]
    Remote {
        /// The URL of the object.
        path: PathBuf,
        /// What was tried (`write`, `list`).
        action: &'static str,
        /// What was answered: the status of HTTP, or what kept an answer away.
        why: String,
        /// What to do.
        hint: String,
    },
    /// A codec refused.
    #[error("{}: cannot encode {what}: {why}", path.display())]
    Encode {
        /// The path.
        path: PathBuf,
        /// What was to be encoded.
        what: String,
        /// Why not.
        why: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Os {
        /// The path.
        path: PathBuf,
        /// What was tried.
        action: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl WriteError {
    /// An operating system error on a path.
    pub fn os(path: &Path, action: impl Into<String>, source: std::io::Error) -> WriteError {
        WriteError::Os { path: path.to_owned(), action: action.into(), source }
    }
}

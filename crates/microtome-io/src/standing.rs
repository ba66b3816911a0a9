//! What an output begins with: what stands at its place and beside it, and whether that is in the way.
//!
//! *Invariant:* looking changes nothing; what is not ours to replace is refused, not removed.

use std::path::{Path, PathBuf};

use crate::beside::{JOURNAL, entries};
use crate::disk::{found, remove};
use crate::{Standing, WriteError};

/// Whether the finished output that is at the place is the one that is to be gone on with, by the plan in its record;
/// `there` is `None` if there is no record.
///
/// # Errors
/// [`WriteError::OtherPlan`] if it is of another plan and must not be replaced.
pub fn is_finished(out: &Path, there: Option<&str>, plan: &str, overwrite: bool) -> Result<bool, WriteError> {
    match there {
        Some(found) if found == plan => Ok(true),
        Some(_) if !overwrite => Err(WriteError::OtherPlan { path: out.to_owned() }),
        _ => Ok(false),
    }
}

/// What a run begins with beside unfinished outputs, each with whether it is of the same plan.
///
/// # Errors
/// [`WriteError::Unfinished`] for the first that is neither gone on with nor replaced.
///
/// # Examples
/// ```
/// use microtome_io::{Standing, standing};
/// let ours = || [("a.zarr.partial-0123".into(), true)];
/// assert_eq!(standing::of(ours(), true, false)?, Standing::Unfinished);
/// assert_eq!(standing::of(ours(), false, true)?, Standing::Fresh);
/// assert!(standing::of(ours(), false, false).is_err());
/// # Ok::<(), microtome_io::WriteError>(())
/// ```
pub fn of(
    unfinished: impl IntoIterator<Item = (PathBuf, bool)>,
    resume: bool,
    overwrite: bool,
) -> Result<Standing, WriteError> {
    let mut standing = Standing::Fresh;
    for (path, same_plan) in unfinished {
        if same_plan && resume {
            standing = Standing::Unfinished;
        } else if !overwrite {
            return Err(WriteError::Unfinished { path, same_plan });
        }
    }
    Ok(standing)
}

/// Every unfinished output of a name that is one file, in order, with whether it is `ours`.
///
/// # Errors
/// [`WriteError::Os`] if the folder cannot be listed.
pub fn unfinished(out: &Path, ours: &Path) -> Result<Vec<(PathBuf, bool)>, WriteError> {
    // A journal is one also while it is written, under the name `….journal.new`.
    let found = entries(out)?.into_iter().filter(|(_, suffix)| !suffix.contains(JOURNAL));
    Ok(found.map(|(path, _)| (path.clone(), path == ours)).collect())
}

/// Removes what lies beside an output, of whatever plan, but for what is kept.
///
/// # Errors
/// [`WriteError::Os`] for what cannot be listed or removed.
pub fn clear(out: &Path, keep: &[&Path]) -> Result<(), WriteError> {
    entries(out)?.iter().filter(|(left, _)| !keep.contains(&left.as_path())).try_for_each(|(left, _)| remove(left))
}

/// Refuses an output that is there, unless it may be replaced and is a file.
///
/// # Errors
/// [`WriteError::Exists`], [`WriteError::NotReplaced`] for a folder, [`WriteError::Os`] if it cannot be looked at.
pub fn check_file(out: &Path, overwrite: bool) -> Result<(), WriteError> {
    let found = found(out).map_err(|e| WriteError::os(out, "look at", e))?;
    let Some(found) = found else { return Ok(()) };
    if !overwrite {
        return Err(WriteError::Exists { path: out.to_owned() });
    }
    if found.is_dir() {
        let why = "it is a folder, and all it holds would be removed".to_owned();
        return Err(WriteError::NotReplaced { path: out.to_owned(), why });
    }
    Ok(())
}

//! Where the open data set lies: real files of other people, too large and too mixed in licence to be kept here.
//!
//! `MICROTOME_CORPUS` names its folder; without it a folder beside the repository is tried. Tests that need it return
//! early when the variable is unset, so that the other tests run on any machine.

use std::path::PathBuf;

use crate::project::Project;

/// The variable that tests read.
pub(crate) const VARIABLE: &str = "MICROTOME_CORPUS";

/// Tried when the variable is unset, from the root of the repository.
const DEFAULT: &str = "../shared/data";

/// The folder of the data set as an absolute path, or `None` if there is none here.
pub(crate) fn find(project: &Project) -> Result<Option<PathBuf>, String> {
    let Some(given) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(project.path(DEFAULT).canonicalize().ok().filter(|path| path.join("MANIFEST.csv").is_file()));
    };
    let path = PathBuf::from(given);
    let absolute = path
        .canonicalize()
        .map_err(|error| format!("{VARIABLE} is {}: {error}; unset it to run without the data set", path.display()))?;
    Ok(Some(absolute))
}

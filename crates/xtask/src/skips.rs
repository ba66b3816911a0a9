//! What was skipped, and why: the last lines of a run say it, so that nobody takes a skipped test for a passed one.
//!
//! A test that cannot run here appends a line `NAME: WHY` to the file named by `MICROTOME_SKIPS` and returns. Tests
//! that need the open data set need not: they are found by the variable they read.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::corpus;
use crate::process::output;
use crate::project::Project;

/// The variable with the path of the file that tests append to.
pub(crate) const VARIABLE: &str = "MICROTOME_SKIPS";

/// The file of the current run.
pub(crate) struct Skips {
    path: PathBuf,
}

impl Skips {
    /// Forgets what an earlier run skipped.
    pub(crate) fn begin(project: &Project) -> Result<Skips, String> {
        let path = project.target.join("skipped-tests.txt");
        fs::create_dir_all(&project.target)
            .and_then(|()| fs::write(&path, ""))
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        Ok(Skips { path })
    }

    /// The file that tests append to.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The lines that tests wrote, each once, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The files whose tests compare with the open data set.
pub(crate) fn corpus_tests(project: &Project) -> Vec<String> {
    let files = output(&mut project.git(&["grep", "-l", "--untracked", corpus::VARIABLE, "--", "*.rs"]));
    let files = files.unwrap_or_default();
    files.lines().filter(|path| !path.starts_with("crates/xtask/")).map(str::to_owned).collect()
}

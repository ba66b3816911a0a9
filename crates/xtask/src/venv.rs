//! The Pythons of the tests: virtual environments with exactly the packages of a requirements file each.
//!
//! `.venv` has the independent readers and a new Dask; those below the target folder have older ones.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;
use crate::process::{output, run};
use crate::project::Project;

const OLDEST: (u32, u32) = (3, 11);

/// A virtual environment.
pub(crate) struct Venv {
    folder: PathBuf,
    requirements: PathBuf,
}

/// The one that most tests use.
pub(crate) fn main(project: &Project) -> Venv {
    Venv { folder: project.path(".venv"), requirements: project.path("tests/python/requirements.txt") }
}

/// The one with an older Dask.
pub(crate) fn old_dask(project: &Project) -> Venv {
    let requirements = project.path("tests/python/requirements-old-dask.txt");
    Venv { folder: project.target.join("old-dask"), requirements }
}

/// The one with a Dask between the older and the newest.
pub(crate) fn dask_2025(project: &Project) -> Venv {
    let requirements = project.path("tests/python/requirements-dask-2025.txt");
    Venv { folder: project.target.join("dask-2025"), requirements }
}

/// The one with the programs that ours is measured beside.
pub(crate) fn peers(project: &Project) -> Venv {
    let requirements = project.path("benches/peers/requirements.txt");
    Venv { folder: project.target.join("peers/venv"), requirements }
}

/// The one with aicsimageio, which needs older versions of all else.
pub(crate) fn seed(project: &Project) -> Venv {
    let requirements = project.path("benches/peers/requirements-seed.txt");
    Venv { folder: project.target.join("peers/seed"), requirements }
}

impl Venv {
    /// The interpreter inside.
    pub(crate) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Makes the environment unless it is there and was made from the same requirements by the same Python.
    pub(crate) fn ensure(&self) -> Outcome {
        let version = system_version()?;
        let wanted = fs::read_to_string(&self.requirements)
            .map_err(|error| format!("failed to read {}: {error}", self.requirements.display()))?;
        let wanted = format!("# Python {}.{}\n{wanted}", version.0, version.1);
        let stamp = self.folder.join("made-from.txt");
        if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) && self.python().exists() {
            println!("{} is up to date", self.folder.display());
            return Ok(());
        }
        self.make()?;
        fs::write(&stamp, wanted).map_err(|error| format!("failed to write {}: {error}", stamp.display()))
    }

    fn make(&self) -> Outcome {
        let (folder, requirements) = (self.folder.display(), self.requirements.display());
        println!("making {folder} from {requirements}");
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&self.folder);
        run(&mut venv).map_err(|error| {
            format!("{error}; the tests need Python's venv module (on Debian and Ubuntu: apt-get install python3-venv)")
        })?;
        let mut pip = Command::new(self.python());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        pip.arg(&self.requirements);
        run(&mut pip)
            .map_err(|error| format!("{error}; the tests need the packages of {requirements}: is there a network?"))
    }
}

fn system_version() -> Result<(u32, u32), String> {
    let advice = format!("the tests need `python3` of version {}.{} or newer on PATH", OLDEST.0, OLDEST.1);
    let printed = output(Command::new("python3").arg("--version")).map_err(|error| format!("{error}; {advice}"))?;
    let version = parse_version(&printed).ok_or_else(|| format!("python3 says it is {printed:?}; {advice}"))?;
    if version < OLDEST {
        return Err(format!("python3 is {}; {advice}", printed.trim()));
    }
    Ok(version)
}

/// Major and minor version out of `Python 3.11.7`.
fn parse_version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.trim().strip_prefix("Python ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_numbers() {
        assert_eq!(parse_version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(parse_version("Python 3.9.2"), Some((3, 9)));
        assert!((3, 9) < OLDEST);
        assert_eq!(parse_version("Python 3.14.0rc1"), Some((3, 14)));
        assert_eq!(parse_version("pypy"), None);
    }
}

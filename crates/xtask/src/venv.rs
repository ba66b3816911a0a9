//! The Python of the tests: a virtual environment at `.venv` with exactly the packages of
//! `tests/python/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::process::{output, run};
use crate::project::Project;

const REQUIREMENTS: &str = "tests/python/requirements.txt";
const OLDEST: (u32, u32) = (3, 11);

/// The interpreter inside the environment.
pub(crate) fn python(project: &Project) -> PathBuf {
    project.path(".venv/bin/python")
}

/// Makes the environment unless it is there and was made from the same requirements by the same Python.
pub(crate) fn ensure(project: &Project) -> Outcome {
    let version = system_version()?;
    let requirements = project.path(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements)
        .map_err(|error| format!("failed to read {}: {error}", requirements.display()))?;
    let wanted = format!("# Python {}.{}\n{wanted}", version.0, version.1);
    let stamp = project.path(".venv/made-from.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) && python(project).exists() {
        println!(".venv is up to date ({REQUIREMENTS})");
        return Ok(());
    }
    make(project, &requirements)?;
    fs::write(&stamp, wanted).map_err(|error| format!("failed to write {}: {error}", stamp.display()))
}

fn make(project: &Project, requirements: &Path) -> Outcome {
    println!("making .venv from {REQUIREMENTS}");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(project.path(".venv"));
    run(&mut venv).map_err(|error| {
        format!("{error}; the tests need Python's venv module (on Debian and Ubuntu: apt-get install python3-venv)")
    })?;
    let mut pip = Command::new(python(project));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    run(&mut pip)
        .map_err(|error| format!("{error}; the tests need the packages of {REQUIREMENTS}: is there a network?"))
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

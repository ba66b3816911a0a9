//! Which Python speaks to Dask: named by the user, of the active environment, or on `PATH`; and how our programs run in it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::ConnectError;

/// The variable that names it; then no other is tried.
const VARIABLE: &str = "MICROTOME_PYTHON";

/// Why a Python does not serve.
pub(crate) enum Refusal {
    /// It cannot be started.
    NotStarted(io::Error),
    /// It has no `distributed`; what it said.
    NoDistributed(String),
    /// It is not Python that is wrong.
    Other(ConnectError),
}

/// What `make` gives for the first Python that serves.
///
/// # Errors
/// `NoPython` or `NoDistributed` with all that were tried, or the first error that another Python would not mend.
pub(crate) fn first_that_serves<T>(
    given: Option<&PathBuf>,
    mut make: impl FnMut(&OsStr) -> Result<T, Refusal>,
) -> Result<T, ConnectError> {
    let (mut missing, mut without) = (Vec::new(), Vec::new());
    for candidate in candidates(given) {
        let name = candidate.to_string_lossy();
        match make(&candidate) {
            Ok(made) => return Ok(made),
            Err(Refusal::NotStarted(error)) => missing.push(format!("{name} ({error})")),
            Err(Refusal::NoDistributed(why)) => without.push(format!("{name}: {why}")),
            Err(Refusal::Other(error)) => return Err(error),
        }
    }
    if without.is_empty() {
        return Err(ConnectError::NoPython { tried: missing });
    }
    Err(ConnectError::NoDistributed { tried: without })
}

/// A command that runs `source`, all its streams as pipes, in a process group of its own: an interrupt at the terminal is
/// ours to interpret.
pub(crate) fn command(python: &OsStr, source: &str) -> Command {
    let mut command = Command::new(python);
    // A `queue.py` where the user happens to be is not ours to import.
    command.args(["-u", "-c", source]).process_group(0).env("PYTHONSAFEPATH", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What may be tried, in order: `given` alone, else `MICROTOME_PYTHON` alone, else the active virtual environment, the
/// active conda environment, `python3`, `python`.
fn candidates(given: Option<&PathBuf>) -> Vec<OsString> {
    from(given, |name| std::env::var_os(name))
}

fn from(given: Option<&PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(python) = given.map(|path| path.clone().into_os_string()).or_else(|| set(VARIABLE)) {
        return vec![python];
    }
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(set);
    let inside = environments.map(|folder| PathBuf::from(folder).join("bin/python").into_os_string());
    inside.chain(["python3".into(), "python".into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_serves_is_taken_and_all_are_named_if_none_does() {
        let given = PathBuf::from("/opt/py");
        let serves = first_that_serves(Some(&given), |python| Ok(python.to_owned()));
        assert_eq!(serves.unwrap(), "/opt/py");
        let missing =
            first_that_serves::<()>(Some(&given), |_| Err(Refusal::NotStarted(io::ErrorKind::NotFound.into())));
        assert!(matches!(missing.unwrap_err(), ConnectError::NoPython { tried } if tried[0].starts_with("/opt/py (")));
        let without = first_that_serves::<()>(Some(&given), |_| Err(Refusal::NoDistributed("no module".into())));
        let without = without.unwrap_err();
        assert!(matches!(without, ConnectError::NoDistributed { tried } if tried == ["/opt/py: no module"]));
    }

    #[test]
    fn the_named_one_is_the_only_one() {
        let set = |name: &str| (name == VARIABLE).then(|| "/opt/py".into());
        assert_eq!(from(None, set), ["/opt/py"]);
        assert_eq!(from(Some(&"/my/python".into()), set), ["/my/python"]);
    }

    #[test]
    fn else_active_environments_come_before_the_path() {
        let set = |name: &str| match name {
            "VIRTUAL_ENV" => Some("/venv".into()),
            "CONDA_PREFIX" => Some(OsString::new()),
            _ => None,
        };
        assert_eq!(from(None, set), ["/venv/bin/python", "python3", "python"]);
    }
}

//! Running other programs, with errors that name the command.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus};

use crate::Outcome;

/// Runs a command with our own input and output; an error if it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    succeeded(command, status)
}

/// Runs a command silently and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` ended with {}: {}", shown(command), output.status, stderr.trim_end()))
}

/// Runs a command, shows what it prints, and gives each line also to `on_line`, in the order of printing.
pub(crate) fn run_observed(mut command: Command, mut on_line: impl FnMut(&str)) -> Outcome {
    let name = shown(&command);
    let failed = |error: std::io::Error| format!("failed to follow `{name}`: {error}");
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    // The command holds the writing ends; the pipe ends only when they are gone.
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        print!("{line}");
        on_line(line.trim_end());
        bytes.clear();
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("`{name}` ended with {status}")) }
}

fn succeeded(command: &Command, status: ExitStatus) -> Outcome {
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command))) }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("failed to start `{}`: {error}; is it installed and on PATH?", shown(command))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named() {
        let error = run(Command::new("false").arg("--now")).unwrap_err();
        assert!(error.starts_with("`false --now` ended with "), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.starts_with("failed to start `no-such-program`: "), "{error}");
    }

    #[test]
    fn output_and_errors_are_observed_in_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three"]);
        let mut lines = Vec::new();
        run_observed(command, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
    }
}

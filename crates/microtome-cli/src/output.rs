//! Standard output, locked and buffered, and complaints on standard error: the only place that prints.

use std::fmt::Display;
use std::io::{BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::error::CliError;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output { stdout: BufWriter::new(std::io::stdout().lock()) }
    }

    /// Prints a text, and the end of its last line if it has none.
    pub(crate) fn text(&mut self, text: &impl Display) -> Result<(), CliError> {
        let text = text.to_string();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        write!(self.stdout, "{text}{end}").map_err(CliError::Stdout)
    }

    /// Prints one JSON object on one line.
    pub(crate) fn json(&mut self, object: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.stdout, object).map_err(|error| CliError::Stdout(error.into()))?;
        writeln!(self.stdout).map_err(CliError::Stdout)
    }

    /// Gives what is buffered to whoever reads.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.stdout.flush().map_err(CliError::Stdout)
    }
}

/// Says on standard error what went wrong, on one line, with a second one where there is a hint.
pub(crate) fn complain(error: &CliError) {
    say(&format!("error: {}", one_line(&error.to_string())));
    if let Some(hint) = error.hint() {
        say(&format!("hint: {}", one_line(hint)));
    }
}

/// Prints a line on standard error. Nobody is left to tell if that fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A text with its line ends as spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_on_its_line() {
        assert_eq!(one_line("cannot parse a.xml:\n  line 3\n"), "cannot parse a.xml: line 3");
    }
}

//! Wrong arguments, help and version, as clap sees them and as we say them: an error is one line, with a hint.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::exit;
use crate::output::{one_line, say};

/// Prints what clap has to say; the exit code that goes with it.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is no error: the reader had enough.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(exit::USAGE)
        }
        _ => {
            for line in shorten(&error.to_string()) {
                say(&line);
            }
            ExitCode::from(exit::USAGE)
        }
    }
}

/// The message in one line, and a second one with clap's tip or where help is.
fn shorten(text: &str) -> Vec<String> {
    let mut paragraphs = text.split("\n\n").map(one_line).filter(|p| !p.is_empty());
    let message = paragraphs.next().unwrap_or_default();
    let rest: Vec<String> = paragraphs.collect();
    let tip = rest.iter().find_map(|p| p.strip_prefix("tip: "));
    let usage = rest.iter().find_map(|p| p.strip_prefix("Usage: "));
    let hint = match (tip, usage) {
        (Some(tip), _) => tip.to_owned(),
        (None, Some(usage)) => format!("usage is {usage}"),
        (None, None) => "--help tells what is accepted".to_owned(),
    };
    vec![message, format!("hint: {hint}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn said(args: &[&str]) -> Vec<String> {
        shorten(&Cli::try_parse_from(args).unwrap_err().to_string())
    }

    #[test]
    fn a_missing_argument_is_one_line_and_its_usage() {
        let lines = said(&["microtome", "convert", "in.tif"]);
        assert_eq!(lines[0], "error: the following required arguments were not provided: <OUT>");
        assert!(lines[1].starts_with("hint: usage is microtome convert"), "{lines:?}");
    }

    #[test]
    fn a_misspelt_flag_gets_the_right_one() {
        let lines = said(&["microtome", "inspect", "in.tif", "--scnee", "0"]);
        assert_eq!(lines[0], "error: unexpected argument '--scnee' found");
        assert!(lines[1].contains("--scene"), "{lines:?}");
    }

    #[test]
    fn a_wrong_value_says_what_would_be_right() {
        let lines = said(&["microtome", "inspect", "in.tif", "--memory", "lots"]);
        assert!(lines[0].starts_with("error: invalid value 'lots' for '--memory <SIZE>': "), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }
}

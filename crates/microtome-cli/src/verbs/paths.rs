//! One answer about one path, or one about several where a bad path does not take the others along.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::CliError;
use crate::json::{PathError, Several};
use crate::output::{Output, complain};

/// What is said of a path.
pub(super) struct Answer<T> {
    pub(super) json: T,
    pub(super) text: String,
    /// Whether an empty line sets it apart from the answer before it.
    pub(super) apart: bool,
}

/// Asks each path and prints: the object itself for a single path, `{"images", "errors"}` for several, or text.
pub(super) fn each<T: Serialize>(
    paths: &[PathBuf],
    json: bool,
    output: &mut Output,
    ask: impl Fn(&Path) -> Result<Answer<T>, CliError>,
) -> Result<(), CliError> {
    if let [path] = paths {
        let answer = ask(path)?;
        return if json { output.json(&answer.json) } else { output.text(&answer.text) };
    }
    let mut all = Several { images: Vec::new(), errors: Vec::new() };
    for (n, path) in paths.iter().enumerate() {
        match ask(path) {
            Ok(answer) if json => all.images.push(answer.json),
            Ok(answer) => {
                let gap = if answer.apart && n > 0 { "\n" } else { "" };
                output.text(&format!("{gap}{}", answer.text))?;
                output.flush()?;
            }
            Err(error) => {
                complain(&error);
                all.errors.push(PathError { path: path.to_string_lossy().into_owned(), error: error.to_string() });
            }
        }
    }
    let failed = all.errors.len();
    if json {
        output.json(&all)?;
    }
    if failed > 0 { Err(CliError::Inputs { failed, total: paths.len() }) } else { Ok(()) }
}

//! `cargo xtask tidy`: the rules of the repository that no compiler knows.
//!
//! A rule is a pure function of a path and a text, beside a good and a bad example in its tests. Only files that git
//! tracks are looked at. This folder names what it forbids and is therefore not searched for words.

mod code;
mod layout;
mod words;

use std::fmt;
use std::fs;

use crate::Outcome;
use crate::process::output;
use crate::project::Project;

/// Paths below this folder may hold the words that the rules forbid.
const RULES: &str = "crates/xtask/src/tidy/";

/// A rule that a file breaks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 is the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn of_file(path: &str, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line: 0, message: message.into() }
    }

    fn at(path: &str, index: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line: index + 1, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Prints every finding; an error if there is one.
pub(crate) fn run(project: &Project) -> Outcome {
    let paths = tracked(project)?;
    let mut findings = layout::check(&paths, &read(project, "fixtures/README.md").unwrap_or_default());
    for path in &paths {
        // A file that is tracked and gone, or that is no text, has no lines to look at.
        if let Some(text) = read(project, path) {
            findings.extend(check_text(path, &text));
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("{} files are tidy", paths.len());
            Ok(())
        }
        count => Err(format!("tidy found {count} broken rules in {} files, listed above", paths.len())),
    }
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if extension(path) == "rs" {
        findings.extend(code::check_form(path, text));
    }
    if path.starts_with(RULES) {
        return findings;
    }
    if extension(path) == "rs" {
        findings.extend(code::check_words(path, text));
    }
    findings.extend(words::check(path, text));
    findings
}

/// The files of the next commit: what git knows, `/` between folders.
fn tracked(project: &Project) -> Result<Vec<String>, String> {
    let listed = output(&mut project.git(&["ls-files", "-z"]))
        .map_err(|error| format!("{error}; tidy looks at the files that git tracks and needs a clone"))?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn read(project: &Project, path: &str) -> Option<String> {
    fs::read(project.path(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// What stands behind the last dot of a path, or nothing.
fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether `text` holds `word` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_as_compilers_do() {
        assert_eq!(Finding::at("src/lib.rs", 2, "too odd").to_string(), "src/lib.rs:3: too odd");
        assert_eq!(Finding::of_file("src/lib.rs", "too long").to_string(), "src/lib.rs: too long");
    }

    #[test]
    fn words_are_whole_words() {
        assert!(has_word("an unsafe block", "unsafe"));
        assert!(!has_word("#![expect(unsafe_code)]", "unsafe"));
    }
}

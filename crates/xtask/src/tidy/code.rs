//! Rules for Rust files: header, length, no test switched off, `unsafe` in named files only.

use super::{Finding, has_word};

/// Lines of a file without its block of tests.
const MAX_LINES: usize = 600;

/// The files that may hold `unsafe`, each with its reason. An entry is a decision: discuss it in review.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("crates/microtome-tiff/src/mapped/mod.rs", "maps of files, which are memory that others change"),
    ("crates/microtome-tiff/src/mapped/guard.rs", "the handler of the signal that maps give"),
    ("crates/microtome-tiff/src/mapped/tests.rs", "signals and handlers of others, to test it"),
];

/// How a file begins and how long it is.
pub(super) fn check_form(path: &str, text: &str) -> Vec<Finding> {
    [header(path, text), length(path, text)].concat()
}

/// What may not be written in it.
pub(super) fn check_words(path: &str, text: &str) -> Vec<Finding> {
    [ignored_tests(path, text), unsafe_code(path, text)].concat()
}

fn header(path: &str, text: &str) -> Vec<Finding> {
    // A crate may have the README as its header.
    if text.starts_with("//!") || text.starts_with("#![doc = include_str!(") {
        return Vec::new();
    }
    vec![Finding::of_file(path, "does not start with a `//!` header: say what the file is and what it is not")]
}

fn length(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    let message = format!("has {lines} lines without its tests, at most {MAX_LINES} are allowed: split it by concept");
    vec![Finding::of_file(path, message)]
}

fn ignored_tests(path: &str, text: &str) -> Vec<Finding> {
    let is_ignored = |line: &str| line.trim_start().starts_with("#[ignore");
    let lines = text.lines().enumerate().filter(|(_, line)| is_ignored(line));
    let message = "a test is switched off: run it, scale it by MICROTOME_DEEP, or delete it";
    lines.map(|(index, _)| Finding::at(path, index, message)).collect()
}

fn unsafe_code(path: &str, text: &str) -> Vec<Finding> {
    if UNSAFE_FILES.iter().any(|(file, _)| *file == path) {
        return Vec::new();
    }
    let code = |line: &str| line.split("//").next().is_some_and(|code| has_word(code, "unsafe"));
    let lines = text.lines().enumerate().filter(|(_, line)| code(line));
    let message = "`unsafe` outside the files that UNSAFE_FILES in xtask's tidy names with a reason";
    lines.map(|(index, _)| Finding::at(path, index, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_starts_with_what_it_is() {
        assert_eq!(header("a.rs", "//! Axes.\n\nuse x;\n"), []);
        assert_eq!(header("a.rs", "#![doc = include_str!(\"../README.md\")]\n"), []);
        assert_eq!(header("a.rs", "use x;\n//! Axes.\n").len(), 1);
    }

    #[test]
    fn tests_do_not_count_as_length() {
        let code = "let x = 1;\n".repeat(MAX_LINES);
        assert_eq!(length("a.rs", &format!("{code}#[cfg(test)]\n{code}")), []);
        assert_eq!(length("a.rs", &format!("{code}more\n")).len(), 1);
    }

    #[test]
    fn no_test_is_switched_off() {
        assert_eq!(ignored_tests("a.rs", "#[test]\nfn ignore() {}\n"), []);
        assert_eq!(ignored_tests("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n")[0].line, 2);
    }

    #[test]
    fn unsafe_is_code_not_talk() {
        assert_eq!(unsafe_code("a.rs", "#![deny(unsafe_code)]\n// no unsafe here\n"), []);
        assert_eq!(unsafe_code("a.rs", "let x = unsafe { *p };\n").len(), 1);
        assert_eq!(unsafe_code("a.rs", "#[unsafe(no_mangle)]\n").len(), 1);
    }
}

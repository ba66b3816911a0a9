//! Rules for every text: nothing unfinished, nothing about the machine it was written on.

use super::{Finding, extension, has_word};

/// Marks of unfinished work, as whole words in Rust and Python.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "todo!", "unimplemented!"];

/// Folders of somebody's machine.
const MACHINE: &[&str] = &["/work/", "/home/", "/root/"];

/// Where packages come from is configured outside the repository.
const REGISTRIES: &[&str] = &[
    "crates.io",
    "pypi.org",
    "pythonhosted.org",
    "anaconda.org",
    "registry.npmjs.org",
    "proxy.golang.org",
    "repo.maven.apache.org",
];

/// The folder that only `CORPUS` may name.
const BESIDE: &str = "../shared";
const CORPUS: &str = "crates/xtask/src/corpus.rs";

/// All rules of this file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    text.lines().enumerate().flat_map(|(index, line)| check_line(path, index, line)).collect()
}

fn check_line(path: &str, index: usize, line: &str) -> Vec<Finding> {
    let is_code = matches!(extension(path), "rs" | "py");
    let mut findings = Vec::new();
    let mut found = |message: String| findings.push(Finding::at(path, index, message));
    if let Some(mark) = UNFINISHED.iter().find(|mark| is_code && is_unfinished(line, mark)) {
        found(format!("`{mark}`: finish it, or file an issue and delete the mark"));
    }
    if let Some(folder) = MACHINE.iter().find(|folder| names_folder(line, folder)) {
        found(format!("names `{folder}`, a folder of one machine: use a path from the root of the repository"));
    }
    // Cargo writes where each package came from into its lock file.
    if let Some(host) = REGISTRIES.iter().find(|host| path != "Cargo.lock" && line.contains(**host)) {
        found(format!("names `{host}`: which registry serves a package is no matter of this repository"));
    }
    if path != CORPUS && line.contains(BESIDE) {
        found(format!("names `{BESIDE}`: only {CORPUS} knows where the open data set may lie"));
    }
    findings
}

fn is_unfinished(line: &str, mark: &str) -> bool {
    match mark.strip_suffix('!') {
        Some(name) => line.contains(mark) && has_word(line, name),
        None => has_word(line, mark),
    }
}

/// Whether an absolute path begins with `folder`: the same letters inside a longer path do not count.
fn names_folder(line: &str, folder: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || ".-_}/".contains(c);
    line.match_indices(folder).any(|(start, _)| !line[..start].chars().next_back().is_some_and(continues))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, line: &str) -> usize {
        check(path, line).len()
    }

    #[test]
    fn nothing_is_left_unfinished() {
        assert_eq!(count("a.rs", "let method = \"todo\";"), 0);
        assert_eq!(count("a.rs", "// TODO: later"), 1);
        assert_eq!(count("a.rs", "    todo!()"), 1);
        assert_eq!(count("a.py", "# FIXME"), 1);
        assert_eq!(count("a.md", "the word TODO in prose"), 0);
    }

    #[test]
    fn no_folder_of_a_machine_is_named() {
        assert_eq!(count("a.md", "see crates/work/lib.rs and https://example.org/home/page"), 0);
        assert_eq!(count("a.md", "see /work/main"), 1);
        assert_eq!(count("a.toml", "path = \"/home/me/x\""), 1);
        assert_eq!(count("a.sh", "cd /root/x"), 1);
    }

    #[test]
    fn no_registry_is_named_but_by_cargo() {
        assert_eq!(count("README.md", "see https://docs.rs/zarrs"), 0);
        assert_eq!(count("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\""), 0);
        assert_eq!(count("README.md", "[![](https://img.shields.io/crates.io/x)]"), 1);
        assert_eq!(count("requirements.txt", "--index-url https://pypi.org/simple"), 1);
    }

    #[test]
    fn one_file_knows_the_folder_beside_the_repository() {
        assert_eq!(count(CORPUS, "\"../shared/data\""), 0);
        assert_eq!(count("tests/tests/corpus.rs", "\"../shared/data\""), 1);
    }
}

//! The table of properties in `docs/testing.md` names tests that exist, and no property of it lacks one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Properties that the table must have.
const NUMBERS: [std::ops::RangeInclusive<u32>; 2] = [1..=22, 30..=41];
/// Properties of which there is nothing to compare yet.
const ONE_WAY: std::ops::RangeInclusive<u32> = 17..=18;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Numbers in the first cell of a line: `7`, or `16–18`.
fn numbers(line: &str) -> Option<Vec<u32>> {
    let cell = line.strip_prefix("| ")?.split('|').next()?.trim();
    let (first, last) = cell.split_once('–').unwrap_or((cell, cell));
    Some((first.parse().ok()?..=last.parse().ok()?).collect())
}

/// `file.rs::name` in backticks.
fn tests(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect()
}

/// Whether a file has a test of this name.
fn has(file: &str, name: &str) -> bool {
    let folder = if file.contains('/') { "crates" } else { "tests/tests" };
    let text = std::fs::read_to_string(repository().join(folder).join(file)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("fn {name}(")));
    at.is_some_and(|at| lines[..at].iter().rev().take(3).any(|line| *line == "#[test]"))
}

#[test]
fn every_property_has_a_test_that_exists() {
    let page = std::fs::read_to_string(repository().join("docs/testing.md")).unwrap();
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        let Some(numbers) = numbers(line) else { continue };
        let tests = tests(line);
        for (file, name) in &tests {
            assert!(has(file, name), "{file} has no test {name}: {line}");
        }
        for number in numbers {
            assert!(!tests.is_empty() || ONE_WAY.contains(&number), "property {number} has no test");
            assert!(seen.insert(number), "property {number} stands there twice");
        }
    }
    let wanted: BTreeSet<u32> = NUMBERS.into_iter().flatten().collect();
    assert_eq!(seen, wanted);
}

#[test]
fn a_test_is_told_from_what_only_has_its_name() {
    assert!(has("properties.rs", "every_property_has_a_test_that_exists"));
    assert!(!has("properties.rs", "repository"), "a function is no test");
    assert!(!has("properties.rs", "every_property"), "a part of a name is none");
    assert!(!has("nowhere.rs", "repository"));
}

//! Reads what `cargo test` prints and counts by test program, for the summary at the end of a run.

use std::fmt::Write as _;

/// The tests of one program (a crate's unit tests, a file of integration tests, a crate's doctests).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group {
    name: String,
    passed: u64,
    failed: u64,
    ignored: u64,
    seconds: f64,
}

/// All groups of a run so far.
#[derive(Debug, Default)]
pub(crate) struct TestLog {
    groups: Vec<Group>,
    failures: Vec<String>,
}

impl TestLog {
    /// Takes the next line of the output.
    pub(crate) fn line(&mut self, line: &str) {
        let line = strip_colours(line);
        let line = line.trim();
        if let Some(name) = program_name(line) {
            self.groups.push(Group { name, ..Group::default() });
        } else if let (Some(result), Some(group)) = (line.strip_prefix("test result: "), self.groups.last_mut()) {
            count(result, group);
        } else if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            let group = self.groups.last().map_or("?", |group| group.name.as_str());
            self.failures.push(format!("{group}: {test}"));
        }
    }

    /// A line for each group that ran a test, then the failed tests, then the sums.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        for group in self.groups.iter().filter(|group| group.passed + group.failed + group.ignored > 0) {
            let Group { name, passed, failed, ignored, seconds } = group;
            let _ = writeln!(
                text,
                "  {name:<40} {passed:>5} passed {failed:>4} failed{} {seconds:>7.1} s",
                skipped(*ignored)
            );
        }
        for failure in &self.failures {
            let _ = writeln!(text, "  FAILED {failure}");
        }
        let sum = |field: fn(&Group) -> u64| self.groups.iter().map(field).sum::<u64>();
        let (passed, failed, ignored) = (sum(|g| g.passed), sum(|g| g.failed), sum(|g| g.ignored));
        let _ = writeln!(text, "  {passed} passed, {failed} failed{}", skipped(ignored));
        text
    }
}

fn skipped(ignored: u64) -> String {
    if ignored == 0 { String::new() } else { format!(", {ignored} skipped") }
}

/// `Running tests/floors.rs (target/debug/deps/floors-0a1b)`, `Running unittests src/lib.rs (…/microtome_array-0a1b)`
/// or `Doc-tests microtome`.
fn program_name(line: &str) -> Option<String> {
    if let Some(krate) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{krate} (doctests)"));
    }
    let (what, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit('/').next()?;
    let stem = file.rsplit_once('-').map_or(file, |(stem, _)| stem);
    Some(if what.starts_with("unittests") { format!("{stem} (unit)") } else { stem.to_owned() })
}

/// `ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s`
fn count(result: &str, group: &mut Group) {
    let fields = result.split_once(". ").map_or("", |(_, fields)| fields);
    for field in fields.split("; ") {
        match field.split_once(' ') {
            Some((number, "passed")) => group.passed += number.parse().unwrap_or(0),
            Some((number, "failed")) => group.failed += number.parse().unwrap_or(0),
            Some((number, "ignored")) => group.ignored += number.parse().unwrap_or(0),
            Some(("finished", rest)) => group.seconds += seconds(rest),
            _ => {}
        }
    }
}

/// `in 0.05s`
fn seconds(text: &str) -> f64 {
    text.trim_start_matches("in ").trim_end_matches('s').parse().unwrap_or(0.0)
}

/// The line without the terminal's colour sequences (`ESC [ … m`).
fn strip_colours(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> TestLog {
        let mut log = TestLog::default();
        text.lines().for_each(|line| log.line(line));
        log
    }

    #[test]
    fn results_are_counted_for_the_program_before_them() {
        let log = log("\
\x1b[1m\x1b[92m     Running\x1b[0m unittests src/lib.rs (target/debug/deps/microtome_array-9f2c)
running 2 tests
test axis::tests::letters ... ok
test axis::tests::order ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.25s
     Running tests/floors.rs (target/debug/deps/floors-01ab)
test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.50s
   Doc-tests microtome
test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
");
        let names: Vec<&str> = log.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["microtome_array (unit)", "floors", "microtome (doctests)"]);
        assert_eq!((log.groups[0].passed, log.groups[0].failed, log.groups[0].seconds), (1, 1, 0.25));
        assert_eq!((log.groups[1].passed, log.groups[1].ignored), (4, 1));
        assert_eq!(log.failures, ["microtome_array (unit): axis::tests::order"]);
        assert!(log.summary().ends_with("  12 passed, 1 failed, 1 skipped\n"));
    }

    #[test]
    fn programs_without_tests_are_not_listed() {
        let log = log("     Running unittests src/main.rs (target/debug/deps/xtask-1)\n\
            test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        assert_eq!(log.summary(), "  0 passed, 0 failed\n");
    }
}

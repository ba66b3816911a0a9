//! Every input that is kept under `fixtures/fuzz`, through the target that it is for: nothing panics, nothing takes long
//! or much memory. A finding of the fuzzer stays there under a name that says what it was.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use microtome_fuzz::Target;

/// Most seconds of one input, though nothing here is optimised and other tests run beside it.
const MOST_TIME: Duration = Duration::from_secs(5);
/// Most bytes that the process may grow by.
const MOST_GROWTH: u64 = 256 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz")
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = folder().join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The largest memory of the process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn inputs_that_are_kept_do_no_harm() {
    let base = peak();
    let mut faults = Vec::new();
    for target in Target::all() {
        let inputs = inputs(target.name);
        assert!(inputs.len() >= 5, "{} has {} inputs", target.name, inputs.len());
        for path in inputs {
            let bytes = std::fs::read(&path).unwrap();
            let start = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(|| target.run(&bytes)));
            let took = start.elapsed();
            if ended.is_err() || took > MOST_TIME {
                faults.push(format!("{}: panic {}, {took:?}", path.display(), ended.is_err()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let grown = peak() - base;
    assert!(grown <= MOST_GROWTH, "{grown} bytes were taken");
}

#[test]
fn every_folder_of_inputs_has_its_target() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let of_target = entry.path().is_dir() && Target::find(&name).is_some();
        assert!(of_target || entry.path().extension().is_some_and(|end| end == "dict"), "{name} is of no target");
    }
}

#[test]
fn targets_have_names_of_their_own() {
    let mut names: Vec<&str> = Target::all().iter().map(|target| target.name).collect();
    assert!(names.len() >= 17, "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Target::all().len());
}

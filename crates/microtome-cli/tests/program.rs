//! The program that cargo builds for tests. That there is a test of it here makes `cargo test` build it, where the tests of the
//! command line find it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_microtome")).args(words).output().unwrap()
}

#[test]
fn it_says_its_name_and_version() {
    let said = run(&["--version"]);
    let expected = format!("microtome {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((said.status.code(), String::from_utf8(said.stdout).unwrap()), (Some(0), expected));
}

#[test]
fn it_runs_nothing_that_was_not_asked_for() {
    let said = run(&[]);
    assert_eq!((said.status.code(), said.stdout), (Some(2), Vec::new()));
    assert!(String::from_utf8(said.stderr).unwrap().contains("Usage: microtome"));
}

//! What must not compile, and what the compiler says then: the advice is part of the interface, the rest of the message the
//! compiler's own affair. Each program is given to `rustc` beside one that differs in a word and does compile.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

const CANNOT_TRAVEL: [&str; 3] = [
    "cannot travel to a cluster",
    "not a function that a worker knows by name",
    "mark a function with #[microtome::function], or use Handler::local()",
];

/// The library that cargo built for this test: the newest of its name beside this program.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let is_ours = |path: &Path| {
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        stem.starts_with("libmicrotome_handler-") && path.extension() == Some(OsStr::new("rlib"))
    };
    let entries = std::fs::read_dir(program.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let newest = entries.filter(|path| is_ours(path)).max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.expect("the library lies beside its tests")
}

/// Compiles a program; what the compiler said if it refused it.
fn compile(body: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program.rs");
    let head = "use microtome_handler::Handler;\nfn add_one(x: u64) -> u64 { x + 1 }\n";
    std::fs::write(&file, format!("{head}fn main() {{ {body} }}\n")).unwrap();
    let library = library();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--emit", "metadata", "--color", "never", "--out-dir"]).arg(folder.path());
    rustc.arg("--extern").arg(format!("microtome_handler={}", library.display()));
    rustc.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display())).arg(&file);
    let output = rustc.output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

fn check(refused: &str, accepted: &str) {
    assert_eq!(compile(accepted), Ok(()));
    let said = compile(refused).unwrap_err();
    for part in CANNOT_TRAVEL {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    assert_eq!(said.matches("error[").count(), 1, "one mistake, one error:\n{said}");
}

#[test]
fn a_closure_is_for_threads_only() {
    check(
        "let h = Handler::new(None).unwrap(); let _ = h.map(|x: u64| x + 1, 0..10);",
        "let h = Handler::local(); let _ = h.map(|x: u64| x + 1, 0..10);",
    );
}

#[test]
fn a_function_that_is_not_marked_is_for_threads_only() {
    check(
        "let h = Handler::new(None).unwrap(); for r in h.batched_map(add_one, 0..10) { assert!(r.is_ok()); }",
        "let h = Handler::local(); for r in h.batched_map(add_one, 0..10) { assert!(r.is_ok()); }",
    );
}

//! Running the real binary: its answer, its complaint, its exit code, and what it left in the folder.
#![allow(dead_code, reason = "each test file uses a part of this module")]

pub mod processes;
pub mod resumed;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The bundled images.
pub const FIXTURES: [&str; 7] = [
    "plain.tif",
    "cells.ome.tif",
    "tiled-big.tif",
    "imagej.tif",
    "rgb.tif",
    "ome-zarr-0.4.zarr",
    "ome-zarr-0.5-sharded.zarr",
];

/// A folder of its own to run the binary in, with the bundled images as `fixtures`.
pub struct Bench {
    binary: OsString,
    folder: TempDir,
}

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    /// `None`, said loudly, where the binary is not known.
    pub fn new() -> Option<Bench> {
        let Some(binary) = std::env::var_os("MICROTOME_BIN") else {
            skip("the tests of the command line", "MICROTOME_BIN is not set; `cargo xtask test` sets it");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(repository().join("fixtures"), folder.path().join("fixtures")).unwrap();
        Some(Bench { binary, folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, with nothing set in the environment but what the test sets.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MICROTOME_")) {
            command.env_remove(name);
        }
        // Forecasts of time are measured where a test is of them.
        command.env("MICROTOME_NO_CALIBRATE", "1").env("XDG_CACHE_HOME", self.folder.path().join("no-cache"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Runs a line of words that must succeed; gives its standard output.
    pub fn text(&self, line: &str) -> String {
        let ran = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs a line of words with `--json` that must succeed; gives the one object it prints.
    pub fn json(&self, line: &str) -> Value {
        let text = self.text(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line}: {e}: {text}"))
    }

    /// The checksum of the first scene.
    pub fn sum(&self, path: &str) -> String {
        self.json(&format!("checksum {path}"))["scenes"][0]["sha256"].as_str().unwrap().to_owned()
    }

    /// Runs a Python script of the tests, if there is Python.
    pub fn python(&self, script: &str, args: &[&str]) -> Option<Value> {
        let Some(python) = std::env::var_os("MICROTOME_PYTHON") else {
            skip(&format!("tests/python/{script}"), "MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
            return None;
        };
        let script = repository().join("tests/python").join(script);
        let ran = Ran::of(Command::new(python).arg(script).args(args).current_dir(self.folder.path()));
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
        Some(serde_json::from_str(&ran.stdout).unwrap())
    }

    /// What lies in the folder: names and, of files, contents, in order. The bundled images are left out.
    pub fn tree(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = tree(self.folder.path());
        found.retain(|(path, _)| path != Path::new("fixtures"));
        found
    }
}

impl Ran {
    pub fn of(command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Says that something was not tested, here and in the closing lines of `cargo xtask test`.
pub fn skip(name: &str, why: &str) {
    println!("SKIPPED {name}: {why}");
    let Some(file) = std::env::var_os("MICROTOME_SKIPS") else { return };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    writeln!(file, "{name}: {why}").unwrap();
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// What a reader must find in the bundled images.
pub fn expected() -> Value {
    let text = std::fs::read_to_string(repository().join("fixtures/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Files with their contents and folders below a folder, sorted; links are not followed.
pub fn tree(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let content = kind.is_file().then(|| std::fs::read(&path).unwrap());
            found.push((path.strip_prefix(folder).unwrap().to_owned(), content));
            if kind.is_dir() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

//! A run that is made to fail, and what going on from it must give.
//!
//! *Oracle:* whatever ended a run, what stands under the output's name is whole; the same command with `--resume` ends with
//! the same files, byte for byte, as a run that nothing happened to, redoes no unit that the journal names, and leaves
//! nothing beside the output.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{Bench, Ran, skip, tree};

/// Bytes of a unit's record in a journal, and before its header's text.
const RECORD: u64 = 40;
const FRAME: u64 = 8;

/// A conversion with a known result.
pub struct Subject {
    pub bench: Bench,
    pub input: String,
    /// What the output is called.
    pub name: &'static str,
    args: Vec<String>,
    gold: Vec<(PathBuf, Option<Vec<u8>>)>,
    hash: String,
    pub units: u64,
    resumed: AtomicUsize,
}

impl Subject {
    /// Converts a bundled image with some arguments, undisturbed, to know what must come of it.
    pub fn new(args: &str) -> Option<Subject> {
        Subject::named("out.ome.zarr", args)
    }

    /// The same for an output of some name, which says its format.
    pub fn named(name: &'static str, args: &str) -> Option<Subject> {
        let bench = Bench::new()?;
        let input = "fixtures/cells.ome.tif".to_owned();
        let report = bench.json(&format!("convert {input} gold.{name} {args}"));
        let (gold, hash) =
            (whole(&bench.path(&format!("gold.{name}"))), report["plan_hash"].as_str().unwrap().to_owned());
        let args = args.split_whitespace().map(str::to_owned).collect();
        let units = report["units"]["planned"].as_u64().unwrap();
        std::fs::create_dir(bench.path("work")).unwrap();
        Some(Subject { bench, input, name, args, gold, hash, units, resumed: AtomicUsize::new(0) })
    }

    /// The folder with nothing in it but the output and what belongs to it.
    pub fn folder(&self) -> PathBuf {
        self.bench.path("work").canonicalize().unwrap()
    }

    /// The output.
    pub fn out(&self) -> PathBuf {
        self.folder().join(self.name)
    }

    /// What stands beside the output while it is built: `partial`, `lock`.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        self.folder().join(format!("{}.{suffix}", self.name))
    }

    pub fn partial(&self) -> PathBuf {
        self.beside(&format!("partial-{}", &self.hash[..12]))
    }

    pub fn journal(&self) -> PathBuf {
        self.beside(&format!("partial-{}.journal", &self.hash[..12]))
    }

    /// The words of the command, with more at the end.
    pub fn words(&self, more: &[&str]) -> Vec<String> {
        let out = self.out().to_string_lossy().into_owned();
        let first = ["convert".to_owned(), self.input.clone(), out];
        first.into_iter().chain(self.args.iter().cloned()).chain(more.iter().map(|&word| word.to_owned())).collect()
    }

    /// The command.
    pub fn command(&self, more: &[&str]) -> Command {
        let words = self.words(more);
        let mut command = self.bench.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// The command under strace, which does something to one of its system calls; `None` where there is no strace.
    pub fn traced(&self, call: &str, what: &str, path: Option<&Path>, more: &[&str]) -> Command {
        let plain = self.command(&[&["--threads", "1", "--quiet"], more].concat());
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:{what}")]);
        if let Some(path) = path {
            command.arg("-P").arg(path);
        }
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(self.bench.path(""));
        for (name, _) in plain.get_envs() {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Units that the journal names; 0 without a journal.
    pub fn journaled(&self) -> u64 {
        records(&self.journal())
    }

    /// The command as words of a shell.
    pub fn shell(&self) -> String {
        let plain = self.command(&["--quiet"]);
        let words = std::iter::once(plain.get_program()).chain(plain.get_args());
        words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// Runs a script in a mount namespace of its own, so that what it mounts goes with it, with `CONVERT` standing for the
    /// command; `None`, said loudly, where that may not be done.
    pub fn mounted(&self, test: &str, script: &str, more: &[(&str, &str)]) -> Option<Ran> {
        let probe = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            skip(test, "file systems cannot be mounted here");
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", &script.replace("CONVERT", &self.shell())]);
        command.env("WORK", self.folder()).env("OUT", self.out()).envs(more.iter().copied());
        Some(Ran::of(command.current_dir(self.bench.path("")).stdin(Stdio::null())))
    }

    /// Whether the output is there, which it may only be whole.
    pub fn is_published(&self, what: &str) -> bool {
        if !self.out().exists() {
            return false;
        }
        self.check_whole(what);
        true
    }

    fn check_whole(&self, what: &str) {
        let found = whole(&self.out());
        let names = |tree: &[(PathBuf, Option<Vec<u8>>)]| tree.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&self.gold), "{what}: the same files");
        assert!(found == self.gold, "{what}: the same bytes");
    }

    /// Goes on, and checks what must come of it; gives the report. The place is empty again afterwards.
    ///
    /// Every other time all bytes are verified: a unit must be what its record says, and so must not be redone then either.
    pub fn resume(&self, what: &str, more: &[&str]) -> Value {
        let (published, journaled) = (self.is_published(what), self.journaled());
        let how =
            if self.resumed.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "--resume" } else { "--resume=verify" };
        let ran = Ran::of(&mut self.piped(&[&[how, "--json"], more].concat()));
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let number = |name: &str| report["units"][name].as_u64().unwrap();
        if !published {
            // Of a TIFF the journal may name tiles behind one that it does not name.
            let is_file = self.gold.iter().all(|(path, _)| path.as_os_str().is_empty());
            let right = number("resumed") == journaled || (is_file && number("resumed") < journaled);
            assert!(right, "{what}: what the journal names is not redone: {report}");
        }
        assert_eq!(number("resumed") + number("written"), self.units, "{what}: {report}");
        self.check_whole(what);
        let left: Vec<_> = std::fs::read_dir(self.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, [self.name], "{what}: nothing is left beside the output");
        self.clear();
        report
    }

    /// The same where an old output may stand in the place, which must be replaced.
    pub fn resume_over(&self, what: &str, is_old: bool) {
        let journaled = self.journaled();
        let ran = Ran::of(&mut self.piped(&["--resume", "--overwrite", "--json"]));
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(!is_old || report["units"]["resumed"] == journaled, "{what}: {report}");
        self.check_whole(what);
        let left: Vec<_> = std::fs::read_dir(self.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, [self.name], "{what}: nothing is left beside the output");
        self.clear();
    }

    /// The command, whose answer is looked at.
    pub fn piped(&self, more: &[&str]) -> Command {
        let mut command = self.command(more);
        command.stdout(Stdio::piped());
        command
    }

    /// Removes whatever a run left.
    pub fn clear(&self) {
        std::fs::remove_dir_all(self.folder()).unwrap();
        std::fs::create_dir(self.bench.path("work")).unwrap();
    }
}

/// What an output consists of: files below a folder, or the one file that it is.
pub fn whole(out: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    if out.is_dir() { tree(out) } else { vec![(PathBuf::new(), Some(std::fs::read(out).unwrap()))] }
}

/// Units that a journal names; 0 without a journal.
pub fn records(journal: &Path) -> u64 {
    let Ok(bytes) = std::fs::read(journal) else { return 0 };
    let header = u64::from(u32::from_le_bytes(bytes[..4].try_into().unwrap()));
    (bytes.len() as u64 - FRAME - header) / RECORD
}

/// Runs a command to its end; gives how it ended and what it complained of.
pub fn ended(command: &mut Command) -> (ExitStatus, String) {
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether it was ended by `kill -9`.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9) || status.code() == Some(137)
}

/// Whether the long version of a test is asked for.
pub fn is_deep() -> bool {
    std::env::var_os("MICROTOME_DEEP").is_some()
}

/// Whether strace can be used, or the test is skipped; where it must be there, it is a failure that it is not.
pub fn has_strace(test: &str) -> bool {
    let works = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    match works {
        Ok(output) if output.status.success() => return true,
        // No more can be done about it where this runs.
        Ok(_) => skip(test, "strace may not trace here"),
        Err(_) => {
            let required = std::env::var("MICROTOME_REQUIRE").as_deref() == Ok("all");
            assert!(!required, "{test}: strace is not installed, and MICROTOME_REQUIRE=all");
            skip(test, "strace is not installed");
        }
    }
    false
}

//! Going on again and again: what was finished once is not touched by a second `--resume`.

mod cli;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::Ran;
use cli::resumed::{Subject, has_strace, is_deep};
use serde_json::Value;

const MANY: &str = "--chunk-shape 1,1,1,80,96 --shard-shape none --levels 2";

/// Of every file and folder: which it is, and when it or its content changed last.
fn stamps(folder: &Path) -> BTreeMap<PathBuf, [i64; 5]> {
    let mut found = BTreeMap::new();
    for (path, _) in cli::tree(folder) {
        let meta = std::fs::symlink_metadata(folder.join(&path)).unwrap();
        let inode = meta.ino().cast_signed();
        found.insert(path, [inode, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]);
    }
    found
}

fn resume(subject: &Subject, how: &str) -> Value {
    let ran = Ran::of(&mut subject.piped(&[how, "--json"]));
    assert_eq!(ran.code, 0, "{how}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn going_on_with_what_is_finished_changes_nothing() {
    let Some(subject) = Subject::new(MANY) else { return };
    for n in 0..if is_deep() { 100 } else { 5 } {
        let mut child = subject.command(&["--quiet"]).spawn().unwrap();
        while subject.journaled() <= n % 5 * 20 && !subject.out().exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let first = resume(&subject, "--resume");
        let all = first["units"]["resumed"].as_u64().unwrap() + first["units"]["written"].as_u64().unwrap();
        assert_eq!(all, subject.units, "{first}");
        let before = stamps(&subject.folder());
        for how in ["--resume", "--resume=verify", "--resume"] {
            let again = resume(&subject, how);
            assert_eq!((&again["units"]["written"], &again["tasks"]["run"]), (&0.into(), &0.into()), "{how}: {again}");
            assert_eq!(again["bytes_read"], 0, "{how}: no pixel is read");
            assert_eq!(stamps(&subject.folder()), before, "{how}: nothing is written");
        }
        assert!(subject.is_published("after going on four times"));
        subject.clear();
    }
}

#[test]
fn going_on_with_what_is_finished_makes_no_call_that_writes_but_of_its_lock() {
    if !has_strace("going on makes no call that writes") {
        return;
    }
    let Some(subject) = Subject::new(MANY) else { return };
    resume(&subject, "--resume");
    let log = subject.bench.path("calls.txt");
    let calls = "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,truncate,ftruncate";
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-y", "-qq", "-o"]).arg(&log).args(["-e", &format!("trace={calls}")]);
    let plain = subject.command(&["--resume", "--quiet"]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(subject.bench.path(""));
    assert!(command.status().unwrap().success());
    let text = std::fs::read_to_string(&log).unwrap();
    let folder = subject.folder().display().to_string();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(&folder)).collect();
    let of_lock = |line: &&&str| line.contains("out.ome.zarr.lock");
    assert_eq!(lines.iter().filter(of_lock).count(), lines.len(), "{lines:#?}");
    assert!(!lines.is_empty(), "the lock is taken: {text}");
}

#[test]
fn every_unit_of_a_journal_has_the_bytes_that_its_record_names() {
    let Some(subject) = Subject::new(MANY) else { return };
    let (mut moments, mut checked) = (0, 0);
    while moments < if is_deep() { 200 } else { 12 } {
        let durability = ["batch", "unit", "none"][moments % 3];
        let mut child = subject.command(&["--quiet", "--durability", durability]).spawn().unwrap();
        while subject.journaled() <= moments as u64 * 7 % 100 && !subject.out().exists() {
            std::thread::sleep(Duration::from_micros(300));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        moments += 1;
        let journaled = subject.journaled();
        if !subject.out().exists() && journaled > 0 {
            // Verifying reads every unit and makes those again that are not what their record says.
            let report = resume(&subject, "--resume=verify");
            assert_eq!(report["units"]["resumed"], journaled, "durability {durability}: {report}");
            checked += journaled;
        }
        subject.clear();
    }
    assert!(checked > 0, "some moments lay between the first unit and the last");
}

//! Disks that are full, broken or read-only, limits, and inputs that change: a typed error that names the path, nothing
//! under the output's name, and what was finished is gone on from.
//!
//! Faults come from strace, from a small file system of its own, and from limits of the shell; a few of each here, all where
//! `MICROTOME_DEEP` is set.

mod cli;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cli::Ran;
use cli::resumed::{Subject, ended, has_strace, is_deep};

const MANY: &str = "--chunk-shape 1,1,1,80,96 --shard-shape none";
const FEW: &str = "--chunk-shape 1,1,1,80,96 --shard-shape 1,1,4,160,192";

/// Makes the nth such call fail for n = 1, 2, … until none is met; gives how many failed.
fn sweep(subject: &Subject, call: &str, error: &str, code: i32) -> u32 {
    let (folder, mut failed, mut n) = (subject.folder(), 0, 1);
    let folder = folder.to_string_lossy();
    loop {
        let (status, complaint) =
            ended(&mut subject.traced(call, &format!("error={error}:when={n}"), None, &["--overwrite"]));
        let what = format!("{error} at call {n} of {call}");
        if status.success() {
            assert!(subject.is_published(&what));
            subject.clear();
            return failed;
        }
        assert_eq!(status.code(), Some(code), "{what}: {complaint}");
        // The complaint is a write too, and may be the one that failed.
        let said = complaint.starts_with("error: cannot ") && complaint.contains(folder.as_ref());
        assert!(said || (call == "write" && complaint.is_empty()), "{what}: {complaint}");
        assert!(!subject.beside("lock").exists(), "{what}: the lock is given back");
        let kept = complaint.contains("are kept");
        if !subject.out().exists() && !complaint.is_empty() {
            assert_eq!(kept, subject.partial().exists(), "{what}: what can be gone on from is said: {complaint}");
        }
        subject.resume(&what, &[]);
        failed += 1;
        n += if is_deep() { 1 } else { 2 + n };
        assert!(n < 2000, "{what}: it never ends");
    }
}

#[test]
fn a_disk_that_refuses_is_a_typed_error_and_the_run_goes_on_later() {
    if !has_strace("a disk that refuses") {
        return;
    }
    let Some(subject) = Subject::new(FEW) else { return };
    let calls = [
        ("write", "ENOSPC"),
        ("fsync", "ENOSPC"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("rename", "EIO"),
        ("mkdir", "ENOSPC"),
        ("write", "EDQUOT"),
        ("write", "EIO"),
        ("fdatasync", "ENOSPC"),
        ("rename", "ENOSPC"),
        ("mkdir", "EACCES"),
        ("fsync", "EDQUOT"),
    ];
    let calls = if is_deep() { &calls[..] } else { &calls[..6] };
    for (call, error) in calls {
        let failed = sweep(&subject, call, error, 5);
        assert!(failed > 0, "{error} at {call} was met");
    }
}

#[test]
fn a_write_that_takes_a_part_or_is_interrupted_is_gone_on_with() {
    if !has_strace("a write that takes a part") {
        return;
    }
    let Some(subject) = Subject::new(FEW) else { return };
    for (call, fault) in [
        ("pread64", "error=EINTR:when=3+7"),
        ("write", "error=EINTR:when=2+3"),
        ("fsync", "delay_enter=20000:when=1+9"),
    ] {
        let (status, complaint) = ended(&mut subject.traced(call, fault, None, &[]));
        assert!(status.success(), "{call} {fault}: {complaint}");
        assert!(subject.is_published(call));
        subject.clear();
    }
}

#[test]
fn an_input_that_cannot_be_read_ends_with_4_and_is_gone_on_with() {
    if !has_strace("an input that cannot be read") {
        return;
    }
    let Some(subject) = Subject::new(FEW) else { return };
    let input = subject.bench.path("fixtures/cells.ome.tif").canonicalize().unwrap();
    for n in [20, 60, 100] {
        // What fails once is tried again; from here on every read fails.
        let fault = format!("error=EIO:when={n}+");
        let (status, complaint) = ended(&mut subject.traced("pread64", &fault, Some(&input), &[]));
        let what = format!("EIO from read {n} on");
        assert_eq!(status.code(), Some(4), "{what}: {complaint}");
        assert!(complaint.contains("cells.ome.tif") && complaint.contains("Input/output error"), "{what}: {complaint}");
        subject.resume(&what, &[]);
    }
}

#[test]
fn a_full_file_system_ends_with_5_and_the_run_goes_on_when_there_is_room() {
    let Some(subject) = Subject::new(FEW) else { return };
    let script = r#"
        mount -t tmpfs -o size=600k none "$WORK" || exit 99
        CONVERT; echo "code $?"
        [ ! -e "$OUT" ] || echo "published"
        CONVERT --resume; echo "code $?"
        mount -o remount,size=64m "$WORK"
        CONVERT --resume --json; echo "code $?"
        ls -A "$WORK"
        cp -a "$OUT" gold.copy
    "#;
    let Some(ran) = subject.mounted("a full file system", script, &[]) else { return };
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((lines[0], lines[1]), ("code 5", "code 5"), "{} {}", ran.stdout, ran.stderr);
    let report: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    let resumed = report["units"]["resumed"].as_u64().unwrap();
    assert!(resumed > 0 && resumed < subject.units, "{report}");
    assert_eq!(lines[3..], ["code 0", "out.ome.zarr"]);
    let mut lines = ran.stderr.lines();
    let warning = lines.next().unwrap();
    assert!(warning.contains("WARN") && warning.contains("bytes are free in"), "{warning}");
    let complaint = lines.next().unwrap();
    assert!(complaint.contains("No space left on device") && complaint.contains("--resume"), "{complaint}");
    std::fs::rename(subject.bench.path("gold.copy"), subject.out()).unwrap();
    assert!(subject.is_published("after there was room"));
}

#[test]
fn a_read_only_place_is_refused_at_once() {
    let Some(subject) = Subject::new(FEW) else { return };
    let script = r#"mount -t tmpfs -o ro none "$WORK" || exit 99; CONVERT; echo "code $?"; ls -A "$WORK""#;
    let start = Instant::now();
    let Some(ran) = subject.mounted("a read-only place", script, &[]) else { return };
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(ran.stdout, "code 5\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("Read-only file system") && ran.stderr.contains("out.ome.zarr"), "{}", ran.stderr);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_no_signal() {
    let Some(subject) = Subject::new("--compression none") else { return };
    let mut command = Command::new("bash");
    let plain = subject.command(&["--quiet"]);
    command.args(["-c", "ulimit -f 100; \"$@\"", "bash"]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(subject.bench.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (status, complaint) = ended(&mut command);
    assert_eq!(status.code(), Some(5), "{complaint}");
    assert!(complaint.contains("File too large") && complaint.contains("out.ome.zarr"), "{complaint}");
    subject.resume("after a limit on the size of files", &[]);
}

/// Does something to the input at moments of a run; what is published is what was read from the input as it was.
fn changed(name: &str, change: impl Fn(&Path)) {
    let Some(mut subject) = Subject::new(MANY) else { return };
    let whole = std::fs::read(subject.bench.path(&subject.input)).unwrap();
    let input = subject.bench.path("input.ome.tif");
    "input.ome.tif".clone_into(&mut subject.input);
    let moments = if is_deep() { 20 } else { 4 };
    let mut noticed = 0;
    for n in 0..moments {
        std::fs::write(&input, &whole).unwrap();
        // The keeper waits for the disk at each unit, so that there is time to change something.
        let child = subject.command(&["--quiet", "--durability", "unit", "--threads", "1"]).spawn().unwrap();
        let start = Instant::now();
        while subject.journaled() <= subject.units * n / moments {
            assert!(start.elapsed() < Duration::from_secs(50), "{name}");
            std::thread::yield_now();
        }
        change(&input);
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let what = format!("{name} after {n} of {moments}");
        match output.status.code() {
            Some(7) => {
                assert!(complaint.contains("input.ome.tif changed while it was being read"), "{what}: {complaint}");
                assert_eq!(std::fs::read_dir(subject.folder()).unwrap().count(), 0, "{what}: nothing is left");
                noticed += 1;
            }
            code => assert!(code == Some(0) && subject.is_published(&what), "{what}: {code:?} {complaint}"),
        }
        subject.clear();
    }
    assert!(noticed * 2 > moments, "{name}: noticed {noticed} times of {moments}");
}

#[test]
fn an_input_that_is_cut_ends_with_7() {
    changed("cut", |input| std::fs::OpenOptions::new().write(true).open(input).unwrap().set_len(4096).unwrap());
}

#[test]
fn an_input_that_grows_ends_with_7() {
    use std::io::Write;
    changed("grown", |input| {
        std::fs::OpenOptions::new().append(true).open(input).unwrap().write_all(b"more").unwrap();
    });
}

#[test]
fn an_input_that_is_replaced_ends_with_7() {
    changed("replaced", |input| {
        let other = input.with_extension("other");
        std::fs::copy(input, &other).unwrap();
        std::fs::rename(&other, input).unwrap();
    });
}

#[test]
fn an_unfinished_output_of_another_input_is_not_gone_on_with() {
    let Some(mut subject) = Subject::new(MANY) else { return };
    let whole = std::fs::read(subject.bench.path(&subject.input)).unwrap();
    let input = subject.bench.path("input.ome.tif");
    std::fs::write(&input, &whole).unwrap();
    "input.ome.tif".clone_into(&mut subject.input);
    let mut child = subject.command(&["--quiet", "--durability", "unit"]).spawn().unwrap();
    while subject.journaled() < 3 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(subject.beside("lock")).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&input).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.set_modified(modified - Duration::from_secs(50)).unwrap();
    let before = subject.bench.tree();
    let ran = Ran::of(&mut subject.piped(&["--resume"]));
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("input.ome.tif is another file") && ran.stderr.contains("--overwrite"),
        "{}",
        ran.stderr
    );
    assert!(subject.bench.tree() == before, "nothing is touched");
    file.set_modified(modified).unwrap();
    subject.resume("when the input is what it was", &[]);
}

//! Runs that are killed, at any moment and at each call to the system, go on to the same bytes; runs that are asked to stop
//! do so soon and say how to go on.
//!
//! A dozen or two of moments here; each call and 200 moments where `MICROTOME_DEEP` is set (`cargo xtask deep`).

mod cli;

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cli::resumed::{Subject, ended, has_strace, is_deep, was_killed};

/// 192 write units, each a file, and 96 of two lower levels.
const MANY: &str = "--chunk-shape 1,1,1,80,96 --shard-shape none --levels 3";
/// 96 write units, each a shard of 8 chunks, and 48 of two lower levels.
const SHARDED: &str = "--chunk-shape 1,1,1,40,48 --shard-shape 1,1,2,80,96 --levels 3";
/// 12 write units of each level, each a shard.
const FEW: &str = "--chunk-shape 1,1,1,80,96 --shard-shape 1,1,4,160,192 --levels 2";
/// Every call by which something may change on a disk.
const CALLS: [&str; 11] = [
    "openat",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "flock",
    "ftruncate",
];

/// How long the command takes when nothing happens to it.
fn duration(subject: &Subject) -> Duration {
    let start = Instant::now();
    let (status, complaint) = ended(&mut subject.command(&["--quiet"]));
    assert!(status.success(), "{complaint}");
    subject.clear();
    start.elapsed()
}

/// Lets a command run for some time.
fn started(command: &mut Command, time: Duration) -> Child {
    let child = command.spawn().unwrap();
    std::thread::sleep(time);
    child
}

#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_bytes() {
    killed_at_any_moment(MANY, 20);
}

#[test]
fn killed_at_any_moment_a_sharded_pyramid_goes_on_to_the_same_bytes() {
    killed_at_any_moment(SHARDED, 20);
}

#[test]
fn killed_at_any_moment_an_output_in_zarr_v2_goes_on_to_the_same_bytes() {
    killed_at_any_moment("--chunk-shape 1,1,1,80,96 --ngff-version 0.4 --levels 3 --downsample gaussian", 10);
}

fn killed_at_any_moment(args: &str, moments: usize) {
    let Some(subject) = Subject::new(args) else { return };
    let whole = duration(&subject);
    let moments = if is_deep() { 200 } else { moments };
    let mut resumed = 0;
    for n in 0..moments {
        let durability = ["batch", "unit", "none"][n % 3];
        let time = whole.mul_f64((n as f64 + 0.5) / moments as f64);
        let mut child = started(&mut subject.command(&["--quiet", "--durability", durability]), time);
        child.kill().unwrap();
        child.wait().unwrap();
        if n % 2 == 1 && !subject.out().exists() {
            let mut again = started(&mut subject.command(&["--quiet", "--resume"]), whole.mul_f64(0.3));
            again.kill().unwrap();
            again.wait().unwrap();
        }
        let report = subject.resume(&format!("killed after {time:?} of {whole:?}, durability {durability}"), &[]);
        resumed += u64::from(report["units"]["resumed"].as_u64().unwrap() > 0);
    }
    println!("killed at {moments} moments of {whole:?}, {resumed} of them with units that were kept");
    assert!(resumed > 0, "{resumed} of {moments} moments lay between the first unit and the last");
}

#[test]
fn killed_at_its_nth_call_a_run_goes_on_to_the_same_bytes() {
    if !has_strace("killed at the nth call") {
        return;
    }
    let Some(subject) = Subject::new(FEW) else { return };
    let mut points = 0;
    for call in CALLS {
        let mut n = 1;
        loop {
            let (status, complaint) =
                ended(&mut subject.traced(call, &format!("signal=SIGKILL:when={n}"), None, &["--overwrite"]));
            let what = format!("killed at call {n} of {call}");
            if !was_killed(status) {
                assert!(status.success(), "{what}: {status} {complaint}");
                assert!(subject.is_published(&what));
                subject.clear();
                break;
            }
            subject.resume(&what, &[]);
            points += 1;
            n += if is_deep() { 1 } else { 2 + 2 * n };
        }
    }
    println!("killed at {points} calls");
    assert!(points >= 20, "{points} points");
}

/// What a run touches, each with the calls that change it.
fn touched(subject: &Subject) -> Vec<(PathBuf, &'static [&'static str])> {
    let (partial, journal) = (subject.partial(), subject.journal());
    let new = journal.with_extension("journal.new");
    let mut found: Vec<(PathBuf, &[&str])> = vec![
        (subject.beside("lock"), &["openat", "write", "flock", "unlink"]),
        (new, &["openat", "write", "fsync", "rename"]),
        (journal, &["write", "fdatasync", "unlink"]),
        (subject.folder(), &["fsync"]),
        (partial.clone(), &["mkdir", "fsync", "rename"]),
        (partial.join(".microtome/complete.json"), &["openat", "write", "fsync"]),
        (partial.join("zarr.json"), &["openat", "write", "fsync"]),
        (partial.join("0/zarr.json"), &["openat", "write", "fsync"]),
        (partial.join("1/zarr.json"), &["openat", "write", "fsync"]),
    ];
    let levels = ["0/c", "1/c"].map(|level| (level, cli::tree(&subject.bench.path("gold.out.ome.zarr").join(level))));
    let stored = levels.iter().flat_map(|(level, files)| files.iter().map(move |file| (level, file)));
    for (level, (path, content)) in stored {
        let at = partial.join(level).join(path);
        if content.is_none() {
            found.push((at, &["mkdir", "fsync"]));
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((at.with_file_name(format!(".{name}.part")), &["openat", "write", "fsync", "rename"]));
        }
    }
    found
}

#[test]
fn killed_at_any_of_its_files_a_run_goes_on_to_the_same_bytes() {
    if !has_strace("killed at any of its files") {
        return;
    }
    let Some(subject) = Subject::new(FEW) else { return };
    let touched = touched(&subject);
    let points: Vec<_> = touched.iter().flat_map(|(path, calls)| calls.iter().map(move |call| (path, *call))).collect();
    let (step, mut killed) = (if is_deep() { 1 } else { 11 }, 0);
    for (path, call) in points.iter().step_by(step) {
        let (status, complaint) = ended(&mut subject.traced(call, "signal=SIGKILL:when=1", Some(path), &[]));
        let what = format!("killed at {call} of {}", path.display());
        assert!(was_killed(status) || status.success(), "{what}: {status} {complaint}");
        killed += usize::from(was_killed(status));
        subject.resume(&what, &[]);
    }
    println!("killed at {killed} calls");
    assert!(killed * 10 >= points.len() / step * 9, "{killed} of {} points were met", points.len() / step);
}

#[test]
fn killed_while_it_replaces_an_output_a_run_leaves_the_old_one_or_the_new_one() {
    if !has_strace("killed while it replaces an output") {
        return;
    }
    let Some(subject) = Subject::new(FEW) else { return };
    subject.bench.text("project fixtures/cells.ome.tif old.ome.zarr --axis z");
    let old = cli::tree(&subject.bench.path("old.ome.zarr"));
    for call in ["rename", "renameat2", "unlink", "unlinkat"] {
        let mut n = 1;
        loop {
            let status =
                Command::new("cp").arg("-a").arg(subject.bench.path("old.ome.zarr")).arg(subject.out()).status();
            assert!(status.unwrap().success());
            let (status, complaint) =
                ended(&mut subject.traced(call, &format!("signal=SIGKILL:when={n}"), None, &["--overwrite"]));
            let what = format!("killed at call {n} of {call} while replacing");
            let is_old = subject.out().exists() && cli::tree(&subject.out()) == old;
            assert!(is_old || subject.is_published(&what), "{what}: the old one is there or the new one");
            if !was_killed(status) {
                assert!(status.success() && !is_old, "{what}: {status} {complaint}");
                subject.clear();
                break;
            }
            subject.resume_over(&what, is_old);
            n += if is_deep() { 1 } else { 1 + n };
        }
    }
}

#[test]
fn asked_to_stop_a_run_stops_soon_and_says_how_to_go_on() {
    let Some(subject) = Subject::new(MANY) else { return };
    let whole = duration(&subject);
    let mut kept = 0;
    for (n, (signal, code)) in [("INT", 130), ("TERM", 143)].into_iter().cycle().take(8).enumerate() {
        let time = whole.mul_f64((n as f64 + 0.5) / 8.0);
        let child = started(&mut subject.command(&["--quiet"]), time);
        let start = Instant::now();
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let what = format!("{signal} after {time:?} of {whole:?}");
        assert!(start.elapsed() < Duration::from_secs(7), "{what}");
        if let Some(found) = output.status.code() {
            assert!(found == code || found == 0, "{what}: {found} {complaint}");
            assert_eq!(found == 0, subject.out().exists(), "{what}");
            if complaint.contains("are kept") {
                assert!(complaint.contains("--resume") && subject.journaled() > 0, "{what}: {complaint}");
                kept += 1;
            }
        }
        subject.resume(&what, &[]);
    }
    assert!(kept > 0, "some were stopped between the first unit and the last");
}

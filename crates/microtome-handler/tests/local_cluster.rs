//! A cluster on this machine: it works, it says why it does not, and it leaves nothing behind, however its program ends.
//!
//! A program of its own (no test harness of rustc's), because workers start it again in worker mode.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "a test, though clippy sees a program")]

mod dask;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use microtome_handler::{ConnectError, Handler, LocalCluster, LocalClusterOptions, function};
use tempfile::TempDir;

/// The argument that makes this program one that has a cluster and waits to be killed.
const HOLD: &str = "--hold-a-cluster";

#[function(crate = microtome_handler)]
fn double(x: u64) -> u64 {
    2 * x
}

fn options(workers: usize) -> LocalClusterOptions {
    LocalClusterOptions { workers, ..LocalClusterOptions::default() }
}

fn start(options: &LocalClusterOptions) -> LocalCluster {
    LocalCluster::start(options).unwrap_or_else(|error| panic!("{error}"))
}

fn alive(ids: &[u32]) -> Vec<dask::Process> {
    dask::processes().into_iter().filter(|process| !process.zombie && ids.contains(&process.id)).collect()
}

/// Nothing of these runs any more, within the five seconds that are promised.
fn gone_soon(ids: &[u32]) {
    let start = Instant::now();
    while !alive(ids).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(5), "still there: {:?}", alive(ids));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All processes of a cluster, with the programs that its workers started.
fn all_of(first: u32) -> Vec<u32> {
    std::iter::once(first).chain(dask::descendants(first)).collect()
}

fn it_runs_work_and_ends_when_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.json");
    let cluster = start(&LocalClusterOptions {
        threads_each: 2,
        memory_each: Some(300 << 20),
        scheduler_file: Some(file.clone()),
        ..options(2)
    });
    assert_eq!((cluster.workers().len(), cluster.pids().len(), cluster.dashboard()), (2, 3, None));
    let handler = Handler::new(file.to_str()).unwrap();
    let info = handler.info();
    assert_eq!((info.workers, info.threads, info.memory), (2, 4, Some(600 << 20)), "{info:?}");
    let futures = handler.map(double, 0..100);
    assert_eq!(handler.try_gather(futures).unwrap(), (0..100).map(|x| 2 * x).collect::<Vec<_>>());
    let ids = all_of(cluster.pids()[0]);
    assert!(cluster.pids().iter().all(|id| ids.contains(id)), "{:?} are not all in {ids:?}", cluster.pids());
    assert!(alive(&ids).iter().any(|process| process.line.contains("--microtome-worker")), "{:?}", alive(&ids));
    assert_eq!(cluster.ended(), None);
    drop(cluster);
    assert_eq!(alive(&ids).len(), 0, "when drop returns, all is over: {:?}", alive(&ids));
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the scheduler file is left");
}

fn it_ends_when_its_program_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.json");
    let mut program = Command::new(std::env::current_exe().unwrap());
    let mut program = program.arg(HOLD).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ids = all_of(line.trim().parse().unwrap());
    assert!(alive(&ids).len() >= 3 && file.exists(), "{:?}", alive(&ids));
    program.kill().unwrap();
    program.wait().unwrap();
    gone_soon(&ids);
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the scheduler file is left");
}

/// What the program of the test above does.
fn hold(file: &str) {
    let cluster = start(&LocalClusterOptions { scheduler_file: Some(file.into()), ..options(2) });
    let handler = Handler::new(Some(cluster.address())).unwrap();
    assert_eq!(handler.submit(double, 21).result(), Ok(42));
    println!("{}", cluster.pids()[0]);
    std::thread::sleep(Duration::from_mins(1));
}

fn it_says_when_it_has_ended_and_leaves_no_worker() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.json");
    let cluster = start(&LocalClusterOptions { scheduler_file: Some(file.clone()), ..options(1) });
    let ids = all_of(cluster.pids()[0]);
    dask::kill(cluster.pids()[0]);
    dask::wait_for("its end", || cluster.ended());
    drop(cluster);
    gone_soon(&ids);
    assert!(!file.exists(), "the scheduler file is left");
}

/// A program in place of Python.
fn script(folder: &TempDir, lines: &str) -> PathBuf {
    let path = folder.path().join("python");
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn failure(python: &Path, scheduler_file: Option<PathBuf>) -> ConnectError {
    LocalCluster::start(&LocalClusterOptions { python: Some(python.to_owned()), scheduler_file, ..options(1) })
        .unwrap_err()
}

fn a_missing_python_is_told() {
    let error = failure(Path::new("/no/such/python"), None);
    assert!(matches!(&error, ConnectError::NoPython { tried } if tried[0].contains("/no/such/python")), "{error}");
}

fn a_python_that_ends_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let error = failure(&script(&folder, "echo 'no more memory' >&2; exit 3"), None);
    assert!(matches!(&error, ConnectError::LocalCluster { why } if why.contains("no more memory")), "{error}");
}

fn a_missing_distributed_is_told(python: &Path) {
    let folder = tempfile::tempdir().unwrap();
    // Without its `site` Python finds no package that was installed.
    let error = failure(&script(&folder, &format!("exec {} -S \"$@\"", python.display())), None);
    let ConnectError::NoDistributed { tried } = &error else { panic!("{error}") };
    assert!(tried[0].contains("No module named"), "{error}");
}

fn a_scheduler_file_that_cannot_be_written_is_told(python: &Path) {
    let started = Instant::now();
    let error = failure(python, Some("/no/such/folder/scheduler.json".into()));
    let why = "cannot write the scheduler file /no/such/folder/scheduler.json: No such file or directory";
    assert!(error.to_string().contains(why), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

fn main() {
    microtome_handler::init();
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, file] = &words[..]
        && word == HOLD
    {
        return hold(file);
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let mut trials = vec![
        trial("a_missing_python_is_told", a_missing_python_is_told),
        trial("a_python_that_ends_is_quoted", a_python_that_ends_is_quoted),
    ];
    if let Some(python) = dask::python() {
        let with = |name: &str, test: fn(&Path)| {
            let python = python.clone();
            Trial::test(name, move || {
                test(&python);
                Ok(())
            })
        };
        trials.extend([
            trial("it_runs_work_and_ends_when_dropped", it_runs_work_and_ends_when_dropped),
            trial("it_ends_when_its_program_is_killed", it_ends_when_its_program_is_killed),
            trial("it_says_when_it_has_ended_and_leaves_no_worker", it_says_when_it_has_ended_and_leaves_no_worker),
            with("a_missing_distributed_is_told", a_missing_distributed_is_told),
            with("a_scheduler_file_that_cannot_be_written_is_told", a_scheduler_file_that_cannot_be_written_is_told),
        ]);
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

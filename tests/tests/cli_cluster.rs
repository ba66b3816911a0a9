//! A cluster on this machine passes its check, ends with its command however that ends, and a check of what is no cluster, or
//! a poor one, says so.

mod cli;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use cli::processes::{descendants, gone_within};
use cli::{Bench, Ran, skip};
use serde_json::Value;

/// How long what a cluster consists of may live on.
const GONE: Duration = Duration::from_secs(5);

/// Where to run the binary, and the Python that speaks to Dask; `None`, said loudly, where one is not known.
struct Place {
    bench: Bench,
    python: OsString,
}

impl Place {
    fn new() -> Option<Place> {
        let bench = Bench::new()?;
        let Some(python) = std::env::var_os("MICROTOME_PYTHON") else {
            skip("the tests of microtome cluster", "MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
            return None;
        };
        Some(Place { bench, python })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("MICROTOME_PYTHON", &self.python);
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    /// Starts a command that stays.
    fn stay(&self, line: &str) -> Stays {
        let child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Stays::of(child)
    }
}

/// A command that stays until it is told to end.
struct Stays {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Stays {
    fn of(mut child: Child) -> Stays {
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Stays { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// It, and all that it has started.
    fn all(&self) -> Vec<u32> {
        [vec![self.child.id()], descendants(self.child.id())].concat()
    }

    fn signal(&self, name: &str) {
        let ids = [name.to_owned(), self.child.id().to_string()];
        assert!(Command::new("kill").args(ids).status().unwrap().success());
    }

    /// Its exit code and what it said last on standard output and error.
    fn end(&mut self) -> (Option<i32>, String, String) {
        let [mut stdout, mut stderr] = [String::new(), String::new()];
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stdout, stderr)
    }
}

impl Drop for Stays {
    fn drop(&mut self) {
        // After a test that failed; what it has started ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Checks that a line fails with a code, on one line that has these parts.
fn refused(place: &Place, line: &str, code: i32, parts: &[&str]) {
    let ran = place.run(line);
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {}", ran.stderr);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.lines().count() <= 2, "{line}: {}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{line}: `{part}` is not in {}", ran.stderr);
    }
}

#[test]
fn a_local_cluster_passes_its_check_and_ends_with_ctrl_c() {
    let Some(place) = Place::new() else { return };
    let mut local = place.stay("cluster local --workers 2 --threads-each 2 --scheduler-file here.json --json");
    let said = parse(&local.line());
    let address = said["address"].as_str().unwrap();
    assert!(address.starts_with("tcp://127.0.0.1:"), "{said}");
    assert_eq!((&said["workers"], &said["threads"], &said["dashboard"]), (&2.into(), &4.into(), &Value::Null));
    assert_eq!(said["scheduler_file"], "here.json");
    let found = parse(&std::fs::read_to_string(place.bench.path("here.json")).unwrap());
    assert_eq!((&found["address"], &found["type"]), (&said["address"], &"Scheduler".into()));

    let text = place.run(&format!("cluster check --address {address}"));
    assert_eq!((text.code, text.stderr.as_str()), (0, ""), "{}", text.stdout);
    for part in [address, "2 workers, 4 threads", "verdict", "MiB/s", "items a second", "all is well"] {
        assert!(text.stdout.contains(part), "`{part}` is not in {}", text.stdout);
    }
    let json = place.run("cluster check --scheduler-file here.json --json");
    assert_eq!((json.code, json.stderr.as_str()), (0, ""), "{}", json.stdout);
    passed(&parse(&json.stdout), address);

    let all = local.all();
    assert!(all.len() >= 4, "{all:?}: this command, its Python, two workers");
    local.signal("-INT");
    assert_eq!(local.end(), (Some(130), String::new(), String::new()));
    gone_within(GONE, &all);
    assert!(!place.bench.path("here.json").exists());
}

/// What a check says of a cluster that is well.
fn passed(check: &Value, address: &str) {
    assert_eq!((&check["address"], &check["faults"]), (&address.into(), &Value::Array(vec![])), "{check}");
    assert_eq!(check["versions"]["client"], check["versions"]["scheduler"]);
    let workers = check["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for worker in workers {
        assert_eq!((&worker["threads"], &worker["fault"]), (&2.into(), &Value::Null), "{worker}");
        assert_eq!(worker["microtome"], env!("CARGO_PKG_VERSION"));
        assert_eq!(worker["distributed"], check["versions"]["scheduler"]);
        assert!(
            worker["round_trip_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 5.0),
            "{worker}"
        );
        assert!(worker["bytes_per_second"].as_f64().is_some_and(|rate| rate > 1e5), "{worker}");
    }
    assert!(check["items_per_second"].as_f64().is_some_and(|rate| rate > 1e3), "{check}");
}

#[test]
fn a_local_cluster_says_what_to_try_and_survives_neither_kill_nor_its_python() {
    let Some(place) = Place::new() else { return };
    let mut local = place.stay("cluster local --workers 1");
    let address = local.line().trim().to_owned();
    assert!(address.starts_with("tcp://127.0.0.1:"), "{address}");
    assert!(local.line().contains("1 worker of 1 thread"));
    assert!(local.line().contains(&format!("microtome cluster check --address {address}")));
    let all = local.all();
    assert!(all.len() >= 3, "{all:?}");
    local.signal("-KILL");
    gone_within(GONE, &all);

    let mut local = place.stay("cluster local --workers 1 --quiet");
    assert!(local.line().starts_with("tcp://"));
    let all = local.all();
    Command::new("kill").args(["-9", &all[1].to_string()]).status().unwrap();
    let (code, rest, said) = local.end();
    assert_eq!((code, rest.as_str()), (Some(8), ""), "{said}");
    assert!(said.starts_with("error: the cluster at tcp://") && said.contains("was lost"), "{said}");
    gone_within(GONE, &all);
}

#[test]
fn a_local_cluster_can_be_stopped_while_it_starts() {
    let Some(place) = Place::new() else { return };
    let mut local = place.stay("cluster local --workers 2 --scheduler-file soon.json");
    let start = Instant::now();
    // Its Python is there, its workers are not.
    while local.all().len() < 2 {
        assert!(start.elapsed() < GONE);
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    let all = local.all();
    local.signal("-TERM");
    assert_eq!(local.end(), (Some(143), String::new(), String::new()));
    gone_within(GONE, &all);
    assert_eq!(place.bench.tree().len(), 0, "{:?}", place.bench.tree());
}

#[test]
fn what_is_no_cluster_is_told_in_time() {
    let Some(place) = Place::new() else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = Instant::now();
    refused(
        &place,
        &format!("cluster check --address tcp://{free}"),
        8,
        &["cannot reach", "is a Dask scheduler running"],
    );
    assert!(start.elapsed() < Duration::from_secs(15));
    refused(&place, "cluster check --scheduler-file none.json", 8, &["none.json", "No such file"]);
    refused(&place, "cluster check --address nonsense", 2, &["nonsense", "tcp://HOST:PORT"]);
    refused(&place, "cluster check", 2, &["--address", "--scheduler-file"]);
    refused(&place, "cluster local --workers 0", 2, &["--workers", "at least 1"]);
    refused(&place, "cluster local --scheduler-file no/such/folder/s.json", 8, &["cannot write the scheduler file"]);
}

#[test]
fn plain_text_to_another_machine_has_to_be_asked_for() {
    let Some(place) = Place::new() else { return };
    refused(&place, "cluster check --address tcp://192.0.2.1:8786", 2, &["192.0.2.1", "--insecure-cluster"]);
}

#[test]
fn a_missing_python_is_told() {
    let Some(place) = Place::new() else { return };
    let mut command = place.command("cluster local --workers 1");
    let ran = Ran::of(command.env("MICROTOME_PYTHON", "/no/such/python"));
    assert_eq!((ran.code, ran.stdout.as_str()), (8, ""));
    assert!(ran.stderr.contains("/no/such/python") && ran.stderr.contains("MICROTOME_PYTHON"), "{}", ran.stderr);
}

#[test]
fn a_cluster_without_workers_is_not_fit_for_work() {
    let Some(place) = Place::new() else { return };
    let file = place.bench.path("bare.json");
    let mut scheduler = Command::new(&place.python);
    scheduler.args(["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]);
    scheduler.args(["--dashboard-address", "127.0.0.1:0"]).arg("--scheduler-file").arg(&file);
    let scheduler = scheduler.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let _scheduler = Stays::of(scheduler);
    let start = Instant::now();
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('}')) {
        assert!(start.elapsed() < Duration::from_secs(20), "no scheduler came");
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = place.run("cluster check --scheduler-file bare.json");
    assert_eq!(text.code, 8);
    assert!(text.stderr.starts_with("error: ") && text.stderr.contains("it has no worker"), "{}", text.stderr);
    assert!(
        text.stdout.contains("0 workers") && text.stdout.contains("dask worker tcp://127.0.0.1:"),
        "{}",
        text.stdout
    );
    let json = place.run("cluster check --scheduler-file bare.json --json");
    assert_eq!(json.code, 8);
    let json = parse(&json.stdout);
    assert_eq!((&json["workers"], &json["faults"][0]["worker"]), (&Value::Array(vec![]), &Value::Null), "{json}");
    assert_eq!(json["faults"][0]["what"], "it has no worker");
}

//! A deep check of a cluster: it measures one that is well, names the worker that does not see a folder or may not write there
//! and says what to do, and leaves nothing behind, also when it is stopped.
//!
//! Workers with other eyes have mounts of their own, where the machine allows that.

mod cli;
#[path = "../../crates/microtome-handler/tests/dask/mod.rs"]
mod dask;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli::{Bench, Ran, skip};
use dask::Cluster;
use serde_json::Value;

/// A cluster without workers, and a folder in which the binary runs.
struct Place {
    bench: Bench,
    python: PathBuf,
    cluster: Cluster,
    mark: String,
    workers: Vec<Child>,
}

impl Place {
    fn new() -> Option<Place> {
        let (bench, python) = (Bench::new()?, dask::python()?);
        std::fs::create_dir(bench.path("shared")).unwrap();
        let cluster = Cluster::start(&python, 0);
        Some(Place { bench, python, cluster, mark: dask::new_mark(), workers: Vec::new() })
    }

    /// Adds a worker at an address of its own of this machine, after a script that may mount what it likes.
    fn worker(&mut self, host: &str, script: &str) {
        let line = format!(
            "{script} exec {python} -m distributed.cli.dask_worker {address} --host {host} --nthreads 1 --no-dashboard \
             --no-nanny --local-directory {local}",
            python = self.python.display(),
            address = self.cluster.address,
            local = self.cluster.folder().join(host).display(),
        );
        let mut command = Command::new("unshare");
        if script.is_empty() {
            command = Command::new("sh");
        } else {
            command.args(["-m", "sh"]);
        }
        let log = std::fs::File::create(self.cluster.folder().join(format!("{host}.txt"))).unwrap();
        command.args(["-c", &line]).env("SHARED", self.shared()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.workers.push(dask::mark(&mut command, &self.mark).spawn().unwrap());
        self.cluster.wait_for_workers(self.workers.len());
    }

    fn shared(&self) -> PathBuf {
        self.bench.path("shared")
    }

    fn command(&self, line: &str) -> Command {
        let line = format!("cluster check --address {} {line}", self.cluster.address);
        let mut command = self.bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("MICROTOME_PYTHON", &self.python);
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        dask::kill_marked(&self.mark);
        self.workers.iter_mut().for_each(|worker| drop(worker.wait()));
    }
}

fn parse(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().count() == 0
}

/// Of the folders and workers of a check: those at the host, whether each reads, and whether what it writes is read.
fn seen(check: &Value, host: &str) -> (bool, bool) {
    let all = check["deep"]["shared"].as_array().unwrap();
    let found = all.iter().find(|seen| seen["worker"].as_str().unwrap().contains(&format!("//{host}:"))).unwrap();
    (found["reads"].as_bool().unwrap(), found["writes"].as_bool().unwrap())
}

/// What is wrong at the host, and what to do.
fn fault(check: &Value, host: &str) -> (String, String) {
    let all = check["faults"].as_array().unwrap();
    let of_host =
        |fault: &&Value| fault["worker"].as_str().is_some_and(|worker| worker.contains(&format!("//{host}:")));
    let found: Vec<&Value> = all.iter().filter(of_host).collect();
    let [found] = found[..] else { panic!("{host}: {all:?}") };
    (found["what"].as_str().unwrap().to_owned(), found["todo"].as_str().unwrap().to_owned())
}

#[test]
fn a_cluster_that_is_well_is_measured_and_nothing_is_left() {
    let Some(mut place) = Place::new() else { return };
    place.worker("127.0.0.1", "");
    place.worker("127.0.0.2", "");
    // The quick one stays as it was.
    let quick = place.run("--json");
    assert_eq!((quick.code, &parse(&quick)["deep"]), (0, &Value::Null), "{}", quick.stderr);

    let ran = place.run("--shared shared --iterations 200 --json");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let check = parse(&ran);
    for host in ["127.0.0.1", "127.0.0.2"] {
        assert_eq!(seen(&check, host), (true, true), "{check}");
    }
    let deep = &check["deep"];
    let positive = |value: &Value| value.as_f64().is_some_and(|value| value > 0.0);
    for rates in deep["rates"].as_array().unwrap() {
        for kind in ["read", "decode", "write"] {
            assert!(rates[format!("{kind}_bytes_per_second")].as_f64().is_some_and(|rate| rate > 1e5), "{rates}");
        }
        // What it may use is 48 MiB; a plane is 2 MiB.
        assert!((2 << 20..48 << 20).contains(&rates["peak_memory"].as_u64().unwrap()), "{rates}");
    }
    assert_eq!(deep["rates"].as_array().unwrap().len(), 2);
    let reading = &deep["reading"];
    assert_eq!((&reading["iterations"], &reading["failed"], &reading["image"]), (&200.into(), &0.into(), &Value::Null));
    assert!(["seconds", "items_per_second", "useful_share", "seconds_each"].iter().all(|key| positive(&reading[key])));
    assert!(reading["useful_share"].as_f64().unwrap() <= 1.02, "{reading}");
    let iterations = |worker: &Value| worker["iterations"].as_u64().unwrap();
    let workers = reading["workers"].as_array().unwrap();
    assert_eq!((workers.len(), workers.iter().map(iterations).sum::<u64>()), (2, 200), "both read: {reading}");
    let sizes = deep["batch_sizes"].as_array().unwrap();
    assert!(sizes.len() >= 2 && sizes[0]["batch_size"] == 1, "{deep}");
    assert!(sizes.iter().all(|size| positive(&size["items_per_second"]) && positive(&size["useful_share"])), "{deep}");
    assert!(deep["advice"][0].as_str().unwrap().contains("batch"), "{deep}");
    assert!(is_empty(&place.shared()), "something is left");

    // An image of the user's, by a relative path, for people.
    let ran = place.run("--shared shared --iterations 20 --image fixtures/cells.ome.tif");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    for part in ["reads ours", "one thread of", "cells.ome.tif was opened and read 20 times", "advice: ", "all is well"]
    {
        assert!(ran.stdout.contains(part), "`{part}` is not in {}", ran.stdout);
    }
    let ran = place.run("--image none.tif");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(is_empty(&place.shared()));
}

#[test]
fn a_worker_that_sees_another_folder_or_may_not_write_there_is_named_with_what_to_do() {
    let Some(mut place) = Place::new() else { return };
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("workers with mounts of their own", "mounting is not allowed here");
    }
    std::fs::create_dir(place.bench.path("elsewhere")).unwrap();
    place.worker("127.0.0.1", "");
    place
        .worker("127.0.0.2", "mount --bind \"$SHARED\" \"$SHARED/../elsewhere\" && mount -t tmpfs none \"$SHARED\" &&");
    place.worker("127.0.0.3", "mount --bind \"$SHARED\" \"$SHARED\" && mount -o remount,ro,bind \"$SHARED\" &&");

    let ran = place.run("--shared shared --iterations 30 --json");
    assert_eq!(ran.code, 8);
    assert!(ran.stderr.contains("2 of 3 workers are faulty"), "{}", ran.stderr);
    let check = parse(&ran);
    assert_eq!(seen(&check, "127.0.0.1"), (true, true));
    assert_eq!(seen(&check, "127.0.0.2"), (false, false));
    assert_eq!(seen(&check, "127.0.0.3"), (true, false));
    let (what, todo) = fault(&check, "127.0.0.2");
    assert!(what.contains("it has 0 entries") && todo.contains("--path-map"), "{what} → {todo}");
    let (what, todo) = fault(&check, "127.0.0.3");
    assert!(what.contains("cannot write") && what.contains("Read-only file system"), "{what} → {todo}");
    // The one that is well is measured all the same.
    assert_eq!(check["deep"]["rates"].as_array().unwrap().len(), 1, "{check}");
    assert_eq!(check["deep"]["reading"]["failed"], 0);
    assert!(is_empty(&place.shared()));

    // Where it lies for the second, the others have another folder.
    let map = format!("--path-map {}={}", place.shared().display(), place.bench.path("elsewhere").display());
    let check = parse(&place.run(&format!("--shared shared --iterations 10 {map} --json")));
    assert_eq!(seen(&check, "127.0.0.2"), (true, true), "{check}");
    assert_eq!(seen(&check, "127.0.0.1"), (false, false), "{check}");
    assert_eq!(check["deep"]["shared"][0]["path_on_worker"], place.bench.path("elsewhere").to_str().unwrap());
    assert!(is_empty(&place.shared()) && is_empty(&place.bench.path("elsewhere")));

    // And where nothing can be written from here.
    let mut command = place.command("--shared /proc --iterations 10");
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing can be written into /proc"), "{}", ran.stderr);
}

#[test]
fn a_check_that_is_stopped_leaves_nothing_in_the_folder() {
    let Some(mut place) = Place::new() else { return };
    place.worker("127.0.0.1", "");
    let mut child = place.command("--shared shared").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while is_empty(&place.shared()) {
        assert!(start.elapsed() < Duration::from_mins(1) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // A worker that is writing there meanwhile finds its folder gone.
    assert!(is_empty(&place.shared()), "something is left");
}

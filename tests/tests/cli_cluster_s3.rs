//! Outputs in a bucket that workers of a cluster write, each with an environment of its own: the bytes of a run here, whoever is
//! killed on the way, begun there and gone on with here and the other way round.

mod bucket;
mod cli;
#[path = "../../crates/microtome-handler/tests/dask/mod.rs"]
mod dask;
mod served;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bucket::{Bucket, V3, url};
use cli::Ran;
use dask::{Cluster, Setup};

/// Many small objects at two levels.
const SMALL: &str = "--chunk-shape 1,1,1,64,64 --shard-shape 1,1,1,64,64 --levels 2";

/// A bucket, and a cluster of two workers that may write to it and have no folder for journals.
struct Place {
    bucket: Bucket,
    cluster: Cluster,
    python: PathBuf,
}

impl Place {
    fn new() -> Option<Place> {
        Place::with(|keys| keys)
    }

    /// With another environment of the workers.
    fn with(workers: impl Fn(Vec<(String, String)>) -> Vec<(String, String)>) -> Option<Place> {
        let (python, bucket) = (dask::python()?, Bucket::new()?);
        let temporary = bucket.bench.path("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let mut environment = workers(bucket.keys_to_it());
        environment.push(("TMPDIR".to_owned(), temporary.display().to_string()));
        environment.push(("XDG_STATE_HOME".to_owned(), "/proc/none".to_owned()));
        let cluster = Cluster::set_up(&python, Setup { workers: 2, environment, ..Setup::default() });
        Some(Place { bucket, cluster, python })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.bucket.command(&format!("{line} --address {}", self.cluster.address));
        command.env("MICROTOME_PYTHON", &self.python);
        command
    }

    fn there(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    /// Starts a line and waits until so many objects are there.
    fn begun(&mut self, mut command: Command, wanted: usize) -> Child {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while self.bucket.keys("out.ome.zarr").len() < wanted {
            assert!(child.try_wait().unwrap().is_none(), "it ended before {wanted} objects were there");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// Files of units on the workers' machines.
    fn units_left(&self) -> Vec<PathBuf> {
        let found = cli::tree(&self.bucket.bench.path("temporary"));
        let files = found.into_iter().filter(|(path, bytes)| bytes.is_some() && path.to_string_lossy().contains("/c/"));
        files.map(|(path, _)| path).collect()
    }
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn workers_write_the_same_objects_as_threads_write_files() {
    let Some(mut place) = Place::new() else { return };
    let lines = [
        ("a", format!("convert fixtures/cells.ome.tif OUT {SMALL} --check 5%")),
        ("b", format!("project fixtures/{V3} OUT --axis z")),
        // Reads from the bucket, and makes levels of levels that are stored there.
        ("c", format!("convert {} OUT --ngff-version 0.4 --levels 4 --chunk-shape 1,1,1,32,32", url(V3))),
    ];
    for (name, line) in lines {
        let (there, here) = (format!("{name}.ome.zarr"), format!("here-{name}.ome.zarr"));
        let ran = place.there(&line.replace("OUT", &url(&there)));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        place.bucket.json(&line.replace("OUT", &here).replace("--check 5%", ""));
        place.bucket.same_as_here(&there, &here);
    }
    assert_eq!((place.bucket.left(), place.units_left()), (vec![], vec![]));
    assert_eq!(place.bucket.server.ask("uploads"), 0);

    let again = place.there(&format!("convert fixtures/cells.ome.tif {} {SMALL}", url("a.ome.zarr")));
    assert!(again.code == 5 && again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn begun_there_it_goes_on_here_and_the_other_way_round_whoever_is_killed() {
    let Some(mut place) = Place::new() else { return };
    place.bucket.bench.json(&format!("convert fixtures/cells.ome.tif here.ome.zarr {SMALL}"));
    let line = format!("convert fixtures/cells.ome.tif {} {SMALL}", url("out.ome.zarr"));

    // There: the client is killed.
    let command = place.command(&line);
    killed(place.begun(command, 40));
    assert_eq!(place.bucket.run(&format!("inspect {}", url("out.ome.zarr"))).code, 4, "unfinished, it is no image");
    // Here: killed too.
    let command = place.bucket.command(&format!("{line} --resume"));
    killed(place.begun(command, 150));
    // There again, where a worker dies, and an object is gone that was recorded.
    let keys: Vec<String> = place.bucket.keys("out.ome.zarr").into_keys().filter(|key| key.contains("/c/")).collect();
    place.bucket.server.ask(&format!("delete out.ome.zarr/{}", keys[0]));
    let command = place.command(&format!("{line} --resume"));
    let mut child = place.begun(command, 220);
    dask::kill(place.cluster.worker_ids()[0]);
    assert!(child.wait().unwrap().success());
    place.bucket.same_as_here("out.ome.zarr", "here.ome.zarr");
    assert_eq!(place.bucket.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_worker_that_does_not_reach_the_bucket_is_named() {
    let elsewhere = |mut keys: Vec<(String, String)>| {
        keys[0].1 = "http://127.0.0.1:9".to_owned();
        keys
    };
    let Some(place) = Place::with(elsewhere) else { return };
    let ran = place.there(&format!("convert fixtures/cells.ome.tif {}", url("out.ome.zarr")));
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    for part in ["worker tcp://", "s3://images/out.ome.zarr", "Connection refused"] {
        assert!(ran.stderr.contains(part), "`{part}` is not in {}", ran.stderr);
    }
}

//! `convert` and `project` on a cluster: the same files as here, gone on with here or there after a kill; what is wrong with
//! sources, planes, workers and the cluster itself has its words and its exit code.

mod cli;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli::{Bench, Ran, processes, skip, tree};
use microtome::{LocalCluster, LocalClusterOptions};
use serde_json::Value;

/// A cluster of two workers, and a folder in which the binary finds it.
struct Place {
    bench: Bench,
    cluster: Option<LocalCluster>,
}

/// Much to compute and little to store: some seconds.
const SLOW: &str =
    "--levels 2 --chunk-shape 1,1,1,128,128 --shard-shape none --compression zstd --compression-level 19";

impl Place {
    fn new() -> Option<Place> {
        let bench = Bench::new()?;
        if std::env::var_os("MICROTOME_PYTHON").is_none() {
            skip("runs on a Dask cluster", "MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
            return None;
        }
        let mut place = Place { bench, cluster: None };
        place.start();
        Some(place)
    }

    fn start(&mut self) {
        self.cluster = None;
        let scheduler_file = Some(self.bench.path("cluster.json"));
        let options = LocalClusterOptions { workers: 2, scheduler_file, ..LocalClusterOptions::default() };
        self.cluster = Some(LocalCluster::start(&options).unwrap());
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("MICROTOME_PYTHON", std::env::var_os("MICROTOME_PYTHON").unwrap());
        command
    }

    /// Runs a line here.
    fn here(&self, line: &str) -> Ran {
        self.bench.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a line on the cluster.
    fn there(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(&format!("{line} --scheduler-file cluster.json")))
    }

    /// Starts a line on the cluster and waits until it has kept some units.
    fn begun(&self, line: &str, out: &str) -> Child {
        let mut command = self.command(&format!("{line} --scheduler-file cluster.json"));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while self.kept(out) < 12 {
            assert!(start.elapsed() < Duration::from_secs(90), "nothing was kept of {line}");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    /// Units in the journal of an unfinished output, about.
    fn kept(&self, out: &str) -> u64 {
        let entries = std::fs::read_dir(self.bench.path("")).unwrap().map_while(Result::ok);
        let journal = entries.filter(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with(out) && name.ends_with(".journal")
        });
        let bytes = journal.map(|entry| entry.metadata().map_or(0, |found| found.len())).sum::<u64>();
        bytes.saturating_sub(400) / 40
    }

    fn files(&self, out: &str) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let found = tree(&self.bench.path(out));
        assert!(!found.is_empty(), "{out} is empty");
        found
    }

    /// What lies beside outputs and inputs.
    fn left(&self) -> Vec<String> {
        let names = self.bench.tree().into_iter().filter_map(|(path, _)| path.to_str().map(str::to_owned));
        names.filter(|name| name.contains(".partial") || name.contains(".lock") || name.contains(".part")).collect()
    }

    /// An image of noise that takes long to compress.
    fn noise(&self) {
        let mut seed = 7u32;
        let mut pixel = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 30) as u8
        };
        let (width, height, planes) = (512u32, 512u32, 8u32);
        let pixels: Vec<u8> = (0..width * height * planes).flat_map(|_| [pixel(), 0]).collect();
        std::fs::write(self.bench.path("noise.tif"), imagej(width, height, planes, &pixels)).unwrap();
    }
}

/// A TIFF as ImageJ writes stacks: one directory, all planes of 16 bits behind each other.
fn imagej(width: u32, height: u32, planes: u32, pixels: &[u8]) -> Vec<u8> {
    let text = format!("ImageJ=1.53t\nimages={planes}\nslices={planes}\n\0");
    let first = 8 + text.len() as u32;
    let directory = (first + pixels.len() as u32).next_multiple_of(2);
    let mut out = [&b"II*\0"[..], &directory.to_le_bytes(), text.as_bytes(), pixels].concat();
    out.resize(directory as usize, 0);
    let bytes = width * height * 2;
    let long = |tag: u16, value: u32| (tag, 4u16, 1u32, value);
    let short = |tag: u16, value: u32| (tag, 3u16, 1u32, value);
    let entries = [
        long(256, width),
        long(257, height),
        short(258, 16),
        short(259, 1),
        short(262, 1),
        (270, 2, text.len() as u32, 8),
        long(273, first),
        short(277, 1),
        long(278, height),
        long(279, bytes),
    ];
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend([0; 4]);
    out
}

fn kill(child: &Child) {
    assert!(Command::new("kill").args(["-9", &child.id().to_string()]).status().unwrap().success());
}

fn ended(child: Child) -> (i32, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

/// Where nothing is wrong, only time tells where a run was.
#[test]
fn a_run_begun_there_goes_on_here_and_the_other_way_round() {
    let Some(mut place) = Place::new() else { return };
    place.noise();
    assert_eq!(place.here(&format!("convert noise.tif gold.ome.zarr {SLOW} --quiet")).code, 0);
    let gold = place.files("gold.ome.zarr");

    // Killed there, gone on with here.
    let line = |out: &str| format!("convert noise.tif {out} {SLOW}");
    let child = place.begun(&line("a.ome.zarr"), "a.ome.zarr");
    kill(&child);
    assert_eq!(ended(child).0, -1);
    let resumed = place.here(&format!("{} --resume --json", line("a.ome.zarr")));
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let units = &json(&resumed)["units"];
    assert!(units["resumed"].as_u64() >= Some(12) && units["written"].as_u64() > Some(0), "{units}");
    assert!(place.files("a.ome.zarr") == gold, "begun there, ended here: other files");

    // Stopped here, gone on with there, where the scheduler is lost, and on another cluster.
    let mut here = place.command(&line("b.ome.zarr"));
    let child = here.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while place.kept("b.ome.zarr") < 12 {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(&child);
    ended(child);
    let before = place.kept("b.ome.zarr");
    let again = format!("{} --resume", line("b.ome.zarr"));
    let mut there = place.command(&format!("{again} --scheduler-file cluster.json"));
    let child = there.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while place.kept("b.ome.zarr") < before + 12 {
        assert!(start.elapsed() < Duration::from_secs(90), "{before}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let scheduler = place.cluster.as_ref().unwrap().pids()[0].to_string();
    assert!(Command::new("kill").args(["-9", &scheduler]).status().unwrap().success());
    let (code, said) = ended(child);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("the cluster was lost") && said.contains("--resume goes on"), "{said}");
    place.start();
    let resumed = place.there(&format!("{again} --json"));
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(json(&resumed)["units"]["resumed"].as_u64() > Some(before), "{} after {before}", resumed.stdout);
    assert!(place.files("b.ome.zarr") == gold, "begun here, ended there: other files");
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn what_is_bad_is_told_there_as_it_is_here() {
    let Some(place) = Place::new() else { return };
    // A strip of a plane is damaged: the same list, the same files, the same code.
    let mut bytes = std::fs::read(place.bench.path("fixtures/cells.ome.tif")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(place.bench.path("hurt.ome.tif"), &bytes).unwrap();
    for how in ["refuse", "skip"] {
        let line = |out: &str| {
            format!("project hurt.ome.tif {out} --axis z --levels 3 --on-error quarantine --bad-planes {how} --json")
        };
        let (here, there) = (place.here(&line("h.ome.zarr")), place.there(&line("t.ome.zarr")));
        assert_eq!((here.code, there.code), (3, 3), "{}{}", here.stderr, there.stderr);
        let (list, same) = (json(&here)["quarantine"].clone(), json(&there)["quarantine"].clone());
        assert!(list.as_array().is_some_and(|list| !list.is_empty()), "{list}");
        assert_eq!(list, same);
        assert_eq!(json(&here)["tasks"]["quarantined"], json(&there)["tasks"]["quarantined"]);
        assert!(place.files("h.ome.zarr") == place.files("t.ome.zarr"), "{how}: other files");
        for out in ["h.ome.zarr", "t.ome.zarr"] {
            std::fs::remove_dir_all(place.bench.path(out)).unwrap();
        }
    }
    let stopped = place.there("project hurt.ome.tif s.ome.zarr --axis z");
    assert_eq!(stopped.code, 4, "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("hurt.ome.tif") && stopped.stderr.contains("on the worker tcp://"),
        "{}",
        stopped.stderr
    );
    let many = place.there("convert hurt.ome.tif m.ome.zarr --on-error quarantine --max-bad 0");
    assert_eq!(many.code, 4, "{}", many.stderr);
    assert!(many.stderr.contains("--max-bad"), "{}", many.stderr);
}

#[test]
fn another_copy_of_a_source_is_known_by_its_index_and_its_pixels_by_a_check() {
    let Some(place) = Place::new() else { return };
    place.noise();
    std::fs::create_dir(place.bench.path("there")).unwrap();
    let copy = place.bench.path("there/noise.tif");
    std::fs::copy(place.bench.path("noise.tif"), &copy).unwrap();
    let (from, to) = (place.bench.path("noise.tif"), copy.display().to_string());
    let map = format!("--path-map {}={to}", from.display());
    let line = |out: &str, more: &str| format!("project noise.tif {out} --axis z --method sum {more}");
    assert_eq!(place.here(&line("gold.ome.zarr", "--quiet")).code, 0);

    // The same pixels elsewhere, checked.
    let ran = place.there(&line("a.ome.zarr", &format!("{map} --check 100%")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(place.files("a.ome.zarr") == place.files("gold.ome.zarr"));

    // A worker whose copy has another pixel stores other bytes: only a check can know.
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    let ran = place.there(&line("b.ome.zarr", &format!("{map} --check 100%")));
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    for part in ["unit 0.0.0.0.0 of level 0", "stored by the worker tcp://", "CRC-32C"] {
        assert!(ran.stderr.contains(part), "`{part}` is not in {}", ran.stderr);
    }
    assert!(!place.bench.path("b.ome.zarr").exists());
    let ran = place.there(&line("c.ome.zarr", &map));
    assert_eq!(ran.code, 0, "without a check it is not known");
    assert!(place.files("c.ome.zarr") != place.files("gold.ome.zarr"));

    // A copy of another image is refused.
    std::fs::copy(place.bench.path("fixtures/imagej.tif"), &copy).unwrap();
    let ran = place.there(&line("d.ome.zarr", &map));
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("there/noise.tif"), "{}", ran.stderr);
    // What a worker does not see is told with what to do.
    std::fs::remove_file(&copy).unwrap();
    let ran = place.there(&line("e.ome.zarr", &map));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("--path-map FROM=TO"), "{}", ran.stderr);
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn a_source_that_changes_while_a_cluster_reads_it_ends_the_run() {
    let Some(place) = Place::new() else { return };
    place.noise();
    let child = place.begun(&format!("convert noise.tif out.ome.zarr {SLOW}"), "out.ome.zarr");
    let bytes = std::fs::read(place.bench.path("noise.tif")).unwrap();
    std::fs::write(place.bench.path("noise.tif"), &bytes[..bytes.len() - 1]).unwrap();
    let (code, said) = ended(child);
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("noise.tif changed while it was being read"), "{said}");
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn a_process_of_a_worker_that_hangs_costs_the_time_of_the_limit() {
    let Some(place) = Place::new() else { return };
    place.noise();
    assert_eq!(place.here(&format!("convert noise.tif gold.ome.zarr {SLOW} --quiet")).code, 0);
    let child = place.begun(&format!("convert noise.tif out.ome.zarr {SLOW} --task-timeout 12"), "out.ome.zarr");
    let cluster = place.cluster.as_ref().unwrap();
    let started = cluster.pids().iter().flat_map(|id| processes::descendants(*id)).collect::<Vec<_>>();
    let hangs = started.into_iter().find(|id| processes::program(*id).contains("--microtome-worker")).unwrap();
    assert!(Command::new("kill").args(["-STOP", &hangs.to_string()]).status().unwrap().success());
    let (code, said) = ended(child);
    assert_eq!(code, 0, "{said}");
    processes::gone_within(Duration::from_secs(5), &[hangs]);
    assert!(place.files("out.ome.zarr") == place.files("gold.ome.zarr"), "other files");
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn many_files_are_one_image_for_workers_too() {
    let Some(place) = Place::new() else { return };
    let Some(made) = place.bench.python("sequences.py", &["frames", "frames"]) else { return };
    place.bench.python("sequences.py", &["plate", "plate"]).unwrap();
    let nd = place.bench.python("ndtiff.py", &["write", "."]).unwrap();
    let nd = nd["path"].as_str().unwrap();
    let lines = [
        "convert frames/img_t{t}_c{c}.tif OUT".to_owned(),
        "project frames OUT --pattern img_t{t}_c{c}.tif --axis t".to_owned(),
        "convert frames/*.tif OUT".to_owned(),
        "convert plate/{well}_s{field}.ome.tif OUT --plate".to_owned(),
        format!("convert {nd} OUT --scene 0"),
    ];
    for (n, line) in lines.iter().enumerate() {
        let (here, there) = (format!("here{n}.ome.zarr"), format!("there{n}.ome.zarr"));
        let ran = place.here(&line.replace("OUT", &here));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        let ran = place.there(&line.replace("OUT", &there));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        assert_eq!(tree(&place.bench.path(&here)), tree(&place.bench.path(&there)), "{line}");
    }
    assert_eq!(place.bench.sum("there0.ome.zarr"), made["sha256"].as_str().unwrap());
    // A file that is missing is so for the workers.
    std::fs::remove_file(place.bench.path("frames/img_t001_cGFP.tif")).unwrap();
    let ran = place.there("convert frames/img_t{t}_c{c}.tif gap.ome.zarr");
    assert!(ran.code == 4 && ran.stderr.contains("img_t001_cGFP.tif, which is missing"), "{}", ran.stderr);
}

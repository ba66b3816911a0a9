//! `measure`: its tables are what NumPy finds, wherever they are made; what cannot be read is listed and takes nothing along.

mod cli;
mod watched;

use std::process::Stdio;
use std::time::{Duration, Instant};

use cli::{Bench, Ran};
use microtome::{LocalCluster, LocalClusterOptions};
use serde_json::{Value, json};

/// The columns of a table, as pyarrow has them.
const PARQUET: [&str; 11] = [
    "path string",
    "scene int64",
    "t int64",
    "c int64",
    "z int64",
    "min double",
    "max double",
    "mean double",
    "std double",
    "sum double",
    "s int64",
];

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr))
}

/// Planes that were left out, as `measure.py check` wants them named.
fn left_out(report: &Value) -> Vec<String> {
    let bad = report["quarantine"].as_array().unwrap();
    let planes = bad.iter().filter(|bad| !bad["t"].is_null());
    planes.map(|bad| format!("{}:{}:{}:{}", bad["path"].as_str().unwrap(), bad["t"], bad["c"], bad["z"])).collect()
}

#[test]
fn tables_of_every_kind_of_pixels_are_what_numpy_finds() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("measure.py", &["kinds", "kinds"]).is_none() {
        return;
    }
    for table in ["t.csv", "t.parquet"] {
        let ran = bench.run(&["measure", "kinds", table, "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let report = report(&ran);
        assert_eq!((&report["rows"], &report["images"], &report["output"]), (&json!(45), &json!(15), &json!(table)));
        let found = bench.python("measure.py", &["check", table]).unwrap();
        assert_eq!((&found["rows"], &found["images"]), (&json!(45), &json!(15)));
        let written = std::fs::metadata(bench.path(table)).unwrap().len();
        assert_eq!(report["bytes_written"], json!(written));
        if table == "t.parquet" {
            assert_eq!(found["columns"], json!(PARQUET));
        }
    }
}

#[test]
fn threads_and_memory_change_no_byte_and_memory_is_kept() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("measure.py", &["large", "large.ome.tif"]).is_none() {
        return;
    }
    bench.python("measure.py", &["kinds", "kinds"]).unwrap();
    let table = |name: &str, more: &[&str]| {
        let line = [&["measure", "large.ome.tif", "kinds", name], more].concat();
        let (output, anonymous) = watched::watched(bench.command(&line));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (std::fs::read(bench.path(name)).unwrap(), anonymous)
    };
    let (expected, base) = table("one.csv", &["--threads", "1", "--memory", "4MiB"]);
    for (name, more) in
        [("two.csv", ["--threads", "2", "--memory", "64MiB"]), ("five.csv", ["--threads", "5", "--memory", "2GiB"])]
    {
        let (bytes, anonymous) = table(name, &more);
        assert!(bytes == expected, "{name}");
        assert!(anonymous < base + (64 << 20), "{name}: {anonymous} bytes over {base}");
    }
    assert_eq!(bench.python("measure.py", &["check", "one.csv"]).unwrap()["rows"], json!(55));
    // Less than a row of stored tiles.
    let ran = bench.run(&["measure", "large.ome.tif", "none.csv", "--memory", "1KiB", "--threads", "1"]);
    assert!(
        ran.code == 3 && ran.stdout.contains("are allowed for each thread; give a larger --memory"),
        "{}",
        ran.stdout
    );
}

#[test]
fn of_a_thousand_images_ten_are_damaged_here_and_on_a_cluster() {
    let Some(bench) = Bench::new() else { return };
    let Some(made) = bench.python("measure.py", &["write", "many", "1000", "10"]) else { return };
    let ran = bench.run(&["measure", "many", "here.csv", "--json"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let here = report(&ran);
    let bad = here["quarantine"].as_array().unwrap();
    let mut named: Vec<_> =
        bad.iter().map(|bad| bad["path"].as_str().unwrap().strip_prefix("many/").unwrap()).collect();
    named.dedup();
    assert_eq!(json!(named), made["bad"]);
    assert!(bad.iter().all(|bad| !bad["reason"].as_str().unwrap().is_empty()), "{bad:?}");
    // Two of the ten are damaged in the pixels of one plane alone.
    assert_eq!((&here["rows"], &here["images"], bad.len()), (&json!(990 * 4 + 2 * 3), &json!(992), 10));
    let planes = left_out(&here);
    let args: Vec<&str> = ["check", "here.csv"].into_iter().chain(planes.iter().map(String::as_str)).collect();
    assert_eq!(bench.python("measure.py", &args).unwrap()["images"], json!(992));

    let python = std::env::var_os("MICROTOME_PYTHON").unwrap();
    let scheduler_file = Some(bench.path("cluster.json"));
    let options = LocalClusterOptions { workers: 2, scheduler_file, ..LocalClusterOptions::default() };
    let _cluster = LocalCluster::start(&options).unwrap();
    let there = |table: &str, more: &[&str]| {
        let line = [&["measure", "many", table, "--scheduler-file", "cluster.json", "--json"], more].concat();
        Ran::of(bench.command(&line).env("MICROTOME_PYTHON", &python))
    };
    let ran = there("there.csv", &["--check", "10%"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(std::fs::read(bench.path("here.csv")).unwrap() == std::fs::read(bench.path("there.csv")).unwrap());
    let quarantine = |report: &Value| {
        let bad = report["quarantine"].as_array().unwrap().clone();
        bad.into_iter().map(|bad| [bad["path"].clone(), bad["t"].clone(), bad["offset"].clone()]).collect::<Vec<_>>()
    };
    assert_eq!(quarantine(&report(&ran)), quarantine(&here));
    // Parts of a large image, and tables of another format.
    bench.python("measure.py", &["large", "large.ome.tif"]).unwrap();
    assert_eq!(bench.run(&["measure", "large.ome.tif", "many/image1.ome.tif", "h.parquet"]).code, 0);
    let line = ["measure", "large.ome.tif", "many/image1.ome.tif", "t.parquet", "--scheduler-file", "cluster.json"];
    let ran = Ran::of(bench.command(&line).env("MICROTOME_PYTHON", &python));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(std::fs::read(bench.path("h.parquet")).unwrap() == std::fs::read(bench.path("t.parquet")).unwrap());
}

#[test]
fn files_of_one_image_are_measured_once() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("sequences.py", &["set", "set", "4", "3"]).is_none() {
        return;
    }
    let ran = bench.run(&["measure", "set", "t.csv", "--json", "--threads", "4"]);
    let report = report(&ran);
    assert_eq!((ran.code, &report["rows"], &report["images"]), (0, &json!(12), &json!(1)), "{}", ran.stderr);
    let first = report["repeated"][0].clone();
    assert_eq!(first, json!({"path": "set/plane0001.ome.tif", "with": "set/plane0000.ome.tif"}));
    assert_eq!(report["repeated"].as_array().unwrap().len(), 3);
}

#[test]
fn what_stands_in_the_way_is_told_and_nothing_is_left() {
    let Some(bench) = Bench::new() else { return };
    let fails = |line: &str, code: i32, why: &str| {
        let before = bench.tree();
        let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, code, "{line}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(why), "{line}: {}", ran.stderr);
        assert_eq!(bench.tree(), before, "{line}");
    };
    std::fs::write(bench.path("bad.tif"), b"II*\0").unwrap();
    std::fs::write(bench.path("old.csv"), b"mine").unwrap();
    let cells = "fixtures/cells.ome.tif";
    fails(&format!("measure {cells} t.txt"), 2, "a table's name ends in .csv or .parquet, and t.txt does not");
    fails(&format!("measure {cells}"), 2, "<OUT>");
    fails(&format!("measure {cells} old.csv"), 5, "old.csv exists already; give another name or --overwrite");
    fails(&format!("measure {cells} no/folder/t.csv"), 5, "no/folder");
    fails(&format!("measure {cells} bad.tif t.csv --on-error stop"), 4, "bad.tif is no image");
    fails(&format!("measure {cells} bad.tif t.csv --max-bad 0"), 4, "bad.tif is no image");
    fails(&format!("measure bad.tif {cells} t.csv --max-bad 1%"), 4, "bad.tif is no image");
    let ran = bench.run(&["measure", "bad.tif", cells, "old.csv", "--max-bad", "3%", "--overwrite"]);
    assert!(ran.code == 3 && ran.stdout.starts_with("old.csv is written: 48 rows of 1 image\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  left out  bad.tif is no image"), "{}", ran.stdout);
    let ran = bench.run(&["measure", cells, "one.csv", "--scene", "7"]);
    assert!(ran.code == 3 && ran.stdout.contains("scene"), "{}", ran.stdout);
}

#[test]
fn a_file_that_changes_and_a_signal_end_it_without_a_table() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("measure.py", &["sparse", "sparse.tif", "16"]).is_none() {
        return;
    }
    let ended = |trouble: &dyn Fn(u32)| {
        let mut command = bench.command(&["measure", "sparse.tif", "t.csv", "--progress", "always"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        let read = || {
            let text = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap_or_default();
            let bytes = text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok());
            bytes.unwrap_or_default()
        };
        while read() < 64 << 20 {
            assert!(start.elapsed() < Duration::from_secs(20), "nothing was read");
            std::thread::sleep(Duration::from_millis(5));
        }
        trouble(child.id());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = ended(&|id| {
        assert!(std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
    });
    assert!(code == Some(130) && said.contains("stopped by Ctrl-C"), "{code:?} {said}");
    let (code, said) = ended(&|_| {
        std::fs::File::options().write(true).open(bench.path("sparse.tif")).unwrap().set_len(5 << 20).unwrap();
    });
    assert!(code == Some(7) && said.contains("sparse.tif changed while it was being read"), "{code:?} {said}");
    let left: Vec<_> =
        bench.tree().into_iter().map(|(path, _)| path).filter(|path| !path.ends_with("sparse.tif")).collect();
    assert!(left.is_empty(), "{left:?}");
}

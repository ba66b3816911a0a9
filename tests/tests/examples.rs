//! The examples of the façade as real processes: on threads, and on a real Dask cluster of two workers.
//!
//! `cargo test --workspace` builds them; what they print is compared, and where they have numbers, these are compared with
//! NumPy's. A billion items where `MICROTOME_DEEP` is set, a million else.

mod built;
#[path = "../../crates/microtome-handler/tests/dask/mod.rs"]
mod dask;

use std::collections::BTreeMap;
use std::process::Command;

use built::example;

/// What a program of a billion items may take, in bytes.
const FLAT: f64 = 96e6;

const TABLE: &str = "\
file,shape,dtype,channels,min,max,mean
cells.ome.tif,2 × 3 × 8 × 160 × 192,uint16,DAPI|GFP|mCherry,100,403,118.08926866319445
imagej.tif,2 × 2 × 4 × 48 × 64,uint16,|,100,353,135.1539306640625
ome-zarr-0.4.zarr,2 × 2 × 4 × 64 × 96,uint16,DAPI|GFP,100,345,129.36701456705728
ome-zarr-0.5-sharded.zarr,1 × 2 × 5 × 96 × 128,uint16,GFP|mCherry,100,305,122.31607259114584
plain.tif,1 × 1 × 1 × 97 × 131,uint8,,0,254,125.5936098213583
rgb.tif,1 × 1 × 1 × 80 × 112 × 3,uint8,,0,255,129.83333333333334
tiled-big.tif,1 × 1 × 1 × 150 × 200,float32,,NaN,NaN,NaN
";

const STEPS: &str = "\
8 steps
111 steps
error: the walk from 0 never ends
below a million, the walk from 837799 is the longest: 524 steps
";

/// Checks what `handler_tour` prints; of its first two lines either may come first.
fn check_tour(out: &str, place: &str) {
    let lines: Vec<&str> = out.lines().collect();
    let [first, second, rest @ ..] = lines.as_slice() else { panic!("{out}") };
    assert!([[first, second], [second, first]].contains(&[&"weighing a", &"weighing b"]), "{out}");
    assert_eq!(rest.len(), 5, "{out}");
    assert!(rest[1].starts_with(&format!("item 1 of handler_tour::root{place}")), "{out}");
    assert!(rest[1].ends_with(": -1 has no root"), "{out}");
    assert_eq!([rest[0], rest[2], rest[3], rest[4]], ["2", "3", "1: 0 ms", "0: 300 ms"]);
}

/// What a process left behind.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// What it printed; it must have gone well.
    fn printed(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }
}

/// Runs an example as its users do.
fn run(name: &str, words: &[&str]) -> Ran {
    let output = Command::new(example(name)).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn fixtures() -> String {
    format!("{}/../fixtures", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_short_ones_run_on_threads() {
    assert_eq!(run("map_threads", &[]).printed(), "[2, 3, 4]\n");
    assert_eq!(run("batched_threads", &[]).printed(), "1000000 results in order, the last is 1000000\n");
    assert_eq!(run("batched_threads", &["0"]).printed(), "0 results in order, the last is 0\n");
    assert_eq!(run("first_steps", &[]).printed(), STEPS);
    check_tour(&run("handler_tour", &[]).printed(), ":");
}

#[test]
fn without_what_they_need_they_say_so() {
    let refuses = |name: &str, words: &[&str], why: &str| {
        let ran = run(name, words);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{name}");
        assert!(ran.err.contains(why), "{name}: {}", ran.err);
    };
    refuses("map_dask", &[], "usage: map_dask ADDRESS");
    refuses("batched_dask", &[], "usage: batched_dask ADDRESS [ITEMS]");
    refuses("folder_table", &[], "usage: folder_table FOLDER [ADDRESS]");
    refuses("folder_table", &["no-such-folder"], "cannot open no-such-folder");
    for count in ["many", "-1", "1e", "e3", "1e99", ""] {
        refuses("batched_billion", &[count], "is no count: write 1_000_000 or 1e6");
    }
}

#[test]
fn a_billion_items_take_no_more_memory_than_a_thousand() {
    for (count, items, sum) in [("0", 0, "0"), ("1_000", 1_000, "500500"), ("2e3", 2_000, "2001000")] {
        check_billion(&run("batched_billion", &[count]).printed(), items, sum);
    }
    let deep = std::env::var_os("MICROTOME_DEEP").is_some();
    if deep {
        let out = run("batched_billion", &[]).printed();
        println!("{out}");
        check_billion(&out, 1_000_000_000, "500000000500000000");
    } else {
        check_billion(&run("batched_billion", &["1e6"]).printed(), 1_000_000, "500000500000");
    }
}

/// Looks at the lines that `batched_billion` prints.
fn check_billion(out: &str, items: u64, sum: &str) {
    let lines: BTreeMap<&str, &str> = out.lines().map(|line| line.split_at(16)).map(|(k, v)| (k.trim(), v)).collect();
    assert_eq!(lines["items"], format!("{items}, each at its place"));
    assert_eq!(lines["sum"], format!("{sum}, as expected"));
    let batches: u64 = lines["batches"].parse().unwrap();
    assert!(batches <= items && (batches > 0 || items == 0), "{out}");
    let (most, window) = lines["in flight"].split_once(" at most, the window is ").unwrap();
    assert!(most.parse::<u64>().unwrap() <= window.parse().unwrap(), "{out}");
    let peak: f64 = lines["peak memory"].strip_suffix(" MB").unwrap().parse().unwrap();
    assert!(peak * 1e6 <= FLAT, "{out}");
}

#[test]
fn a_folder_becomes_a_table_with_the_numbers_of_numpy() {
    let table = run("folder_table", &[&fixtures()]).printed();
    assert_eq!(table, TABLE);
    let Some(python) = dask::python() else { return };
    let script = format!("{}/python/min_max_mean.py", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python).args([&script, &fixtures()]).output().unwrap();
    if output.status.code() == Some(3) {
        dask::skip("folder_table against NumPy", String::from_utf8_lossy(&output.stderr).trim());
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), expected.len());
    for (row, (file, numpy)) in rows.into_iter().zip(expected) {
        let cells: Vec<&str> = row.split(',').collect();
        let shape: Vec<u64> = cells[1].split(" × ").map(|n| n.parse().unwrap()).collect();
        assert_eq!((cells[0], serde_json::json!(shape)), (file.as_str(), numpy["shape"].clone()));
        assert_eq!(cells[2], numpy["dtype"]);
        for (cell, key) in cells[4..].iter().zip(["min", "max", "mean"]) {
            // Each number has one shortest text, and every NaN the same.
            let theirs: f64 = numpy[key].as_str().unwrap().parse().unwrap();
            assert_eq!(**cell, theirs.to_string(), "{key} of {file}");
        }
    }
}

/// A folder with an image that is good, one that is cut off, one that is none, and a name that needs quotes.
fn damaged() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(format!("{}/plain.tif", fixtures())).unwrap();
    std::fs::write(folder.path().join("cut.tif"), &good[..4000]).unwrap();
    std::fs::write(folder.path().join("good.tif"), &good).unwrap();
    std::fs::write(folder.path().join("notes.tif"), "no image at all").unwrap();
    std::fs::write(folder.path().join("one, two.tif"), &good).unwrap();
    std::fs::write(folder.path().join("readme.txt"), "not looked at").unwrap();
    folder
}

fn check_damaged(ran: &Ran) {
    let numbers = "1 × 1 × 1 × 97 × 131,uint8,,0,254,125.5936098213583";
    let rows = format!("cut.tif,,,,,,\ngood.tif,{numbers}\nnotes.tif,,,,,,\n\"one, two.tif\",{numbers}\n");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(3), format!("file,shape,dtype,channels,min,max,mean\n{rows}").as_str())
    );
    let reasons: Vec<&str> = ran.err.lines().collect();
    assert_eq!(reasons.len(), 2, "{}", ran.err);
    assert!(reasons[0].starts_with("cut.tif: ") && reasons[0].contains("strip 2 in plane"), "{}", ran.err);
    assert!(
        reasons[1].starts_with("notes.tif: ") && reasons[1].contains("is no image that microtome knows"),
        "{}",
        ran.err
    );
}

#[test]
fn a_damaged_image_costs_its_own_row_alone() {
    let folder = damaged();
    check_damaged(&run("folder_table", &[folder.path().to_str().unwrap()]));
}

#[test]
fn on_a_cluster_they_give_the_same() {
    let Some(python) = dask::python() else { return };
    let cluster = dask::Cluster::start(&python, 2);
    let address = cluster.address.as_str();
    let file = cluster.scheduler_file();
    let file = file.to_str().unwrap();
    assert_eq!(run("map_dask", &[address]).printed(), "[2, 3, 4]\n");
    assert_eq!(run("map_dask", &[file]).printed(), "[2, 3, 4]\n");
    assert_eq!(run("batched_dask", &[address]).printed(), "1000000 results in order, the last is 1000000\n");
    assert_eq!(run("batched_dask", &[address, "1"]).printed(), "1 results in order, the last is 1\n");
    assert_eq!(run("first_steps", &[address]).printed(), STEPS);
    check_tour(&run("handler_tour", &[address]).printed(), " on tcp://");
    // The scheduler's memory: at first, after a million items, after ten million or, deep, a billion.
    let at_first = dask::resident(cluster.scheduler_id());
    check_billion(&run("batched_billion", &["1e6", address]).printed(), 1_000_000, "500000500000");
    let after_a_million = dask::resident(cluster.scheduler_id());
    if std::env::var_os("MICROTOME_DEEP").is_some() {
        let out = run("batched_billion", &["1e9", address]).printed();
        println!("{out}");
        check_billion(&out, 1_000_000_000, "500000000500000000");
    } else {
        check_billion(&run("batched_billion", &["1e7", address]).printed(), 10_000_000, "50000005000000");
    }
    let at_last = dask::resident(cluster.scheduler_id());
    println!("the scheduler had {at_first}, {after_a_million}, {at_last} bytes");
    assert!(at_last < at_first + (150 << 20) && at_last < after_a_million + (20 << 20), "the scheduler's memory grows");
    assert_eq!(run("folder_table", &[&fixtures(), address]).printed(), TABLE);
    let folder = damaged();
    check_damaged(&run("folder_table", &[folder.path().to_str().unwrap(), address]));
}

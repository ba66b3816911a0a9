//! OME-TIFF from the command line: tifffile reads the same pixels and names, no byte depends on how a run went, and whatever
//! ends a run, going on ends with the same file.

mod cli;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cli::resumed::{Subject, ended, has_strace, is_deep, records, was_killed, whole};
use cli::{Bench, Ran};
use serde_json::{Value, json};

const NAME: &str = "out.ome.tif";
/// 432 tiles of the full resolution, 144 and 48 of lower levels.
const MANY: &str = "--chunk-shape 1,1,1,64,64 --levels 3";
/// 48 tiles of each level.
const FEW: &str = "--chunk-shape 1,1,1,160,192 --levels 2";

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn tifffile_reads_the_same_pixels_levels_and_names() {
    let Some(bench) = Bench::new() else { return };
    let inputs = ["cells.ome.tif", "imagej.tif", "rgb.tif", "tiled-big.tif", "plain.tif", "ome-zarr-0.4.zarr"];
    let flags = [
        "--compression deflate",
        "--compression deflate --compression-level 9 --levels 2 --chunk-shape 1,1,1,32,48",
        "--compression zstd --levels 3 --chunk-shape 1,1,1,64,64",
        "--compression lzw --levels 2",
        "--compression none --levels 2 --chunk-shape 1,1,1,16,96",
        "--dtype float32 --levels 2",
        "--dtype int16 --levels 2 --chunk-shape 1,1,1,64,32 --compression zstd",
        "--dtype uint32",
        "--dtype float64 --compression lzw",
        "--dtype int8 --compression lzw --chunk-shape 1,1,1,32,32",
    ];
    let mut written = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        for (f, flags) in flags.iter().enumerate() {
            let out = format!("{i}-{f}.ome.tif");
            bench.text(&format!("convert fixtures/{input} {out} {flags}"));
            written.push(out);
        }
    }
    let paths: Vec<&str> = written.iter().map(String::as_str).collect();
    let Some(found) = bench.python("read_ome_tiff.py", &paths) else { return };
    for (path, found) in paths.iter().zip(found.as_array().unwrap()) {
        let own = bench.json(&format!("inspect {path}"))["scenes"][0].clone();
        let (axes, shape) = (text(&own["axes"]), own["shape"].as_array().unwrap());
        // tifffile leaves out axes of length 1.
        let kept = axes.chars().zip(shape).filter(|(axis, n)| "YX".contains(*axis) || **n != 1);
        let kept: String = kept.map(|(axis, _)| axis).collect();
        assert_eq!(text(&found["axes"]), kept, "{path}");
        assert_eq!((&found["dtype"], found["pages"].as_u64().unwrap()), (&own["dtype"], planes(shape)), "{path}");
        let levels = found["levels"].as_array().unwrap();
        assert_eq!(levels.len(), own["levels"].as_array().unwrap().len(), "{path}");
        for (n, level) in levels.iter().enumerate() {
            bench.text(&format!("convert {path} level.ome.tif --level {n} --levels 1 --overwrite"));
            assert_eq!(text(&level["sha256"]), bench.sum("level.ome.tif"), "{path} level {n}");
        }
        for subs in found["subfiles"].as_array().unwrap() {
            let expected: Vec<u64> = (0..levels.len()).map(|n| u64::from(n > 0)).collect();
            assert_eq!(subs, &json!(expected), "{path}: smaller levels are marked so");
        }
    }
    let cells = &found[0];
    assert_eq!(cells["channels"], json!(["DAPI", "GFP", "mCherry"]));
    assert_eq!((&cells["name"], &cells["compression"], &cells["predictor"]), (&json!("cells"), &json!(8), &json!(2)));
    let pixels = &cells["pixels"];
    assert_eq!((text(&pixels["PhysicalSizeX"]), text(&pixels["PhysicalSizeXUnit"])), ("0.108", "µm"));
    assert_eq!((text(&pixels["TimeIncrement"]), text(&pixels["TimeIncrementUnit"])), ("30.0", "s"));
    let original = Ran::of(&mut bench.command(&["inspect", "fixtures/cells.ome.tif", "--ome-xml"])).stdout;
    assert_eq!(text(&cells["original"]).trim(), original.trim(), "the document of the input is kept whole");
}

fn planes(shape: &[Value]) -> u64 {
    shape[..3].iter().map(|n| n.as_u64().unwrap()).product()
}

#[test]
fn equal_commands_write_equal_bytes_however_they_run() {
    let Some(bench) = Bench::new() else { return };
    let verbs = [
        "project fixtures/cells.ome.tif OUT --axis z",
        "convert fixtures/cells.ome.tif OUT --levels 4 --chunk-shape 1,1,1,32,32",
        "convert fixtures/rgb.tif OUT --region y=3:77 --levels 2 --compression lzw",
    ];
    let ways = [
        "--threads 2",
        "--threads 7",
        "--memory 40MiB --threads 7",
        "--memory 3MiB --threads 1",
        "--chunk-dims 100KiB",
    ];
    for (v, verb) in verbs.into_iter().enumerate() {
        let run = |n: usize, way: &str| {
            let out = format!("{v}-{n}.ome.tif");
            let line = format!("{} {way}", verb.replace("OUT", &out));
            let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
            // Some fit no such budget.
            assert!(ran.code == 0 || (ran.code == 6 && way.contains("3MiB")), "{line}: {}", ran.stderr);
            (ran.code == 0).then(|| whole(&bench.path(&out)))
        };
        let first = run(0, "--threads 1");
        for (n, way) in ways.iter().enumerate() {
            let found = run(n + 1, way);
            assert!(found.is_none() || found == first, "{verb} {way}: other bytes");
        }
    }
}

#[test]
fn levels_made_in_several_passes_lie_where_those_made_in_one_do() {
    let Some(bench) = Bench::new() else { return };
    let line = "convert fixtures/cells.ome.tif OUT --levels 5 --chunk-shape 1,1,1,32,32 --compression none \
                --chunk-dims 8KiB --threads 1";
    let mut files = Vec::new();
    for (memory, passes) in [("30KiB", 2), ("60KiB", 2), ("1MiB", 1)] {
        let out = format!("{memory}.ome.tif");
        let line = format!("{} --memory {memory}", line.replace("OUT", &out));
        assert_eq!(bench.json(&format!("plan {line}"))["passes"].as_array().unwrap().len(), passes, "{memory}");
        bench.text(&line);
        files.push(whole(&bench.path(&out)));
    }
    assert!(files[0] == files[2] && files[1] == files[2]);
}

#[test]
fn a_finished_file_is_known_again_refused_or_replaced() {
    let Some(bench) = Bench::new() else { return };
    let line = "project fixtures/cells.ome.tif out.tif --axis z";
    let report = bench.json(line);
    assert_eq!(report["units"]["written"], 6);
    let gold = whole(&bench.path("out.tif"));
    assert_eq!(bench.json(&format!("{line} --resume"))["units"], json!({"planned": 6, "written": 0, "resumed": 6}));
    let words = |more: &str| format!("{line} {more}").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let run = |more: &str| bench.run(&words(more).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run("").code, 5);
    assert_eq!(run("--resume --method min").code, 5, "another plan");
    assert!(whole(&bench.path("out.tif")) == gold);
    assert_eq!(run("--overwrite --method min").code, 0);
    assert!(whole(&bench.path("out.tif")) != gold);
    let left: Vec<_> = bench.tree().into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [std::path::Path::new("out.tif")]);
    for (flags, why) in [
        ("--shard-shape none", "--shard-shape is of OME-Zarr"),
        ("--compression gzip", "it has deflate, lzw, zstd, none"),
        ("--chunk-shape 1,1,1,100,64", "multiples of 16"),
    ] {
        let ran = run(flags);
        assert!(ran.code == 2 && ran.stderr.contains(why), "{flags}: {}", ran.stderr);
    }
    let ran = run("--method sum --overwrite");
    assert!(ran.code == 2 && ran.stderr.contains("--dtype"), "sums have 64 bits: {}", ran.stderr);
    bench.text("plan convert fixtures/cells.ome.tif planned.ome.tif --explain");
    assert!(!bench.path("planned.ome.tif").exists());
}

#[test]
fn what_cannot_be_read_is_listed_in_the_file_and_told_again() {
    let Some(bench) = Bench::new() else { return };
    let mut bytes = std::fs::read(bench.path("fixtures/cells.ome.tif")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].fill(0xff);
    std::fs::write(bench.path("bad.ome.tif"), bytes).unwrap();
    let line = "convert bad.ome.tif out.ome.tif --levels 2 --on-error quarantine --json";
    let run = |more: &[&str]| {
        let ran = bench.run(&[&line.split_whitespace().collect::<Vec<_>>()[..], more].concat());
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["quarantine"].clone()
    };
    let listed = run(&[]);
    assert!(!listed.as_array().unwrap().is_empty());
    let gold = whole(&bench.path("out.ome.tif"));
    assert_eq!(run(&["--resume"]), listed, "a finished file tells it again");
    for threads in ["1", "7"] {
        assert_eq!(run(&["--overwrite", "--threads", threads]), listed);
        assert!(whole(&bench.path("out.ome.tif")) == gold, "{threads} threads");
    }
}

#[test]
fn a_run_with_bad_planes_that_was_killed_ends_with_the_bytes_and_the_list_of_one_that_was_not() {
    let Some(bench) = Bench::new() else { return };
    let mut bytes = std::fs::read(bench.path("fixtures/cells.ome.tif")).unwrap();
    let late = bytes.len() * 3 / 4;
    bytes[late..late + 4000].fill(0xff);
    std::fs::write(bench.path("bad.ome.tif"), bytes).unwrap();
    std::fs::create_dir(bench.path("work")).unwrap();
    let words = |out: &str| format!("convert bad.ome.tif {out} {MANY} --on-error quarantine --durability unit --json");
    let run = |line: String| {
        let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    };
    let gold = run(words("gold.ome.tif"));
    let journal = format!("work/out.ome.tif.partial-{}.journal", &text(&gold["plan_hash"])[..12]);
    // Before the bad plane is come to, and after.
    for units in [5, 400] {
        let line = words("work/out.ome.tif");
        let mut command = bench.command(&line.split_whitespace().collect::<Vec<_>>());
        let mut child = command.args(["--threads", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while records(&bench.path(&journal)) < units {
            assert!(child.try_wait().unwrap().is_none(), "it is killed before its end");
            std::thread::yield_now();
        }
        kill(child);
        let report = run(words("work/out.ome.tif --resume"));
        assert!(report["units"]["resumed"].as_u64().unwrap() >= 5, "{report}");
        assert_eq!(report["quarantine"], gold["quarantine"]);
        assert!(whole(&bench.path("work/out.ome.tif")) == whole(&bench.path("gold.ome.tif")), "after {units} units");
        std::fs::remove_file(bench.path("work/out.ome.tif")).unwrap();
    }
}

/// How long the command takes when nothing happens to it.
fn duration(subject: &Subject) -> Duration {
    let start = Instant::now();
    let (status, complaint) = ended(&mut subject.command(&["--quiet"]));
    assert!(status.success(), "{complaint}");
    subject.clear();
    start.elapsed()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_bytes() {
    let Some(subject) = Subject::named(NAME, MANY) else { return };
    let all = duration(&subject);
    let moments = if is_deep() { 200 } else { 20 };
    let mut resumed = 0;
    for n in 0..moments {
        let durability = ["batch", "unit", "none"][n % 3];
        let time = all.mul_f64((n as f64 + 0.5) / moments as f64);
        let child = subject.command(&["--quiet", "--durability", durability]).spawn().unwrap();
        std::thread::sleep(time);
        kill(child);
        if n % 2 == 1 && !subject.out().exists() {
            let child = subject.command(&["--quiet", "--resume"]).spawn().unwrap();
            std::thread::sleep(all.mul_f64(0.3));
            kill(child);
        }
        let report = subject.resume(&format!("killed after {time:?} of {all:?}, durability {durability}"), &[]);
        resumed += u64::from(report["units"]["resumed"].as_u64().unwrap() > 0);
    }
    assert!(resumed > 0, "some moments lay between the first tile and the last");
}

#[test]
fn killed_at_its_nth_call_a_run_goes_on_to_the_same_bytes() {
    if !has_strace("a TIFF, killed at the nth call") {
        return;
    }
    let Some(subject) = Subject::named(NAME, FEW) else { return };
    let mut points = 0;
    for call in
        ["openat", "pwrite64", "write", "copy_file_range", "fdatasync", "ftruncate", "rename", "unlink", "rmdir"]
    {
        let mut n = 1;
        loop {
            let kill = format!("signal=SIGKILL:when={n}");
            let (status, complaint) = ended(&mut subject.traced(call, &kill, None, &["--overwrite"]));
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
    assert!(points >= 15, "{points} points");
}

#[test]
fn a_disk_that_refuses_is_a_typed_error_and_the_run_goes_on_later() {
    if !has_strace("a TIFF on a disk that refuses") {
        return;
    }
    let Some(subject) = Subject::named(NAME, FEW) else { return };
    let folder = subject.folder();
    let calls = [
        ("pwrite64", "ENOSPC"),
        ("fdatasync", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("ftruncate", "EIO"),
        ("copy_file_range", "ENOSPC"),
        ("rename", "EIO"),
        ("mkdir", "ENOSPC"),
    ];
    for (call, error) in calls {
        let (mut n, mut failed) = (1, 0);
        loop {
            let fault = format!("error={error}:when={n}");
            let (status, complaint) = ended(&mut subject.traced(call, &fault, None, &["--overwrite"]));
            let what = format!("{error} at call {n} of {call}");
            if status.success() {
                assert!(subject.is_published(&what));
                subject.clear();
                break;
            }
            assert_eq!(status.code(), Some(5), "{what}: {complaint}");
            assert!(complaint.starts_with("error: cannot "), "{what}: {complaint}");
            assert!(complaint.contains(folder.to_string_lossy().as_ref()), "{what}: {complaint}");
            assert_eq!(complaint.contains("are kept"), subject.partial().exists(), "{what}: {complaint}");
            subject.resume(&what, &[]);
            failed += 1;
            n += if is_deep() { 1 } else { 2 + 2 * n };
        }
        assert!(failed > 0, "{error} at {call} was met");
    }
}

#[test]
fn a_full_file_system_ends_with_5_and_the_run_goes_on_when_there_is_room() {
    let Some(subject) = Subject::named(NAME, FEW) else { return };
    let script = r#"
        mount -t tmpfs -o size=600k none "$WORK" || exit 99
        CONVERT; echo "code $?"
        [ ! -e "$OUT" ] || echo "published"
        mount -o remount,size=64m "$WORK"
        CONVERT --resume --json; echo "code $?"
        ls -A "$WORK"
        cp -a "$OUT" gold.copy
    "#;
    let Some(ran) = subject.mounted("a TIFF on a full file system", script, &[]) else { return };
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "code 5", "{} {}", ran.stdout, ran.stderr);
    let report: Value = serde_json::from_str(lines[1]).unwrap();
    let resumed = report["units"]["resumed"].as_u64().unwrap();
    assert!(resumed > 0 && resumed < subject.units, "{report}");
    assert_eq!(lines[2..], ["code 0", NAME]);
    assert!(ran.stderr.contains("No space left on device") && ran.stderr.contains("--resume"), "{}", ran.stderr);
    std::fs::rename(subject.bench.path("gold.copy"), subject.out()).unwrap();
    assert!(subject.is_published("after there was room"));
}

//! Many files as one image by the real binary: sequences by the names of files, plates of wells, sets that have more files than
//! may be open.

mod cli;
mod watched;

use std::time::{Duration, Instant, SystemTime};

use cli::Bench;
use serde_json::{Value, json};

/// The pattern of what `sequences.py frames` writes.
const FRAMES: &str = "frames/img_t{t}_c{c}.tif";

#[test]
fn numbers_and_names_in_the_names_of_files_are_axes_in_every_verb() {
    let Some(bench) = Bench::new() else { return };
    let Some(made) = bench.python("sequences.py", &["frames", "frames"]) else { return };
    let info = bench.json(&format!("inspect {FRAMES}"));
    let scene = &info["scenes"][0];
    assert_eq!((&info["path"], info["files"].as_array().unwrap().len()), (&json!(FRAMES), 8));
    assert_eq!((&scene["shape"], &scene["axes"]), (&json!([4, 2, 5, 32, 40]), &json!("TCZYX")));
    assert_eq!((&scene["channels"][0]["name"], &scene["channels"][1]["name"]), (&json!("DAPI"), &json!("GFP")));
    let sum = made["sha256"].as_str().unwrap();
    assert_eq!(bench.sum(FRAMES), sum);
    // The folder, or any file in it, with the pattern apart.
    for input in ["frames", "frames/img_t000_cGFP.tif"] {
        assert_eq!(bench.sum(&format!("{input} --pattern img_t{{t}}_c{{c}}.tif")), sum, "{input}");
    }
    bench.text(&format!("convert {FRAMES} all.ome.zarr"));
    assert_eq!(bench.sum("all.ome.zarr"), sum);
    bench.text(&format!("convert {FRAMES} all.ome.tif"));
    assert_eq!(bench.sum("all.ome.tif"), sum);
    bench.text("project frames max.ome.zarr --pattern img_t{t}_c{c}.tif --axis t");
    assert_eq!(bench.sum("max.ome.zarr"), made["max_t"].as_str().unwrap());
    let plan = bench.json(&format!("plan convert {FRAMES} x.ome.zarr"));
    assert_eq!(plan["layers"][0]["tasks"], json!(40), "{plan}");
    // Without braces files follow each other along T.
    let glob = bench.json("inspect frames/*.tif");
    assert_eq!(glob["scenes"][0]["shape"], json!([8, 1, 5, 32, 40]));
    let scenes = bench.json("inspect frames/img_t{t}_c{s}.tif");
    let named: Vec<_> = scenes["scenes"].as_array().unwrap().iter().map(|s| (&s["name"], &s["shape"])).collect();
    let shape = json!([4, 1, 5, 32, 40]);
    assert_eq!(named, [(&json!("DAPI"), &shape), (&json!("GFP"), &shape)]);
}

#[test]
fn a_file_that_is_missing_is_listed_and_an_error_or_left_out() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("sequences.py", &["frames", "frames"]).is_none() {
        return;
    }
    std::fs::remove_file(bench.path("frames/img_t001_cGFP.tif")).unwrap();
    let info = bench.json(&format!("inspect {FRAMES}"));
    assert_eq!(info["missing_files"], json!(["frames/img_t001_cGFP.tif"]));
    assert_eq!(info["scenes"][0]["shape"], json!([4, 2, 5, 32, 40]));
    let ran = bench.run(&["convert", FRAMES, "out.ome.zarr"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let why = "plane t=1 c=1 z=0: it lies in frames/img_t001_cGFP.tif, which is missing";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    let ran = bench.run(&["convert", FRAMES, "out.ome.zarr", "--on-error", "quarantine", "--overwrite", "--json"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let bad = report["quarantine"].as_array().unwrap();
    assert!(bad.len() == 5 && bad.iter().all(|bad| bad["t"] == 1 && bad["c"] == 1), "{report}");
    // A whole time point, which only its neighbours tell of.
    std::fs::remove_file(bench.path("frames/img_t001_cDAPI.tif")).unwrap();
    let info = bench.json(&format!("inspect {FRAMES}"));
    assert_eq!(info["missing_files"].as_array().unwrap().len(), 2);
    assert_eq!(info["scenes"][0]["shape"], json!([4, 2, 5, 32, 40]));
}

#[test]
fn files_that_do_not_fit_each_other_are_both_named() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("sequences.py", &["frames", "frames"]).is_none() {
        return;
    }
    std::fs::copy(bench.path("fixtures/plain.tif"), bench.path("frames/img_t002_cGFP.tif")).unwrap();
    let ran = bench.run(&["inspect", FRAMES]);
    let names =
        "frames/img_t000_cDAPI.tif and frames/img_t002_cGFP.tif are not of one image: one has 1 × 1 × 5 planes (T C Z)";
    assert!(ran.code == 4 && ran.stderr.contains(names), "{}", ran.stderr);
    std::fs::write(bench.path("frames/img_t002_cGFP.tif"), "II*\0 nothing").unwrap();
    let info = bench.json(&format!("inspect {FRAMES}"));
    assert!(info["warnings"][0].as_str().unwrap().starts_with("img_t002_cGFP.tif: cannot be read: "), "{info}");
    assert_eq!(bench.run(&["checksum", FRAMES]).code, 4);
    let refused = [
        (&["inspect", "frames/{q}.tif"][..], 4, "{q} stands for nothing; known are {t}"),
        (&["inspect", "frames/x{t}.tif"], 4, "no file has a name that fits this pattern"),
        (&["inspect", "frames"], 4, "holds 8 TIFF files, as img_t000_cDAPI.tif"),
        (&["inspect", "nowhere", "--pattern", "{t}.tif"], 2, "give the folder, or the whole pattern as IN"),
        (&["convert", FRAMES, "x.ome.zarr", "--plate"], 2, "is no plate: scene 0 lies in no well"),
    ];
    for (args, code, why) in refused {
        let ran = bench.run(args);
        assert!(ran.code == code && ran.stderr.contains(why), "{args:?}: {} {}", ran.code, ran.stderr);
    }
}

#[test]
fn wells_in_names_or_metadata_become_a_plate() {
    let Some(bench) = Bench::new() else { return };
    let Some(made) = bench.python("sequences.py", &["plate", "plate"]) else { return };
    let pattern = "plate/{well}_s{field}.ome.tif";
    let info = bench.json(&format!("inspect {pattern}"));
    assert_eq!((&info["scenes"][4]["name"], &made["files"]), (&json!("B/10/1"), &json!(8)));
    bench.text(&format!("convert {pattern} out.ome.zarr --plate"));
    let found = bench.python("sequences.py", &["check", "out.ome.zarr", "plate"]).unwrap();
    assert_eq!(found, json!({"wells": 4, "images": 8, "name": null}));
    let again = bench.json("inspect out.ome.zarr");
    assert_eq!(again["scenes"].as_array().unwrap().len(), 8);
    bench.text("verify out.ome.zarr");
    bench.python("sequences.py", &["wells", "wells"]).unwrap();
    for (n, input) in ["wells", "wells/*.ome.tif"].iter().enumerate() {
        let out = format!("wells{n}.ome.zarr");
        bench.text(&format!("convert {input} {out} --plate"));
        let found = bench.python("sequences.py", &["check", &out, "wells"]).unwrap();
        assert_eq!(found, json!({"wells": 4, "images": 8, "name": "P7"}));
    }
    let ran = bench.run(&["convert", pattern, "one.ome.zarr", "--plate", "--scene", "0"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("--plate takes all scenes as they are, without --scene"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_set_of_more_files_than_may_be_open_is_read() {
    let Some(bench) = Bench::new() else { return };
    let Some(made) = bench.python("sequences.py", &["set", "set", "400", "3"]) else { return };
    let limited = |args: &[&str]| {
        let command = bench.command(args);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
        cli::Ran::of(shell.current_dir(bench.path(".")))
    };
    for input in ["set/plane0000.ome.tif", "set/*.tif"] {
        let ran = limited(&["checksum", input, "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(found["scenes"][0]["sha256"], made["sha256"], "{input}");
    }
    let ran = limited(&["convert", "set/plane0000.ome.tif", "out.ome.zarr", "--threads", "4"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(bench.sum("out.ome.zarr"), made["sha256"].as_str().unwrap());
    // The OME-XML of a set says how its files belong together, so a pattern has nothing to say.
    let ran = bench.run(&["inspect", "set/plane{t}.ome.tif"]);
    assert!(ran.code == 4 && ran.stderr.contains("open it by its own name"), "{}", ran.stderr);
}

/// Inspects, tells the time, and asserts the memory; `benches/benches/opening` measures the time.
fn inspected(bench: &Bench, input: &str) -> Value {
    let start = Instant::now();
    let (output, anonymous) = watched::watched(bench.command(&["inspect", input, "--json"]));
    println!("{input}: opened in {:?} with {} MiB", start.elapsed(), anonymous >> 20);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(anonymous <= 150 << 20, "{input}: {} MiB", anonymous >> 20);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_set_of_a_thousand_files_opens_in_little_memory() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("sequences.py", &["set", "set", "1000", "30"]).is_none() {
        return;
    }
    let info = inspected(&bench, "set/plane0000.ome.tif");
    assert_eq!(info["scenes"][0]["shape"], json!([1000, 1, 30, 16, 16]));
    assert_eq!(info["scenes"][0]["tasks"]["graph"], json!(30_000));
}

/// One file of 30 planes under 1,000 names: opening reads the headers of each.
#[test]
fn a_plate_of_a_thousand_files_opens_in_little_memory() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("sequences.py", &["one", "one.ome.tif"]).is_none() {
        return;
    }
    std::fs::create_dir(bench.path("plate")).unwrap();
    for n in 0..1000 {
        let row = char::from(b"ABCDEFGHIJ"[n / 100]);
        let name = format!("plate/{row}{:02}_s{}.ome.tif", n / 10 % 10 + 1, n % 10);
        std::fs::copy(bench.path("one.ome.tif"), bench.path(&name)).unwrap();
    }
    let info = inspected(&bench, "plate/{well}_s{field}.ome.tif");
    let scenes = info["scenes"].as_array().unwrap();
    let planes: u64 = scenes.iter().map(|scene| scene["tasks"]["graph"].as_u64().unwrap()).sum();
    assert_eq!((scenes.len(), planes), (1000, 30_000));
    assert_eq!((&scenes[0]["shape"], &scenes[999]["name"]), (&json!([1, 3, 10, 16, 16]), &json!("J/10/9")));
}

#[test]
fn a_run_does_not_go_on_with_a_file_that_was_changed_since() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("sequences.py", &["frames", "frames"]).is_none() {
        return;
    }
    std::fs::remove_file(bench.path("frames/img_t003_cGFP.tif")).unwrap();
    let begun = |more: &[&str]| bench.run(&[&["convert", FRAMES, "out.ome.zarr", "--threads", "1"], more].concat());
    let ran = begun(&[]);
    assert!(ran.code == 4 && ran.stderr.contains("7 of 8 write units are kept"), "{}", ran.stderr);
    // As it was, it goes on, to the same plane.
    assert_eq!(begun(&["--resume"]).code, 4);
    // Not the first file, and neither its size nor its headers: its time alone tells.
    let file = std::fs::File::options().write(true).open(bench.path("frames/img_t001_cDAPI.tif")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    let ran = begun(&["--resume"]);
    assert!(ran.code == 5 && ran.stderr.contains("was changed; --overwrite starts anew"), "{}", ran.stderr);
}

#[test]
fn a_folder_of_ndtiff_is_read_by_its_index() {
    let Some(bench) = Bench::new() else { return };
    let Some(made) = bench.python("ndtiff.py", &["write", "."]) else { return };
    let path = made["path"].as_str().unwrap();
    let info = bench.json(&format!("inspect {path}"));
    assert_eq!(info["format"], json!("NDTiff"));
    let scene = &info["scenes"][0];
    assert_eq!((&scene["shape"], &scene["dtype"]), (&json!([3, 2, 4, 24, 32]), &json!("uint16")));
    let names: Vec<_> = info["scenes"].as_array().unwrap().iter().map(|scene| scene["name"].clone()).collect();
    assert_eq!(names, ["position 0", "position 1"]);
    // Channels are called as the index does, in the order in which they were acquired.
    assert_eq!((&scene["channels"][0]["name"], &scene["channels"][1]["name"]), (&json!("GFP"), &json!("DAPI")));
    assert_eq!(scene["pixel_size"], json!({"z": 1.5, "y": 0.65, "x": 0.65, "unit": "micrometer"}));
    let sum = bench.json(&format!("checksum {path} --scene 0"));
    assert_eq!(sum["scenes"][0]["sha256"], made["sha256"][0]);
    let left_out = bench.run(&["checksum", path, "--scene", "1"]);
    let why = "plane t=1 c=1 z=3: NDTiff.index has no image for it";
    assert!(left_out.code == 4 && left_out.stderr.contains(why), "{}", left_out.stderr);
    bench.text(&format!("convert {path} out.ome.zarr --scene 0"));
    assert_eq!(json!(bench.sum("out.ome.zarr")), made["sha256"][0]);
    // A file that the index names and that is gone, and one by itself.
    let stack = bench.path(path).join("scan_NDTiffStack.tif");
    let alone = bench.json(&format!("inspect {path}/scan_NDTiffStack.tif"));
    assert_eq!(alone["scenes"][0]["shape"], json!([47, 1, 1, 24, 32]));
    std::fs::remove_file(&stack).unwrap();
    let ran = bench.run(&["inspect", path]);
    assert!(ran.code == 4 && ran.stderr.contains("scan_NDTiffStack.tif does not exist"), "{}", ran.stderr);
}

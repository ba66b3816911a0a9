//! `convert` and `project`: outputs that zarr-python and ome-zarr-models open, with the pixels that NumPy computes and
//! the names and sizes of the image.

mod cli;

use cli::{Bench, FIXTURES, expected};
use serde_json::{Value, json};

/// The sum of the image's pixels as they are stored: samples become channels.
fn stored_sum(bench: &Bench, name: &str) -> String {
    let axes = if name == "rgb.tif" { " --axes TCSZYX" } else { "" };
    bench.sum(&format!("fixtures/{name}{axes}"))
}

/// Opens an output with independent readers; `sum` is what they must find.
fn check_output(bench: &Bench, out: &str, sum: &str) -> Option<Value> {
    check_version(bench, out, sum, "0.5")
}

fn check_version(bench: &Bench, out: &str, sum: &str, version: &str) -> Option<Value> {
    assert_eq!(bench.sum(out), sum, "{out}");
    let found = bench.python("read_zarr.py", &[out, "--validate"])?;
    assert_eq!(found["sha256"], sum, "{out}");
    let zarr_format = if version == "0.4" { 2 } else { 3 };
    assert_eq!((&found["ngff_version"], &found["zarr_format"]), (&json!(version), &json!(zarr_format)));
    Some(found)
}

#[test]
fn every_bundled_image_is_converted_pixel_by_pixel() {
    let Some(bench) = Bench::new() else { return };
    for name in FIXTURES {
        let out = format!("{name}.ome.zarr");
        let report = bench.json(&format!("convert fixtures/{name} {out}"));
        assert_eq!(report["output"], out.as_str());
        assert_eq!(report["units"]["planned"], report["units"]["written"], "{name}");
        assert_eq!(report["tasks"]["planned"], report["tasks"]["run"], "{name}");
        let scene = &bench.json(&format!("inspect fixtures/{name}"))["scenes"][0];
        assert_eq!(report["bytes_written"], scene["bytes"], "{name}");
        assert!(report["bytes_read"].as_u64() >= scene["bytes"].as_u64(), "tiles may end beyond the image: {name}");
        check_output(&bench, &out, &stored_sum(&bench, name));
        let old = format!("{name}-0.4.ome.zarr");
        bench.text(&format!("convert fixtures/{name} {old} --ngff-version 0.4 --levels 2"));
        check_version(&bench, &old, &stored_sum(&bench, name), "0.4");
    }
}

#[test]
fn names_colours_and_sizes_are_kept() {
    let Some(bench) = Bench::new() else { return };
    let expected = expected();
    for name in ["cells.ome.tif", "imagej.tif", "ome-zarr-0.4.zarr", "ome-zarr-0.5-sharded.zarr"] {
        for version in ["0.4", "0.5"] {
            bench.text(&format!("convert fixtures/{name} {name}.zarr --ngff-version {version} --overwrite"));
            let found = &bench.json(&format!("inspect {name}.zarr"))["scenes"][0];
            for field in ["axes", "shape", "dtype", "pixel_size", "time_increment"] {
                assert_eq!(found[field], expected[name][field], "{field} of {name}");
            }
            if name != "imagej.tif" {
                assert_eq!(found["channels"], expected[name]["channels"], "{name}");
            }
        }
    }
}

#[test]
fn projections_are_those_of_numpy() {
    let Some(bench) = Bench::new() else { return };
    let ways = [
        ("cells.ome.tif", "z max", ""),
        ("cells.ome.tif", "z min", ""),
        ("cells.ome.tif", "z sum", ""),
        ("cells.ome.tif", "z mean", ""),
        ("cells.ome.tif", "z mean", "float32"),
        ("cells.ome.tif", "c mean", ""),
        ("imagej.tif", "t max", ""),
        ("imagej.tif", "c sum", "float64"),
        ("ome-zarr-0.5-sharded.zarr", "z mean", "float64"),
    ];
    for (n, (image, how, dtype)) in ways.into_iter().enumerate() {
        let (axis, method) = how.split_once(' ').unwrap();
        let (input, out) = (format!("fixtures/{image}"), format!("{n}.ome.zarr"));
        let flag: &[&str] = if dtype.is_empty() { &[] } else { &["--dtype", dtype] };
        bench.text(&format!("project {input} {out} --axis {axis} --method {method} {}", flag.join(" ")));
        let args = [&[input.as_str(), axis, method], flag].concat();
        let Some(numpy) = bench.python("reduce.py", &args) else { return };
        let found = &bench.json(&format!("checksum {out}"))["scenes"][0];
        for field in ["shape", "dtype", "sha256"] {
            assert_eq!(found[field], numpy[field], "{field} of {how} {dtype} of {image}");
        }
    }
    check_output(&bench, "0.ome.zarr", &bench.sum("0.ome.zarr"));
}

#[test]
fn a_projection_keeps_what_still_has_a_meaning() {
    let Some(bench) = Bench::new() else { return };
    bench.text("project fixtures/cells.ome.tif z.zarr --axis z");
    let scene = &bench.json("inspect z.zarr")["scenes"][0];
    assert_eq!(scene["shape"], json!([2, 3, 1, 160, 192]));
    let names: Vec<&Value> = scene["channels"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["DAPI", "GFP", "mCherry"]);
    assert_eq!((&scene["pixel_size"]["y"], &scene["time_increment"]["value"]), (&json!(0.108), &json!(30.0)));
    assert_ne!(scene["pixel_size"]["z"], json!(0.29), "a projection along z has no distance between planes");

    bench.text("project fixtures/cells.ome.tif c.zarr --axis c");
    let scene = &bench.json("inspect c.zarr")["scenes"][0];
    assert_eq!(scene["channels"].as_array().unwrap().len(), 1);
    assert_ne!(scene["channels"][0]["name"], "DAPI", "what is made of all channels is none of them");
    assert_eq!(scene["pixel_size"]["z"], json!(0.29));
}

#[test]
fn a_region_and_a_level_are_what_slicing_gives() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif part.zarr --region t=1,c=1:,z=2:6,y=:100,x=17:150");
    let scene = &bench.json("inspect part.zarr")["scenes"][0];
    assert_eq!(scene["shape"], json!([1, 2, 4, 100, 133]));
    assert_eq!((&scene["channels"][0]["name"], &scene["channels"][1]["name"]), (&json!("GFP"), &json!("mCherry")));
    bench.text("convert fixtures/ome-zarr-0.4.zarr level.zarr --level 1");
    assert_eq!(bench.sum("level.zarr"), expected()["ome-zarr-0.4.zarr"]["levels"][1]["sha256"]);
    let size = &bench.json("inspect level.zarr")["scenes"][0]["pixel_size"];
    assert_eq!((&size["z"], &size["y"], &size["x"]), (&json!(0.29), &json!(0.216), &json!(0.216)));

    // The whole in two steps is the whole in one.
    bench.text("convert fixtures/cells.ome.tif all.zarr");
    bench.text("convert all.zarr again.zarr --region t=1,c=1:,z=2:6,y=:100,x=17:150");
    assert_eq!(bench.sum("again.zarr"), bench.sum("part.zarr"));
    let Some(sliced) = bench.python("slice_sum.py", &["fixtures/cells.ome.tif", "1:2,1:,2:6,:100,17:150"]) else {
        return;
    };
    assert_eq!(sliced["sha256"], bench.sum("part.zarr"));
}

#[test]
fn storage_is_as_it_was_asked_for_and_never_changes_pixels() {
    let Some(bench) = Bench::new() else { return };
    let sum = bench.sum("fixtures/cells.ome.tif");
    let ways = [
        ("--compression none --shard-shape none", "bytes", json!(null)),
        ("--compression gzip --compression-level 3 --shard-shape 1,1,8,160,192", "gzip", json!([1, 1, 8, 160, 192])),
        (
            "--compression zstd --chunk-shape 1,1,2,64,64 --shard-shape 1,1,4,128,192",
            "zstd",
            json!([1, 1, 4, 128, 192]),
        ),
        (
            "--compression blosc --compression-level 9 --chunk-shape 1,1,1,50,70 --shard-shape none",
            "blosc",
            json!(null),
        ),
        ("--chunk-shape 2,3,8,160,192", "blosc", json!(null)),
    ];
    for (n, (flags, codec, shards)) in ways.into_iter().enumerate() {
        let out = format!("{n}.ome.zarr");
        bench.text(&format!("convert fixtures/cells.ome.tif {out} {flags}"));
        let metadata = std::fs::read_to_string(bench.path(&out).join("0/zarr.json")).unwrap();
        assert!(metadata.contains(&format!("\"{codec}\"")), "{flags}: {metadata}");
        let Some(found) = check_output(&bench, &out, &sum) else { continue };
        assert_eq!(found["shards"], shards, "{flags}");
    }
}

#[test]
fn names_and_sizes_can_be_given() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif nm.zarr --pixel-size z=300,unit=nm");
    let size = &bench.json("inspect nm.zarr")["scenes"][0]["pixel_size"];
    assert_eq!(size, &json!({"z": 300.0, "y": 108.0, "x": 108.0, "unit": "nanometer"}), "what is kept is converted");
    bench.text(
        "convert fixtures/imagej.tif a.zarr --channel-names DAPI,GFP --pixel-size z=0.7,y=0.1,x=0.1,unit=um --dtype uint8",
    );
    let scene = &bench.json("inspect a.zarr")["scenes"][0];
    assert_eq!((&scene["channels"][0]["name"], &scene["channels"][1]["name"]), (&json!("DAPI"), &json!("GFP")));
    assert_eq!(scene["pixel_size"], json!({"z": 0.7, "y": 0.1, "x": 0.1, "unit": "micrometer"}));
    assert_eq!(scene["dtype"], "uint8");
}

#[test]
fn an_output_is_replaced_only_when_asked() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/plain.tif a.zarr");
    bench.text("convert fixtures/imagej.tif a.zarr --overwrite");
    assert_eq!(bench.sum("a.zarr"), bench.sum("fixtures/imagej.tif"));
    // Also by what is made of itself.
    bench.text("project a.zarr a.zarr --axis t --overwrite");
    assert_eq!(bench.json("inspect a.zarr")["scenes"][0]["shape"], json!([1, 2, 4, 48, 64]));
    assert_eq!(std::fs::read_dir(bench.path("")).unwrap().count(), 2, "the fixtures, and the output");
}

#[test]
fn people_read_what_was_written_and_what_it_took() {
    let Some(bench) = Bench::new() else { return };
    let text = bench.text("project fixtures/cells.ome.tif mip.ome.zarr --axis z");
    for part in ["mip.ome.zarr", "T 2 · C 3 · Z 1 · Y 160 · X 192, uint16", "6 write units", "a second", "at the peak"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let row = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("{name} has no row in\n{text}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("forecast"), ["forecast", "done"]);
    assert_eq!(row("tasks")[1..3], ["6", "6"]);
    assert_eq!(row("read")[1..5], ["2.81", "MiB", "2.81", "MiB"]);
    assert_eq!(row("written")[1..5], ["360", "KiB", "360", "KiB"]);
    assert_eq!(bench.text("convert fixtures/plain.tif quiet.zarr --quiet"), "");
    // A run that goes on from a finished one has nothing to do, and says so.
    let again = bench.text("project fixtures/cells.ome.tif mip.ome.zarr --axis z --resume");
    assert!(again.contains("nothing to do"), "{again}");
    let again = bench.json("project fixtures/cells.ome.tif mip.ome.zarr --axis z --resume");
    assert_eq!((&again["forecast"]["units"], &again["units"]["resumed"]), (&json!(6), &json!(6)));
}

#[test]
fn progress_is_on_standard_error_and_only_there() {
    let Some(bench) = Bench::new() else { return };
    let ran = bench.run(&["convert", "fixtures/plain.tif", "a.zarr", "--json", "--progress", "always"]);
    assert_eq!(ran.code, 0);
    let line = ran.stderr.lines().last().unwrap();
    for part in ["100 %", "/s, 1 of 1 units, 0 bytes of ", " held, done in "] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(report["projected_peak"].as_u64() >= report["peak_memory"].as_u64(), "{report}");
    assert_eq!(report["plan_hash"].as_str().unwrap().len(), 64);
    assert_eq!(bench.run(&["convert", "fixtures/plain.tif", "b.zarr"]).stderr, "", "no terminal, no bar");
}

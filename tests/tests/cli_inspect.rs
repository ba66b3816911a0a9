//! `inspect` of the bundled images: as the programs that made them say, counted as dask counts them, and readable.

mod cli;

use cli::{Bench, FIXTURES, expected};
use serde_json::{Value, json};

#[test]
fn the_bundled_images_are_what_their_makers_say() {
    let Some(bench) = Bench::new() else { return };
    let expected = expected();
    for name in FIXTURES {
        let (found, wanted) = (bench.json(&format!("inspect fixtures/{name}")), &expected[name]);
        assert_eq!(found["format"], wanted["format"], "{name}");
        assert_eq!(found["path"], format!("fixtures/{name}"));
        assert_eq!((&found["missing_files"], &found["warnings"]), (&json!([]), &json!([])), "{name}");
        let scene = &found["scenes"][0];
        for field in ["axes", "shape", "dtype", "channels", "pixel_size", "time_increment"] {
            assert_eq!(scene[field], wanted[field], "{field} of {name}");
        }
        let shapes = |levels: &Value| levels.as_array().unwrap().iter().map(|l| l["shape"].clone()).collect::<Vec<_>>();
        assert_eq!(shapes(&scene["levels"]), shapes(&wanted["levels"]), "{name}");
        assert_eq!(scene["bytes"], bytes(scene), "{name}");
    }
}

fn bytes(scene: &Value) -> u64 {
    let value = match scene["dtype"].as_str().unwrap() {
        "uint8" => 1,
        "uint16" => 2,
        "float32" => 4,
        other => panic!("{other}"),
    };
    scene["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product::<u64>() * value
}

#[test]
fn chunks_are_counted_as_they_are_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let count = |flags: &str| {
        let scene = bench.json(&format!("inspect fixtures/cells.ome.tif {flags}"))["scenes"][0].clone();
        (scene["chunks"].clone(), scene["tasks"].clone())
    };
    let tasks = |n: u64| json!({"graph": n, "fused": n, "dask_optimized": 2 * n, "rule_of_thumb": 26});
    assert_eq!(count(""), (json!({"dims": "YX", "shape": [1, 1, 1, 160, 192], "count": 48}), tasks(48)));
    let stacks = json!({"dims": "ZYX", "shape": [1, 1, 8, 160, 192], "count": 6});
    assert_eq!(count("--chunk-dims ZYX"), (stacks, tasks(6)));
    let (chunks, counted) = count("--chunk-shape 1,1,4,100,100");
    assert_eq!((&chunks["shape"], &chunks["count"]), (&json!([1, 1, 4, 100, 100]), &json!(2 * 3 * 2 * 2 * 2)));
    assert_eq!(counted, tasks(48));
}

#[test]
fn of_several_paths_a_bad_one_does_not_take_the_others_along() {
    let Some(bench) = Bench::new() else { return };
    let paths = ["inspect", "fixtures/plain.tif", "nothing.tif", "fixtures/rgb.tif"];
    let ran = bench.run(&[&paths[..], &["--json"]].concat());
    assert_eq!(ran.code, 4);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let images = found["images"].as_array().unwrap();
    assert_eq!(images.iter().map(|i| i["path"].as_str().unwrap()).collect::<Vec<_>>(), [paths[1], paths[3]]);
    assert_eq!(found["errors"], json!([{"path": "nothing.tif", "error": "nothing.tif does not exist"}]));
    assert_eq!(ran.stderr, "error: nothing.tif does not exist\nerror: 1 of 3 paths could not be read\n");

    let ran = bench.run(&paths);
    assert_eq!(ran.code, 4);
    assert!(ran.stdout.starts_with("fixtures/plain.tif\n") && ran.stdout.contains("\n\nfixtures/rgb.tif\n"));
}

#[test]
fn people_read_names_sizes_and_costs() {
    let Some(bench) = Bench::new() else { return };
    let text = bench.text("inspect fixtures/cells.ome.tif");
    assert_eq!(
        text,
        "\
fixtures/cells.ome.tif
  format    OME-TIFF, 1.17 MiB, 1 scene

  scene 0: cells (Image:0)
    shape     T 2 · C 3 · Z 8 · Y 160 · X 192, uint16, 2.81 MiB
    channels  DAPI #0000FF, GFP #00FF00, mCherry #FF0000
    pixel     Z 0.29 · Y 0.108 · X 0.108 µm
    time      30 s between frames
    storage   strips of 40 × 192, deflate+predictor2
    chunks    48 chunks of 160 × 192 (YX)
    tasks     48 in the graph, 48 to run; dask's optimised graph: 96
              the rule of thumb Σ 2·size says 26, a sum; but chunks are a product: 2 × 3 × 8
"
    );
    assert!(bench.text("inspect fixtures/ome-zarr-0.4.zarr").contains("levels"));
}

#[test]
fn the_ome_xml_is_given_as_it_stands() {
    let Some(bench) = Bench::new() else { return };
    let xml = bench.text("inspect fixtures/cells.ome.tif --ome-xml");
    assert!(xml.contains("<OME") && xml.contains("Name=\"DAPI\""), "{xml}");
    let json = bench.json("inspect fixtures/cells.ome.tif --ome-xml");
    assert_eq!(json["ome_xml"].as_str().unwrap().trim_end(), xml.trim_end());
    assert_eq!(bench.json("inspect fixtures/plain.tif --ome-xml")["ome_xml"], Value::Null);
    assert_eq!(bench.json("inspect fixtures/plain.tif").get("ome_xml"), None);
}

#[test]
fn a_scene_is_chosen_by_number_or_identity() {
    let Some(bench) = Bench::new() else { return };
    for scene in ["0", "Image:0", "cells"] {
        let found = bench.json(&format!("inspect fixtures/cells.ome.tif --scene {scene}"));
        assert_eq!(found["scenes"].as_array().unwrap().len(), 1, "{scene}");
    }
    let ran = bench.run(&["inspect", "fixtures/cells.ome.tif", "--scene", "1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("no scene `1`"), "{}", ran.stderr);
}

#[test]
fn flags_may_stand_in_the_environment() {
    let Some(bench) = Bench::new() else { return };
    let mut command = bench.command(&["inspect", "fixtures/cells.ome.tif"]);
    let ran = cli::Ran::of(command.env("MICROTOME_JSON", "1").env("MICROTOME_CHUNK_DIMS", "ZYX"));
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["scenes"][0]["chunks"]["count"], 6);
}

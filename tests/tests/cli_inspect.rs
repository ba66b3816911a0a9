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

/// What `inspect` says of the first scene beside what a Python reader found in the same document.
fn check_taken(scene: &Value, found: &Value) {
    let planes = scene["planes"].as_array().unwrap();
    let expected = found["planes"].as_array().unwrap();
    assert_eq!(planes.len(), expected.len());
    for (plane, expected) in planes.iter().zip(expected) {
        assert_eq!(json!([plane["t"], plane["c"], plane["z"]]), expected["index"]);
        let close = |is: &Value, expected: &Value| match (is.as_f64(), expected.as_f64()) {
            (Some(is), Some(expected)) => (is - expected).abs() <= 1e-9 * expected.abs(),
            (is, expected) => is == expected,
        };
        assert!(close(&plane["delta_t"], &expected["delta_t"]), "{plane} is not {expected}");
        assert!(close(&plane["exposure"], &expected["exposure"]), "{plane} is not {expected}");
        for (n, axis) in ["x", "y", "z"].into_iter().enumerate() {
            assert!(close(&plane["stage"][axis], &expected["stage"][n]), "{axis}: {plane} is not {expected}");
        }
    }
    for (name, theirs) in [("name", "Model"), ("immersion", "Immersion")] {
        assert_eq!(scene["objective"][name], found["objective"][theirs]);
    }
    let number = |value: &Value| value.as_str().map(|text| text.parse::<f64>().unwrap());
    assert_eq!(scene["objective"]["magnification"].as_f64(), number(&found["objective"]["NominalMagnification"]));
    assert_eq!(scene["objective"]["numerical_aperture"].as_f64(), number(&found["objective"]["LensNA"]));
}

#[test]
fn when_where_and_through_what_planes_were_taken_is_as_others_read_it() {
    let Some(bench) = Bench::new() else { return };
    let Some(found) = bench.python("taken.py", &["write", "taken.ome.tif"]) else { return };
    let said = bench.json("inspect taken.ome.tif --planes");
    let scene = &said["scenes"][0];
    check_taken(scene, &found);
    assert_eq!(scene["planes"][5]["delta_t"], json!(7.5005));
    assert_eq!(scene["stage"], json!({"x": -10.5, "y": 2.0, "z": null, "unit": "micrometer"}));
    assert!(scene["objective"].is_null());
    assert_eq!(bench.json("inspect taken.ome.tif")["scenes"][0].get("planes"), None);
    let text = bench.text("inspect taken.ome.tif --planes");
    assert!(text.contains("stage     Y 2 · X -10.5 µm"), "{text}");
    assert!(text.contains("t=1 c=0 z=2: 7.5005 s, 0.25 s, stage Y 2 · X -5.5 µm"), "{text}");
    let nothing = bench.text("inspect fixtures/plain.tif --planes");
    assert!(nothing.contains("nothing is said of when and where"), "{nothing}");
}

#[test]
fn the_objective_of_a_real_microscope_is_told() {
    let Some(bench) = Bench::new() else { return };
    let Some(corpus) = std::env::var_os("MICROTOME_CORPUS").map(std::path::PathBuf::from) else {
        return cli::skip(
            "the objective of a real microscope",
            "MICROTOME_CORPUS is not set; `cargo xtask test` sets it",
        );
    };
    let path = corpus.join("ometiff/s_1_t_1_c_1_z_1.ome.tiff");
    let path = path.to_str().unwrap();
    let Some(found) = bench.python("taken.py", &["read", path]) else { return };
    assert_eq!(found["objective"]["Model"], "Plan-Apochromat 20x/0.8 M27");
    let said = bench.json(&format!("inspect {path} --planes"));
    check_taken(&said["scenes"][0], &found);
    let text = bench.text(&format!("inspect {path}"));
    assert!(text.contains("objective Plan-Apochromat 20x/0.8 M27, 20×, NA 0.8, air"), "{text}");
}

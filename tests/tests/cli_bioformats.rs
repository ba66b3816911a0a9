//! Bio-Formats, which shares no code with us or tifffile, reads our OME-TIFFs: the same pixels of every level, names and sizes.
//!
//! Needs Java 11 or newer with its compiler, and `MICROTOME_BIOFORMATS`, the path of `bioformats_package.jar`; `.ci/run`
//! installs both.

mod cli;

use std::process::Command;

use cli::{Bench, Ran, repository, skip};
use serde_json::{Value, json};

/// What Bio-Formats 6.7.0 knows; it has no Zstandard.
const FLAGS: [&str; 6] = [
    "--compression deflate --levels 3 --chunk-shape 1,1,1,64,80",
    "--compression lzw --levels 2 --chunk-shape 1,1,1,32,32",
    "--compression none --levels 2",
    "--compression deflate --dtype int32 --levels 2",
    "--compression lzw --dtype int8",
    "--compression deflate --dtype float32 --levels 2 --chunk-shape 1,1,1,48,48",
];
const INPUTS: [&str; 4] = ["cells.ome.tif", "imagej.tif", "rgb.tif", "ome-zarr-0.4.zarr"];

/// What Bio-Formats makes of images; `None`, said loudly, where it is not there.
fn judged(bench: &Bench, paths: &[String]) -> Option<Vec<Value>> {
    let required = std::env::var("MICROTOME_REQUIRE").as_deref() == Ok("all");
    let missing = |why: &str| {
        assert!(!required, "Bio-Formats: {why}, and MICROTOME_REQUIRE=all");
        skip("the comparison with Bio-Formats", why);
    };
    let Some(jar) = std::env::var_os("MICROTOME_BIOFORMATS") else {
        missing("MICROTOME_BIOFORMATS does not name its jar");
        return None;
    };
    if !Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success()) {
        missing("there is no java");
        return None;
    }
    let mut java = Command::new("java");
    java.arg("-cp").arg(jar).arg(repository().join("tests/java/Judge.java")).args(paths);
    let ran = Ran::of(java.current_dir(bench.path("")));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    Some(ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn bioformats_reads_the_same_pixels_levels_and_names() {
    let Some(bench) = Bench::new() else { return };
    let mut paths = Vec::new();
    for (i, input) in INPUTS.iter().enumerate() {
        for (f, flags) in FLAGS.iter().enumerate() {
            let out = format!("{i}-{f}.ome.tif");
            bench.text(&format!("convert fixtures/{input} {out} {flags}"));
            paths.push(out);
        }
    }
    let Some(found) = judged(&bench, &paths) else { return };
    assert_eq!(found.len(), paths.len());
    for (path, found) in paths.iter().zip(&found) {
        assert_eq!(found["format"], "OME-TIFF", "{path}");
        let own = bench.json(&format!("inspect {path}"))["scenes"][0].clone();
        let dtype = own["dtype"].as_str().unwrap().replace("float32", "float");
        assert_eq!(found["dtype"], json!(dtype), "{path}");
        let levels = found["levels"].as_array().unwrap();
        assert_eq!(levels.len(), own["levels"].as_array().unwrap().len(), "{path}");
        for (n, level) in levels.iter().enumerate() {
            let mut shape = own["levels"][n]["shape"].as_array().unwrap().clone();
            shape.resize(6, json!(1));
            assert_eq!(level["shape"], json!(shape), "{path} level {n}");
            bench.text(&format!("convert {path} level.ome.tif --level {n} --levels 1 --overwrite"));
            assert_eq!(level["sha256"].as_str().unwrap(), bench.sum("level.ome.tif"), "{path} level {n}");
        }
    }
    assert_eq!((&found[0]["channels"], &found[0]["x"]), (&json!(["DAPI", "GFP", "mCherry"]), &json!("0.108 µm")));
}

#[test]
fn bioformats_finds_every_image_of_a_file_with_its_levels() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("many_images.py", &["make", "many.ome.tif"]).is_none() {
        return;
    }
    bench.text("convert many.ome.tif out.ome.tif --levels 2 --chunk-shape 1,1,1,64,64 --compression lzw");
    let own = bench.json("inspect out.ome.tif")["scenes"].as_array().unwrap().clone();
    let paths: Vec<String> = (0..own.len()).map(|n| format!("out.ome.tif#{n}")).collect();
    let Some(found) = judged(&bench, &paths) else { return };
    for (n, (found, own)) in found.iter().zip(&own).enumerate() {
        assert_eq!(found["name"], own["name"]);
        for (k, level) in found["levels"].as_array().unwrap().iter().enumerate() {
            let line = format!("convert out.ome.tif level.ome.tif --scene {n} --level {k} --levels 1 --overwrite");
            bench.text(&line);
            assert_eq!(level["sha256"].as_str().unwrap(), bench.sum("level.ome.tif"), "image {n} level {k}");
        }
        assert_eq!(found["levels"].as_array().unwrap().len(), 2, "image {n}");
    }
    assert_eq!(found.len(), 3);
}

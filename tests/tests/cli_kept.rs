//! What an output keeps beside pixels, what a user says instead, and what cannot be mistaken for a finished output.

mod cli;

use std::path::Path;
use std::time::Duration;

use cli::Bench;
use serde_json::{Value, json};

fn document(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_ome_xml_is_kept_to_the_letter_where_others_look_only_if_it_describes_the_output() {
    let Some(bench) = Bench::new() else { return };
    let xml = bench.text("inspect fixtures/cells.ome.tif --ome-xml");
    for version in ["0.4", "0.5"] {
        let convert = format!("convert fixtures/cells.ome.tif --ngff-version {version}");
        bench.text(&format!("{convert} whole-{version}.zarr"));
        let kept = std::fs::read_to_string(bench.path(&format!("whole-{version}.zarr/OME/METADATA.ome.xml"))).unwrap();
        assert_eq!(kept.trim_end(), xml.trim_end());
        assert_eq!(bench.text(&format!("inspect whole-{version}.zarr --ome-xml")).trim_end(), xml.trim_end());
        assert_eq!(bench.json(&format!("inspect whole-{version}.zarr"))["scenes"].as_array().unwrap().len(), 1);
        for (n, part) in ["--region z=0", "--dtype float32"].into_iter().enumerate() {
            bench.text(&format!("{convert} part-{n}-{version}.zarr {part}"));
            let folder = bench.path(&format!("part-{n}-{version}.zarr"));
            assert!(!folder.join("OME").exists(), "{part}: another tool would believe it");
            let kept = std::fs::read_to_string(folder.join(".microtome/source.ome.xml")).unwrap();
            assert_eq!(kept.trim_end(), xml.trim_end());
        }
    }
}

#[test]
fn provenance_says_how_and_nothing_of_where_when_or_by_whom() {
    let Some(bench) = Bench::new() else { return };
    let report = bench.json("convert fixtures/cells.ome.tif out.zarr --levels 2 --downsample median");
    let found = document(&bench.path("out.zarr/.microtome/provenance.json"));
    assert_eq!((&found["format"], &found["plan"]), (&json!(1), &report["plan_hash"]));
    assert_eq!(found["tool"], json!({"name": "microtome", "version": env!("CARGO_PKG_VERSION")}));
    let median = json!([{"op": "downsample", "params": {"factor": {"x": 2, "y": 2}, "method": "median"}}]);
    assert_eq!(found["made"]["levels"], median);
    assert!(found["made"]["layers"][0]["source"].as_str().unwrap().len() >= 32, "the digest of the source: {found}");
    // The same image elsewhere, at another time: the same record.
    std::fs::copy(bench.path("fixtures/cells.ome.tif"), bench.path("moved.tif")).unwrap();
    bench.text("convert moved.tif again.zarr --levels 2 --downsample median --threads 1");
    assert_eq!(document(&bench.path("again.zarr/.microtome/provenance.json")), found);
    bench.text("convert moved.tif other.zarr --levels 2 --downsample mode");
    assert_ne!(document(&bench.path("other.zarr/.microtome/provenance.json")), found);
}

#[test]
fn without_a_stated_window_the_range_of_the_pixel_type_is_shown() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif out.zarr");
    let group = document(&bench.path("out.zarr/zarr.json"));
    let window = &group["attributes"]["ome"]["omero"]["channels"][0]["window"];
    assert_eq!(*window, json!({"min": 0, "max": 65535, "start": 0, "end": 65535}));
}

#[test]
fn what_the_user_says_of_sizes_names_and_axes_is_what_others_read() {
    let Some(bench) = Bench::new() else { return };
    for version in ["0.4", "0.5"] {
        let out = format!("said-{version}.zarr");
        let how = "--pixel-size z=300,y=65,x=65,unit=nm --channel-names red,green --levels 2";
        bench.text(&format!("convert fixtures/ome-zarr-0.4.zarr {out} {how} --ngff-version {version}"));
        let scene = &bench.json(&format!("inspect {out}"))["scenes"][0];
        assert_eq!(scene["pixel_size"], json!({"z": 300.0, "y": 65.0, "x": 65.0, "unit": "nanometer"}));
        assert_eq!((&scene["channels"][0]["name"], &scene["channels"][1]["name"]), (&json!("red"), &json!("green")));
        let Some(found) = bench.python("read_zarr.py", &[&out, "--validate"]) else { return };
        assert_eq!(found["levels"][1]["scale"].as_array().unwrap()[2..], [json!(300.0), json!(130.0), json!(130.0)]);
        assert_eq!(found["levels"][1]["translation"].as_array().unwrap()[2..], [json!(0.0), json!(32.5), json!(32.5)]);
    }
    let ran = bench.run(&["convert", "fixtures/ome-zarr-0.4.zarr", "a.zarr", "--channel-names", "one"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn axes_are_what_the_user_says() {
    let Some(bench) = Bench::new() else { return };
    let shape = bench.json("inspect fixtures/imagej.tif")["scenes"][0]["shape"].clone();
    let lens: Vec<u64> = shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let letters: String = "TCZYX".chars().zip(&lens).filter(|(_, n)| **n > 1).map(|(letter, _)| letter).collect();
    let swapped: String = letters
        .chars()
        .map(|c| match c {
            'T' => 'C',
            'C' => 'T',
            other => other,
        })
        .collect();
    bench.text(&format!("convert fixtures/imagej.tif out.zarr --axes {swapped}"));
    let found = bench.json("inspect out.zarr")["scenes"][0]["shape"].clone();
    assert_eq!(found, json!([lens[1], lens[0], lens[2], lens[3], lens[4]]));
    let sum = |line: &str| bench.json(line)["scenes"][0]["sha256"].clone();
    assert_eq!(sum("checksum out.zarr"), sum("checksum fixtures/imagej.tif --axes CTZYX"), "{letters} → {swapped}");
    for wrong in ["YX", "TTYX", "XY", "QYX"] {
        let ran = bench.run(&["convert", "fixtures/imagej.tif", "no.zarr", "--axes", wrong]);
        assert!(ran.code == 2 && ran.stderr.contains("of T, C and Z each once"), "{wrong}: {}", ran.stderr);
    }
}

/// Blocks of 8 × 8 into chunks of 16 × 16 in shards of 32 × 32: where several tasks own parts of a file, a quarter of the
/// pixels goes wrong without a word.
#[test]
fn blocks_smaller_than_shards_give_the_same_pixels_and_shards_that_part_chunks_are_refused() {
    let Some(bench) = Bench::new() else { return };
    let sum = bench.sum("fixtures/cells.ome.tif");
    let stored = "--chunk-shape 1,1,1,16,16 --shard-shape 1,1,1,32,32";
    for blocks in ["1,1,1,8,8", "1,1,1,24,40", "1,1,2,7,5"] {
        let out = format!("{}.zarr", blocks.replace(',', "-"));
        bench.text(&format!("convert fixtures/cells.ome.tif {out} --chunk-dims {blocks} {stored} --threads 2"));
        assert_eq!(bench.sum(&out), sum, "{blocks}");
    }
    let ran = bench.run(
        &"convert fixtures/cells.ome.tif no.zarr --chunk-shape 1,1,1,16,16 --shard-shape 1,1,1,24,32"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    assert!(ran.code != 0 && ran.stderr.contains("give 16 or 32"), "{}", ran.stderr);
    assert!(!bench.path("no.zarr").exists());
}

/// A run that dies after some of its blocks leaves a store that others open, most of it zeros.
#[test]
fn a_run_that_dies_half_way_leaves_nothing_that_passes_for_an_image() {
    let Some(bench) = Bench::new() else { return };
    for version in ["0.4", "0.5"] {
        std::fs::create_dir(bench.path(version)).unwrap();
        let out = format!("{version}/out.zarr");
        let shard = if version == "0.5" { "--shard-shape none" } else { "" };
        let line = format!(
            "convert fixtures/cells.ome.tif {out} --chunk-shape 1,1,1,40,48 {shard} --ngff-version {version} --threads 1"
        );
        let slow = format!("{line} --durability unit");
        let mut child = bench.command(&slow.split_whitespace().collect::<Vec<_>>()).spawn().unwrap();
        let partial = loop {
            let found = std::fs::read_dir(bench.path(version)).unwrap().map(|e| e.unwrap().path());
            let partial = found.into_iter().find(|path| path.is_dir() && path.join("0").is_dir());
            if let Some(partial) = partial {
                break partial;
            }
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(Duration::from_millis(1));
        };
        std::thread::sleep(Duration::from_millis(5));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!bench.path(&out).exists(), "nothing has the name");
        for name in ["zarr.json", ".zgroup", ".zattrs", ".microtome/complete.json"] {
            assert!(!partial.join(name).exists(), "{name} would make it an image");
        }
        let plain = bench.run(&["convert", "fixtures/cells.ome.tif", &out]);
        assert_eq!(plain.code, 5, "what is unfinished is told: {}", plain.stderr);
        bench.text(&format!("{line} --resume --durability none"));
        assert_eq!(bench.sum(&out), bench.sum("fixtures/cells.ome.tif"));
    }
}

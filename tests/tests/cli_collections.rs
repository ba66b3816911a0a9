//! `convert` from Zarr to Zarr keeps what belongs together: labels, wells and series; killed anywhere it goes on to the same
//! bytes.

mod cli;

use std::time::Instant;

use cli::resumed::is_deep;
use cli::{Bench, tree};
use serde_json::json;

const KINDS: [&str; 3] = ["plate", "labels", "series"];

/// A folder of a kind, made by zarr-python.
fn made(bench: &Bench, kind: &str) -> Option<String> {
    let input = format!("{kind}.zarr");
    bench.python("collections_kept.py", &["make", kind, &input]).map(|_| input)
}

#[test]
fn plates_labels_and_series_are_kept_in_both_versions() {
    let Some(bench) = Bench::new() else { return };
    let expected = [
        json!({"images": 4, "labels": 1, "wells": 2}),
        json!({"images": 1, "labels": 2, "wells": 0}),
        json!({"images": 2, "labels": 0, "wells": 0}),
    ];
    for (kind, expected) in KINDS.into_iter().zip(expected) {
        let Some(input) = made(&bench, kind) else { return };
        let mut from = input.clone();
        // From 0.4 to 0.5 and back, and each in itself.
        for (n, version) in ["0.5", "0.5", "0.4", "0.4"].into_iter().enumerate() {
            let out = format!("{kind}-{n}.ome.zarr");
            let report = bench.json(&format!("convert {from} {out} --ngff-version {version} --levels 2"));
            assert_eq!(report["units"]["planned"], report["units"]["written"]);
            assert_eq!(report["forecast"]["tasks"], report["tasks"]["run"], "{out}");
            let found = bench.python("collections_kept.py", &["check", &input, &out, version]).unwrap();
            assert_eq!(found, expected, "{out}");
            from = out;
        }
    }
}

#[test]
fn a_scene_that_is_named_takes_its_labels_along() {
    let Some(bench) = Bench::new() else { return };
    let Some(input) = made(&bench, "plate") else { return };
    bench.text(&format!("convert {input} field.ome.zarr --scene A/1/0"));
    let found = bench.json("checksum field.ome.zarr");
    assert_eq!((found["scenes"].as_array().unwrap().len(), found["labels"].as_array().unwrap().len()), (1, 1));
    assert!(!bench.path("field.ome.zarr/A").exists() && bench.path("field.ome.zarr/labels/nuclei").exists());
    let ran = bench.run(&["convert", &input, "part.ome.zarr", "--region", "y=0:10"]);
    assert_eq!(ran.code, 2, "several scenes and none named: {}", ran.stderr);
    assert!(ran.stderr.contains("5 scenes; say which with --scene: 0 (A/1/0)"), "{}", ran.stderr);
    let ran = bench.run(&["convert", &input, "part.ome.zarr", "--scene", "A/1/0", "--region", "y=0:10"]);
    assert!(ran.code == 0 && ran.stderr.contains("not kept: 1 label: nuclei; labels do not follow"), "{}", ran.stderr);
}

#[test]
fn labels_are_never_averaged() {
    let Some(bench) = Bench::new() else { return };
    let Some(input) = made(&bench, "labels") else { return };
    let ran = bench.run(&["convert", &input, "l.ome.zarr", "--scene", "labels/nuclei", "--downsample", "mean"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("give --downsample mode or nearest"), "{}", ran.stderr);
    bench.text(&format!("convert {input} both.ome.zarr --downsample gaussian --levels 2"));
    let found = bench.python("collections_kept.py", &["check", &input, "both.ome.zarr", "0.5"]);
    assert!(found.is_some(), "the method is meant for the image; its labels keep their own");
}

#[test]
fn killed_at_any_moment_a_plate_goes_on_to_the_same_bytes() {
    let Some(bench) = Bench::new() else { return };
    let Some(input) = made(&bench, "plate") else { return };
    let args =
        |out: &str| format!("convert {input} {out} --levels 2 --chunk-shape 1,1,1,64,64 --shard-shape none --quiet");
    let start = Instant::now();
    bench.text(&args("gold.ome.zarr"));
    let whole = start.elapsed();
    let gold = tree(&bench.path("gold.ome.zarr"));
    std::fs::create_dir(bench.path("work")).unwrap();
    let line = args("work/out.ome.zarr");
    let words: Vec<&str> = line.split_whitespace().collect();
    let (mut resumed, moments) = (0, if is_deep() { 50 } else { 8 });
    for n in 0..moments {
        let mut child = bench.command(&words).spawn().unwrap();
        std::thread::sleep(whole.mul_f64((f64::from(n) + 0.5) / f64::from(moments)));
        child.kill().unwrap();
        child.wait().unwrap();
        let finished = bench.path("work/out.ome.zarr").exists();
        let report = bench.json(&format!("{line} --resume"));
        let units = |key: &str| report["units"][key].as_u64().unwrap();
        assert_eq!(units("written") + units("resumed"), units("planned"), "{report}");
        resumed += u64::from(!finished && units("resumed") > 0);
        assert!(tree(&bench.path("work/out.ome.zarr")) == gold, "killed at moment {n} of {moments}");
        let beside = std::fs::read_dir(bench.path("work")).unwrap().count();
        assert_eq!(beside, 1, "killed at moment {n}: nothing but the output is left");
        std::fs::remove_dir_all(bench.path("work/out.ome.zarr")).unwrap();
    }
    assert!(resumed > 0, "some moments of {whole:?} lay between the first unit and the last");
}

#[test]
fn a_finished_plate_is_left_as_it_is_and_another_plan_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let Some(input) = made(&bench, "plate") else { return };
    bench.text(&format!("convert {input} out.ome.zarr"));
    let before = bench.tree();
    let again = bench.json(&format!("convert {input} out.ome.zarr --resume"));
    assert_eq!((&again["units"]["written"], &again["units"]["resumed"]), (&json!(0), &again["units"]["planned"]));
    let other = bench.run(&["convert", &input, "out.ome.zarr", "--resume", "--levels", "1"]);
    assert_eq!(other.code, 5, "{}", other.stderr);
    let plain = bench.run(&["convert", &input, "out.ome.zarr"]);
    assert_eq!(plain.code, 5, "{}", plain.stderr);
    assert!(bench.tree() == before, "nothing was touched");
    bench.text(&format!("convert {input} out.ome.zarr --overwrite --levels 1"));
    assert!(!bench.path("out.ome.zarr/A/1/0/1").exists(), "the new one stands there");
}

#[test]
fn the_images_of_an_ome_tiff_become_series_of_one_zarr() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("many_images.py", &["make", "many.ome.tif"]).is_none() {
        return;
    }
    for version in ["0.5", "0.4"] {
        let out = format!("many-{version}.ome.zarr");
        let report = bench.json(&format!("convert many.ome.tif {out} --ngff-version {version}"));
        assert_eq!(report["not_kept"], json!([]));
        assert_eq!(bench.python("many_images.py", &["check", "many.ome.tif", &out, version]), Some(json!(3)));
        let names: Vec<_> = bench.json(&format!("inspect {out}"))["scenes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["name"].clone())
            .collect();
        assert_eq!(names, ["image 0", "image 1", "image 2"]);
        bench.text(&format!("verify many.ome.tif {out}"));
    }
}

#[test]
fn every_image_of_a_folder_is_verified() {
    let Some(bench) = Bench::new() else { return };
    for (kind, lost) in [("plate", "A/2/1"), ("labels", "labels/nuclei"), ("series", "1")] {
        let Some(input) = made(&bench, kind) else { return };
        let report = bench.json(&format!("convert {input} {kind}.ome.zarr --levels 1 --shard-shape none"));
        let right = bench.json(&format!("verify {kind}.ome.zarr"));
        assert_eq!((&right["equal"], &right["units"]), (&json!(true), &report["units"]["written"]), "{kind}");
        let folder = bench.path(&format!("{kind}.ome.zarr/{lost}"));
        assert!(folder.exists(), "{kind}");
        let (chunk, _) = tree(&folder.join("0/c")).into_iter().find(|(_, content)| content.is_some()).unwrap();
        let chunk = folder.join("0/c").join(chunk);
        let mut bytes = std::fs::read(&chunk).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&chunk, bytes).unwrap();
        let ran = bench.run(&["verify", &format!("{kind}.ome.zarr")]);
        assert_eq!((ran.code, ran.stdout.lines().count()), (9, 2), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("{kind}.ome.zarr/{lost}/0/c/")), "{}", ran.stdout);
        std::fs::remove_dir_all(&folder).unwrap();
        let ran = bench.run(&["verify", &format!("{kind}.ome.zarr")]);
        assert_eq!(ran.code, 9, "{}", ran.stderr);
        let words = format!("the image \"{lost}\" with its completion record ({kind}.ome.zarr/{lost}): it is missing");
        assert!(ran.stdout.contains(&words), "{}", ran.stdout);
    }
}

#[test]
fn bad_planes_are_counted_over_all_images() {
    let Some(bench) = Bench::new() else { return };
    let Some(input) = made(&bench, "plate") else { return };
    let images = bench.json(&format!("inspect {input}"))["scenes"].clone();
    let planes: u64 = images
        .as_array()
        .unwrap()
        .iter()
        .map(|scene| scene["shape"].as_array().unwrap()[..3].iter().map(|n| n.as_u64().unwrap()).product::<u64>())
        .sum();
    // A chunk of one plane in each of two images.
    for image in ["A/1/0", "A/2/1"] {
        let chunk = bench.path(&input).join(image).join("0/0.1.1.0.0");
        assert!(chunk.exists());
        std::fs::write(chunk, b"no chunk").unwrap();
    }
    let line = format!("convert {input} out.ome.zarr --levels 1 --on-error quarantine --json --max-bad");
    let run = |rest: &[&str]| bench.run(&[&line.split(' ').collect::<Vec<_>>()[..], rest].concat());
    let stopped = run(&["1"]);
    assert_eq!(stopped.code, 4, "{}", stopped.stderr);
    assert!(stopped.stderr.contains(&format!("more than 1 of {planes} planes are bad")), "{}", stopped.stderr);
    let percent = run(&["6%", "--overwrite"]);
    assert!(percent.code == 4 && percent.stderr.contains("more than 1 of"), "{planes} planes: {}", percent.stderr);
    let listed = run(&["2", "--resume"]);
    assert_eq!(listed.code, 3, "{}", listed.stderr);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["quarantine"].as_array().unwrap().len(), 2, "{listed}");
}

#[test]
fn a_plan_tells_of_every_image_and_the_sum() {
    let Some(bench) = Bench::new() else { return };
    let Some(input) = made(&bench, "plate") else { return };
    let line = format!("{input} out.ome.zarr --levels 2");
    let plan = bench.json(&format!("plan convert {line} --explain"));
    let images = plan["images"].as_array().unwrap();
    let paths: Vec<&str> = images.iter().map(|image| image["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["A/1/0", "A/1/1", "A/2/0", "A/2/1", "A/1/0/labels/nuclei"]);
    let sum = |key: &str| images.iter().map(|image| image[key].as_u64().unwrap()).sum::<u64>();
    for key in ["units", "bytes_read", "bytes_written"] {
        assert_eq!(json!(sum(key)), plan[key], "{key}");
    }
    assert!(images.iter().all(|image| !image["explain"]["passes"].as_array().unwrap().is_empty()));
    let text = bench.text(&format!("plan convert {line} --explain --svg plan.svg"));
    for part in ["A/1/0 and 3 alike", "A/1/0/labels/nuclei", "total of 5"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    assert_eq!(text.matches("memory    a group takes").count(), 2, "alike images are explained once: {text}");
    assert!(std::fs::read_to_string(bench.path("plan.svg")).unwrap().contains("A/1/0, the first of 5 images"));
    let run = bench.json(&format!("convert {line}"));
    assert_eq!(run["units"]["written"], plan["units"]);
}

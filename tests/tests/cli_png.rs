//! PNG from the command line: libpng reads exactly the pixels of the plane, what is no plane of PNG is refused with what to do,
//! and nothing unfinished ever has the output's name.

mod cli;
mod manifest;

use std::time::Duration;

use cli::Bench;
use serde_json::{Value, json};

/// Writes PNGs with lines of words and compares each with what an independent reader makes of the source.
fn check(bench: &Bench, asked: &[(&str, Value)]) {
    for (line, asked) in asked {
        bench.text(line);
        let text = bench.text(&format!("verify {}", asked["png"].as_str().unwrap()));
        assert!(text.contains(" is as it was written: 1 write unit of "), "{text}");
    }
    let list: Vec<&Value> = asked.iter().map(|(_, asked)| asked).collect();
    let Some(found) = bench.python("planes_of_png.py", &[&json!(list).to_string()]) else { return };
    for ((line, asked), found) in asked.iter().zip(found.as_array().unwrap()) {
        assert_eq!(found["equal"], json!(true), "{line}: {found}");
        assert!(found["distinct"].as_u64() > Some(1), "{line}: a plane of one value proves nothing");
        assert!(asked["shape"].is_null() || found["shape"] == asked["shape"], "{line}: {found}");
        assert!(asked["as"].is_null() || found["dtype"] == asked["as"], "{line}: {found}");
    }
}

#[test]
fn libpng_reads_the_pixels_of_the_plane() {
    let Some(bench) = Bench::new() else { return };
    let cells = "fixtures/cells.ome.tif";
    check(
        &bench,
        &[
            (
                "convert fixtures/cells.ome.tif cells.png --region t=1,c=2,z=5",
                json!({"png": "cells.png", "source": cells, "t": 1, "c": 2, "z": 5, "as": "uint16", "shape": [160, 192]}),
            ),
            (
                "project fixtures/cells.ome.tif mip.png --axis z --region t=0,c=1 --memory 3MiB --threads 1",
                json!({"png": "mip.png", "source": cells, "t": 0, "c": 1, "max": "z", "as": "uint16"}),
            ),
            (
                "convert fixtures/plain.tif plain.png",
                json!({"png": "plain.png", "source": "fixtures/plain.tif", "as": "uint8", "shape": [97, 131]}),
            ),
            (
                "convert fixtures/rgb.tif rgb.png",
                json!({"png": "rgb.png", "source": "fixtures/rgb.tif", "as": "uint8", "shape": [80, 112, 3]}),
            ),
            (
                "convert fixtures/rgb.tif rgb16.png --dtype uint16",
                json!({"png": "rgb16.png", "source": "fixtures/rgb.tif", "dtype": "uint16", "as": "uint16"}),
            ),
            (
                "convert fixtures/ome-zarr-0.4.zarr level.PNG --level 1 --region t=1,c=0,z=0",
                json!({"png": "level.PNG", "source": "fixtures/ome-zarr-0.4.zarr", "level": 1, "t": 1, "c": 0, "z": 0}),
            ),
        ],
    );
}

#[test]
fn libpng_reads_planes_of_files_that_nobody_here_wrote() {
    let (Some(corpus), Some(bench)) = (manifest::corpus(), Bench::new()) else { return };
    let files = [
        ("baseline/minisblack-1c-16b.tiff", "", json!({"as": "uint16"})),
        ("baseline/miniswhite-1c-1b.tiff", "", json!({})),
        ("compression/rgb.predict.u1.tif", "t=1", json!({"t": 1, "as": "uint8"})),
        ("baseline/planar-rgb-u8.tif", "", json!({"as": "uint8"})),
        ("multipage/D75_08b_3page.tiff", "t=2", json!({"t": 2, "as": "uint8"})),
        ("zarr/CMU-1-Small-Region.ome.zarr", "c=1 --scene 0 --level 1", json!({"c": 1, "level": 1, "as": "uint8"})),
    ];
    let mut asked = Vec::new();
    for (n, (file, region, rest)) in files.iter().enumerate() {
        let (source, png) = (corpus.join(file).display().to_string(), format!("{n}.png"));
        let region = if region.is_empty() { String::new() } else { format!("--region {region}") };
        let mut all = rest.clone();
        (all["png"], all["source"]) = (json!(png), json!(source));
        asked.push((format!("convert {source} {png} {region}"), all));
    }
    let asked: Vec<(&str, Value)> = asked.iter().map(|(line, all)| (line.as_str(), all.clone())).collect();
    check(&bench, &asked);
}

#[test]
fn what_png_cannot_hold_is_refused_before_anything_is_written() {
    let Some(bench) = Bench::new() else { return };
    let before = bench.tree();
    let convert = |rest: &str| format!("convert fixtures/cells.ome.tif out.png {rest}");
    for (line, code, parts) in [
        (convert(""), 2, vec!["T 2, C 3, Z 8", "--region t=1,c=1,z=4", "microtome thumbnail"]),
        (convert("--region t=0,z=0"), 2, vec!["T 1, C 3, Z 1; choose one with --region c=1,"]),
        (
            convert("--region t=0,c=0,z=0 --dtype float32"),
            2,
            vec!["uint8 and uint16, not of float32", "microtome thumbnail"],
        ),
        (convert("--region t=0,c=0,z=0 --dtype uint32"), 2, vec!["not of uint32; convert with --dtype"]),
        (convert("--region t=0,c=0,z=0 --compression zstd"), 2, vec!["--compression is of OME-Zarr and OME-TIFF"]),
        (convert("--region t=0,c=0,z=0 --channel-names A"), 2, vec!["--channel-names is of"]),
        (convert("--region t=0,c=0,z=0 --memory 64KiB"), 6, vec!["--memory"]),
        ("project fixtures/cells.ome.tif out.png --axis z".to_owned(), 2, vec!["T 2, C 3, Z 1", "--region t=1,c=1,"]),
        (format!("plan {}", convert("")), 2, vec!["a PNG is one plane"]),
    ] {
        let ran = bench.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!((ran.code, ran.stdout.contains("is written")), (code, false), "{line}: {}", ran.stderr);
        for part in parts {
            assert!(ran.stderr.contains(part), "{line}: `{part}` is not in {}", ran.stderr);
        }
    }
    assert!(bench.tree() == before, "something was left behind");
    let plan = bench.json(&format!("plan {}", convert("--region t=0,c=0,z=0")));
    assert_eq!((&plan["units"], &plan["shape"]), (&json!(1), &json!([1, 1, 1, 160, 192])));
    assert!(bench.tree() == before, "a plan writes nothing");
}

#[test]
fn what_is_there_is_replaced_only_when_asked() {
    let Some(bench) = Bench::new() else { return };
    let line = "convert fixtures/plain.tif out.png";
    std::fs::write(bench.path("out.png"), b"mine").unwrap();
    let args: Vec<&str> = line.split(' ').collect();
    let refused = |more: &[&str]| {
        let ran = bench.run(&[&args[..], more].concat());
        (ran.code, ran.stderr)
    };
    assert_eq!(refused(&[]).0, 5);
    assert_eq!(refused(&["--resume"]).0, 5, "what keeps no record is not ours");
    assert_eq!(std::fs::read(bench.path("out.png")).unwrap(), b"mine");
    bench.text(&format!("{line} --overwrite"));
    let whole = std::fs::read(bench.path("out.png")).unwrap();
    let again = bench.text(&format!("{line} --resume"));
    assert!(again.contains("there was nothing to do"), "{again}");
    let (code, other) = refused(&["--resume", "--dtype", "uint16"]);
    assert!(code == 5 && other.contains("another plan"), "{other}");
    assert_eq!(std::fs::read(bench.path("out.png")).unwrap(), whole);
    std::fs::remove_file(bench.path("out.png")).unwrap();
    std::fs::create_dir(bench.path("out.png")).unwrap();
    let (code, folder) = refused(&["--overwrite"]);
    assert!(code == 5 && folder.contains("it is a folder"), "{folder}");
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_under_the_name_or_all_of_it() {
    let Some(bench) = Bench::new() else { return };
    let args = ["project", "fixtures/cells.ome.tif", "out.png", "--axis", "z", "--region", "t=0,c=0"];
    bench.run(&args);
    let whole = std::fs::read(bench.path("out.png")).unwrap();
    std::fs::remove_file(bench.path("out.png")).unwrap();
    let mut kinds = [0; 2];
    for n in 0..40_u64 {
        let mut child = bench.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(n * 2_500));
        child.kill().unwrap();
        child.wait().unwrap();
        let finished = bench.path("out.png").exists();
        kinds[usize::from(finished)] += 1;
        if finished {
            assert!(std::fs::read(bench.path("out.png")).unwrap() == whole, "what has the name is whole");
        }
        let ran = bench.run(&[&args[..], &["--resume"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(std::fs::read(bench.path("out.png")).unwrap() == whole, "gone on with = undisturbed");
        let names: Vec<String> = bench.tree().iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(names, ["out.png"], "nothing else is left");
        std::fs::remove_file(bench.path("out.png")).unwrap();
    }
    println!("killed before the end {}, after it {}", kinds[0], kinds[1]);
    assert!(kinds[0] > 0, "no run was disturbed");
}

#[test]
fn a_bad_plane_is_listed_in_the_answer_and_again() {
    let Some(bench) = Bench::new() else { return };
    // The last strips of this sample are cut off.
    let bytes = std::fs::read(bench.path("fixtures/plain.tif")).unwrap();
    std::fs::write(bench.path("cut.tif"), &bytes[..bytes.len() - 100]).unwrap();
    let args = ["convert", "cut.tif", "out.png", "--on-error", "quarantine", "--json"];
    let first = bench.run(&args);
    assert_eq!(first.code, 3, "{}", first.stderr);
    let listed = |text: &str| serde_json::from_str::<Value>(text).unwrap()["quarantine"].clone();
    let again = bench.run(&[&args[..], &["--resume"]].concat());
    assert_eq!((again.code, listed(&again.stdout)), (3, listed(&first.stdout)));
    assert_eq!(listed(&first.stdout).as_array().unwrap().len(), 1);
    let text = bench.text("verify out.png");
    assert!(text.contains("planes were left out when it was made; they are listed in its completion record"), "{text}");
}

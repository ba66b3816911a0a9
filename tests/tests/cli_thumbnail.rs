//! Thumbnails from the command line show what NumPy computes of the pixels that other readers see: block means, stretched between
//! percentiles, channels in their colours, and planes of a sheet that share a stretch.

mod cli;
mod manifest;

use cli::Bench;
use serde_json::{Value, json};

/// Makes pictures with lines of words; gives what an independent program finds in each.
fn found(bench: &Bench, asked: &[(String, Value)]) -> Option<Vec<Value>> {
    for (line, _) in asked {
        bench.text(line);
    }
    let list: Vec<&Value> = asked.iter().map(|(_, asked)| asked).collect();
    Some(bench.python("thumbnails.py", &[&json!(list).to_string()])?.as_array().unwrap().clone())
}

/// The same, each as NumPy computes it but for bytes that were rounded the other way.
fn check(bench: &Bench, asked: &[(String, Value)]) {
    let Some(all) = found(bench, asked) else { return };
    for ((line, asked), found) in asked.iter().zip(all) {
        assert!(found["wanted"].is_null(), "{line}: {found}");
        assert!(found["most"].as_f64() <= Some(1.0), "{line}: {found}");
        assert!((2.0..253.0).contains(&found["mean"].as_f64().unwrap()), "{line}: there is something to see: {found}");
        assert!(asked["shape"].is_null() || found["shape"] == asked["shape"], "{line}: {found}");
    }
}

/// A line that makes `N.png` of a source with flags, and what is asked of it.
fn case(n: usize, source: &str, flags: &str, mut asked: Value) -> (String, Value) {
    let png = format!("{n}.png");
    (asked["png"], asked["source"]) = (json!(png), json!(source));
    (format!("thumbnail {source} {png} {flags}"), asked)
}

#[test]
fn a_picture_is_what_numpy_computes() {
    let Some(bench) = Bench::new() else { return };
    let cells = "fixtures/cells.ome.tif";
    let channels = bench.json(&format!("inspect {cells}"))["scenes"][0]["channels"].clone();
    let rgb =
        |text: &str| -> Vec<u8> { (0..3).map(|n| u8::from_str_radix(&text[2 * n..][..2], 16).unwrap()).collect() };
    let colors: Value = (0..3)
        .map(|n| (n.to_string(), json!(rgb(channels[n]["color"].as_str().unwrap()))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let two = json!({"0": colors["0"], "2": colors["2"]});
    check(
        &bench,
        &[
            case(0, cells, "", json!({"colors": colors, "shape": [160, 192, 3]})),
            case(1, cells, "--size 96", json!({"colors": colors, "size": 96, "shape": [80, 96, 3]})),
            case(
                2,
                cells,
                "--size 50 --time 1 --depth 6 --channels 0,2 --contrast 5,95",
                json!({"colors": two, "size": 50, "t": 1, "z": 6, "channels": [0, 2], "contrast": [5, 95]}),
            ),
            case(3, cells, "--max-z --channels 1", json!({"max_z": true, "channels": [1]})),
            case(4, "fixtures/rgb.tif", "--size 64", json!({"size": 64, "shape": [40, 56, 3]})),
            case(5, "fixtures/tiled-big.tif", "--size 77", json!({"size": 77})),
            case(6, "fixtures/plain.tif", "", json!({})),
        ],
    );
}

#[test]
fn planes_of_a_sheet_share_a_stretch_a_channel() {
    let Some(bench) = Bench::new() else { return };
    let cells = "fixtures/cells.ome.tif";
    check(
        &bench,
        &[
            case(
                0,
                cells,
                "--sheet z --channels 1 --size 64",
                json!({"sheet": "z", "channels": [1], "size": 64, "shape": [3 * 54 + 8, 3 * 64 + 8, 3]}),
            ),
            case(1, cells, "--sheet t --depth 2 --channels 0", json!({"sheet": "t", "z": 2, "channels": [0]})),
            case(2, cells, "--sheet c --size 96", json!({"sheet": "c", "size": 96})),
            case(3, cells, "--sheet c --channels 2,0", json!({"sheet": "c", "channels": [2, 0]})),
        ],
    );
    let told = bench.json(&format!("thumbnail {cells} told.png --sheet z --channels 1 --size 64"));
    assert_eq!(told["planes"], json!([0, 1, 2, 3, 4, 5, 6, 7]));
    assert_eq!((&told["channels"][0]["channel"], told["channels"].as_array().unwrap().len()), (&json!(1), 1));
    assert!(told["channels"][0]["low"].as_f64() < told["channels"][0]["high"].as_f64());
}

#[test]
fn files_that_nobody_here_wrote_are_shown_as_numpy_computes_them() {
    let (Some(corpus), Some(bench)) = (manifest::corpus(), Bench::new()) else { return };
    let of = |file: &str| corpus.join(file).display().to_string();
    check(
        &bench,
        &[
            case(0, &of("baseline/minisblack-1c-16b.tiff"), "--size 64", json!({"size": 64})),
            case(1, &of("imagej/head_float32.tif"), "--size 100", json!({"size": 100})),
            case(2, &of("ometiff/z-series.ome.tif"), "--sheet z --size 200", json!({"size": 200, "sheet": "z"})),
            case(3, &of("ometiff/time-series.ome.tif"), "--sheet t", json!({"sheet": "t"})),
            case(4, &of("micromanager/ndtiff_12bit.tif"), "--size 128", json!({"size": 128})),
            case(5, &of("compression/rgb.predict.u1.tif"), "--size 30", json!({"size": 30})),
            case(6, &of("zarr/example-image-02.zarr"), "--size 20 --channels 0", json!({"size": 20, "channels": [0]})),
        ],
    );
}

#[test]
fn a_smaller_level_is_shown_where_it_is_large_enough() {
    let Some(bench) = Bench::new() else { return };
    bench.text("convert fixtures/cells.ome.tif levels.ome.zarr --levels 3");
    let of = |n: usize, size: u64, level: u64| {
        let flags = format!("--size {size} --channels 1");
        case(n, "levels.ome.zarr", &flags, json!({"size": size, "level": level, "channels": [1]}))
    };
    check(&bench, &[of(0, 96, 1), of(1, 97, 0), of(2, 48, 2), of(3, 20, 2), of(4, 500, 0)]);
}

#[test]
fn each_label_has_a_colour_of_its_own_and_the_background_none() {
    let (Some(corpus), Some(bench)) = (manifest::corpus(), Bench::new()) else { return };
    let source = corpus.join("zarr/v0.4_labels.zarr").display().to_string();
    let scenes = bench.json(&format!("checksum {source}"));
    let name = scenes["labels"][0]["name"].as_str().unwrap().to_owned();
    let index = scenes["labels"][0]["index"].as_u64().unwrap();
    let path = bench.json(&format!("inspect {source}"))["scenes"][index as usize]["id"].as_str().unwrap().to_owned();
    let asked = [
        case(0, &source, &format!("--scene {index}"), json!({"labels": path})),
        case(1, &source, &format!("--scene {index} --size 40"), json!({"labels": path, "size": 40})),
    ];
    let Some(all) = found(&bench, &asked) else { return };
    for found in all {
        assert!(found["labels"].as_u64() > Some(1), "{name}: {found}");
        assert_eq!((&found["labels"], &found["labels"]), (&found["colors"], &found["pairs"]), "{name}: {found}");
        assert_eq!(found["background"], json!([0]), "{name}: {found}");
    }
}

#[test]
fn what_cannot_be_shown_says_why() {
    let Some(bench) = Bench::new() else { return };
    let before = bench.tree();
    let cells = |rest: &str| format!("thumbnail fixtures/cells.ome.tif {rest}");
    for (line, code, part) in [
        (cells("a.jpg"), 2, "end the name in .png"),
        (cells("a.png --time 2"), 2, "axis T"),
        (cells("a.png --depth 8"), 2, "axis Z"),
        (cells("a.png --channels 3"), 2, "axis C"),
        (cells("a.png --sheet z --max-z"), 2, "--sheet z"),
        (cells("a.png --sheet z --depth 3"), 2, "--sheet z"),
        (cells("a.png --sheet t --time 1"), 2, "--sheet t"),
        (cells("a.png --contrast 99,1"), 2, "two percentiles"),
        (cells("a.png --memory 64KiB"), 6, "--memory"),
        ("thumbnail nothing.tif a.png".to_owned(), 4, "does not exist"),
    ] {
        let ran = bench.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, code, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(part), "{line}: {}", ran.stderr);
    }
    assert!(bench.tree() == before, "something was left behind");
    bench.text(&cells("a.png"));
    let ran = bench.run(&["thumbnail", "fixtures/cells.ome.tif", "a.png"]);
    assert!(ran.code == 5 && ran.stderr.contains("exists already"), "{}", ran.stderr);
    bench.text(&cells("a.png --overwrite"));
}

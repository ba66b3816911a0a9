//! `checksum`: the sums that other programs make of the same pixels.

mod cli;

use cli::{Bench, FIXTURES, expected};
use serde_json::json;

#[test]
fn sums_are_those_of_the_arrays_the_images_were_made_from() {
    let Some(bench) = Bench::new() else { return };
    let expected = expected();
    for name in FIXTURES {
        let found = bench.json(&format!("checksum fixtures/{name}"));
        let scene = &found["scenes"][0];
        assert_eq!(scene["sha256"], expected[name]["sha256"], "{name}");
        for field in ["axes", "shape", "dtype"] {
            assert_eq!(scene[field], expected[name][field], "{field} of {name}");
        }
        assert_eq!((&scene["index"], &found["labels"]), (&json!(0), &json!([])), "{name}");
    }
}

#[test]
fn people_get_a_line_a_scene() {
    let Some(bench) = Bench::new() else { return };
    let text = bench.text("checksum fixtures/cells.ome.tif fixtures/plain.tif");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected = expected();
    assert_eq!(lines[0][..2], [expected["cells.ome.tif"]["sha256"].as_str().unwrap(), "fixtures/cells.ome.tif"]);
    assert_eq!(lines[1][..2], [expected["plain.tif"]["sha256"].as_str().unwrap(), "fixtures/plain.tif"]);
    assert_eq!(lines.len(), 2);
}

#[test]
fn another_order_of_axes_is_another_sum() {
    let Some(bench) = Bench::new() else { return };
    let sum = |axes: &str| bench.sum(&format!("fixtures/cells.ome.tif --axes {axes}"));
    let file_order = sum("TCZYX");
    assert_eq!(file_order, sum("IYX"), "pages of this file are in the order T C Z");
    assert_ne!(file_order, sum("TZCYX"));
    let rgb = |axes: &str| bench.sum(&format!("fixtures/rgb.tif --axes {axes}"));
    assert_eq!(rgb("YXS"), rgb("TCZYXS"), "axes of length 1 change nothing");
    assert_ne!(rgb("YXS"), rgb("SYX"));
}

#[test]
fn nonsense_axes_are_refused() {
    let Some(bench) = Bench::new() else { return };
    for axes in ["YYX", "1"] {
        let ran = bench.run(&["checksum", "fixtures/plain.tif", "--axes", axes]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{axes}: {}", ran.stderr);
    }
}

#[test]
fn one_scene_is_summed_alone() {
    let Some(bench) = Bench::new() else { return };
    let sums = bench.json("checksum fixtures/cells.ome.tif --scene cells");
    assert_eq!(sums["scenes"][0]["sha256"], bench.sum("fixtures/cells.ome.tif"));
    assert_eq!(bench.run(&["checksum", "fixtures/cells.ome.tif", "--scene", "1"]).code, 2);
}

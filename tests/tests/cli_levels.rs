//! `convert --downsample`: levels lie where their scale and translation say, labels stay names, and all of it comes back.

mod cli;

use cli::Bench;
use serde_json::json;

#[test]
fn a_level_lies_where_its_transformations_say() {
    let Some(bench) = Bench::new() else { return };
    if bench.python("levels_lie.py", &["make", "places.zarr"]).is_none() {
        return;
    }
    for version in ["0.5", "0.4"] {
        for method in ["mean", "median", "mode", "nearest", "gaussian"] {
            let out = format!("{method}-{version}.ome.zarr");
            let how = format!("--levels 3 --downsample {method} --ngff-version {version}");
            bench.text(&format!("convert places.zarr {out} {how}"));
            let found = bench.python("levels_lie.py", &["check", &out, method]).unwrap();
            assert_eq!(found, json!({"levels": 3}), "{how}");
        }
    }
}

#[test]
fn a_method_that_is_not_known_is_refused_with_those_that_are() {
    let Some(bench) = Bench::new() else { return };
    let ran = bench.run(&["convert", "fixtures/cells.ome.tif", "a.zarr", "--downsample", "lanczos"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("mean, median, mode, nearest, gaussian"), "{}", ran.stderr);
}

/// The image of `positions.py` begins at y = 3 · 2 + 100 = 106 µm and x = 7 · 2 − 50 = −36 µm, its pixels are 0.5 × 1 µm.
#[test]
fn an_image_stays_where_it_lies_and_a_part_of_it_lies_where_it_was_cut_out() {
    let Some(bench) = Bench::new() else { return };
    for version in ["0.4", "0.5"] {
        let input = format!("far-{version}.zarr");
        if bench.python("positions.py", &["make", &input, version]).is_none() {
            return;
        }
        let scene = &bench.json(&format!("inspect {input}"))["scenes"][0];
        assert_eq!(scene["position"], json!({"t": 0.0, "z": 0.0, "y": 106.0, "x": -36.0}));
        assert_eq!(scene["pixel_size"], json!({"z": null, "y": 0.5, "x": 1.0, "unit": "micrometer"}));
        assert!(bench.text(&format!("inspect {input}")).contains("position  Z 0 · Y 106 · X -36 µm"));
        let two = "--levels 2 --downsample mean";
        let cases: [(&str, &str, [[f64; 3]; 2]); 5] = [
            ("convert", "--downsample nearest --levels 2", [[0.0, 106.0, -36.0], [0.0, 106.0, -36.0]]),
            ("convert", two, [[0.0, 106.0, -36.0], [0.0, 106.25, -35.5]]),
            ("convert", "--region y=8:40,x=10:50 --levels 2", [[0.0, 110.0, -26.0], [0.0, 110.25, -25.5]]),
            ("convert", "--level 1 --region y=4:20 --levels 2", [[0.0, 110.25, -35.5], [0.0, 110.75, -34.5]]),
            ("project", "--axis c --region x=20:60 --levels 2", [[0.0, 106.0, -16.0], [0.0, 106.25, -15.5]]),
        ];
        for (n, (verb, how, places)) in cases.into_iter().enumerate() {
            let out = format!("near-{version}-{n}.ome.zarr");
            bench.text(&format!("{verb} {input} {out} {how} --ngff-version {version}"));
            let found = bench.python("positions.py", &["read", &out]).unwrap();
            assert_eq!(found["translation"], json!(places), "{verb} {how}");
        }
        // A TIFF has no such place; ours says it in an annotation, and takes it up again.
        bench.text(&format!("convert {input} kept-{version}.ome.tif --region y=8:40"));
        let kept = &bench.json(&format!("inspect kept-{version}.ome.tif"))["scenes"][0];
        assert_eq!(kept["position"], json!({"t": 0.0, "z": 0.0, "y": 110.0, "x": -36.0}));
        bench.text(&format!("convert kept-{version}.ome.tif back-{version}.ome.zarr --levels 2"));
        let found = bench.python("positions.py", &["read", &format!("back-{version}.ome.zarr")]).unwrap();
        assert_eq!(found["translation"], json!([[0.0, 110.0, -36.0], [0.0, 110.25, -35.5]]));
    }
}

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

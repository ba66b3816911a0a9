//! What an image may name: files in its own folder and below it, and in folders that are allowed by `--allow-root`.

mod cli;

use cli::Bench;
use serde_json::json;

#[test]
fn a_file_in_another_folder_is_opened_only_where_that_is_allowed() {
    let Some(bench) = Bench::new() else { return };
    let Some(sum) = bench.python("two_folders.py", &["."]) else { return };
    let image = "image/main.ome.tif";
    let refused = bench.run(&["checksum", image]);
    assert_eq!(refused.code, 4, "{}", refused.stdout);
    assert!(refused.stderr.contains("store/other.ome.tif"), "{}", refused.stderr);
    let found = bench.json(&format!("inspect {image}"));
    assert!(!found["warnings"].as_array().unwrap().is_empty(), "it is told, not left out in silence: {found}");

    let store = bench.path("store").canonicalize().unwrap();
    let allowed = ["--allow-root", store.to_str().unwrap()];
    let own = bench.run(&[&["checksum", image, "--json"][..], &allowed].concat());
    assert_eq!(own.code, 0, "{}", own.stderr);
    let own: serde_json::Value = serde_json::from_str(&own.stdout).unwrap();
    assert_eq!(own["scenes"][0]["sha256"], sum);
    let by_environment = bench.command(&["inspect", image, "--json"]).env("MICROTOME_ALLOW_ROOT", &store).output();
    let by_environment: serde_json::Value = serde_json::from_slice(&by_environment.unwrap().stdout).unwrap();
    assert_eq!((&by_environment["warnings"], &by_environment["scenes"][0]["shape"][1]), (&json!([]), &json!(2)));
    let converted = bench.run(&[&["convert", image, "out.ome.zarr", "--quiet"][..], &allowed].concat());
    assert_eq!(converted.code, 0, "{}", converted.stderr);
    assert_eq!(json!(bench.sum("out.ome.zarr")), sum);
    // Only what was allowed: a folder beside it is none.
    let beside = bench.run(&["checksum", image, "--allow-root", "fixtures"]);
    assert_eq!(beside.code, 4, "{}", beside.stderr);
}

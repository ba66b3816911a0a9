//! `bench`: every step is measured on the user's image or one that is made, stands beside a limit, and leaves nothing behind.
//!
//! Nothing here compares times: machines differ, and this one is busy.

mod cli;

use cli::{Bench, FIXTURES};
use serde_json::Value;

const STEPS: [&str; 7] = ["memory", "write", "sync", "files", "pixels", "maximum", "convert"];

/// Checks what must hold whatever the machine.
fn check(report: &Value) {
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{report}"));
    for step in steps {
        let (seconds, bytes) = (number(&step["seconds"]), number(&step["bytes"]));
        assert!(seconds > 0.0 && bytes > 0.0, "{step}");
        assert!((number(&step["bytes_per_second"]) * seconds - bytes).abs() < 1e-6 * bytes, "{step}");
        assert!(!step["bound"].as_str().unwrap().is_empty(), "{step}");
        let own = ["memory", "write", "sync", "files"].contains(&step["name"].as_str().unwrap());
        assert_eq!(step["limit"].is_null(), own, "{step}");
        if !own {
            let limit = number(&step["limit"]["seconds"]);
            assert!((number(&step["ratio"]) * limit - seconds).abs() < 1e-6 * seconds, "{step}");
            assert_eq!(step["bytes"], report["bytes"], "{step}");
        }
    }
}

#[test]
fn an_image_of_the_user_is_measured_step_by_step_and_not_touched() {
    let Some(bench) = Bench::new() else { return };
    for image in FIXTURES {
        let before = bench.tree();
        let report = bench.json(&format!("bench fixtures/{image} --scene 0 --bytes 8MiB --repeats 1 --folder ."));
        check(&report);
        assert!(bench.tree() == before, "{image}: something is left in the folder");
    }
}

#[test]
fn only_a_part_of_an_image_is_worked_on() {
    let Some(bench) = Bench::new() else { return };
    let report = bench.json("bench fixtures/cells.ome.tif --bytes 600KiB --repeats 1");
    check(&report);
    assert_eq!(report["shape"], serde_json::json!([1, 1, 8, 160, 192]));
    let plane = bench.json("bench fixtures/cells.ome.tif --bytes 1KiB --repeats 1");
    assert_eq!(plane["shape"], serde_json::json!([1, 1, 1, 160, 192]), "a plane at least");
}

#[test]
fn without_an_image_one_is_made_and_people_are_told_what_bounds_each_step() {
    let Some(bench) = Bench::new() else { return };
    let text = bench.text("bench --bytes 8MiB --repeats 1");
    assert!(text.starts_with("an image made for the purpose: "), "{text}");
    for step in STEPS {
        assert!(text.lines().any(|line| line.starts_with(step) && line.contains(" is bound by ")), "{step}: {text}");
    }
}

#[test]
fn what_cannot_be_measured_is_said() {
    let Some(bench) = Bench::new() else { return };
    for (line, code, words) in [
        ("bench https://example.org/a.zarr", 2, "is a URL"),
        ("bench nowhere.tif", 4, "nowhere.tif does not exist"),
        ("bench fixtures/cells.ome.tif --folder nowhere", 5, "nowhere"),
    ] {
        let ran = bench.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
    }
}

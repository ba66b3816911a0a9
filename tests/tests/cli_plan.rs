//! `plan`: what the run then does, without doing it.

mod cli;

use cli::Bench;
use serde_json::json;

#[test]
fn a_plan_is_what_the_run_does() {
    let Some(bench) = Bench::new() else { return };
    for verb in [
        "project fixtures/cells.ome.tif OUT --axis z",
        "project fixtures/imagej.tif OUT --axis t --method mean --chunk-dims ZYX",
        "convert fixtures/cells.ome.tif OUT --region z=2:6 --shard-shape none --chunk-shape 1,1,1,64,64",
    ] {
        let before = bench.tree();
        let plan = bench.json(&format!("plan {}", verb.replace("OUT", "out.zarr")));
        assert!(bench.tree() == before, "nothing is created");
        let run = bench.json(&format!("{} --overwrite", verb.replace("OUT", "out.zarr")));
        std::fs::remove_dir_all(bench.path("out.zarr")).unwrap();
        for (planned, done) in [
            (&plan["tasks"]["fused"], &run["tasks"]["run"]),
            (&plan["units"], &run["units"]["written"]),
            (&plan["windows"], &run["batches"]),
            (&plan["bytes_read"], &run["bytes_read"]),
            (&plan["bytes_written"], &run["bytes_written"]),
            (&plan["projected_peak"], &run["projected_peak"]),
            (&plan["plan_hash"], &run["plan_hash"]),
        ] {
            assert_eq!(planned, done, "{verb}: {plan}\n{run}");
        }
        assert!(plan["projected_peak"].as_u64() >= run["peak_memory"].as_u64(), "{verb}");
    }
}

#[test]
fn people_read_a_row_a_layer() {
    let Some(bench) = Bench::new() else { return };
    let text = bench.text("plan project fixtures/cells.ome.tif mip.ome.zarr --axis z --memory 512MiB");
    for layer in ["read ", "project ", "write ", "total "] {
        assert!(text.lines().any(|line| line.starts_with(layer)), "{layer} has no row in\n{text}");
    }
    for part in ["60 in the graph, 6 to run", "of 512 MiB", "6 write units", "6 groups"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(bench.tree(), []);
}

#[test]
fn a_refused_plan_is_shown_with_its_refusal() {
    let Some(bench) = Bench::new() else { return };
    let args = ["plan", "project", "fixtures/cells.ome.tif", "mip.zarr", "--axis", "z", "--memory", "64KiB"];
    let ran = bench.run(&args);
    assert_eq!(ran.code, 6);
    assert!(ran.stdout.contains("60 in the graph"), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("error: the plan is refused"), "{}", ran.stderr);
    let ran = bench.run(&[&args[..], &["--json"]].concat());
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &plan["projected_peak"]), (6, &json!(null)));
    assert!(plan["refused"].as_str().unwrap().contains("--memory"), "{plan}");
    assert_eq!(bench.tree(), []);
}

#[test]
fn the_layers_can_be_drawn() {
    let Some(bench) = Bench::new() else { return };
    bench.text("plan project fixtures/cells.ome.tif mip.zarr --axis z --dot layers.dot --dot-tasks tasks.dot");
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    for name in ["layers.dot", "tasks.dot"] {
        assert!(read(name).starts_with("digraph"), "{}", read(name));
    }
    assert!(read("tasks.dot").lines().count() > read("layers.dot").lines().count());
    assert!(!bench.path("mip.zarr").exists());
}

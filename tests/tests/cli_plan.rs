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
            // What was forecast stands beside what was done.
            (&run["forecast"]["tasks"], &run["tasks"]["run"]),
            (&run["forecast"]["units"], &run["units"]["written"]),
            (&run["forecast"]["bytes_read"], &run["bytes_read"]),
            (&run["forecast"]["bytes_written"], &run["bytes_written"]),
            (&run["forecast"]["peak_memory"], &run["projected_peak"]),
            (&plan["plan_hash"], &run["plan_hash"]),
        ] {
            assert_eq!(planned, done, "{verb}: {plan}\n{run}");
        }
        assert!(plan["projected_peak"].as_u64() >= run["peak_memory"].as_u64(), "{verb}");
    }
}

#[test]
fn pixels_stored_on_the_way_are_planned_and_change_nothing() {
    let Some(bench) = Bench::new() else { return };
    let verb = "convert fixtures/cells.ome.tif out.zarr --levels 1 --chunk-shape 1,1,8,32,32 --shard-shape none --compression none --threads 1";
    bench.json(&format!("{verb} --memory 64MiB"));
    let roomy = bench.tree();
    std::fs::remove_dir_all(bench.path("out.zarr")).unwrap();
    let tight = format!("{verb} --memory 200KiB --intermediate always");
    let plan = bench.json(&format!("plan {tight}"));
    let stored = &plan["passes"][0]["intermediate"];
    assert_eq!((stored["layer"].as_str(), stored["bytes"].as_u64()), (Some("read"), Some(2_949_120)), "{plan}");
    assert_eq!(
        (stored["unit"].clone(), stored["part"].clone()),
        (json!([1, 1, 1, 160, 192, 1]), json!([1, 1, 1, 32, 32, 1]))
    );
    assert!(plan["passes"][1]["intermediate"].is_null());
    let text = bench.text(&format!("plan {tight}"));
    assert!(text.contains("\nbetween  2.81 MiB stored for a while and read back\n"), "{text}");
    let run = bench.json(&tight);
    for (name, fact) in
        [("intermediate_bytes", 2_949_120u64), ("bytes_read", 2 * 2_949_120), ("bytes_written", 2_949_120)]
    {
        assert_eq!(
            (&plan[name], &run[name], &run["forecast"][name]),
            (&json!(fact), &json!(fact), &json!(fact)),
            "{name}"
        );
    }
    assert!(bench.tree() == roomy, "the output is the same, and nothing else is left");
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
fn the_layers_and_the_first_tasks_can_be_drawn() {
    let Some(bench) = Bench::new() else { return };
    let plan = "plan project fixtures/cells.ome.tif mip.zarr --axis z";
    bench.text(&format!("{plan} --svg plan.svg --dot plan.dot --dot-tasks tasks.dot --task-graph 2"));
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    for name in ["plan.dot", "tasks.dot"] {
        assert!(read(name).starts_with("digraph"), "{}", read(name));
    }
    assert!(read("tasks.dot").lines().count() > read("plan.dot").lines().count());
    let svg = read("plan.svg");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    for part in [
        "fixtures/cells.ome.tif → mip.zarr",
        "60 tasks in the graph, 6 run; 6 write units in 6 groups",
        "fold over z: 8 → 1; 8 chunks each",
        "fused into project: streamed into the fold",
        "tasks of groups 1 to 2 of 6, as they run",
        "tasks of the first write unit, as the graph counts them",
    ] {
        assert!(svg.contains(part), "{part} is not in\n{svg}");
        assert!(read("plan.dot").contains(part.split(';').next().unwrap()), "{part}");
    }
    bench.text(&format!("{plan} --svg layers.svg --task-graph 0"));
    assert!(!read("layers.svg").contains("tasks of group"));
    // A refused plan is drawn, too.
    let args = [&plan.split_whitespace().collect::<Vec<_>>()[..], &["--memory", "64KiB", "--svg", "no.svg"]].concat();
    assert_eq!(bench.run(&args).code, 6);
    assert!(read("no.svg").contains("the plan is refused"));
    assert!(!bench.path("mip.zarr").exists());
}

#[test]
fn json_has_the_graphs_that_are_drawn() {
    let Some(bench) = Bench::new() else { return };
    let plan = bench.json("plan project fixtures/cells.ome.tif mip.zarr --axis z --task-graph 3");
    let pass = &plan["passes"][0];
    let names: Vec<_> = pass["layers"].as_array().unwrap().iter().map(|layer| &layer["name"]).collect();
    assert_eq!(names, ["read", "project", "write"]);
    assert_eq!((&pass["layers"][0]["values"], &pass["layers"][2]["values"]), (&json!("streamed"), &json!("stored")));
    let fold = json!({"from": 0, "to": 1, "label": "fold over z: 8 → 1", "chunks": 8, "kind": "fold", "axis": "Z", "extent": 8});
    assert_eq!(pass["edges"][0], fold);
    assert_eq!(pass["edges"][1]["kind"], "one_to_one");
    let tasks = json!({"groups": 3, "tasks": 3, "left_out": 0, "edges": [], "nodes": [
        {"layer": 2, "chunk": [0, 0, 0, 0, 0]}, {"layer": 2, "chunk": [0, 1, 0, 0, 0]}, {"layer": 2, "chunk": [0, 2, 0, 0, 0]},
    ]});
    assert_eq!(plan["task_graph"], tasks);
}

#[test]
fn a_plan_is_explained_in_words_and_in_numbers() {
    let Some(bench) = Bench::new() else { return };
    let plan = "plan project fixtures/cells.ome.tif mip.zarr --axis z --threads 2";
    let text = bench.text(&format!("{plan} --explain"));
    for part in ["fused into project: streamed into the fold", "a group takes", "that is all of 2 threads"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!bench.text(plan).contains("that is all of 2 threads"));
    let explain = &bench.json(&format!("{plan} --explain"))["explain"];
    let pass = &explain["passes"][0];
    assert_eq!((&pass["layers"][0]["layer"], &pass["layers"][0]["runs"]), (&json!("read"), &json!(false)));
    assert_eq!((&pass["at_once"]["groups"], &explain["refused"]), (&json!(2), &json!(null)));
    // A refused plan most of all.
    let args = [&plan.split_whitespace().collect::<Vec<_>>()[..], &["--memory", "64KiB", "--explain"]].concat();
    let ran = bench.run(&args);
    assert_eq!(ran.code, 6);
    for part in ["not even one group fits 64.0 KiB", "is the least that would do"] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
}

#[test]
fn the_drawing_that_the_documentation_shows_is_the_one_that_is_made() {
    let Some(bench) = Bench::new() else { return };
    let line = "plan project fixtures/cells.ome.tif mip.ome.zarr --axis z --memory 512MiB --threads 2 --quiet --svg";
    bench.text(&format!("{line} plan.svg"));
    let shown = cli::repository().join("docs/images/plan.svg");
    let drawn = std::fs::read_to_string(bench.path("plan.svg")).unwrap();
    let same = drawn == std::fs::read_to_string(shown).unwrap();
    assert!(same, "docs/images/plan.svg is out of date: `microtome {line} docs/images/plan.svg` makes it");
}

/// What must not, and what must, change the hash of a plan: the line, and what is put behind it.
const SAME: [&str; 11] = [
    // All that so small an image has.
    "--levels 1",
    "--threads 1",
    "--threads 7",
    "--memory 40MiB",
    "--chunk-dims ZYX",
    "--chunk-dims 100KiB",
    "--durability unit",
    "--intermediate always",
    "--on-error quarantine --max-bad 3",
    "--overwrite",
    "--resume",
];
const OTHER: [&str; 11] = [
    "--dtype uint8",
    "--region z=0:4",
    "--region t=1:2",
    "--chunk-shape 1,1,1,64,64",
    "--shard-shape none",
    "--compression zstd",
    "--compression zstd --compression-level 7",
    "--compression none",
    "--levels 2",
    "--pixel-size z=0.5,unit=um",
    "--channel-names A,B,C",
];

#[test]
fn the_hash_of_a_plan_changes_where_bytes_of_the_output_may_and_only_there() {
    let Some(bench) = Bench::new() else { return };
    let hash = |line: &str| bench.json(&format!("plan {line}"))["plan_hash"].as_str().unwrap().to_owned();
    let line = "convert fixtures/cells.ome.tif out.zarr";
    let plain = hash(line);
    for same in SAME {
        assert_eq!(hash(&format!("{line} {same}")), plain, "{same}");
    }
    let mut seen = std::collections::BTreeMap::from([(plain, String::new())]);
    let verbs =
        ["project fixtures/cells.ome.tif out.zarr --axis z", "project fixtures/cells.ome.tif out.zarr --axis t"];
    let others = OTHER.iter().map(|other| format!("{line} {other}"));
    let others = others.chain(verbs.map(str::to_owned)).chain([
        format!("{} --method mean", verbs[0]),
        format!("{} --method mean --dtype float32", verbs[0]),
        "convert fixtures/imagej.tif out.zarr".to_owned(),
    ]);
    for other in others {
        let before = seen.insert(hash(&other), other.clone());
        assert_eq!(before, None, "{other}");
    }
}

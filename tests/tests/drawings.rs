//! Drawings of plans say what the plans are. They are left in `target/tmp` to be looked at.

mod cases;

use std::sync::Arc;

use cases::{halves, synthetic};
use microtome::{
    Axis, Compute, Drawing, Fusing, Gaussian, Look, Plan, Projection, Relation, RunOptions, ShardChoice, Sigma,
    ZarrOptions,
};

fn options(memory: u64) -> RunOptions {
    RunOptions { threads: 2, memory, ..RunOptions::default() }
}

/// The SVG, which is kept to be looked at; every text of the drawing must stand in it.
fn svg(name: &str, drawing: &Drawing) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("drawings");
    std::fs::create_dir_all(&folder).unwrap();
    let svg = drawing.svg();
    std::fs::write(folder.join(format!("{name}.svg")), &svg).unwrap();
    for panel in &drawing.panels {
        assert!(svg.contains(&panel.title), "{name}: {}", panel.title);
        for card in panel.graph.node_weights() {
            assert!(svg.contains(&format!(">{}</text>", card.title)), "{name}: {}", card.title);
        }
    }
    check_frame(name, &svg);
    svg
}

/// No card reaches out of the picture.
fn check_frame(name: &str, svg: &str) {
    let number = |text: &str, key: &str| -> Option<f64> {
        text.split_once(&format!(" {key}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .and_then(|(n, _)| n.parse().ok())
    };
    let (wide, high) = (number(svg, "width").unwrap(), number(svg, "height").unwrap());
    let boxes: Vec<[f64; 4]> = svg
        .lines()
        .filter(|line| line.starts_with("<rect x="))
        .map(|line| ["x", "y", "width", "height"].map(|key| number(line, key).unwrap()))
        .collect();
    assert!(!boxes.is_empty(), "{name}");
    for [x, y, w, h] in boxes {
        assert!(x >= 0.0 && y >= 0.0 && x + w <= wide && y + h <= high, "{name}: a box at {x}, {y} reaches out");
    }
}

fn lines(drawing: &Drawing, panel: usize) -> String {
    let cards = drawing.panels[panel].graph.node_weights();
    cards.map(|card| format!("{}: {}", card.title, card.lines.join("; "))).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_projection_is_three_layers_and_one_task() {
    let mip = synthetic([2, 3, 8, 160, 192, 1], "YX").project(Axis::Z, Projection::Max).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = mip.store(folder.path().join("o.ome.zarr"), ZarrOptions::default()).unwrap();
    let drawing = store.plan().drawing(&options(1 << 30), 1);
    let svg = svg("projection", &drawing);
    assert!(svg.contains("fold over z: 8 → 1; 8 chunks each"), "{svg}");
    let looks: Vec<Look> = drawing.panels[0].graph.node_weights().map(|card| card.look).collect();
    assert_eq!(looks, [Look::Fused, Look::Fused, Look::Runs]);
    assert_eq!(lines(&drawing, 1), "write t0 c0: 8 × read; 1 × project");
    assert_eq!((drawing.panels[2].graph.node_count(), drawing.panels[2].graph.edge_count()), (10, 9));
}

#[test]
fn a_filter_shows_its_halo_and_what_groups_share() {
    let image = synthetic([1, 1, 200, 64, 64, 1], "YX");
    let sigma = Sigma { z: 2.0, y: 1.0, x: 1.0, ..Sigma::default() };
    let smooth = image.apply(Arc::new(Gaussian { sigma, truncate: 4.0, dtype: None })).unwrap();
    let drawing = Plan::compute(&smooth, Fusing::Full).drawing(&options(1 << 30), 3);
    let svg = svg("halo", &drawing);
    assert!(svg.contains("halo: z ±8"), "{svg}");
    assert_eq!(drawing.panels[0].graph.node_weights().next().unwrap().look, Look::Shared);
    assert!(lines(&drawing, 0).contains("times the reading; limit 1.3"), "{}", lines(&drawing, 0));
    assert_eq!(drawing.panels[1].title, "tasks of groups 1 to 3 of 200, as they run");
}

#[test]
fn what_is_left_out_is_said() {
    let deep = synthetic([1, 1, 5000, 16, 16, 1], "YX").project(Axis::Z, Projection::Max).unwrap();
    let drawing = Plan::compute(&deep, Fusing::Full).drawing(&options(1 << 30), 1);
    svg("left-out", &drawing);
    assert_eq!(drawing.panels[2].notes, ["12 of 5_001 tasks are shown; 4_989 are left out"]);
    assert!(drawing.panels[2].graph.node_weights().any(|card| card.title == "… 4_989 more"));
    // A billion planes are drawn at once, but not their tasks.
    let endless = synthetic([1, 1, 1_000_000_000, 16, 16, 1], "YX").project(Axis::Z, Projection::Max).unwrap();
    let drawing = Plan::compute(&endless, Fusing::Full).drawing(&options(1 << 30), 1);
    assert!(drawing.panels[2].notes[0].ends_with("too many to be drawn"), "{:?}", drawing.panels[2].notes);
}

#[test]
fn a_pyramid_is_drawn_pass_by_pass() {
    let image = synthetic([1, 2, 6, 1024, 1280, 1], "YX");
    let folder = tempfile::tempdir().unwrap();
    let zarr = ZarrOptions { shard: ShardChoice::None, ..ZarrOptions::default() };
    let (steps, output) = halves(&image, 4, &folder.path().join("o.zarr"), &zarr);
    let plan = Plan::pyramid(&image, steps, &output);
    let one = plan.drawing(&options(1 << 30), 1);
    let svg_one = svg("pyramid-one-pass", &one);
    assert_eq!(one.panels[0].title, "pass 1 of 1: stores levels 0 to 3");
    assert!(svg_one.contains("2 × 2 → 1 pixels (y, x)"), "{svg_one}");
    let least = (1..400).map(|n| n << 18).find(|&memory| plan.admit(&options(memory)).is_ok()).unwrap();
    let several = plan.drawing(&options(least), 1);
    let svg_several = svg("pyramid-passes", &several);
    let passes = several.panels.iter().filter(|panel| panel.title.starts_with("pass ")).count();
    assert!(passes > 1, "{svg_several}");
    assert!(svg_several.contains(" is read back"), "{svg_several}");
    let graph = plan.passes(&options(1 << 30)).unwrap()[0].stage.layer_graph();
    let halves = graph.edge_weights().filter(|r| matches!(r, Relation::Shrink { .. })).count();
    assert_eq!(halves, 3);
}

#[test]
fn dot_has_a_cluster_for_each_panel() {
    let mip = synthetic([1, 1, 4, 32, 32, 1], "YX").project(Axis::Z, Projection::Max).unwrap();
    let drawing = Plan::compute(&mip, Fusing::Full).drawing(&options(1 << 30), 1);
    let dot = Drawing { title: "a \"name\"".to_owned(), ..drawing }.dot();
    assert_eq!(dot.matches("subgraph cluster_").count(), 3);
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    assert!(dot.contains("a \\\"name\\\"") && dot.contains("[label=\"fold over z: 4 → 1; 4 chunks each\"]"), "{dot}");
}

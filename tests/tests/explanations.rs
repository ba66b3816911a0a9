//! `plan --explain`: the numbers that decided, and advice that does what it says.

mod cases;

use std::sync::Arc;

use cases::{halves, synthetic};
use microtome::{
    Axis, ChunkDims, Compute, Explanation, Fusing, Gaussian, Plan, Projection, RunOptions, Shape, ShardChoice, Sigma,
    ZarrOptions, parse_size,
};

fn options(threads: usize, memory: u64) -> RunOptions {
    RunOptions { threads, memory, ..RunOptions::default() }
}

/// The budget that a line of advice names.
fn budget(advice: &str) -> u64 {
    let text = advice.split_whitespace().nth(1).unwrap();
    parse_size(text).unwrap_or_else(|| panic!("{advice}"))
}

fn why(explanation: &Explanation) -> Vec<&str> {
    explanation.passes[0].layers.iter().map(|layer| layer.why.as_str()).collect()
}

#[test]
fn a_fused_chain_holds_nothing() {
    let mip = synthetic([2, 3, 8, 160, 192, 1], "YX").project(Axis::Z, Projection::Max).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = mip.store(folder.path().join("o.ome.zarr"), ZarrOptions::default()).unwrap();
    let found = store.plan().explain(&options(2, 1 << 30));
    assert_eq!(
        why(&found),
        [
            "fused into project: streamed into the fold; none of its values is held",
            "fused into write: streamed into the write units; none of its values is held",
            "the result: 6 tasks",
        ]
    );
    let pass = &found.passes[0];
    assert_eq!((pass.memory.held, pass.memory.shared, pass.memory.group), (0, 0, pass.memory.task));
    assert_eq!((pass.memory.heaviest.as_str(), pass.limit.as_ref()), ("write", None));
    assert!(pass.memory.sink > 0 && pass.memory.sink < pass.memory.task);
    assert_eq!(pass.at_once.as_ref().unwrap().why, "that is all of 2 threads");
    assert_eq!(found.advice, Vec::<String>::new());
}

#[test]
fn what_is_kept_because_of_its_reading_has_its_factor() {
    let deep = synthetic([1, 1, 8, 160, 192, 1], "YX");
    let chunk = Some(Shape::new([1, 1, 3, 64, 64, 1]).unwrap());
    let zarr = ZarrOptions { chunk, shard: ShardChoice::None, ..ZarrOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    let rechunked = deep.rechunk(&ChunkDims::parse("ZYX").unwrap()).unwrap();
    let smooth = Gaussian { sigma: Sigma { z: 1.0, ..Sigma::default() }, truncate: 4.0, dtype: None };
    let store = rechunked.apply(Arc::new(smooth)).unwrap().store(folder.path().join("o.zarr"), zarr).unwrap();
    let found = store.plan().explain(&options(2, 1 << 30));
    let kept = found.passes[0].layers.iter().find(|layer| layer.amplification.is_some_and(|factor| factor > 1.3));
    let kept = kept.unwrap_or_else(|| panic!("{found}"));
    assert!(kept.runs && kept.why.contains(&format!("{:.2} times, more than 1.3", kept.amplification.unwrap())));
    assert!(kept.why.ends_with("held within its group"), "{found}");
    assert!(found.passes[0].memory.held > 0, "{found}");
}

#[test]
fn a_halo_is_kept_and_shared() {
    let image = synthetic([1, 1, 200, 64, 64, 1], "YX");
    let smooth = Gaussian { sigma: Sigma { z: 2.0, ..Sigma::default() }, truncate: 4.0, dtype: None };
    let plan_of = image.apply(Arc::new(smooth)).unwrap();
    let found = Plan::compute(&plan_of, Fusing::Full).explain(&options(2, 1 << 30));
    assert!(
        why(&found)[0].starts_with("kept: read by region it would be decoded 16.64 times, more than 1.3"),
        "{found}"
    );
    assert!(why(&found)[0].ends_with("until the last of several groups has used it"), "{found}");
    let memory = &found.passes[0].memory;
    assert!(memory.shared >= 17 * 64 * 64 * 2, "a group needs 17 planes: {found}");
    assert_eq!(memory.fixed, plan_of.spec().bytes());
    assert!(found.to_string().contains("values that groups share up to"), "{found}");
}

#[test]
fn a_budget_that_lets_fewer_run_says_so_and_what_would_do() {
    let image = synthetic([1, 1, 64, 512, 512, 1], "YX");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o.zarr");
    let store = image.store(&path, ZarrOptions::default()).unwrap();
    let found = store.plan().explain(&options(8, 1 << 30));
    assert!(found.advice[0].starts_with("smaller write units (--shard-shape) than 1 × 1 × 64 × 512 × 512"), "{found}");
    let store = image.store(&path, ZarrOptions { shard: ShardChoice::None, ..ZarrOptions::default() }).unwrap();
    let plan = store.plan();
    let one = plan.explain(&options(1, 1 << 30)).passes[0].memory.group;
    let tight = plan.explain(&options(8, 2 * one + one / 2));
    let at_once = tight.passes[0].at_once.as_ref().unwrap();
    assert!(at_once.groups == 2 && at_once.why.starts_with("one more would need"), "{tight}");
    assert!(tight.advice[0].ends_with("would let 8 groups run at once"), "{tight}");
    assert_eq!(plan.admit(&options(8, budget(&tight.advice[0]))).unwrap().slots, 8);
    assert!(plan.admit(&options(8, budget(&tight.advice[0]) - (1 << 20))).unwrap().slots < 8);
    // Fewer groups than threads are nobody's fault.
    let few = synthetic([1, 1, 1, 64, 64, 1], "YX");
    let found = Plan::compute(&few, Fusing::Full).explain(&options(8, 1 << 30));
    let at_once = found.passes[0].at_once.as_ref().unwrap();
    assert!(at_once.why.starts_with("there are no more groups"), "{found}");
    assert_eq!(found.advice, Vec::<String>::new());
}

#[test]
fn a_refused_plan_is_explained_with_the_budget_that_would_do() {
    let mip = synthetic([2, 3, 8, 160, 192, 1], "YX").project(Axis::Z, Projection::Max).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = mip.store(folder.path().join("o.ome.zarr"), ZarrOptions::default()).unwrap();
    let found = store.plan().explain(&options(4, 64 << 10));
    assert!(found.refused.is_some() && found.passes[0].at_once.is_none(), "{found}");
    assert_eq!(found.passes[0].layers.len(), 3);
    assert!(found.advice[0].ends_with("is the least that would do, for one group at a time"), "{found}");
    let least = budget(&found.advice[0]);
    assert!(store.plan().admit(&options(4, least)).is_ok());
    assert!(store.plan().admit(&options(4, least - (1 << 20))).is_err());
    assert!(found.to_string().contains("not even one group fits 64.0 KiB"), "{found}");
}

#[test]
fn levels_in_several_passes_have_their_reason() {
    let image = synthetic([1, 2, 6, 1024, 1280, 1], "YX");
    let folder = tempfile::tempdir().unwrap();
    let (steps, output) = halves(&image, 4, &folder.path().join("o.zarr"), &ZarrOptions::default());
    let plan = Plan::pyramid(&image, steps, &output);
    let one = plan.explain(&options(2, 1 << 30));
    assert_eq!((one.passes.len(), one.passes[0].stores.as_str()), (1, "levels 0 to 3"), "{one}");
    assert_eq!(one.passes[0].limit, None);
    let least = (1..400).map(|n| n << 18).find(|&memory| plan.admit(&options(2, memory)).is_ok()).unwrap();
    let several = plan.explain(&options(2, least));
    assert!(several.passes.len() > 1, "{several}");
    let limit = several.passes[0].limit.as_ref().unwrap();
    assert!(limit.starts_with("level 1 is left to the next pass: made here, it would need"), "{limit}");
    let advice = several.advice.iter().find(|line| line.ends_with("would let all levels be made in one pass")).unwrap();
    assert_eq!(plan.passes(&options(2, budget(advice))).unwrap().len(), 1, "{several}");
}

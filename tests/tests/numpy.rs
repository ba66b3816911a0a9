//! NumPy computes the same pixels: 500 random pipelines, each evaluated by us and then by an independent script.

mod cases;

use std::path::Path;
use std::process::Command;

use cases::{Case, Step, build, inside, simple_case};
use microtome::{Compute, PixelsRef, Place, Region, RunOptions, Shape, SyntheticReader, read_region};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

#[test]
fn five_hundred_random_pipelines_equal_numpy() {
    let Some(python) = std::env::var_os("MICROTOME_PYTHON") else {
        println!("SKIPPED: MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Value> = (0..500)
        .map(|n| {
            let case = simple_case().new_tree(&mut runner).unwrap().current();
            write_case(folder.path(), n, &case)
        })
        .collect();
    std::fs::write(folder.path().join("cases.json"), json!(cases).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/pipelines.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("500 pipelines equal"), "{text}");
}

/// Writes input and result of a case as raw bytes and describes what was done in a form that NumPy slices by.
fn write_case(folder: &Path, n: usize, case: &Case) -> Value {
    let shape = Shape::new(case.shape).unwrap();
    let reader = SyntheticReader::new(microtome::ArraySpec { shape, dtype: case.dtype });
    let input = read_region(&reader, Place::default(), &shape.region()).unwrap();
    write(folder, &format!("{n}.in"), input.as_ref());
    let result = build(case).compute(&RunOptions { threads: 2, ..RunOptions::default() }).unwrap();
    write(folder, &format!("{n}.out"), result.as_ref());
    let mut current = shape;
    let mut steps = Vec::new();
    if let Some((a, b)) = case.select {
        let region = inside(&current, &a, &b);
        steps.push(crop(&mut current, region));
    }
    for step in &case.steps {
        match step {
            Step::Project(axis, method) => {
                steps.push(json!({"project": axis.index(), "method": method.to_string()}));
                current = current.with(*axis, 1).unwrap();
            }
            Step::Crop(a, b) => {
                let region = inside(&current, a, b);
                steps.push(crop(&mut current, region));
            }
            Step::Cast(dtype) => steps.push(json!({"cast": dtype})),
            Step::Rechunk(_) => {}
            // Compared with scipy and NumPy by microtome-ops, where what rounding leaves open is allowed for.
            Step::Gaussian(_) | Step::Downsample(_) => unreachable!("only simple cases are compared"),
        }
    }
    let spec = result.spec();
    json!({"n": n, "shape": case.shape, "dtype": case.dtype, "steps": steps, "out": spec.shape, "out_dtype": spec.dtype})
}

fn crop(current: &mut Shape, region: Region) -> Value {
    *current = region.shape();
    let ends: Vec<[u64; 2]> = microtome::Axis::ALL.iter().map(|&a| [region.start(a), region.end(a)]).collect();
    json!({"crop": ends})
}

fn write(folder: &Path, name: &str, pixels: PixelsRef<'_>) {
    std::fs::write(folder.join(name), pixels.bytes()).unwrap();
}

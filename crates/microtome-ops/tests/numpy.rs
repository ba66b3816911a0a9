//! SciPy and NumPy compute the same: random filters, block means and summaries, each made by us and then by an
//! independent script. Needs `MICROTOME_PYTHON`, which `cargo xtask test` sets.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may, and says so where it is skipped")]

use std::path::Path;
use std::process::Command;

use microtome_array::{ArraySpec, PixelType, Pixels, Shape};
use microtome_ops::contract::{evaluate, random::Random};
use microtome_ops::{build, build_summary, summarise};
use serde_json::{Value, json};

const CASES: usize = 480;

#[test]
fn filters_and_smaller_levels_equal_scipy_and_numpy() {
    check("neighbours.py", case, &format!("{CASES} results equal"));
}

#[test]
fn percentiles_and_histograms_equal_numpy() {
    check("summaries.py", summary, &format!("{CASES} answers equal"));
}

/// Makes cases and has a script compare them.
fn check(script: &str, mut case: impl FnMut(&Path, usize, &mut Random) -> Value, equal: &str) {
    let Some(python) = std::env::var_os("MICROTOME_PYTHON") else {
        println!("SKIPPED: MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(4);
    let cases: Vec<Value> = (0..CASES).map(|n| case(folder.path(), n, &mut random)).collect();
    std::fs::write(folder.path().join("cases.json"), json!(cases).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").join(script);
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.trim(), equal);
}

/// A random summary of random pixels, of all types but complex ones in turn.
fn summary(folder: &Path, n: usize, random: &mut Random) -> Value {
    let (name, params) = if n.is_multiple_of(2) { percentiles(random) } else { histogram(random) };
    let dtype = PixelType::ALL[n / 2 % 12];
    let extents = [2, 2, 3, 20, 40, 2].map(|most| 1 + random.below(most));
    let input = random.pixels(ArraySpec { shape: Shape::new(extents).unwrap(), dtype });
    std::fs::write(folder.join(format!("{n}.in")), input.as_ref().bytes()).unwrap();
    let answer = summarise(build_summary(name, &params).unwrap(), input.as_ref()).ok();
    json!({"n": n, "summary": name, "params": params, "shape": extents, "dtype": dtype, "answer": answer})
}

fn percentiles(random: &mut Random) -> (&'static str, Value) {
    let mut one = || [0.0, 50.0, 100.0, random.below(1000) as f64 / 10.0][random.below(4) as usize];
    let first = one();
    let of: Vec<f64> = std::iter::repeat_with(one).take_while(|&of| of != 50.0).take(20).chain([first]).collect();
    ("percentiles", json!({"of": of}))
}

fn histogram(random: &mut Random) -> (&'static str, Value) {
    let bins = 1 + random.below(300);
    let low = random.below(600) as f64 / 3.0 - 100.0;
    let range = json!([low, low + (1 + random.below(400)) as f64 / 7.0]);
    ("histogram", if random.below(3) == 0 { json!({"bins": bins, "range": range}) } else { json!({"bins": bins}) })
}

/// Runs a random operation and leaves its input and output as raw bytes, and in words what was done.
fn case(folder: &Path, n: usize, random: &mut Random) -> Value {
    let (op, params) = if n.is_multiple_of(2) { downsample(random) } else { gaussian(random) };
    // All types but complex ones, in turn; a filter of bool needs a type for its result.
    let dtype = PixelType::ALL[n / 2 % 12];
    let params =
        if op == "gaussian" && dtype == PixelType::Bool { with(params, "dtype", &json!("float32")) } else { params };
    let extents = [3, 3, 6, 12, 14, 3].map(|most| 1 + random.below(most));
    let spec = ArraySpec { shape: Shape::new(extents).unwrap(), dtype };
    let input = if params["method"] == "mode" { few_values(spec, random) } else { random.pixels(spec) };
    let made = build(op, &params).unwrap();
    let region = made.output(&input.spec()).unwrap().shape.region();
    let output = evaluate(made.as_ref(), input.as_ref(), &region, |left| left).unwrap();
    std::fs::write(folder.join(format!("{n}.in")), input.as_ref().bytes()).unwrap();
    std::fs::write(folder.join(format!("{n}.out")), output.as_ref().bytes()).unwrap();
    let spec = output.spec();
    json!({
        "n": n, "op": op, "params": made.params(), "shape": extents, "dtype": dtype,
        "out": spec.shape, "out_dtype": spec.dtype,
    })
}

fn with(mut params: Value, key: &str, value: &Value) -> Value {
    params[key] = value.clone();
    params
}

/// Pixels of few different values, so that some are more frequent than others.
fn few_values(spec: ArraySpec, random: &mut Random) -> Pixels {
    let mut pixels = random.pixels(spec);
    let size = spec.dtype.size();
    let palette: Vec<u8> = pixels.as_ref().bytes().iter().take(4 * size).copied().collect();
    for value in pixels.as_mut().bytes().chunks_exact_mut(size) {
        let at = random.below((palette.len() / size) as u64) as usize * size;
        value.copy_from_slice(&palette[at..at + size]);
    }
    pixels
}

fn downsample(random: &mut Random) -> (&'static str, Value) {
    let [t, c, z, y, x] = [2, 2, 4, 5, 17].map(|most| 1 + random.below(most));
    let method = ["mean", "median", "mode", "nearest", "gaussian"][random.below(5) as usize];
    ("downsample", json!({"factor": {"t": t, "c": c, "z": z, "y": y, "x": x}, "method": method}))
}

fn gaussian(random: &mut Random) -> (&'static str, Value) {
    let mut sigma = |most: u64| if random.below(3) == 0 { 0.0 } else { random.below(100 * most) as f64 / 100.0 };
    let sigma = json!({"t": sigma(2), "z": sigma(3), "y": sigma(4), "x": sigma(7)});
    let truncate = [4.0, 4.0, 3.0, 2.5][random.below(4) as usize];
    let params = json!({"sigma": sigma, "truncate": truncate});
    let dtype = [None, None, Some("float32"), Some("float64")][random.below(4) as usize];
    ("gaussian", dtype.map_or(params.clone(), |dtype| with(params, "dtype", &json!(dtype))))
}

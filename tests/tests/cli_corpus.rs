//! The binary on real files that nobody here wrote: `inspect` and `checksum` as independent readers say.

mod cli;
mod manifest;

use cli::Bench;
use manifest::{Row, corpus, expected_extents, is_lossy, out_of_scope, rows};
use serde_json::Value;

#[test]
fn every_file_of_the_corpus_is_inspected_and_summed_as_independent_readers_do() {
    let Some(corpus) = corpus() else { return };
    let Some(bench) = Bench::new() else { return };
    let rows = rows(corpus.join("MANIFEST.csv"));
    let valid = rows.iter().filter(|row| row["reference_status"] == "ok" && out_of_scope(row).is_none());
    let (mut right, mut failures) = (0, Vec::new());
    for row in valid {
        let path = corpus.join(&row["path"]);
        match check(&bench, path.to_str().unwrap(), row) {
            Ok(()) => right += 1,
            Err(why) => failures.push(format!("{} {}: {why}", row["path"], row["series_name"])),
        }
    }
    println!("{right} series are as they should be");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(right >= 75, "only {right} series were compared");
}

fn check(bench: &Bench, path: &str, row: &Row) -> Result<(), String> {
    let inspected = ask(bench, &["inspect", path, "--json"])?;
    let number = scene_number(&inspected, row)?;
    let scene = &inspected["scenes"][number];
    equal("dtype", &scene["dtype"], &Value::from(row["dtype"].as_str()))?;
    equal("shape", &Value::from(extents(scene, &row["axes"])), &Value::from(expected_extents(row)))?;
    equal(
        "levels",
        &Value::from(scene["levels"].as_array().map_or(0, Vec::len).to_string()),
        &Value::from(row["levels"].as_str()),
    )?;
    // One scene alone: others of the file may be stored in ways that are not read.
    let scene = number.to_string();
    let sums = ask(bench, &["checksum", path, "--json", "--axes", &row["axes"], "--scene", &scene])?;
    let all = [&sums["scenes"], &sums["labels"]].into_iter().flat_map(|s| s.as_array().into_iter().flatten());
    let sum = all.into_iter().find(|s| s["index"] == number).ok_or("no sum of the scene")?;
    if is_lossy(row) {
        return Ok(());
    }
    equal("pixel_sha256", &sum["sha256"], &Value::from(row["pixel_sha256"].as_str()))
}

fn ask(bench: &Bench, args: &[&str]) -> Result<Value, String> {
    let ran = bench.run(args);
    if ran.code != 0 {
        return Err(format!("{}: exit code {}: {}", args[0], ran.code, ran.stderr));
    }
    serde_json::from_str(&ran.stdout).map_err(|e| e.to_string())
}

/// A TIFF's series are numbered; a Zarr's are named by the path of their first array.
fn scene_number(inspected: &Value, row: &Row) -> Result<usize, String> {
    if row["kind"] == "tiff" {
        return row["series"].parse().map_err(|_| "no number".to_owned());
    }
    let group = row["series_name"].rsplit_once('/').map_or("", |(group, _)| group);
    let scenes = inspected["scenes"].as_array().ok_or("no scenes")?;
    let found = scenes.iter().position(|s| s["id"] == group || s["id"] == row["series_name"].as_str());
    found.ok_or_else(|| format!("no scene {group}"))
}

/// The shape in the order of the manifest's letters without axes of length 1; a letter of unknown meaning is the first
/// axis of T, Z, C that is longer than 1 and not named.
fn extents(scene: &Value, letters: &str) -> Vec<u64> {
    let axes = scene["axes"].as_str().unwrap();
    let letters = if letters.is_empty() { axes } else { letters };
    let extent = |letter: char| axes.find(letter).map_or(1, |place| scene["shape"][place].as_u64().unwrap());
    let mut left = "TZC".chars().filter(|&letter| !letters.contains(letter) && extent(letter) > 1);
    let letters = if letters.is_empty() { axes } else { letters };
    let named = letters.chars().filter_map(|letter| if "TCZYXS".contains(letter) { Some(letter) } else { left.next() });
    named.map(extent).filter(|&n| n > 1).collect()
}

fn equal(what: &str, found: &Value, expected: &Value) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, expected {expected}")) }
}

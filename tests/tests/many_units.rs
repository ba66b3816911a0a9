//! Going on with very many write units: reading what a journal of 1e5 records says, 1e6 where `MICROTOME_DEEP` is set, takes
//! little time and memory beside the units that are left.

mod cli;
mod watched;

use std::time::{Duration, Instant};

use cli::resumed::is_deep;
use cli::{Bench, skip};
use serde_json::{Value, json};
use watched::watched;

/// A plane of zeros is 1,024 write units of 8 × 8, which are recorded and, being fill values, take no file.
const UNITS: u64 = 1024;

/// Planes of zeros as Zarr: a document, and no chunk.
fn zeros(bench: &Bench, planes: u64) {
    let document = json!({
        "zarr_format": 3, "node_type": "array", "shape": [planes, 256, 256], "data_type": "uint16", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 256, 256]}},
        "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": ["t", "y", "x"], "attributes": {},
    });
    std::fs::create_dir(bench.path("zeros.zarr")).unwrap();
    std::fs::write(bench.path("zeros.zarr/zarr.json"), document.to_string()).unwrap();
}

#[test]
fn a_journal_of_very_many_records_is_gone_on_with_soon_and_in_little_memory() {
    let Some(bench) = Bench::new() else { return };
    let planes = if is_deep() { 1024 } else { 128 };
    let units = planes * UNITS;
    zeros(&bench, planes);
    let line = "convert zeros.zarr out.ome.zarr --levels 1 --chunk-shape 1,1,1,8,8 --shard-shape none \
                --durability none --threads 1 --memory 64MiB";
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = bench.command(&[&words[..], &["--quiet"]].concat()).spawn().unwrap();
    let journal = || {
        let entries = std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "journal"))
    };
    let journaled = || journal().map_or(0, |path| std::fs::metadata(path).map_or(0, |meta| meta.len() / 40));
    while journaled() < units / 100 * 95 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    if journal().is_none() {
        return skip("going on with very many units", "the run was over before it was killed");
    }
    let start = Instant::now();
    let (output, anonymous) = watched(bench.command(&[&words[..], &["--resume", "--json"]].concat()));
    let took = start.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let resumed = report["units"]["resumed"].as_u64().unwrap();
    println!("{resumed} of {units} units were there: {took:?}, {} MiB of anonymous memory", anonymous >> 20);
    assert!(resumed >= units / 100 * 94, "{report}");
    assert_eq!(report["units"]["written"].as_u64().unwrap() + resumed, units, "{report}");
    // What was measured is a third of this; other programs run beside the tests.
    assert!(took < Duration::from_micros(9 * units) + Duration::from_secs(1), "{took:?} for {units} units");
    assert!(anonymous < (64 << 20) + 200 * units, "{anonymous} bytes for {units} units");
}

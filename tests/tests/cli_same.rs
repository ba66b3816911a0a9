//! Threads, budget and the unit of computation never change a byte of an output.

mod cli;

use std::path::PathBuf;

use cli::{Bench, tree};

type Tree = Vec<(PathBuf, Option<Vec<u8>>)>;

#[test]
fn equal_commands_write_equal_bytes_however_they_run() {
    let Some(bench) = Bench::new() else { return };
    let verbs = [
        "project fixtures/cells.ome.tif OUT --axis z",
        "project fixtures/cells.ome.tif OUT --axis t --method mean --dtype float32",
        "convert fixtures/cells.ome.tif OUT",
        "convert fixtures/ome-zarr-0.4.zarr OUT --chunk-shape 1,1,1,48,48 --shard-shape none --compression zstd",
        "convert fixtures/rgb.tif OUT --region y=3:77",
    ];
    let ways = [
        "--threads 1",
        "--threads 2",
        "--threads 7",
        "--memory 40MiB --threads 7",
        "--chunk-dims ZYX",
        "--chunk-dims 100KiB",
    ];
    for (v, verb) in verbs.into_iter().enumerate() {
        let run = |n: usize, way: &str| -> Tree {
            let out = format!("{v}-{n}.ome.zarr");
            bench.text(&format!("{} {way}", verb.replace("OUT", &out)));
            tree(&bench.path(&out))
        };
        let first = run(0, ways[0]);
        assert!(first.iter().any(|(path, _)| path.ends_with("zarr.json")));
        for (n, way) in ways.iter().enumerate().skip(1) {
            assert_eq!(names(&run(n, way)), names(&first), "{verb} {way}");
            assert!(tree(&bench.path(&format!("{v}-{n}.ome.zarr"))) == first, "{verb} {way}: other bytes");
        }
    }
}

fn names(tree: &Tree) -> Vec<&PathBuf> {
    tree.iter().map(|(path, _)| path).collect()
}

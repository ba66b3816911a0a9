//! A second Ctrl-C: whoever has no patience with what the first one lets end is obeyed at once, and can go on all the same.

#[path = "../../benches/benches/data/mod.rs"]
mod data;

mod cli;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli::resumed::records;
use cli::{Bench, tree};
use data::Sample;

const IMAGE: Sample = Sample { name: "ceiling.ome.tif", sizes: [2, 2, 12, 1024, 1024] };

/// Two write units, each of one stored chunk whose compression takes a second and cannot be stopped in the middle.
const SLOW: &str = "--region t=0,c=0,z=0:4,x=0:512 --levels 1 --chunk-shape 1,1,2,1024,512 --shard-shape none \
                    --compression zstd --compression-level 22 --threads 1 --durability unit --quiet";

fn command(bench: &Bench, out: &str, more: &str) -> Command {
    let input = IMAGE.path();
    let line = ["convert", input.to_str().unwrap(), out];
    let mut command = bench.command(&line);
    command.args(SLOW.split_whitespace()).args(more.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn interrupt(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn the_second_request_to_stop_ends_a_run_at_once() {
    let Some(bench) = Bench::new() else { return };
    assert!(command(&bench, "gold.ome.zarr", "").status().unwrap().success());
    let mut tries = 0;
    let mut left = vec![("TERM", 143), ("INT", 130)];
    while let Some(&(signal, code)) = left.last() {
        let mut child = command(&bench, "out.ome.zarr", "").spawn().unwrap();
        let journal = || {
            let entries = std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().path());
            entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "journal"))
        };
        while journal().is_none_or(|path| records(&path) == 0) {
            assert!(child.try_wait().unwrap().is_none(), "the run is over before its second unit is begun");
            std::thread::sleep(Duration::from_millis(2));
        }
        interrupt(&child, signal);
        std::thread::sleep(Duration::from_millis(20));
        if child.try_wait().unwrap().is_some() {
            // The unit under way was nearly finished: the first request ended the run by itself.
            tries += 1;
            assert!(tries < 20, "{signal}: the first one lets no unit be finished");
            let _ = std::fs::remove_dir_all(bench.path("out.ome.zarr"));
            assert!(command(&bench, "out.ome.zarr", "--overwrite").status().unwrap().success());
            std::fs::remove_dir_all(bench.path("out.ome.zarr")).unwrap();
            continue;
        }
        let start = Instant::now();
        interrupt(&child, signal);
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_millis(500), "{signal}: {:?}", start.elapsed());
        assert_eq!(status.code(), Some(code), "{signal}");
        assert!(!bench.path("out.ome.zarr").exists(), "nothing is published");
        assert_eq!(journal().map(|path| records(&path)), Some(1), "{signal}: what was finished is kept");
        assert!(command(&bench, "out.ome.zarr", "--resume").status().unwrap().success());
        assert!(tree(&bench.path("out.ome.zarr")) == tree(&bench.path("gold.ome.zarr")), "{signal}: the same bytes");
        std::fs::remove_dir_all(bench.path("out.ome.zarr")).unwrap();
        left.pop();
    }
}

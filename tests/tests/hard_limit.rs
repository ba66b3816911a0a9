//! Under a hard limit of memory, of just what is promised, no run is killed, and what it writes is what it writes without.
//!
//! The limit is a memory cgroup's, which counts the page cache too; where none can be made, and a few times anyway, it is
//! the limit of private memory (`ulimit -d`), which counts what is asked for, used or not.

mod cgroup;
mod cli;
#[path = "../../benches/benches/data/mod.rs"]
mod data;

use std::path::{Path, PathBuf};
use std::process::Command;

use cgroup::Cgroup;
use cli::{Ran, skip, tree};
use data::Sample;
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// What a thread may have as stack: asked for when it starts, and hardly used.
const STACK: u64 = 8 * MIB;

/// 2 × 2 × 12 planes of 1024²: 100 MB, raw.
const IMAGE: Sample = Sample { name: "ceiling.ome.tif", sizes: [2, 2, 12, 1024, 1024] };

const RECHUNK: &str = "convert --levels 1 --chunk-shape 1,1,12,128,128 --shard-shape none";
/// What is run, and in how many MiB beside those of the test. In 16 MiB columns are not made of planes without a store.
const WORKLOADS: [(&str, &str, &[u64]); 4] = [
    ("project --axis z", "", &[]),
    ("convert", "", &[]),
    (RECHUNK, "", &[16]),
    (RECHUNK, "--intermediate always", &[16]),
];

type Tree = Vec<(PathBuf, Option<Vec<u8>>)>;

/// Where runs write, and the binary.
struct Place {
    binary: PathBuf,
    folder: TempDir,
}

impl Place {
    /// `None`, said loudly, where the binary is not known.
    fn new(test: &str) -> Option<Place> {
        let Some(binary) = std::env::var_os("MICROTOME_BIN") else {
            skip(test, "MICROTOME_BIN is not set; `cargo xtask test` sets it");
            return None;
        };
        let folder = tempfile::tempdir_in(IMAGE.path().parent().unwrap()).unwrap();
        Some(Place { binary: binary.into(), folder })
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out.ome.zarr")
    }

    fn command(&self, workload: &str, more: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(workload.split_whitespace()).arg(IMAGE.path()).arg(self.out());
        command.args(["--json", "--overwrite"]).args(more.split_whitespace());
        command
    }

    /// What the workload writes when nothing limits it.
    fn unlimited(&self, workload: &str) -> Tree {
        let ran = Ran::of(&mut self.command(workload, "--memory 4GiB"));
        assert_eq!(ran.code, 0, "{workload}: {}", ran.stderr);
        tree(&self.out())
    }

    /// Runs every workload in every budget, each inside of what `limited` puts around it; that gives the run's report.
    fn check(&self, budgets: &[u64], threads: &[u64], limited: impl Fn(&Command, u64, u64, &str) -> String) {
        let mut expected = (String::new(), Tree::new());
        for (workload, how, more_budgets) in WORKLOADS {
            if expected.0 != workload {
                expected = (workload.to_owned(), self.unlimited(workload));
            }
            for &budget in more_budgets.iter().chain(budgets) {
                for &threads in threads {
                    let more = format!("{how} --threads {threads} --memory {budget}MiB");
                    let name = format!("{workload} {more}");
                    std::fs::remove_dir_all(self.out()).unwrap();
                    let promise = budget * MIB * 105 / 100 + 64 * MIB + 8 * MIB * threads;
                    let json = limited(&self.command(workload, &more), promise, threads, &name);
                    let report: Value = serde_json::from_str(&json).unwrap();
                    let is_stored = report["intermediate_bytes"].as_u64().unwrap() > 0;
                    assert!(is_stored || budget > 16 || how.is_empty(), "{name}: nothing is stored on the way");
                    assert!(tree(&self.out()) == expected.1, "{name}: other bytes");
                }
            }
        }
    }
}

#[test]
fn in_a_memory_cgroup_of_what_is_promised_nothing_is_killed() {
    let name = "runs in a memory cgroup";
    let Some(place) = Place::new(name) else { return };
    if let Err(why) = Cgroup::new(64 * MIB) {
        skip(name, &format!("no memory cgroup can be made here, a limit of private memory is used instead: {why}"));
        place.check(&[64, 256], &[1, 4], in_private_memory);
        return;
    }
    place.check(&[64, 256], &[1, 4], |command, promise, _, name| {
        let group = Cgroup::new(promise).unwrap();
        let output = group.around(command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let peak = group.peak().map_or_else(|| "?".to_owned(), |peak| (peak / MIB).to_string());
        println!("{peak} of {} MiB  {name}", promise / MIB);
        assert_eq!(group.kills(), 0, "{name}: killed at {} MiB", promise / MIB);
        assert!(output.status.success(), "{name}: {} {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    });
}

#[test]
fn in_private_memory_of_what_is_promised_and_stacks_nothing_fails() {
    let Some(place) = Place::new("runs in limited private memory") else { return };
    place.check(&[64], &[4], in_private_memory);
}

fn in_private_memory(command: &Command, promise: u64, threads: u64, name: &str) -> String {
    // Workers, and what settles, watches signals and shows progress.
    let limit = promise + STACK * (threads + 4);
    let ran = Ran::of(
        Command::new("sh")
            .args(["-c", "ulimit -d \"$0\" && exec \"$@\"", &(limit >> 10).to_string()])
            .arg(command.get_program())
            .args(command.get_args()),
    );
    assert_eq!(ran.code, 0, "{name}: {} MiB of private memory: {}", limit / MIB, ran.stderr);
    ran.stdout
}

#[test]
fn a_limit_that_is_passed_is_noticed() {
    let name = "a memory cgroup that kills";
    let group = match Cgroup::new(32 * MIB) {
        Ok(group) => group,
        Err(why) => return skip(name, &why),
    };
    let mut greedy = Command::new("sh");
    greedy.args(["-c", "exec tail /dev/zero"]);
    let output = group.around(&greedy).output().unwrap();
    assert!(!output.status.success() && group.kills() == 1, "{}: {} kills", output.status, group.kills());
    let folder = group.folder().to_owned();
    drop(group);
    assert!(!Path::new(&folder).exists(), "nothing is left of a group");
}

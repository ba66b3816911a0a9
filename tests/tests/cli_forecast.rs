//! How long a run will take: measured on the input itself, remembered, told by `plan` and beside what a run took.
//!
//! Nothing here compares times: what is said must be consistent, kept in the cache folder alone, and never in the way.

mod cli;

use std::path::PathBuf;
use std::process::Command;

use cli::{Bench, Ran};
use serde_json::Value;

/// A folder to run in, with a cache beside it.
struct Timed {
    bench: Bench,
    cache: tempfile::TempDir,
}

impl Timed {
    fn new() -> Option<Timed> {
        Some(Timed { bench: Bench::new()?, cache: tempfile::tempdir().unwrap() })
    }

    /// A command that measures and remembers.
    fn command(&self, line: &str) -> Command {
        let mut command = self.bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env_remove("MICROTOME_NO_CALIBRATE").env("XDG_CACHE_HOME", self.cache.path());
        command
    }

    fn ran(&self, line: &str) -> Ran {
        let ran = Ran::of(&mut self.command(line));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        ran
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ran(&format!("{line} --json")).stdout).unwrap()
    }

    /// The one file of the cache.
    fn file(&self) -> PathBuf {
        let files = std::fs::read_dir(self.cache.path().join("microtome")).unwrap();
        let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

/// Checks that a plan's time is one: its interval around it, its parts not more than it but for what goes on beside.
fn check_time(plan: &Value) {
    let number = |name: &str| plan[name].as_f64().unwrap_or_else(|| panic!("no {name}: {plan}"));
    let (seconds, low, high) = (number("seconds"), number("seconds_low"), number("seconds_high"));
    assert!(0.0 < low && low < seconds && seconds < high && high < 600.0, "{plan}");
    let parts = plan["seconds_of"].as_object().unwrap();
    let of = |name: &str| parts.get(name).map_or(0.0, |part| part.as_f64().unwrap());
    let busy: f64 = ["read", "compute", "encode", "files"].into_iter().map(of).sum();
    assert!((seconds - of("start") - busy.max(of("settle"))).abs() < 1e-9 * seconds.max(1.0), "{plan}");
    assert!(of("read") > 0.0 && of("encode") > 0.0 && of("files") > 0.0, "{plan}");
}

const VERBS: [&str; 4] = [
    "project fixtures/cells.ome.tif OUT.ome.zarr --axis z",
    "convert fixtures/cells.ome.tif OUT.ome.tif --levels 2",
    "convert fixtures/ome-zarr-0.4.zarr OUT.zarr --chunk-shape 1,1,1,16,16 --shard-shape none --durability none",
    "convert fixtures/rgb.tif OUT.png",
];

#[test]
fn a_plan_says_how_long_it_would_take_and_leaves_nothing_behind() {
    let Some(timed) = Timed::new() else { return };
    for verb in VERBS {
        let before = timed.bench.tree();
        check_time(&timed.json(&format!("plan {}", verb.replace("OUT", "out"))));
        assert!(timed.bench.tree() == before, "{verb}: something is left in the folder");
    }
    let text = timed.ran("plan project fixtures/cells.ome.tif out.zarr --axis z").stdout;
    let line = text.lines().find(|line| line.starts_with("time     about ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("in eight runs of ten: "), "{line}");
}

#[test]
fn what_was_measured_is_remembered_and_not_measured_again() {
    let Some(timed) = Timed::new() else { return };
    let plan = format!("plan {}", VERBS[0].replace("OUT", "out"));
    let first = timed.json(&plan);
    let kept = std::fs::read(timed.file()).unwrap();
    let second = timed.json(&plan);
    assert_eq!((&first["seconds"], &first["seconds_of"]), (&second["seconds"], &second["seconds_of"]));
    let known = timed.json(&format!("{plan} --no-calibrate"));
    assert_eq!(known["seconds"], first["seconds"]);
    assert!(std::fs::read(timed.file()).unwrap() == kept, "nothing new was measured");
    let unknown = timed.json(&format!("plan {} --no-calibrate", VERBS[1].replace("OUT", "out")));
    assert!(unknown["seconds"].is_null() && unknown["seconds_of"].is_null(), "{unknown}");
}

#[test]
fn a_run_says_how_far_off_its_forecast_was_and_teaches_the_next() {
    let Some(timed) = Timed::new() else { return };
    let verb = |out: &str| VERBS[0].replace("OUT", out);
    let first = timed.json(&verb("a"));
    assert!(first["seconds_forecast"].is_null(), "nothing was known: {first}");
    let second = timed.json(&verb("b"));
    let said = &second["forecast"];
    assert_eq!(second["seconds_forecast"], said["seconds"]);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{second}"));
    assert!(number(&said["seconds_low"]) < number(&said["seconds"]));
    assert!(number(&said["seconds"]) < number(&said["seconds_high"]));
    let planned = timed.json(&format!("plan {} --no-calibrate", verb("c")));
    assert!(planned["runs_learnt"].as_u64() > Some(0), "{planned}");
    let text = timed.ran(&verb("d")).stdout;
    let row = text.lines().find(|line| line.trim_start().starts_with("time ")).unwrap();
    let told = ["longer)", "shorter)", "as forecast"].iter().any(|words| row.contains(words));
    assert!(told, "{row}");
    let shown = timed.ran(&format!("{} --progress always", verb("e"))).stderr;
    assert!(shown.starts_with("this will take about "), "{shown}");
}

#[test]
fn runs_that_do_less_than_was_planned_teach_nothing() {
    let Some(timed) = Timed::new() else { return };
    let verb = VERBS[0].replace("OUT", "a");
    timed.json(&verb);
    let kept = std::fs::read(timed.file()).unwrap();
    timed.json(&format!("{verb} --resume"));
    timed.json(&format!("{verb} --overwrite --no-calibrate"));
    assert!(std::fs::read(timed.file()).unwrap() == kept);
}

#[test]
fn a_damaged_cache_is_ignored_with_a_warning_and_made_anew() {
    let Some(timed) = Timed::new() else { return };
    let plan = format!("plan {}", VERBS[0].replace("OUT", "out"));
    check_time(&timed.json(&plan));
    let whole = std::fs::read(timed.file()).unwrap();
    let mut flipped = whole.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    for damaged in [flipped, whole[..whole.len() - 9].to_vec(), Vec::new(), vec![0xff; 300], b"{}".to_vec()] {
        std::fs::write(timed.file(), damaged).unwrap();
        let ran = timed.ran(&format!("{plan} --json"));
        let warned = ran.stderr.contains("is damaged (") && ran.stderr.lines().count() == 1;
        assert!(warned, "{}", ran.stderr);
        check_time(&serde_json::from_str(&ran.stdout).unwrap());
        assert_eq!(timed.ran(&format!("{plan} --json")).stderr, "", "it was made anew");
    }
}

#[test]
fn where_nothing_can_be_remembered_a_plan_is_made_and_a_run_runs_all_the_same() {
    let Some(timed) = Timed::new() else { return };
    // A file where the cache folder should be.
    std::fs::write(timed.cache.path().join("microtome"), "in the way").unwrap();
    let line = VERBS[0].replace("OUT", "out");
    check_time(&timed.json(&format!("plan {line}")));
    let unknown = timed.json(&format!("plan {line} --no-calibrate"));
    assert!(unknown["seconds"].is_null() && unknown["refused"].is_null(), "{unknown}");
    let run = timed.json(&line);
    assert_eq!(run["tasks"]["run"], 6);
}

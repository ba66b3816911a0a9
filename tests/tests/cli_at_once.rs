//! Several runs of one output: one writes it, the others are told at once who does.

mod cli;

use std::time::{Duration, Instant};

use cli::Ran;
use cli::resumed::{Subject, ended, is_deep};

const MANY: &str = "--chunk-shape 1,1,1,80,96 --shard-shape none";

#[test]
fn of_several_runs_started_together_exactly_one_wins() {
    let Some(subject) = Subject::new(MANY) else { return };
    let rounds = if is_deep() { 50 } else { 5 };
    for round in 0..rounds {
        let more: &[&str] = if round % 2 == 0 { &["--quiet"] } else { &["--quiet", "--threads", "1"] };
        let runs: Vec<_> = (0..8).map(|_| (subject.command(more).spawn().unwrap(), Instant::now())).collect();
        let mut codes = Vec::new();
        for (run, _) in runs {
            let output = run.wait_with_output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => {}
                Some(5) => assert!(
                    complaint.contains("another run") || complaint.contains("exists already"),
                    "round {round}: {complaint}"
                ),
                code => panic!("round {round}: {code:?} {complaint}"),
            }
            codes.push(output.status.code().unwrap());
        }
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "round {round}: {codes:?}");
        subject.resume(&format!("round {round}"), &[]);
    }
}

#[test]
fn the_second_run_is_told_at_once_who_writes() {
    let Some(subject) = Subject::new(MANY) else { return };
    // Stopped, the first holds the lock for as long as this needs.
    let mut first = subject.command(&["--quiet", "--durability", "unit"]).spawn().unwrap();
    while !subject.journal().exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let signal = |name: &str| {
        let pid = first.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    signal("STOP");
    for more in [&["--quiet"][..], &["--resume"], &["--overwrite"], &["--resume=verify"]] {
        let start = Instant::now();
        let (status, complaint) = ended(&mut subject.command(more));
        assert!(start.elapsed() < Duration::from_secs(1), "{more:?}");
        assert_eq!(status.code(), Some(5), "{more:?}: {complaint}");
        assert!(complaint.contains(&format!("process {} on ", first.id())), "{more:?}: {complaint}");
    }
    signal("KILL");
    first.wait().unwrap();
    assert!(subject.beside("lock").exists(), "a killed run leaves its lock");
    subject.resume("after the first was killed", &[]);
}

#[test]
fn what_is_in_the_way_of_a_run_that_goes_on_is_said() {
    let Some(subject) = Subject::new(MANY) else { return };
    let refused = |more: &[&str], parts: &[&str]| {
        let before = subject.bench.tree();
        let ran = Ran::of(&mut subject.piped(more));
        assert_eq!(ran.code, 5, "{more:?}: {}", ran.stderr);
        for part in parts {
            assert!(ran.stderr.contains(part), "{more:?}: `{part}` is not in {}", ran.stderr);
        }
        assert!(subject.bench.tree() == before, "{more:?} touched something");
    };
    let unfinished = || {
        let mut child = subject.command(&["--quiet", "--durability", "unit"]).spawn().unwrap();
        while subject.journaled() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(subject.beside("lock")).unwrap();
    };
    unfinished();
    refused(&[], &["unfinished output of this very plan", "--resume goes on", "--overwrite starts anew"]);
    refused(&["--dtype", "uint8"], &["unfinished output of another plan", "--overwrite"]);
    refused(&["--resume", "--dtype", "uint8"], &["unfinished output of another plan", "--overwrite"]);
    let ran = Ran::of(&mut subject.piped(&["--overwrite", "--json"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("\"resumed\":0"), "--overwrite starts anew: {}", ran.stdout);
    refused(&["--resume", "--dtype", "uint8"], &["finished output of another plan", "--overwrite"]);
    refused(&[], &["exists already"]);
    let report = subject.resume("a finished output", &[]);
    assert_eq!(report["units"]["written"], 0);
    assert_eq!(report["tasks"]["run"], 0);
}

//! A process that is watched while it runs: what it answers, and the most anonymous memory it was seen with.
#![allow(dead_code, reason = "each test file uses a part of this module")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Runs a command to its end; gives what it said and the most anonymous and shared memory it was seen with, in bytes.
pub fn watched(mut command: Command) -> (Output, u64) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    // What it says is taken while it runs: a full pipe would keep it waiting.
    let answer = std::thread::spawn(|| child.wait_with_output().unwrap());
    let mut most = 0;
    while !answer.is_finished() {
        most = most.max(anonymous(Path::new(&status)));
        std::thread::sleep(Duration::from_millis(2));
    }
    (answer.join().unwrap(), most)
}

fn anonymous(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    text.lines().filter(|l| l.starts_with("RssAnon:") || l.starts_with("RssShmem:")).map(kib).sum::<u64>() << 10
}

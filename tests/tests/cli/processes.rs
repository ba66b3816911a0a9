//! Processes as /proc shows them, to see that none is left.

use std::time::{Duration, Instant};

/// The living processes below one.
pub fn descendants(id: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = numbers().filter_map(|id| Some((id, parent(id)?))).collect();
    let mut found = vec![id];
    let mut at = 0;
    while at < found.len() {
        let above = found[at];
        found.extend(all.iter().filter(|(_, parent)| *parent == above).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

/// Waits until none of these lives, so long at most.
pub fn gone_within(limit: Duration, ids: &[u32]) {
    let start = Instant::now();
    loop {
        let left: Vec<String> = ids.iter().filter(|id| parent(**id).is_some()).map(|id| line(*id)).collect();
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < limit, "after {limit:?} there is still {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a process was started with.
pub fn program(id: u32) -> String {
    line(id)
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent of a process that lives; one that has ended and waits to be noticed does not.
fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (state, rest) = stat.rsplit_once(") ")?.1.split_once(' ')?;
    if state == "Z" { None } else { rest.split(' ').next()?.parse().ok() }
}

fn line(id: u32) -> String {
    let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&words).replace('\0', " ");
    format!("{id}: {}", line.chars().take(200).collect::<String>())
}

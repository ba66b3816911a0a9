//! What the tests run on workers, and what they look at afterwards.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use microtome_handler::{TaskError, function};
use rustix::process::{Signal, getpid, getppid, kill_process};
use tempfile::TempDir;

#[function(crate = microtome_handler)]
pub fn add_one(x: u64) -> u64 {
    x + 1
}

#[function(crate = microtome_handler)]
pub fn nap(milliseconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

/// Naps under a name of its own, so that its tasks can be counted among those of others.
#[function(crate = microtome_handler)]
pub fn windowed(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// … and another such.
#[function(crate = microtome_handler)]
pub fn unreleased(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Writes down that it runs, naps, and answers.
#[function(crate = microtome_handler)]
pub fn touch(folder: String, item: u64, milliseconds: u64) -> u64 {
    note(&folder, item);
    std::thread::sleep(Duration::from_millis(milliseconds));
    answer(item)
}

/// Writes down that it runs, again and again, for a minute.
#[function(crate = microtome_handler)]
pub fn tick(folder: String, item: u64) {
    for _ in 0..1200 {
        note(&folder, item);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Naps, and notes whether another process does the same item at the same time.
#[function(crate = microtome_handler)]
pub fn alone(folder: String, item: u64, milliseconds: u64) -> u64 {
    let mine = Path::new(&folder).join(format!("item-{item}"));
    let other = std::fs::read_to_string(&mine).ok();
    if other.is_some_and(|other| Path::new("/proc").join(other).exists()) {
        note(&folder, item);
    }
    std::fs::write(&mine, std::process::id().to_string()).unwrap();
    std::thread::sleep(Duration::from_millis(milliseconds));
    let _ = std::fs::remove_file(mine);
    answer(item)
}

/// As `touch`; one of the items kills the Dask worker it runs on.
#[function(crate = microtome_handler)]
pub fn kill_the_worker_at(poison: u64, folder: String, item: u64) -> u64 {
    note(&folder, item);
    if item == poison {
        kill_the_worker();
        std::thread::sleep(Duration::from_mins(1));
    }
    answer(item)
}

/// Kills our parent, if it still is the Dask worker and not who adopts orphans.
fn kill_the_worker() {
    let parent = getppid().unwrap();
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", parent.as_raw_nonzero())).unwrap_or_default();
    if line.contains("multiprocessing") {
        let _ = kill_process(parent, Signal::KILL);
    }
}

/// Ends its process in the way said, if one is said.
#[function(crate = microtome_handler)]
pub fn end_by(way: String, item: u64) -> u64 {
    if !way.is_empty() {
        eprintln!("item {item} is about to {way}");
    }
    match way.as_str() {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        // The first one meets Rust's own handler, which looks for a stack overflow and lets the next one through.
        "segfault" => (0..2).for_each(|_| kill_process(getpid(), Signal::SEGV).unwrap()),
        _ => {}
    }
    answer(item)
}

/// The process of the Dask worker it runs on.
#[function(crate = microtome_handler)]
pub fn worker_process(milliseconds: u64) -> u32 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    getppid().map_or(0, |id| id.as_raw_nonzero().get() as u32)
}

/// The path by which its program was started.
#[function(crate = microtome_handler)]
pub fn program_path(milliseconds: u64) -> String {
    std::thread::sleep(Duration::from_millis(milliseconds));
    std::env::args().next().unwrap_or_default()
}

/// That many bytes.
#[function(crate = microtome_handler)]
pub fn so_many_bytes(count: u64) -> Vec<u8> {
    vec![7; count as usize]
}

#[function(crate = microtome_handler)]
pub fn count_bytes(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}

/// Says a line to the log and one to standard error.
#[function(crate = microtome_handler)]
pub fn say(item: u64) -> u64 {
    microtome_handler::log(&format!("log of {item}"));
    eprintln!("stderr of {item}");
    item
}

#[function(crate = microtome_handler)]
pub fn fail_at(bad: u64, item: u64) -> Result<u64, String> {
    if item == bad { Err(format!("{item} is bad")) } else { Ok(answer(item)) }
}

/// In another build of this program it has another name: see [`programs`](crate::programs).
#[function(crate = microtome_handler)]
pub fn only_in_build_a() -> u64 {
    1
}

/// What `touch` and its like answer.
pub fn answer(item: u64) -> u64 {
    item * item + 1
}

fn note(folder: &str, item: u64) {
    let path = Path::new(folder).join("runs");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{item}\n").as_bytes()).unwrap();
}

/// A folder in which items write down that they ran.
pub struct Runs(TempDir);

impl Runs {
    pub fn new() -> Runs {
        Runs(tempfile::tempdir().unwrap())
    }

    pub fn folder(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    /// Arguments of `touch`.
    pub fn items(&self, items: u64, milliseconds: u64) -> impl Iterator<Item = (String, u64, u64)> + use<> {
        let folder = self.folder();
        (0..items).map(move |item| (folder.clone(), item, milliseconds))
    }

    /// The items that ran, in order of time, as often as they did.
    pub fn executions(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.0.path().join("runs")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// All of the first `items` ran.
    pub fn assert_all_ran(&self, items: u64) {
        let mut ran = self.executions();
        assert!(ran.len() as u64 >= items, "{} executions of {items} items", ran.len());
        ran.sort_unstable();
        ran.dedup();
        assert_eq!(ran, (0..items).collect::<Vec<u64>>());
    }
}

/// Every item has its answer, in its own place.
pub fn assert_answers(results: &[Result<u64, TaskError>], items: u64) {
    assert_eq!(results.len() as u64, items);
    for (item, result) in (0..).zip(results) {
        assert_eq!(*result, Ok(answer(item)), "item {item}");
    }
}

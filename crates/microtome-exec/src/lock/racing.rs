//! Many processes race for one lock, and some are killed: never two hold it, and it is never lost.
//!
//! A racer is this test program again, told by a variable of its environment where to race. A holder writes its number into
//! a file that nobody but a holder may touch; who finds the number of a living process there has met a second holder.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// The folder in which a racer races; set in racers alone.
const FOLDER: &str = "MICROTOME_TEST_RACE";
const RACERS: usize = 12;
const TIME: Duration = Duration::from_millis(1500);

/// How long a process that was killed may take to be gone after the kernel has taken its lock away.
const DYING: Duration = Duration::from_millis(100);

/// Whether a process lives; one that has ended and waits to be noticed does not, nor one that is just ending.
fn lives(id: &str) -> bool {
    let start = Instant::now();
    while start.elapsed() < DYING {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        if stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X'])) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Takes the lock and gives it back until killed; at the end tells how often, or `two holders`.
fn race(folder: &Path) {
    let (out, held, stop) = (folder.join("out.zarr"), folder.join("held"), folder.join("stop"));
    let me = std::process::id().to_string();
    let mut taken = 0;
    while !stop.exists() {
        let Ok(lock) = Lock::take(&out) else { continue };
        let before = std::fs::read_to_string(&held).unwrap_or_default();
        let mut alone = before.is_empty() || !lives(&before);
        std::fs::write(&held, &me).unwrap();
        std::thread::yield_now();
        alone &= std::fs::read_to_string(&held).unwrap() == me;
        if !alone {
            std::fs::write(folder.join("two holders"), format!("{before} and {me}")).unwrap();
        }
        std::fs::write(&held, "").unwrap();
        drop(lock);
        taken += 1;
    }
    std::fs::write(folder.join(format!("taken-{me}")), taken.to_string()).unwrap();
}

fn racer(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "lock::racing::of_many_processes_one_holds_it_whoever_is_killed", "--test-threads", "1"]);
    command.env(FOLDER, folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn of_many_processes_one_holds_it_whoever_is_killed() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return race(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut racers: Vec<Child> = (0..RACERS).map(|_| racer(folder.path())).collect();
    let start = Instant::now();
    let mut killed = 0;
    while start.elapsed() < TIME {
        // One in the middle of something, and another in its place.
        std::thread::sleep(Duration::from_millis(20));
        let n = killed % RACERS;
        racers[n].kill().unwrap();
        racers[n].wait().unwrap();
        racers[n] = racer(folder.path());
        killed += 1;
    }
    std::fs::write(folder.path().join("stop"), "").unwrap();
    for racer in &mut racers {
        assert!(racer.wait().unwrap().success(), "a racer failed");
    }
    let two = std::fs::read_to_string(folder.path().join("two holders")).ok();
    assert_eq!(two, None, "two processes held the lock at once");
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let told = names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("taken-"));
    let taken: u64 = told.map(|path| std::fs::read_to_string(path).unwrap().parse::<u64>().unwrap()).sum();
    assert!(taken > 0 && killed > 10, "taken {taken} times by those that were not killed, {killed} killed");
    drop(Lock::take(&folder.path().join("out.zarr")).unwrap());
}

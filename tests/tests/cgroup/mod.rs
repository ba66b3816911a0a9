//! Memory cgroups of the kernel, of both versions: what is run in one is killed when it takes more than its limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Names of folders begin with this, then comes the process that made them.
const PREFIX: &str = "microtome-test-";

/// The names of a version's files.
struct Version {
    limit: &'static str,
    /// Limits what memory and swap hold together (1) or swap alone (2); not there where nothing is swapped.
    swap: &'static str,
    peak: &'static str,
    events: &'static str,
}

const V1: Version = Version {
    limit: "memory.limit_in_bytes",
    swap: "memory.memsw.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};
const V2: Version =
    Version { limit: "memory.max", swap: "memory.swap.max", peak: "memory.peak", events: "memory.events" };

/// A group with a limit; it is gone when this is dropped.
pub struct Cgroup {
    folder: PathBuf,
    version: &'static Version,
}

impl Cgroup {
    /// A group whose processes may hold so many bytes together, and swap none; else why that cannot be here.
    pub fn new(limit: u64) -> Result<Cgroup, String> {
        let mut why = "no memory controller is mounted".to_owned();
        for (version, parent) in parents() {
            remove_left(&parent);
            match Cgroup::below(version, &parent, limit) {
                Ok(group) => return Ok(group),
                Err(e) => why = e,
            }
        }
        Err(why)
    }

    fn below(version: &'static Version, parent: &Path, limit: u64) -> Result<Cgroup, String> {
        let said = |e: std::io::Error| format!("{}: {e}", parent.display());
        let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&folder).map_err(said)?;
        let group = Cgroup { folder, version };
        if !group.file(version.limit).exists() {
            // Version 2 has the files only where the parent passes the controller on.
            fs::write(parent.join("cgroup.subtree_control"), "+memory").map_err(said)?;
        }
        group.write(version.limit, limit).map_err(said)?;
        let swap = if version.swap == V2.swap { 0 } else { limit };
        if group.file(version.swap).exists() {
            group.write(version.swap, swap).map_err(said)?;
        }
        Ok(group)
    }

    /// Where the kernel shows it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, bytes: u64) -> std::io::Result<()> {
        fs::write(self.file(name), bytes.to_string())
    }

    /// The command, which enters the group before it becomes what it was.
    pub fn around(&self, inner: &Command) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(self.file("cgroup.procs"));
        command.arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Processes that the kernel killed because the group was at its limit.
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.file(self.version.events)).unwrap();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        kills.unwrap_or_else(|| panic!("{} counts no kills: {text}", self.version.events))
    }

    /// The most that was held, page cache among it, if the kernel says so.
    pub fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.file(self.version.peak)).ok()?.trim().parse().ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that has just ended may still be counted.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        println!("{} could not be removed", self.folder.display());
    }
}

/// Groups in which this process may make others: its own, or one above.
fn parents() -> Vec<(&'static Version, PathBuf)> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (version, mount) = match controllers {
            "" => (&V2, "/sys/fs/cgroup"),
            list if list.split(',').any(|name| name == "memory") => (&V1, "/sys/fs/cgroup/memory"),
            _ => continue,
        };
        let marker = Path::new(mount).join(if controllers.is_empty() { "cgroup.subtree_control" } else { V1.limit });
        if marker.exists() {
            let own = Path::new(mount).join(path.trim_start_matches('/'));
            let above = own.ancestors().take_while(|folder| folder.starts_with(mount));
            found.extend(above.filter(|folder| folder.is_dir()).map(|folder| (version, folder.to_owned())));
        }
    }
    found
}

/// Removes groups of tests that were killed.
fn remove_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.parse::<u32>().ok());
        if maker.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists()) {
            // Another test may be about it too.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

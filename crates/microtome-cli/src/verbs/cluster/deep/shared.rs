//! Whether a folder is the same one here and on a worker: a file goes each way, and its bytes are compared.
//!
//! *Invariant:* everything is made in a folder of its own, whose name has never been there before (so that no file system
//! remembers its absence), and which is removed at the end.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use microtome::{Handler, OnCluster, path_on_workers};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::super::probe::{ahead, noise, wait_within};
use super::super::report::Fault;
use super::{Ended, came};
use crate::args::DeepArgs;
use crate::error::CliError;
use crate::signals;

/// How long a file may take to be seen elsewhere: file systems of several machines remember for seconds what was not there.
const SEEN: Duration = Duration::from_secs(8);
/// How long a worker may take for all that it does in a folder.
const VISIT: Duration = Duration::from_secs(30);
/// Numbers of 8 bytes in a file: 64 KiB.
const NUMBERS: u64 = 8 << 10;
/// The file that is written here.
const FROM_HERE: &str = "from-here";

/// What a worker found in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Visit {
    /// There is no such folder.
    NoFolder { why: String },
    /// There is one, of so many entries, and what was made in it is not there.
    Another { entries: u64 },
    /// It is there: the hash of the file from here, or why it cannot be read; of the one that was written, or why it cannot be.
    There { read: Result<u64, String>, wrote: Result<u64, String> },
}

/// What a worker and this side see of each other's files in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Visited {
    pub(crate) worker: String,
    pub(crate) path: PathBuf,
    /// Where the worker looked.
    pub(crate) path_there: PathBuf,
    /// Whether the worker reads what this side wrote.
    pub(crate) reads: bool,
    /// Whether this side reads what the worker wrote.
    pub(crate) writes: bool,
    /// What is wrong, in a word, in words, and what to do.
    wrong: Option<(&'static str, String, String)>,
}

impl Visited {
    pub(super) fn fault(&self) -> Option<Fault> {
        let (word, what, todo) = self.wrong.as_ref()?;
        Some(Fault::new(word, what, todo).of(&self.worker))
    }
}

/// Opens a folder that was made on the other side, on a worker.
#[microtome::function]
fn visit(parent: PathBuf, name: String, number: u64) -> Visit {
    let folder = parent.join(name);
    let entries = match std::fs::read_dir(&parent) {
        Ok(entries) => entries.count() as u64,
        Err(error) => return Visit::NoFolder { why: error.to_string() },
    };
    let theirs = folder.join(FROM_HERE);
    if !appears(&theirs) {
        return Visit::Another { entries };
    }
    let read = hash_of(&theirs).map_err(|error| error.to_string());
    let wrote = write(&folder.join(format!("from-{number}")), number + 1).map_err(|error| error.to_string());
    Visit::There { read, wrote }
}

/// Whether a file is there, or comes within a while.
fn appears(path: &Path) -> bool {
    let end = Instant::now() + SEEN;
    loop {
        // Reading the folder makes some file systems forget that it did not have the file.
        let listed = path.parent().is_some_and(|folder| std::fs::read_dir(folder).is_ok_and(|all| all.count() > 0));
        if path.exists() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(if listed { 100 } else { 250 }));
    }
}

fn hash_of(path: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(path)?);
    Ok(hasher.finish())
}

/// Writes noise, and gives its hash.
fn write(path: &Path, seed: u64) -> io::Result<u64> {
    let bytes: Vec<u8> = noise(seed, NUMBERS).into_iter().flat_map(u64::to_le_bytes).collect();
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Ok(hasher.finish())
}

/// The folders of a check.
#[derive(Debug)]
pub(super) struct Folders {
    pub(super) all: Vec<Folder>,
    /// Those in which nothing can be made here.
    pub(super) faults: Vec<Fault>,
}

/// A folder, with the one that was made in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    there: PathBuf,
    own: TempDir,
    hash: u64,
}

impl Folders {
    /// Makes a folder in each of those that were named, or in the current one.
    pub(super) fn make(args: &DeepArgs) -> Result<Folders, CliError> {
        let on_cluster = OnCluster { path_map: args.path_map.clone(), ..OnCluster::default() };
        let current = [PathBuf::from(".")];
        let named = if args.shared.is_empty() { &current[..] } else { &args.shared };
        let mut folders = Folders { all: Vec::new(), faults: Vec::new() };
        for path in named {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            match Folder::make(&path, &on_cluster) {
                Ok(folder) => folders.all.push(folder),
                Err(error) => folders.faults.push(not_writable_here(&path, &error)),
            }
        }
        let own: Vec<PathBuf> = folders.all.iter().map(|folder| folder.own.path().to_owned()).collect();
        let removed = signals::on_first(move |signal| {
            for folder in &own {
                drop(std::fs::remove_dir_all(folder));
            }
            std::process::exit(crate::exit::of_signal(signal).into());
        });
        removed.map_err(|source| CliError::File { path: PathBuf::from("signals"), source })?;
        Ok(folders)
    }

    /// Where images for workers may be made: here and there.
    pub(super) fn work_place(&self) -> Option<(&Path, PathBuf)> {
        let folder = self.all.first()?;
        Some((folder.own.path(), folder.there.join(folder.name())))
    }
}

fn not_writable_here(path: &Path, error: &io::Error) -> Fault {
    let what = format!("nothing can be written into {} from here: {error}", path.display());
    let todo = "name a folder that you may write, or mount it so: outputs, their locks and journals lie there";
    Fault::new("read-only", &what, todo)
}

impl Folder {
    fn make(path: &Path, on_cluster: &OnCluster) -> io::Result<Folder> {
        let own = tempfile::Builder::new().prefix(".microtome-check-").tempdir_in(path)?;
        let hash = write(&own.path().join(FROM_HERE), 0)?;
        Ok(Folder { path: path.to_owned(), there: path_on_workers(path, on_cluster), own, hash })
    }

    fn name(&self) -> String {
        self.own.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Has each worker visit it, all at once.
    pub(super) fn visited_by(&self, handler: &Handler, workers: &[String]) -> Result<Vec<Visited>, Ended> {
        let ask = |(number, worker): (u64, &String)| {
            let handler = handler.with_options(ahead(vec![worker.clone()]));
            handler.submit(visit, (self.there.clone(), self.name(), number))
        };
        let asked: Vec<_> = (0..).zip(workers).map(ask).collect();
        let end = Instant::now() + VISIT;
        let mut all = Vec::new();
        for (number, (worker, answer)) in (0..).zip(workers.iter().zip(asked)) {
            let found = came(wait_within(VISIT, answer, end))?;
            all.push(self.judged(worker, number, found));
        }
        Ok(all)
    }

    fn judged(&self, worker: &str, number: u64, found: Result<Visit, String>) -> Visited {
        let (reads, writes, wrong) = match found {
            Ok(Visit::There { read, wrote }) => {
                let reads = read.as_ref().is_ok_and(|hash| *hash == self.hash);
                let came_back = wrote.as_ref().is_ok_and(|hash| self.came_back(number, *hash));
                (reads, came_back, self.wrong((&read, reads), (&wrote, came_back)))
            }
            Ok(Visit::NoFolder { why }) => (false, false, Some(self.no_folder(&why))),
            Ok(Visit::Another { entries }) => (false, false, Some(self.another(entries))),
            Err(why) => (false, false, Some(("no answer", why, "restart it; its log says more".to_owned()))),
        };
        let (path, path_there) = (self.path.clone(), self.there.clone());
        Visited { worker: worker.to_owned(), path, path_there, reads, writes, wrong }
    }

    fn came_back(&self, number: u64, hash: u64) -> bool {
        let path = self.own.path().join(format!("from-{number}"));
        appears(&path) && hash_of(&path).is_ok_and(|found| found == hash)
    }

    fn wrong(
        &self,
        (read, reads): (&Result<u64, String>, bool),
        (wrote, writes): (&Result<u64, String>, bool),
    ) -> Option<(&'static str, String, String)> {
        let (here, there) = (self.path.display(), self.there.display());
        let same = "outputs must lie where all machines see the same bytes: use another folder";
        Some(match (read, wrote) {
            (Err(why), _) => ("cannot read", format!("it cannot read in {there}: {why}"), rights(&self.there)),
            (_, Err(why)) => ("cannot write", format!("it cannot write into {there}: {why}"), rights(&self.there)),
            _ if !reads => {
                ("other bytes", format!("it reads other bytes in {there} than were written here"), same.to_owned())
            }
            _ if !writes => ("not seen", format!("what it wrote into {there} is not in {here}"), same.to_owned()),
            _ => return None,
        })
    }

    fn no_folder(&self, why: &str) -> (&'static str, String, String) {
        ("sees no folder", format!("it does not see {}: {why}", self.there.display()), self.map_it())
    }

    fn another(&self, entries: u64) -> (&'static str, String, String) {
        let (here, there) = (self.path.display(), self.there.display());
        let what =
            format!("its {there} is not {here} of this machine: it has {entries} entries and not the one made here");
        ("another folder", what, self.map_it())
    }

    fn map_it(&self) -> String {
        let here = self.path.display();
        format!("mount the storage there, or say where it lies on the workers: --path-map {here}=PATH")
    }
}

fn rights(there: &Path) -> String {
    format!("give the user that runs it the right to {}, or mount it to be written", there.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_the_same_is_seen_both_ways_and_any_other_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::make(parent.path(), &OnCluster::default()).unwrap();
        let answer = visit(folder.there.clone(), folder.name(), 3);
        let seen = folder.judged("tcp://w:1", 3, Ok(answer));
        assert!(seen.reads && seen.writes && seen.fault().is_none(), "{seen:?}");

        let gone = visit(parent.path().join("no"), folder.name(), 4);
        let seen = folder.judged("tcp://w:1", 4, Ok(gone));
        assert!(!seen.reads && seen.fault().unwrap().todo.contains("--path-map"), "{seen:?}");

        // It says that it wrote, and what it wrote is other bytes.
        let lie = Visit::There { read: Ok(folder.hash), wrote: Ok(1) };
        let _ = write(&folder.own.path().join("from-5"), 6).unwrap();
        let seen = folder.judged("tcp://w:1", 5, Ok(lie));
        assert!(seen.reads && !seen.writes && seen.fault().unwrap().word == "not seen", "{seen:?}");
        let seen = folder.judged("tcp://w:1", 6, Ok(Visit::Another { entries: 7 }));
        assert!(seen.fault().unwrap().what.contains("has 7 entries"), "{seen:?}");
    }
}

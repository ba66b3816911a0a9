//! A real Dask cluster of processes on this machine, for trying things out and for tests: the same scheduler, the same
//! workers, the same faults as a large one.
//!
//! One Python process holds the scheduler and starts the workers, all in one process group of their own (an interrupt at the
//! terminal is ours to interpret). *Invariant:* it ends when its standard input does, so nothing of it outlives this
//! program, however that ends; and everything listens on 127.0.0.1 alone.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::{Deserialize, Serialize};

use crate::error::ConnectError;
use crate::last_words::LastWords;
use crate::python::{self, Refusal};

const SOURCE: &str = include_str!("local_cluster.py");

/// How long starting may take; two workers take two seconds.
const STARTING: Duration = Duration::from_mins(1);
/// How long it may take to end before it is ended; it gives itself 2.5 s.
const ENDING: Duration = Duration::from_secs(4);

/// What a [`LocalCluster`] is to be like.
#[derive(Clone, Debug, Serialize)]
pub struct LocalClusterOptions {
    /// Workers, each a process; one for each core unless said otherwise.
    pub workers: usize,
    /// Threads of each worker: what it runs at a time. 1 unless said otherwise.
    pub threads_each: usize,
    /// Memory of each worker in bytes, beyond which Dask restarts it; an equal share of this machine's unless said otherwise,
    /// [`LocalClusterOptions::LEAST_MEMORY`] at least.
    pub memory_each: Option<u64>,
    /// A file for others to find the scheduler by, written when the workers are there and removed at the end.
    pub scheduler_file: Option<PathBuf>,
    /// Whether there is a dashboard; Python needs the package `bokeh` for it.
    pub dashboard: bool,
    /// The Python that runs it; found as by [`Builder::python`](crate::Builder::python) unless said otherwise.
    #[serde(skip)]
    pub python: Option<PathBuf>,
}

impl LocalClusterOptions {
    /// The least memory of a worker in bytes: with less than it takes itself it would be restarted for ever.
    pub const LEAST_MEMORY: u64 = 256 << 20;
}

impl Default for LocalClusterOptions {
    fn default() -> Self {
        LocalClusterOptions {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            threads_each: 1,
            memory_each: None,
            scheduler_file: None,
            dashboard: false,
            python: None,
        }
    }
}

/// A Dask cluster on this machine that lives until it is dropped, or this program ends.
///
/// Only this machine can reach it; but whoever is on this machine can, and can run code as you.
///
/// # Examples
/// ```standalone_crate
/// use microtome_handler::{Handler, LocalCluster, LocalClusterOptions, function};
///
/// #[function(crate = microtome_handler)]
/// fn add_one(x: u64) -> u64 {
///     x + 1
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     microtome_handler::init();
/// #   if std::env::var_os("MICROTOME_PYTHON").is_none() {
/// #       return Ok(()); // no Python with `distributed` here
/// #   }
///     let cluster = LocalCluster::start(&LocalClusterOptions { workers: 2, ..LocalClusterOptions::default() })?;
///     let handler = Handler::new(Some(cluster.address()))?;
///     let sum: u64 = handler.batched_map(add_one, 0..1000).map(Result::unwrap).sum();
///     assert_eq!(sum, 500_500);
///     Ok(()) // here the connection ends, then the cluster
/// }
/// ```
#[derive(Debug)]
#[must_use = "a cluster ends when it is dropped"]
pub struct LocalCluster {
    process: Process,
    ready: Ready,
    scheduler_file: Option<PathBuf>,
}

/// What the process says when its workers are there.
#[derive(Debug, Deserialize)]
struct Ready {
    address: String,
    dashboard: String,
    /// Where its workers put what they have no memory for.
    folder: PathBuf,
    workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Worker {
    address: String,
    pid: u32,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Answer {
    Ready(Ready),
    Fatal { kind: String, message: String },
}

impl LocalCluster {
    /// Starts a cluster and waits for its workers.
    ///
    /// # Errors
    /// [`ConnectError::NoPython`], [`ConnectError::NoDistributed`] as for connecting; [`ConnectError::LocalCluster`], within
    /// a minute, where it cannot be started, with Python's last words.
    pub fn start(options: &LocalClusterOptions) -> Result<LocalCluster, ConnectError> {
        if options.memory_each.is_some_and(|bytes| bytes < LocalClusterOptions::LEAST_MEMORY) {
            let least = LocalClusterOptions::LEAST_MEMORY >> 20;
            return Err(failed(format!("a worker needs {least} MiB of memory at least")));
        }
        // This program may change its folder before the file is removed.
        let scheduler_file = options.scheduler_file.as_deref().map(absolute).transpose()?;
        let options = &LocalClusterOptions { scheduler_file: scheduler_file.clone(), ..options.clone() };
        python::first_that_serves(options.python.as_ref(), |python| {
            let mut process = Process::spawn(python).map_err(Refusal::NotStarted)?;
            match process.greet(options).map_err(Refusal::Other)? {
                Answer::Ready(ready) => {
                    if options.dashboard && ready.dashboard.is_empty() {
                        let name = python.to_string_lossy();
                        tracing::warn!("no dashboard: {name} lacks the package bokeh; {name} -m pip install bokeh");
                    }
                    Ok(LocalCluster { process, ready, scheduler_file: scheduler_file.clone() })
                }
                Answer::Fatal { kind, message } if kind == "no-distributed" => Err(Refusal::NoDistributed(message)),
                Answer::Fatal { message, .. } => Err(Refusal::Other(process.failed(&message))),
            }
        })
    }

    /// The scheduler's address, for [`Handler::new`](crate::Handler::new): `tcp://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.ready.address
    }

    /// The link to the dashboard, if there is one.
    pub fn dashboard(&self) -> Option<&str> {
        Some(self.ready.dashboard.as_str()).filter(|link| !link.is_empty())
    }

    /// The workers' addresses.
    pub fn workers(&self) -> impl ExactSizeIterator<Item = &str> {
        self.ready.workers.iter().map(|worker| worker.address.as_str())
    }

    /// The processes: first the one that holds the scheduler, then the workers as they were started (a worker that dies is
    /// replaced).
    pub fn pids(&self) -> Vec<u32> {
        let workers = self.ready.workers.iter().map(|worker| worker.pid);
        std::iter::once(self.process.child.id()).chain(workers).collect()
    }

    /// Why it has ended by itself, if it has.
    pub fn ended(&self) -> Option<String> {
        if self.process.is_running() { None } else { Some(self.process.with_last_words("it has ended")) }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        self.process.end();
        // It has cleared up after itself, unless it was killed. The file may be another cluster's by now.
        let _ = std::fs::remove_dir_all(&self.ready.folder);
        if let Some(path) = &self.scheduler_file
            && std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("\"{}\"", self.ready.address)))
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The Python process with all below it.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Its standard input, which keeps it alive.
    input: Option<ChildStdin>,
    words: Option<LastWords>,
}

impl Process {
    fn spawn(python: &OsStr) -> io::Result<Process> {
        let mut child = python::command(python, SOURCE).spawn()?;
        let words = child.stderr.take().map(|stderr| LastWords::of(stderr, tell));
        Ok(Process { input: child.stdin.take(), child, words })
    }

    /// Says what is wanted and waits for what there is.
    fn greet(&mut self, options: &LocalClusterOptions) -> Result<Answer, ConnectError> {
        let (Some(input), Some(output)) = (&mut self.input, self.child.stdout.take()) else {
            return Err(self.failed("it has no pipes"));
        };
        let line = serde_json::to_string(options).map_err(|error| failed(error.to_string()))?;
        // If it has ended already, its answer says why.
        let _ = writeln!(input, "{line}");
        let (sender, answered) = channel();
        std::thread::spawn(move || drop(sender.send(read_answer(output))));
        match answered.recv_timeout(STARTING) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(self.failed(&why)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(self.failed(&format!("its workers were not there after {} s", STARTING.as_secs())))
            }
        }
    }

    fn failed(&self, why: &str) -> ConnectError {
        failed(self.with_last_words(why))
    }

    fn with_last_words(&self, why: &str) -> String {
        self.words.as_ref().map_or_else(|| why.to_owned(), |words| words.with(why, "Python"))
    }

    /// Whether it runs. It is not reaped here: as long as it is not, nobody else gets its number.
    fn is_running(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(pid(&self.child)), options), Ok(None))
    }

    /// Ends it and all below it, within seconds; once.
    fn end(&mut self) {
        if self.input.take().is_none() {
            return;
        }
        let end = Instant::now() + ENDING;
        while self.is_running() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Its last act is this very one; but it may have been ended by others.
        let _ = kill_process_group(pid(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn failed(why: String) -> ConnectError {
    ConnectError::LocalCluster { why }
}

fn absolute(path: &Path) -> Result<PathBuf, ConnectError> {
    std::path::absolute(path).map_err(|error| failed(format!("the scheduler file {}: {error}", path.display())))
}

fn read_answer(output: ChildStdout) -> Result<Answer, String> {
    let mut line = String::new();
    match BufReader::new(output).read_line(&mut line) {
        Ok(0) => Err("it ended before it was ready".to_owned()),
        Ok(_) => serde_json::from_str(&line).map_err(|error| format!("it answered `{}`: {error}", line.trim())),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells a line that Dask itself finds worth a warning, as of a worker that ran out of memory.
fn tell(line: &str) {
    if let Some((who, what)) = warning(line) {
        tracing::warn!("{who}: {what}");
    } else {
        tracing::debug!("local cluster: {line}");
    }
}

/// Who warns of what, in a line of Dask's log: `time - who - level - what`.
fn warning(line: &str) -> Option<(&str, &str)> {
    let mut parts = line.splitn(4, " - ").skip(1);
    let (who, level, what) = (parts.next()?, parts.next()?, parts.next()?);
    matches!(level, "WARNING" | "ERROR" | "CRITICAL").then_some((who, what))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_dask_warns_of_is_told_from_what_it_does() {
        let line = |level: &str| format!("2026-11-24 11:58:01,511 - distributed.nanny - {level} - Restarting - now");
        assert_eq!(warning(&line("WARNING")), Some(("distributed.nanny", "Restarting - now")));
        assert_eq!(warning(&line("INFO")), None);
        assert_eq!(warning("  File \"x.py\", line 3"), None);
    }

    #[test]
    fn what_is_no_answer_is_quoted() {
        let mut spoken = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn().unwrap();
        let error = read_answer(spoken.stdout.take().unwrap()).unwrap_err();
        spoken.wait().unwrap();
        assert!(error.starts_with("it answered `hello`"), "{error}");
    }
}

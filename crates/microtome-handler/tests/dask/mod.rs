//! A real, unmodified Dask cluster for tests: a scheduler and workers as processes of their own, each in its own process
//! group, killed on drop. Needs a Python with `distributed`: the one in `MICROTOME_PYTHON`.
#![allow(dead_code, reason = "each test program uses a part of this module")]

mod observer;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::observer::Observer;

/// The variable that marks processes in their environment, which what they start inherits.
const MARK: &str = "MICROTOME_TEST_MARK";

/// A cluster on this machine.
pub struct Cluster {
    python: PathBuf,
    folder: TempDir,
    scheduler: Child,
    workers: Vec<Child>,
    setup: Setup,
    mark: String,
    observer: Mutex<Option<Observer>>,
    pub address: String,
}

/// How a cluster is to be.
#[derive(Clone, Default)]
pub struct Setup {
    /// Workers of one thread each.
    pub workers: usize,
    /// More arguments for scheduler and workers.
    pub both: Vec<String>,
    /// More arguments for workers alone.
    pub of_workers: Vec<String>,
    /// Variables for all its processes.
    pub environment: Vec<(String, String)>,
}

/// The Python of the tests; `None`, said loudly, where there is none.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("MICROTOME_PYTHON").map(PathBuf::from);
    if python.is_none() {
        skip("tests on a Dask cluster", "MICROTOME_PYTHON is not set; `cargo xtask test` sets it");
    }
    python
}

/// Says that something was not tested, here and in the closing lines of `cargo xtask test`.
pub fn skip(name: &str, why: &str) {
    println!("SKIPPED {name}: {why}");
    let Some(file) = std::env::var_os("MICROTOME_SKIPS") else { return };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    writeln!(file, "{name}: {why}").unwrap();
}

impl Cluster {
    /// A scheduler and workers of one thread each, with nannies.
    pub fn start(python: &Path, workers: usize) -> Cluster {
        Cluster::with(python, workers, &[], &[])
    }

    /// With more arguments for scheduler and workers, and for workers alone.
    pub fn with(python: &Path, workers: usize, both: &[String], of_workers: &[&str]) -> Cluster {
        let of_workers = of_workers.iter().map(|word| (*word).to_owned()).collect();
        Cluster::set_up(python, Setup { workers, both: both.to_vec(), of_workers, ..Setup::default() })
    }

    pub fn set_up(python: &Path, setup: Setup) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let mark = new_mark();
        let file = folder.path().join("scheduler.json");
        let mut command = dask(python, "dask_scheduler", folder.path());
        command.args(["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file"]).arg(&file);
        command.args(&setup.both).env(MARK, &mark).envs(setup.environment.clone());
        let scheduler = command.spawn().unwrap();
        let address = wait_for("the scheduler's file", || {
            let text = std::fs::read_to_string(&file).ok()?;
            let file: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(file["address"].as_str()?.to_owned())
        });
        let (python, workers) = (python.to_owned(), setup.workers);
        let observer = Mutex::new(None);
        let mut cluster = Cluster { python, folder, scheduler, workers: Vec::new(), setup, mark, observer, address };
        (0..workers).for_each(|_| cluster.add_worker());
        cluster.wait_for_workers(workers);
        cluster
    }

    /// Adds a worker of one thread.
    pub fn add_worker(&mut self) {
        let n = self.workers.len();
        let local = self.folder.path().join(format!("worker-{n}"));
        let mut command = dask(&self.python, "dask_worker", self.folder.path());
        command.arg("--scheduler-file").arg(self.scheduler_file()).args(["--nthreads", "1", "--no-dashboard"]);
        command.arg("--local-directory").arg(local).args(&self.setup.both).args(&self.setup.of_workers);
        command.env(MARK, &self.mark).envs(self.setup.environment.clone());
        self.workers.push(command.spawn().unwrap());
    }

    /// Workers that were started, each under its nanny.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    pub fn scheduler_file(&self) -> PathBuf {
        self.folder.path().join("scheduler.json")
    }

    /// A folder that lives as long as the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn scheduler_id(&self) -> u32 {
        self.scheduler.id()
    }

    /// Ends the scheduler at once.
    pub fn kill_scheduler(&mut self) {
        self.scheduler.kill().unwrap();
        self.scheduler.wait().unwrap();
    }

    /// The nannies, in the order in which they were started.
    pub fn nanny_ids(&self) -> Vec<u32> {
        self.workers.iter().map(Child::id).collect()
    }

    /// The processes that run tasks: those that the nannies started.
    pub fn worker_ids(&self) -> Vec<u32> {
        let nannies = self.nanny_ids();
        let is_worker = |line: &str| line.contains("spawn_main") || line.contains("forkserver");
        processes().into_iter().filter(|p| nannies.contains(&p.parent) && is_worker(&p.line)).map(|p| p.id).collect()
    }

    /// Waits until the scheduler knows so many workers.
    pub fn wait_for_workers(&self, workers: usize) {
        wait_for("the workers", || (self.ask("len(s.workers)") == workers).then_some(()));
    }

    /// The value of a Python expression in the scheduler, there called `s`.
    pub fn ask(&self, expression: &str) -> serde_json::Value {
        let mut observer = self.observer.lock().unwrap();
        let new = || Observer::start(&self.python, &self.address, &self.setup.environment);
        observer.get_or_insert_with(new).ask(expression)
    }

    /// Tasks of this name at the scheduler.
    pub fn tasks_named(&self, name: &str) -> usize {
        self.ask(&format!("sum(str(key).startswith('{name}-') for key in s.tasks)")).as_u64().unwrap() as usize
    }

    /// The processes of our program that are alive on its workers.
    pub fn children(&self) -> Vec<Process> {
        marked(&self.mark).into_iter().filter(|p| p.line.contains("--microtome-worker")).collect()
    }

    /// What scheduler and workers wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default()
    }

    /// Kills scheduler, nannies and workers, nothing else, and waits until whatever they started has ended by itself.
    pub fn end(mut self) {
        drop(self.observer.lock().unwrap().take());
        let workers = self.worker_ids();
        for id in self.started().into_iter().chain(workers) {
            kill(id);
        }
        self.reap();
        let start = Instant::now();
        while !marked(&self.mark).is_empty() {
            assert!(start.elapsed() < Duration::from_secs(5), "left behind: {:?}", marked(&self.mark));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn started(&self) -> Vec<u32> {
        self.workers.iter().map(Child::id).chain([self.scheduler.id()]).collect()
    }

    fn reap(&mut self) {
        for child in self.workers.iter_mut().chain([&mut self.scheduler]) {
            let _ = child.wait();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.started().into_iter().for_each(kill);
        kill_marked(&self.mark);
        self.reap();
    }
}

fn dask(python: &Path, module: &str, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", &format!("distributed.cli.{module}")]).process_group(0).stdin(Stdio::null());
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log.txt")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command
}

/// Asks again and again, for a minute.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process as /proc shows it.
#[derive(Clone, Debug)]
pub struct Process {
    pub id: u32,
    pub parent: u32,
    pub line: String,
    pub zombie: bool,
}

/// All processes of this machine.
pub fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn process(id: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    Some(Process { id, parent, zombie, line: String::from_utf8_lossy(&line).replace('\0', " ") })
}

/// The living processes below one.
pub fn descendants(id: u32) -> Vec<u32> {
    let all = processes();
    let mut found = vec![id];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(all.iter().filter(|p| p.parent == parent && !p.zombie).map(|p| p.id));
        at += 1;
    }
    found.split_off(1)
}

/// A mark that no other processes have: they and what they start are found by it, whoever their parents are by then.
pub fn new_mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}-", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Marks what a command starts.
pub fn mark<'a>(command: &'a mut Command, mark: &str) -> &'a mut Command {
    command.env(MARK, mark)
}

/// The living processes with this mark.
pub fn marked(mark: &str) -> Vec<Process> {
    let entry = format!("{MARK}={mark}\0");
    let has = |p: &Process| {
        let environment = std::fs::read(format!("/proc/{}/environ", p.id)).unwrap_or_default();
        environment.windows(entry.len()).any(|window| window == entry.as_bytes())
    };
    processes().into_iter().filter(|p| !p.zombie && has(p)).collect()
}

/// Kills the processes with this mark.
pub fn kill_marked(mark: &str) {
    for process in marked(mark) {
        kill(process.id);
    }
}

/// Kills everything that any cluster or command of this program started.
pub fn kill_all_marked() {
    let prefix = format!("{MARK}={}-", std::process::id());
    for process in processes() {
        let environment = std::fs::read(format!("/proc/{}/environ", process.id)).unwrap_or_default();
        if environment.windows(prefix.len()).any(|window| window == prefix.as_bytes()) {
            kill(process.id);
        }
    }
}

/// The children in worker mode that are alive: of the program named so.
pub fn children_of_program(name: &str) -> Vec<Process> {
    let wanted = |p: &Process| !p.zombie && p.line.contains("--microtome-worker") && p.line.contains(name);
    processes().into_iter().filter(wanted).collect()
}

/// Whether it is there and alive.
pub fn is_alive(id: u32) -> bool {
    process(id).is_some_and(|p| !p.zombie)
}

/// Ends a process at once.
pub fn kill(id: u32) {
    signal("-KILL", &id.to_string());
}

/// What a terminal does with Ctrl-C.
pub fn interrupt_group(id: u32) {
    signal("-INT", &format!("-{id}"));
}

fn signal(signal: &str, whom: &str) {
    let _ = Command::new("kill").args([signal, "--", whom]).stderr(Stdio::null()).status();
}

/// Resident memory of a process in bytes.
pub fn resident(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) << 10
}

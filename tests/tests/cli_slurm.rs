//! Workers that are jobs of a real SLURM of one node: a deep check passes, a plan gives the bytes of a run here, and a job that
//! SLURM ends costs time alone.
//!
//! The SLURM is made for the test, from programs that must be installed (Debian: `apt-get install slurmctld slurmd slurm-client
//! munge`), in a folder of its own and on free ports; it needs root and no systemd. Only where `MICROTOME_DEEP` is set.

mod cli;
mod served;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli::{Bench, Ran, skip, tree};
use served::python::Served;

/// A SLURM of this machine alone; its programs end with it.
struct Slurm {
    folder: PathBuf,
    programs: Vec<Child>,
}

/// Where a program of SLURM is: some of them lie where only root looks.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Slurm {
    /// `None`, said loudly, where it is not installed or not asked for.
    fn start(folder: PathBuf) -> Option<Slurm> {
        let title = "workers as jobs of SLURM";
        let required = std::env::var("MICROTOME_REQUIRE").as_deref() == Ok("all");
        if std::env::var_os("MICROTOME_DEEP").is_none() {
            println!("left out: {title}, a test of `cargo xtask deep`");
            return None;
        }
        let missing = ["munged", "slurmctld", "slurmd", "sbatch"].into_iter().find(|name| program(name).is_none());
        if let Some(name) = missing {
            assert!(!required, "{title}: {name} is not installed, and MICROTOME_REQUIRE=all");
            skip(
                title,
                &format!("{name} is not installed (Debian: apt-get install slurmctld slurmd slurm-client munge)"),
            );
            return None;
        }
        if !is_root() {
            skip(title, "SLURM's programs are started as root");
            return None;
        }
        let mut slurm = Slurm { folder, programs: Vec::new() };
        slurm.configure();
        slurm.run();
        Some(slurm)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn configure(&self) {
        for name in ["state", "spool", "run"] {
            std::fs::create_dir_all(self.folder.join(name)).unwrap();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim();
        let ports = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [control, node] = ports.map(|port| port.local_addr().unwrap().port());
        let (cores, path) = (std::thread::available_parallelism().unwrap(), |name: &str| self.path(name));
        let text = [
            "ClusterName=lab".to_owned(),
            format!("SlurmctldHost={host}(127.0.0.1)"),
            "SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nCredType=cred/munge".to_owned(),
            format!("AuthInfo=socket={}", path("run/munge.sock")),
            format!("StateSaveLocation={}\nSlurmdSpoolDir={}", path("state"), path("spool")),
            format!("SlurmctldPidFile={}\nSlurmdPidFile={}", path("run/ctld.pid"), path("run/d.pid")),
            format!("SlurmctldPort={control}\nSlurmdPort={node}"),
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none"
                .to_owned(),
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nReturnToService=2".to_owned(),
            format!("NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2500 State=UNKNOWN"),
            format!("PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"),
        ];
        std::fs::write(self.folder.join("slurm.conf"), text.join("\n")).unwrap();
    }

    fn run(&mut self) {
        let key: Vec<u8> = (0..1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        std::fs::write(self.folder.join("munge.key"), key).unwrap();
        let locked = Command::new("chmod").arg("600").arg(self.folder.join("munge.key")).status().unwrap();
        assert!(locked.success());
        let munge = ["socket=run/munge.sock", "key-file=munge.key", "pid-file=run/munged.pid", "log-file=munged.log"];
        let mut words = vec!["--foreground".to_owned(), "--force".to_owned()];
        let option = |option: &&str| {
            let (name, file) = option.split_once('=').unwrap();
            format!("--{name}={}", self.path(file))
        };
        words.extend(munge.iter().chain(&["seed-file=munge.seed"]).map(option));
        self.spawn("munged", &words);
        self.until("munge", || self.folder.join("run/munge.sock").exists());
        self.spawn("slurmctld", &["-D".to_owned()]);
        self.spawn("slurmd", &["-D".to_owned()]);
        self.until("a node", || self.ask("sinfo", &["--noheader", "--format=%t"]).contains("idle"));
    }

    fn spawn(&mut self, name: &str, words: &[String]) {
        let log = std::fs::File::create(self.folder.join(format!("{name}.txt"))).unwrap();
        let mut command = Command::new(program(name).unwrap());
        command.args(words).env("SLURM_CONF", self.path("slurm.conf")).stdin(Stdio::null());
        self.programs.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            if start.elapsed() > Duration::from_mins(1) {
                let logs = ["munged", "slurmctld", "slurmd"]
                    .map(|name| std::fs::read_to_string(self.folder.join(format!("{name}.txt"))).unwrap_or_default());
                panic!("waited a minute for {what}: {}", logs.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self, name: &str, words: &[&str]) -> String {
        let output =
            Command::new(program(name).unwrap()).args(words).env("SLURM_CONF", self.path("slurm.conf")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    /// The jobs that run.
    fn jobs(&self) -> Vec<String> {
        let text = self.ask("squeue", &["--noheader", "--format=%i", "--states=RUNNING"]);
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let jobs = self.jobs();
        self.ask("scancel", &jobs.iter().map(String::as_str).collect::<Vec<_>>());
        let start = Instant::now();
        while !self.jobs().is_empty() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(100));
        }
        for program in self.programs.iter_mut().rev() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().take(2).eq(["Uid:", "0"]))
}

#[test]
fn jobs_of_slurm_are_workers_like_any_other() {
    let Some(bench) = Bench::new() else { return };
    let Some(slurm) = Slurm::start(bench.path("slurm")) else { return };
    let environment = [("SLURM_CONF", slurm.path("slurm.conf"))];
    let folder = bench.path("").display().to_string();
    let Some(cluster) = Served::start_with("slurm_cluster.py", &[&folder, "2"], &environment) else { return };
    let address = cluster.says["address"].as_str().unwrap().to_owned();
    assert_eq!(slurm.jobs().len(), 2);
    let command = |line: &str| {
        let line = format!("{line} --address {address}");
        let mut command = bench.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("MICROTOME_PYTHON", std::env::var_os("MICROTOME_PYTHON").unwrap());
        command
    };
    let check = Ran::of(&mut command("cluster check --shared . --iterations 50"));
    assert_eq!(check.code, 0, "{}{}", check.stdout, check.stderr);
    assert!(check.stdout.contains("2 workers") && check.stdout.contains("all is well"), "{}", check.stdout);

    let slow = "--levels 2 --chunk-shape 1,1,1,32,32 --shard-shape none --compression zstd --compression-level 19";
    bench.text(&format!("convert fixtures/cells.ome.tif here.ome.zarr {slow}"));
    let line = format!("convert fixtures/cells.ome.tif there.ome.zarr {slow}");
    let child = command(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !bench.tree().iter().any(|(path, bytes)| bytes.is_some() && path.to_string_lossy().contains("/0/c/")) {
        assert!(start.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(10));
    }
    slurm.ask("scancel", &[&slurm.jobs()[0]]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(tree(&bench.path("there.ome.zarr")) == tree(&bench.path("here.ome.zarr")), "other files");
    drop(cluster);
    slurm.until("the end of all jobs", || slurm.jobs().is_empty());
}

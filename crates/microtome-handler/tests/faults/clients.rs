//! A user's program that dies: what it started on the cluster must stop. The program is this one, started as `client …`.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use microtome_handler::{ConnectError, Handler, Ship, TaskError};
use signal_hook::consts::SIGINT;

use crate::dask::{self, Cluster, interrupt_group, is_alive, kill, wait_for};
use crate::functions::{Runs, add_one, program_path, tick};
use crate::stage::{Stage, trials};

/// The first word of a client.
pub const CLIENT: &str = "client";
/// … and of one that forgets `init`.
pub const WITHOUT_INIT: &str = "client-without-init";

pub fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    trials!(stage,
        trial a_killed_client_leaves_nothing_behind
        trial an_interrupted_client_leaves_nothing_behind
    )
}

/// The main of a client. Says `ready`, waits for a line, connects; then either ticks in FOLDER until it is killed, or runs
/// one item and says its result.
pub fn client(words: &[String]) {
    end_when_interrupted();
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let [what, address, more] = words else { panic!("client WHAT ADDRESS MORE") };
    let ship = match more.as_str() {
        "always" => Ship::Always,
        "never" => Ship::Never,
        _ => Ship::Auto,
    };
    let handler = match Handler::builder().address(address).ship(ship).build() {
        Ok(handler) => handler,
        Err(error) => return println!("{error}"),
    };
    if what == "tick" {
        println!("driver {}", handler.driver_id().unwrap());
        let items = (0..).map(|item| (more.clone(), item));
        handler.batched_map(tick, items).batch_size(1).for_each(|result| result.unwrap());
    } else {
        let sum: Result<u64, TaskError> = handler.batched_map(add_one, 0..10).sum();
        let path = handler.submit(program_path, 0).result();
        println!("{:?} {:?}", path.map_err(|error| error.kind().clone()), sum.map_err(|error| error.kind().clone()));
    }
}

/// Whoever starts tests in the background may have them ignore interrupts, and a client would inherit that.
fn end_when_interrupted() {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT]).unwrap();
    std::thread::spawn(move || {
        signals.forever().for_each(|signal| signal_hook::low_level::emulate_default_handler(signal).unwrap());
    });
}

/// The main of a program that forgot `init`.
pub fn without_init(address: &str) {
    let error = Handler::new(Some(address)).expect_err("a worker would run this main");
    println!("{} {error}", matches!(error, ConnectError::NotInitialised));
}

/// A client that runs.
pub struct Client {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    mark: String,
}

impl Client {
    /// Starts this program, or a copy of it, as a client; it is ready and waits for [`Client::go`].
    pub fn start(program: &Path, words: &[&str]) -> Client {
        Client::start_with(program, words, &[])
    }

    /// With variables.
    pub fn start_with(program: &Path, words: &[&str], variables: &[(String, String)]) -> Client {
        let mark = dask::new_mark();
        let mut command = Command::new(program);
        command.envs(variables.iter().cloned());
        command.arg(CLIENT).args(words).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let command = dask::mark(&mut command, &mark);
        // Whoever forks while a program is written keeps it open for a moment: "text file busy".
        let mut child = wait_for("the program to be free", || match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
            child => Some(child.unwrap()),
        });
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut client = Client { child, output, mark };
        assert_eq!(client.line(), "ready");
        client
    }

    pub fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The next line it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        dask::kill_marked(&self.mark);
    }
}

fn a_killed_client_leaves_nothing_behind(stage: &Stage) {
    leaves_nothing_behind(stage, |client| kill(client.child.id()));
}

fn an_interrupted_client_leaves_nothing_behind(stage: &Stage) {
    leaves_nothing_behind(stage, |client| interrupt_group(client.child.id()));
}

fn leaves_nothing_behind(stage: &Stage, end: fn(&Client)) {
    let cluster = stage.own_cluster(1);
    let runs = Runs::new();
    let mut client = Client::start(&std::env::current_exe().unwrap(), &["tick", &cluster.address, &runs.folder()]);
    client.go();
    let driver: u32 = client.line().strip_prefix("driver ").unwrap().parse().unwrap();
    wait_for("it to run", || (!runs.executions().is_empty()).then_some(()));
    assert_eq!(cluster.children().len(), 1);
    assert!(cluster.tasks_named("tick") > 1, "some wait");
    end(&client);
    let start = Instant::now();
    client.child.wait().unwrap();
    let within = |what: &str, gone: &dyn Fn() -> bool| {
        while !gone() {
            assert!(start.elapsed() < Duration::from_secs(5), "{what} after {:?}", start.elapsed());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    within("children are there", &|| cluster.children().is_empty());
    within("its driver is there", &|| !is_alive(driver));
    within("the scheduler has tasks", &|| cluster.ask("len(s.tasks)") == 0);
    within("processes are there", &|| dask::marked(&client.mark).is_empty());
    let ran = runs.executions().len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(runs.executions().len(), ran, "something still writes");
    assert_no_client(&cluster);
    cluster.end();
}

/// The scheduler has forgotten the client; our own observer is the other one.
fn assert_no_client(cluster: &Cluster) {
    let clients = cluster.ask("[c for c in s.clients if 'microtome' in c]");
    assert_eq!(clients.as_array().unwrap().len(), 0, "{clients}");
}

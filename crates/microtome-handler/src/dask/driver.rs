//! The driver: the Python process that speaks to Dask for us. Starting it, writing to it, reading from it.
//!
//! *Invariant:* it lives in a process group of its own (an interrupt at the terminal is ours to interpret) and ends when
//! we do, because its standard input does.

use std::ffi::OsStr;
use std::io::{self, BufReader, BufWriter};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::protocol::{Answer, Connect, Fatal, Request};
use crate::error::ConnectError;
use crate::frame;
use crate::last_words::LastWords;
use crate::python::{self, Refusal};

const SOURCE: &str = include_str!("driver.py");
pub(super) const RUNTIME: &str = include_str!("runtime.py");

/// What the driver is given beyond its own timeout before it is killed: starting Python and importing Dask.
const GRACE: Duration = Duration::from_secs(4);
/// How long versions, workers, and the program on each of them may take; sending the program may take most of it.
const ASKING: Duration = Duration::from_mins(2);

/// A driver that is connected.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) process: DriverProcess,
    pub(super) input: BufWriter<ChildStdin>,
    pub(super) output: BufReader<ChildStdout>,
    /// Its answer when it was connected, `Ready`.
    pub(super) ready: Answer,
    /// What it said before.
    pub(super) warnings: Vec<String>,
}

/// The process, killed when dropped.
#[derive(Debug)]
pub(super) struct DriverProcess {
    child: Child,
    words: Option<LastWords>,
}

impl DriverProcess {
    fn spawn(python: &OsStr) -> io::Result<DriverProcess> {
        let mut child = python::command(python, SOURCE).spawn()?;
        let words = child.stderr.take().map(|stderr| LastWords::of(stderr, |line| tracing::debug!("driver: {line}")));
        Ok(DriverProcess { child, words })
    }

    /// `why`, with the last lines of its standard error.
    pub(super) fn with_last_words(&self, why: &str) -> String {
        self.words.as_ref().map_or_else(|| why.to_owned(), |words| words.with(why, "Python"))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits so long for it to leave by itself.
    pub(super) fn wait(&mut self, at_most: Duration) {
        let end = Instant::now() + at_most;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for DriverProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a driver with the first Python that serves and lets it connect.
pub(super) fn start(connect: &Connect, given: Option<&PathBuf>) -> Result<Driver, ConnectError> {
    python::first_that_serves(given, |python| {
        let mut process = DriverProcess::spawn(python).map_err(Refusal::NotStarted)?;
        match greet(&mut process, connect) {
            Ok((input, output, ready, warnings)) => Ok(Driver { process, input, output, ready, warnings }),
            Err(fatal) if fatal.kind == "no-distributed" => Err(Refusal::NoDistributed(fatal.message)),
            Err(fatal) => Err(Refusal::Other(named(fatal, connect, &process))),
        }
    })
}

type Greeted = (BufWriter<ChildStdin>, BufReader<ChildStdout>, Answer, Vec<String>);

/// Sends the first frame and waits for `Ready`, not forever.
fn greet(process: &mut DriverProcess, connect: &Connect) -> Result<Greeted, Fatal> {
    let (Some(stdin), Some(stdout)) = (process.child.stdin.take(), process.child.stdout.take()) else {
        return Err(Fatal { kind: "bridge".into(), message: "it has no pipes".into(), ..Fatal::default() });
    };
    let (sender, answered) = channel();
    let first = Request::Connect(connect);
    let mut input = BufWriter::new(stdin);
    // If it has ended already, its answer says why.
    let _ = frame::write(&mut input, &first, RUNTIME.as_bytes());
    std::thread::spawn(move || read_greeting(BufReader::new(stdout), &sender));
    let mut warnings = Vec::new();
    let mut at_most = Duration::from_secs_f64(connect.timeout) + GRACE;
    let broken = |message: &str| Fatal { kind: "bridge".into(), message: message.into(), ..Fatal::default() };
    loop {
        match answered.recv_timeout(at_most) {
            Ok((_, Answer::Connected)) => at_most = ASKING,
            Ok((Some(output), ready @ Answer::Ready { .. })) => return Ok((input, output, ready, warnings)),
            Ok((_, Answer::Warning { message })) => warnings.push(message),
            Ok((_, Answer::Fatal(fatal))) => return Err(fatal),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if at_most == ASKING => return Err(broken("it stopped answering")),
            Err(RecvTimeoutError::Timeout) => {
                return Err(Fatal { kind: "no-scheduler".into(), ..broken("no answer at all") });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(broken("it ended before it was connected")),
        }
    }
}

/// Hands on what the driver says until it is ready; with that, its output.
fn read_greeting(mut output: BufReader<ChildStdout>, to: &Sender<(Option<BufReader<ChildStdout>>, Answer)>) {
    while let Ok(Some((answer, _))) = frame::read::<Answer>(&mut output) {
        if matches!(answer, Answer::Ready { .. }) {
            let _ = to.send((Some(output), answer));
            return;
        }
        let _ = to.send((None, answer));
    }
}

/// The error that a driver's end stands for.
fn named(fatal: Fatal, connect: &Connect, process: &DriverProcess) -> ConnectError {
    let address = connect.address.clone();
    let Fatal { kind, message, client, scheduler, python } = fatal;
    match kind.as_str() {
        "tls" => ConnectError::Tls { address, why: message },
        "address" => ConnectError::Address { address, why: message },
        "version" => ConnectError::VersionMismatch { address, client, scheduler, why: message, python },
        // Something listens there (we knocked) and hangs up on plain words: it wants to be greeted in cipher.
        "no-scheduler" if is_hang_up(&message) && address.starts_with("tcp://") => {
            let why = format!("it hung up on a plain connection; does it want tls://? ({message})");
            ConnectError::Tls { address, why }
        }
        "no-scheduler" => {
            ConnectError::NotAScheduler { address, timeout: Duration::from_secs_f64(connect.timeout), why: message }
        }
        _ => ConnectError::Bridge { address, message: process.with_last_words(&message) },
    }
}

fn is_hang_up(message: &str) -> bool {
    ["reset by peer", "Stream is closed", "CommClosedError: in <TCP"].iter().any(|words| message.contains(words))
}

//! Worker mode: the same program, started by a Dask worker, runs batches of its own functions.
//!
//! A runtime on the Dask worker speaks frames with it over its standard input and output. *Invariant:* standard output
//! belongs to the frames alone (what a function prints goes to standard error), and the process ends as soon as its
//! standard input does, in the middle of an item too, so that nothing outlives its worker.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{TaskError, TaskErrorKind};
use crate::frame;
use crate::function;
use crate::outcome;
use crate::pack::{Packer, Unpacked};
use crate::task::{self, Listener, Working};

/// The argument that starts worker mode.
pub(crate) const FLAG: &str = "--microtome-worker";

/// Finished results are handed on after so long, so that a death loses little.
const HAND_ON: Duration = Duration::from_millis(100);
/// … or when so many bytes have come together.
const HAND_ON_BYTES: usize = 1 << 20;
/// A batch whose results exceed this ends early; its remaining items are sent again.
const MOST_RESULTS: u64 = 128 << 20;
/// The clock is looked at once in so many items at most.
const MOST_BETWEEN_LOOKS: u32 = 4096;

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Makes this program one that Dask workers can run functions with: the first line of `main`.
///
/// In a process that a Dask worker started it serves that worker and does not return. Anywhere else it costs nothing and
/// returns at once. Connecting to a cluster without it is an error, because workers would run the program's `main`.
///
/// # Examples
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     microtome_handler::init();
///     let address = std::env::args().nth(1);
///     let handler = microtome_handler::Handler::new(address.as_deref())?;
///     println!("{} threads", handler.info().threads);
///     Ok(())
/// }
/// ```
pub fn init() {
    INITIALISED.store(true, Ordering::Relaxed);
    if std::env::args_os().nth(1).is_some_and(|arg| arg == FLAG) {
        let code = serve().map_or(70, |()| 0);
        std::process::exit(code);
    }
}

/// Whether [`init`] has run.
pub(crate) fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

/// What the runtime asks for.
#[derive(Debug, Deserialize)]
struct Request {
    /// The function's name.
    function: String,
    /// The place of the batch's first item in its map.
    #[serde(default)]
    first: u64,
    /// Items at the front that are done already.
    #[serde(default)]
    skip: usize,
    /// Hand each result on at once: an earlier process died in this batch.
    #[serde(default)]
    careful: bool,
}

/// What we answer.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Answer<'a> {
    Hello { protocol: u32, version: &'a str, functions: usize, pid: u32 },
    Part { items: usize, seconds: f64 },
    Log { item: u64, line: &'a str },
    End { skipped: usize },
    Fatal { code: &'a str, message: String },
}

/// Standard output as it was, for frames alone.
type Pipe = Arc<Mutex<BufWriter<File>>>;

fn send(pipe: &Pipe, answer: &Answer<'_>, body: &[u8]) -> io::Result<()> {
    frame::write(&mut *pipe.lock().unwrap_or_else(PoisonError::into_inner), answer, body)
}

/// Serves batches until standard input ends.
fn serve() -> io::Result<()> {
    let pipe: Pipe = Arc::new(Mutex::new(BufWriter::new(File::from(rustix::io::dup(io::stdout())?))));
    // What functions print must not end up between frames.
    rustix::stdio::dup2_stdout(io::stderr())?;
    let requests = read_requests();
    let hello = Answer::Hello {
        protocol: frame::PROTOCOL,
        version: env!("CARGO_PKG_VERSION"),
        functions: function::names().len(),
        pid: std::process::id(),
    };
    send(&pipe, &hello, &[])?;
    while let Ok((request, body)) = requests.recv() {
        answer(&request, &body, &pipe)?;
    }
    Ok(())
}

/// Reads requests on a thread of its own, which ends the process when there can be no more.
fn read_requests() -> Receiver<(Request, Vec<u8>)> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut stdin = BufReader::new(io::stdin());
        while let Ok(Some(request)) = frame::read::<Request>(&mut stdin) {
            if sender.send(request).is_err() {
                break;
            }
        }
        // The worker has gone: nobody wants the result of what still runs.
        std::process::exit(0);
    });
    receiver
}

fn answer(request: &Request, body: &[u8], pipe: &Pipe) -> io::Result<()> {
    let Some(entry) = function::find(&request.function) else {
        return send(pipe, &Answer::Fatal { code: "NO-FUNCTION", message: missing(&request.function) }, &[]);
    };
    let listener = Arc::new(PipeListener(Arc::clone(pipe)));
    let working = Working::start(Some(listener));
    let mut call = match BatchCall::new(request, body, pipe) {
        Ok(call) => call,
        Err(error) => return send(pipe, &Answer::Fatal { code: "BODY", message: error.to_string() }, &[]),
    };
    let outcome = (entry.run)(&mut call).and_then(|()| call.hand_on());
    let skipped = call.skipped;
    drop(working);
    match outcome {
        Ok(()) => send(pipe, &Answer::End { skipped }, &[]),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            send(pipe, &Answer::Fatal { code: "BODY", message: error.to_string() }, &[])
        }
        Err(error) => Err(error),
    }
}

fn missing(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let names = function::names();
    let shown = names.iter().take(20).copied().collect::<Vec<_>>().join(", ");
    format!(
        "the program on the worker has no function `{name}`; it has {} (microtome {version}): {shown}; is it another build?",
        names.len()
    )
}

struct PipeListener(Pipe);

impl Listener for PipeListener {
    fn line(&self, item: u64, line: &str) {
        // If the pipe is broken, the next result says so.
        let _ = send(&self.0, &Answer::Log { item, line }, &[]);
    }
}

/// A batch on its way through a function: gives arguments, takes results, hands them on now and then.
#[derive(Debug)]
pub struct BatchCall<'a> {
    packs: VecDeque<Unpacked>,
    pipe: &'a Pipe,
    next_item: u64,
    results: Packer,
    result_bytes: u64,
    skipped: usize,
    clock: Clock,
    careful: bool,
}

impl<'a> BatchCall<'a> {
    fn new(request: &Request, mut body: &[u8], pipe: &'a Pipe) -> io::Result<BatchCall<'a>> {
        let mut packs = VecDeque::new();
        while let Some(pack) = Unpacked::take(&mut body)? {
            packs.push_back(pack);
        }
        let mut call = BatchCall {
            packs,
            pipe,
            next_item: request.first,
            results: Packer::default(),
            result_bytes: 0,
            skipped: 0,
            clock: Clock::start(),
            careful: request.careful,
        };
        for _ in 0..request.skip {
            call.next_bytes(|_| ())?;
        }
        Ok(call)
    }

    /// The next item's arguments, or why they cannot be read; `None` at the end of the batch.
    pub(crate) fn next_args<A: DeserializeOwned>(&mut self) -> io::Result<Option<Result<A, TaskError>>> {
        while self.result_bytes > MOST_RESULTS {
            if self.next_bytes(|_| ())?.is_none() {
                return Ok(None);
            }
            self.skipped += 1;
        }
        let args = self.next_bytes(|bytes| {
            rmp_serde::from_slice(bytes).map_err(|error| {
                let what = "read the arguments".to_owned();
                TaskErrorKind::Serde { what, message: error.to_string() }.into()
            })
        })?;
        task::set_item(self.next_item.wrapping_sub(1));
        Ok(args)
    }

    fn next_bytes<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> io::Result<Option<T>> {
        while let Some(pack) = self.packs.front_mut() {
            if let Some(bytes) = pack.next()? {
                self.next_item += 1;
                return Ok(Some(take(bytes)));
            }
            self.packs.pop_front();
        }
        Ok(None)
    }

    /// Takes the outcome of the item whose arguments were given last.
    pub(crate) fn put<R: Serialize>(&mut self, outcome: Result<R, TaskError>) -> io::Result<()> {
        self.result_bytes += outcome::encode(&mut self.results, outcome) as u64;
        if self.careful || self.results.raw_bytes() >= HAND_ON_BYTES || self.clock.is_time() {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let items = self.results.len();
        if items == 0 {
            return Ok(());
        }
        let seconds = self.clock.lap();
        let mut body = Vec::new();
        self.results.finish(&mut body);
        send(self.pipe, &Answer::Part { items, seconds }, &body)
    }
}

/// Tells when results should be handed on, and looks at the time rarely where items are short.
#[derive(Debug)]
struct Clock {
    lap: Instant,
    looked: Instant,
    between: u32,
    left: u32,
}

impl Clock {
    fn start() -> Clock {
        let now = Instant::now();
        Clock { lap: now, looked: now, between: 1, left: 1 }
    }

    fn is_time(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        let now = Instant::now();
        let quick = now.duration_since(self.looked) < Duration::from_millis(1);
        self.between = if quick { (self.between * 2).min(MOST_BETWEEN_LOOKS) } else { 1.max(self.between / 4) };
        self.left = self.between;
        self.looked = now;
        now.duration_since(self.lap) >= HAND_ON
    }

    /// Seconds since the last lap.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.lap).as_secs_f64();
        self.lap = now;
        seconds
    }
}

//! The link to a cluster: batches out, outcomes in, and what is done about faults on the way.
//!
//! One thread reads what the driver says and completes batches; whoever submits writes. Bodies are kept until their outcomes
//! are there, so that they can be sent again. *Invariant:* every batch is completed exactly once; never more than the stated
//! number of batches are with Dask, whoever sends them; batches are marked as sent while the pipe is locked, so that a new
//! driver gets each exactly once, too.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufReader, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::address::Address;
use super::books::{Books, Call, give_up};
use super::driver::{self, Driver, DriverProcess};
use super::protocol::{Answer, Connect, Request};
use super::remedy::{Remedy, WORKERS_KILLED, remedy};
use super::shipment::{Completion, Content, Part, Piece, Shipment, Whole};
use crate::error::{ConnectError, TaskError, TaskErrorKind};
use crate::event::{Event, Listeners};
use crate::frame;
use crate::info::Cluster;

/// A driver that ends so often is not started again.
const MOST_RESTARTS: u32 = 5;
/// How long a closing driver may take to stop what runs.
const CLOSING: Duration = Duration::from_secs(4);
const INFO: Duration = Duration::from_secs(15);
/// How long a scheduler that was there may take to be reached again.
const KNOCKING: Duration = Duration::from_secs(2);

/// The link. Share it by `Arc`; [`Link::close`] ends it.
pub(super) struct Link {
    connect: Connect,
    python: Option<PathBuf>,
    pub(super) listeners: Listeners,
    threads: AtomicUsize,
    state: Mutex<State>,
    pipe: Mutex<Option<BufWriter<ChildStdin>>>,
    driver: Mutex<Option<DriverProcess>>,
    questions: Mutex<HashMap<u64, Sender<Cluster>>>,
}

struct State {
    books: Books,
    /// Why nothing more can be sent.
    down: Option<TaskErrorKind>,
    restarts: u32,
    /// The names by which all drivers so far were known to the cluster.
    jobs: Vec<String>,
    cluster: Cluster,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Starts a driver and lets it connect.
    pub(super) fn connect(
        mut connect: Connect,
        python: Option<PathBuf>,
        listeners: Listeners,
        most_unreleased: usize,
    ) -> Result<Arc<Link>, ConnectError> {
        connect.job = job();
        let driver = driver::start(&connect, python.as_ref())?;
        let state = State {
            books: Books::new(most_unreleased),
            down: None,
            restarts: 0,
            jobs: vec![connect.job.clone()],
            cluster: Cluster::default(),
        };
        let link = Arc::new(Link {
            connect,
            python,
            listeners,
            threads: AtomicUsize::new(1),
            state: Mutex::new(state),
            pipe: Mutex::new(None),
            driver: Mutex::new(None),
            questions: Mutex::new(HashMap::new()),
        });
        let output = link.adopt(driver).map_err(|kind| {
            let (address, message) = (link.connect.address.clone(), kind.to_string());
            ConnectError::Bridge { address, message }
        })?;
        let reader = Arc::clone(&link);
        std::thread::Builder::new()
            .name("microtome-dask".to_owned())
            .spawn(move || reader.read(output))
            .map_err(|error| ConnectError::Threads { threads: 1, why: error.to_string() })?;
        Ok(link)
    }

    /// Makes `driver` ours and gives it everything that is with Dask, unless the link is down by now.
    fn adopt(&self, driver: Driver) -> Result<BufReader<ChildStdout>, TaskErrorKind> {
        let Driver { process, mut input, output, ready, warnings } = driver;
        self.answered_ready(ready);
        for message in warnings {
            self.answered(Answer::Warning { message }, Vec::new());
        }
        let mut pipe = lock(&self.pipe);
        let state = lock(&self.state);
        if let Some(down) = &state.down {
            return Err(down.clone());
        }
        let calls = state.books.sent();
        drop(state);
        // The driver before this one will not answer any more.
        lock(&self.questions).clear();
        for (id, call) in calls {
            // If it has gone again, the reader will notice.
            let _ = send(&mut input, id, &call);
        }
        *lock(&self.driver) = Some(process);
        *pipe = Some(input);
        Ok(output)
    }

    /// Worker threads of the cluster, at least 1.
    pub(super) fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed).max(1)
    }

    /// Why nothing more can be sent, if so.
    pub(super) fn down(&self) -> Option<TaskErrorKind> {
        lock(&self.state).down.clone()
    }

    pub(super) fn address(&self) -> &str {
        &self.connect.address
    }

    /// The driver's process.
    pub(super) fn driver_id(&self) -> Option<u32> {
        lock(&self.driver).as_ref().map(DriverProcess::id)
    }

    /// Sends a batch; `done` is called with its outcomes, on another thread. Gives the batch's number.
    ///
    /// # Errors
    /// Why nothing more can be sent; then `done` is not called.
    pub(super) fn submit(&self, shipment: Shipment, done: Completion) -> Result<u64, TaskErrorKind> {
        let items = shipment.pieces.iter().map(Piece::items).sum();
        let mut pipe = lock(&self.pipe);
        let mut state = lock(&self.state);
        if let Some(down) = &state.down {
            return Err(down.clone());
        }
        let number = state.books.number();
        let whole = Whole::new(number, items, done);
        let mut offset = 0;
        let mut calls = Vec::new();
        let mut errors = Vec::new();
        for piece in shipment.pieces {
            let items = piece.items();
            match piece {
                Piece::Error(kind) => errors.push((offset, kind)),
                Piece::Call { body, .. } => calls.push(Call {
                    function: shipment.function,
                    first: shipment.first + offset,
                    items,
                    body: Arc::new(body),
                    options: Arc::clone(&shipment.options),
                    whole: Arc::clone(&whole),
                    offset,
                    tries: 0,
                    suspect: false,
                    sent: false,
                }),
            }
            offset += items;
        }
        state.books.register(calls);
        let calls = state.books.take_sendable();
        drop(state);
        write_calls(&mut pipe, &calls);
        drop(pipe);
        for (offset, kind) in errors {
            whole.add(offset, Part { items: 1, content: Content::Error(kind), worker: None }, 0.0);
        }
        Ok(number)
    }

    /// Sends pieces of batches that are out already.
    fn send_again(&self, calls: Vec<Call>) {
        let mut pipe = lock(&self.pipe);
        let mut state = lock(&self.state);
        if let Some(down) = state.down.clone() {
            drop((state, pipe));
            give_up(calls, &down);
            return;
        }
        state.books.register(calls);
        let calls = state.books.take_sendable();
        drop(state);
        write_calls(&mut pipe, &calls);
    }

    /// Takes what is out off the books and sends what waits for its place.
    fn remove(&self, id: u64) -> Option<Call> {
        let mut pipe = lock(&self.pipe);
        let mut state = lock(&self.state);
        let call = state.books.remove(id);
        let calls = state.books.take_sendable();
        drop(state);
        write_calls(&mut pipe, &calls);
        call
    }

    /// Stops batches; their items that have no outcome yet are completed as cancelled.
    pub(super) fn cancel(&self, numbers: &[u64]) {
        let mut pipe = lock(&self.pipe);
        let mut state = lock(&self.state);
        let ids = state.books.of_batches(numbers);
        let calls: Vec<Call> = ids.iter().filter_map(|id| state.books.remove(*id)).collect();
        let next = state.books.take_sendable();
        drop(state);
        if let (Some(pipe), false) = (pipe.as_mut(), ids.is_empty()) {
            let _ = frame::write(pipe, &Request::Cancel { ids: &ids }, &[]);
        }
        write_calls(&mut pipe, &next);
        drop(pipe);
        give_up(calls, &TaskErrorKind::Cancelled);
    }

    /// What the cluster says of itself now; what it said last where it does not answer.
    pub(super) fn ask(&self) -> Cluster {
        let (sender, receiver) = channel();
        let mut pipe = lock(&self.pipe);
        let mut state = lock(&self.state);
        let id = state.books.number();
        let known = state.cluster.clone();
        if state.down.is_some() {
            return known; // nobody is left to answer
        }
        lock(&self.questions).insert(id, sender);
        drop(state);
        let asked = pipe.as_mut().is_some_and(|pipe| frame::write(pipe, &Request::Info { id }, &[]).is_ok());
        drop(pipe);
        let answer = if asked { receiver.recv_timeout(INFO).ok() } else { None };
        lock(&self.questions).remove(&id);
        answer.unwrap_or(known)
    }

    /// Stops everything; what has no outcome yet has the error `Closed`.
    pub(super) fn close(&self) {
        self.go_down(&TaskErrorKind::Closed);
        if let Some(mut pipe) = lock(&self.pipe).take() {
            let _ = frame::write(&mut pipe, &Request::Close, &[]);
        }
        let driver = lock(&self.driver).take();
        if let Some(mut driver) = driver {
            driver.wait(CLOSING);
        }
    }

    /// Nothing more can be sent; everything that is out has this error.
    fn go_down(&self, kind: &TaskErrorKind) {
        let mut state = lock(&self.state);
        state.down.get_or_insert_with(|| kind.clone());
        let calls = state.books.clear();
        lock(&self.questions).clear();
        drop(state);
        give_up(calls, kind);
    }

    /// Reads what the driver says, to the end of the link.
    fn read(&self, mut output: BufReader<ChildStdout>) {
        loop {
            match frame::read::<Answer>(&mut output) {
                Ok(Some((answer, body))) => self.guarded(answer, body),
                Ok(None) | Err(_) if self.down().is_some() => return,
                gone => match self.restart(gone.err().map(|error| error.to_string())) {
                    Ok(again) => output = again,
                    Err(TaskErrorKind::SchedulerLost { .. }) => return self.lost("it cannot be reached again"),
                    Err(kind) => return self.go_down(&kind),
                },
            }
        }
    }

    /// A panic while a batch is completed must not leave everybody waiting.
    fn guarded(&self, answer: Answer, body: Vec<u8>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.answered(answer, body))) {
            let message = format!("taking results failed: {}", TaskError::panicked(payload.as_ref()));
            self.go_down(&TaskErrorKind::Bridge { message });
        }
    }

    /// Starts another driver in place of one that ended.
    fn restart(&self, why: Option<String>) -> Result<BufReader<ChildStdout>, TaskErrorKind> {
        let dead = lock(&self.driver).take();
        let why = why.unwrap_or_else(|| "it ended".to_owned());
        let why = dead.as_ref().map_or_else(|| why.clone(), |dead| dead.with_last_words(&why));
        drop(dead);
        let mut state = lock(&self.state);
        state.restarts += 1;
        let restarts = state.restarts;
        let connect = Connect { job: job(), replaces: state.jobs.clone(), ..self.connect.clone() };
        state.jobs.push(connect.job.clone());
        drop(state);
        if restarts > MOST_RESTARTS {
            let message = format!("its driver ended {restarts} times, at last: {why}");
            return Err(TaskErrorKind::Bridge { message });
        }
        tracing::warn!("the driver of the link to Dask was lost ({why}); starting it again");
        // The scheduler may have died, too, which Dask takes its whole timeout to find out.
        let reached = Address::parse(&connect.address).and_then(|address| address.knock(KNOCKING));
        let driver = reached.and_then(|()| driver::start(&connect, self.python.as_ref()));
        let driver = driver.map_err(|error| match error {
            ConnectError::Unreachable { address, .. } | ConnectError::NotAScheduler { address, .. } => {
                TaskErrorKind::SchedulerLost { address }
            }
            other => TaskErrorKind::Bridge { message: other.to_string() },
        })?;
        self.listeners.tell(|| Event::Warning { message: "the driver was lost and started again".to_owned() });
        self.adopt(driver)
    }

    fn answered(&self, answer: Answer, body: Vec<u8>) {
        match answer {
            Answer::Done { id, worker, seconds, skipped, deaths } => {
                self.done(id, worker, (seconds, skipped, deaths), body);
            }
            Answer::Fail { id, kind, message } => self.failed(id, &kind, &message),
            Answer::Info { id, workers } => {
                let mut state = lock(&self.state);
                state.cluster.workers = workers;
                let cluster = state.cluster.clone();
                drop(state);
                self.set_threads(cluster.threads());
                if let Some(asker) = lock(&self.questions).remove(&id) {
                    let _ = asker.send(cluster);
                }
            }
            Answer::Progress { function, first, items, done, worker } => {
                self.listeners.tell(|| Event::Progress { function, first, done, items, worker });
            }
            Answer::Slow { function, first, done, worker, seconds } => {
                self.slow((&function, first + done), &worker, seconds);
            }
            Answer::Log { item, worker, line } => self.listeners.tell(|| Event::Log { item, worker, line }),
            Answer::Workers { workers, threads } => {
                self.set_threads(threads);
                self.listeners.tell(|| Event::Workers { workers, threads });
            }
            Answer::Warning { message } => self.warn(message),
            Answer::Lost { message } => self.lost(&message),
            Answer::Fatal(fatal) => tracing::warn!("the driver gave up: {}", fatal.message),
            ready @ Answer::Ready { .. } => self.answered_ready(ready),
            Answer::Connected | Answer::Unknown => {}
        }
    }

    fn answered_ready(&self, ready: Answer) {
        let Answer::Ready { versions, dashboard, workers } = ready else { return };
        let cluster = Cluster { address: self.connect.address.clone(), versions, dashboard, workers };
        self.set_threads(cluster.threads());
        for (address, facts) in &cluster.workers {
            if let Some(fault) = &facts.fault {
                tracing::warn!("worker {address}: {fault}");
            }
        }
        lock(&self.state).cluster = cluster;
    }

    fn set_threads(&self, threads: usize) {
        if threads == 0 {
            tracing::warn!("the cluster at {} has no worker: work waits until one comes", self.address());
        }
        self.threads.store(threads, Ordering::Relaxed);
    }

    fn warn(&self, message: String) {
        tracing::warn!("{message}");
        self.listeners.tell(|| Event::Warning { message });
    }

    fn slow(&self, (function, item): (&str, u64), worker: &str, seconds: f64) {
        self.warn(format!(
            "item {item} of {function} has given no result for {seconds:.0} s on {worker}: it is slow, or hangs; a limit on the \
             time of an item (item_limit, --task-timeout) would end it"
        ));
    }

    fn lost(&self, message: &str) {
        let address = self.connect.address.clone();
        tracing::warn!("the Dask scheduler at {address} was lost: {message}");
        self.go_down(&TaskErrorKind::SchedulerLost { address: address.clone() });
        self.listeners.tell(|| Event::SchedulerLost { address });
        drop(lock(&self.pipe).take());
        drop(lock(&self.driver).take());
    }

    fn done(&self, id: u64, worker: String, (seconds, skipped, deaths): (f64, u64, u32), body: Vec<u8>) {
        let Some(call) = self.remove(id) else { return };
        let ran = call.items.saturating_sub(skipped);
        if deaths > 0 {
            self.tell_retried(&call, &format!("a process on {worker} died {deaths} times"));
        }
        if self.listeners.is_heard() {
            let (function, worker) = (call.function.to_owned(), worker.clone());
            self.listeners.tell(|| Event::Batch { function, first: call.first, items: ran, seconds, worker });
        }
        if skipped > 0 {
            self.send_rest(&call, ran);
        }
        call.whole.add(
            call.offset,
            Part { items: ran, content: Content::Outcomes(body), worker: Some(worker) },
            seconds,
        );
    }

    /// Sends the items from `at` on, which did not run because the results before them were large.
    fn send_rest(&self, call: &Call, at: u64) {
        match call.cut(at) {
            Ok([_, rest]) => self.send_again(vec![rest]),
            Err(kind) => call.clone().from(at).give_up(&kind),
        }
    }

    fn failed(&self, id: u64, kind: &str, message: &str) {
        let Some(mut call) = self.remove(id) else { return };
        // A single item that is suspected for the first time is tried once more, whatever `retries` says: it may only
        // have waited behind the one that kills.
        let was_suspect = call.suspect;
        call.suspect |= kind == WORKERS_KILLED;
        let remedy = match remedy(kind, message, call.items, call.tries, self.connect.retries) {
            Remedy::GiveUp(_) if call.suspect && !was_suspect => Remedy::Again,
            remedy => remedy,
        };
        match remedy {
            Remedy::GiveUp(error) => call.give_up(&error),
            Remedy::Again => {
                self.tell_retried(&call, message);
                self.send_again(vec![Call { tries: call.tries + 1, ..call }]);
            }
            Remedy::Halves => {
                self.tell_retried(&call, message);
                match call.cut(call.items / 2) {
                    Ok(halves) => self.send_again(halves.into()),
                    Err(kind) => call.give_up(&kind),
                }
            }
        }
    }

    fn tell_retried(&self, call: &Call, why: &str) {
        tracing::warn!("{} items of {} from {} on are tried again: {why}", call.items, call.function, call.first);
        self.listeners.tell(|| Event::Retried {
            function: call.function.to_owned(),
            first: call.first,
            items: call.items,
            why: why.to_owned(),
        });
    }
}

fn write_calls(pipe: &mut Option<BufWriter<ChildStdin>>, calls: &[(u64, Call)]) {
    let Some(pipe) = pipe else { return };
    for (id, call) in calls {
        // A driver that has gone is noticed by the reader, which gives them to the next.
        if send(pipe, *id, call).is_err() {
            return;
        }
    }
}

fn send(pipe: &mut BufWriter<ChildStdin>, id: u64, call: &Call) -> std::io::Result<()> {
    let Call { function, items, first, options, .. } = call;
    frame::write(pipe, &Request::Submit { id, function, items: *items, first: *first, options }, &call.body)
}

/// A name that no other connection has.
fn job() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

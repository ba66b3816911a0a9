//! The trace of a run as a file that Perfetto and Chrome open: the spans that the executor tells of, on the
//! threads that they happened on.
//!
//! The file is an array of events of the Trace Event Format, an event a line, so that what a killed run leaves can be
//! opened, too.
//!
//! *Invariant:* at most [`MOST_EVENTS`] events; how many were left out stands in the last one.

use std::cell::OnceCell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::error::CliError;

/// Events in a file at most.
const MOST_EVENTS: u64 = 1_000_000;

/// A trace that is being written; clones write the same file.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Inner>);

struct Inner {
    path: PathBuf,
    start: Instant,
    limit: u64,
    threads: AtomicU64,
    state: Mutex<State>,
}

struct State {
    file: Box<dyn Write + Send>,
    events: u64,
    dropped: u64,
    failure: Option<io::Error>,
}

/// What a span said of itself, and since when it has been entered.
#[derive(Clone, Debug, Default)]
struct Told {
    kind: String,
    name: String,
    chunk: Option<String>,
    since: Option<Instant>,
}

/// An event of the Trace Event Format; times in microseconds.
#[derive(Debug, Serialize)]
struct Event<'a> {
    ph: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    pid: u32,
    tid: u64,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    args: serde_json::Value,
}

impl Event<'_> {
    /// A fact about the process or a thread, as a name of it.
    fn fact(name: &'static str, tid: u64, args: serde_json::Value) -> Event<'static> {
        Event { ph: "M", name, cat: None, pid: 1, tid, ts: 0.0, dur: None, args }
    }
}

impl Trace {
    /// Starts a trace in a file, which is replaced if it exists.
    pub(crate) fn create(path: &Path) -> Result<Trace, CliError> {
        let file = File::create(path).map_err(|source| CliError::File { path: path.to_owned(), source })?;
        Ok(Trace::new(path, Box::new(BufWriter::new(file)), MOST_EVENTS))
    }

    fn new(path: &Path, file: Box<dyn Write + Send>, limit: u64) -> Trace {
        let state = Mutex::new(State { file, events: 0, dropped: 0, failure: None });
        let inner = Inner { path: path.to_owned(), start: Instant::now(), limit, threads: AtomicU64::new(0), state };
        let trace = Trace(Arc::new(inner));
        trace.state().write("[\n", &Event::fact("process_name", 0, serde_json::json!({"name": "microtome"})));
        trace
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of this thread, which is named when it is met first.
    fn thread(&self) -> u64 {
        thread_local!(static NUMBER: OnceCell<u64> = const { OnceCell::new() });
        NUMBER.with(|number| {
            *number.get_or_init(|| {
                let number = self.0.threads.fetch_add(1, Ordering::Relaxed) + 1;
                let thread = std::thread::current();
                let name = serde_json::json!({"name": thread.name().unwrap_or("another thread")});
                self.state().write(",\n", &Event::fact("thread_name", number, name));
                number
            })
        })
    }

    fn span(&self, told: &Told, since: Instant) {
        let tid = self.thread();
        let nanos = |instant: Instant| instant.duration_since(self.0.start).as_nanos();
        let (from, to) = (nanos(since), nanos(Instant::now()));
        let (ts, dur) = (from as f64 / 1000.0, Some((to - from) as f64 / 1000.0));
        let args = told.chunk.as_ref().map_or(serde_json::Value::Null, |chunk| serde_json::json!({"chunk": chunk}));
        let (name, cat) = (told.name.as_str(), Some(told.kind.as_str()));
        let mut state = self.state();
        if state.events >= self.0.limit {
            state.dropped += 1;
        } else {
            state.events += 1;
            state.write(",\n", &Event { ph: "X", name, cat, pid: 1, tid, ts, dur, args });
        }
    }

    /// Ends the file; says what could not be written.
    pub(crate) fn finish(&self) -> Result<(), CliError> {
        let mut state = self.state();
        let (events, dropped) = (state.events, state.dropped);
        if dropped > 0 {
            tracing::warn!("{}: {dropped} of {} events are left out", self.0.path.display(), events + dropped);
        }
        state.write(",\n", &Event::fact("left_out", 0, serde_json::json!({"events": events, "left_out": dropped})));
        let ended = state.file.write_all(b"\n]\n").and_then(|()| state.file.flush());
        let failure = state.failure.take().map_or(ended, Err);
        failure.map_err(|source| CliError::File { path: self.0.path.clone(), source })
    }
}

impl State {
    /// Writes an event behind what sets it apart; the first failure is kept.
    fn write(&mut self, apart: &str, event: &Event<'_>) {
        if self.failure.is_some() {
            return;
        }
        let mut line = apart.as_bytes().to_vec();
        let written = serde_json::to_writer(&mut line, event).map_err(io::Error::from);
        self.failure = written.and_then(|()| self.file.write_all(&line)).err();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Trace {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut told = Told::default();
        attributes.record(&mut told);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(told);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(told) = span.extensions_mut().get_mut::<Told>()
        {
            told.since = Some(Instant::now());
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let told = span.extensions().get::<Told>().cloned();
        if let Some((told, since)) = told.and_then(|told| told.since.map(|since| (told, since))) {
            self.span(&told, since);
        }
    }
}

/// Lets the spans of runs through, and nothing else.
#[derive(Debug)]
pub(crate) struct Runs;

impl<S> Filter<S> for Runs {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_span() && metadata.target() == microtome::TRACE_TARGET
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::TRACE)
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "kind" => value.clone_into(&mut self.kind),
            "name" => value.clone_into(&mut self.name),
            "chunk" => self.chunk = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    /// A file in memory.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn traced(limit: u64, work: impl FnOnce()) -> Vec<Value> {
        let file = Shared::default();
        let trace = Trace::new(Path::new("t.json"), Box::new(file.clone()), limit);
        let subscriber = tracing_subscriber::registry().with(trace.clone().with_filter(Runs));
        tracing::subscriber::with_default(subscriber, work);
        trace.finish().unwrap();
        let bytes = file.0.lock().unwrap().clone();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn work() {
        let task =
            tracing::trace_span!(target: microtome::TRACE_TARGET, "work", kind = "task", name = "write", chunk = "0.1");
        let _task = task.entered();
        let _read =
            tracing::trace_span!(target: microtome::TRACE_TARGET, "work", kind = "read", name = "read").entered();
        let _other = tracing::trace_span!("of somebody else").entered();
    }

    #[test]
    fn spans_are_events_with_their_thread_and_time() {
        let events = traced(100, work);
        let spans: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(spans.len(), 2, "{events:?}");
        let (read, task) = (spans[0], spans[1]);
        assert_eq!((&read["cat"], &task["cat"]), (&json!("read"), &json!("task")));
        assert_eq!((&task["name"], &task["args"]), (&json!("write"), &json!({"chunk": "0.1"})));
        assert_eq!(read["tid"], task["tid"]);
        let end = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
        assert!(task["ts"].as_f64() <= read["ts"].as_f64() && end(read) <= end(task), "{events:?}");
        assert!(events.iter().any(|event| event["name"] == "thread_name"));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let events = traced(3, || (0..5).for_each(|_| work()));
        assert_eq!(events.iter().filter(|event| event["ph"] == "X").count(), 3);
        assert_eq!(events.last().unwrap()["args"], json!({"events": 3, "left_out": 7}));
    }
}

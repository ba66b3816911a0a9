//! A batch on its way: what is sent, put together again from what comes back, in whatever pieces it came.
//!
//! *Invariant:* a batch of n items gives n outcomes, in the order of its items, once, whether it was cut into pieces, sent
//! again or given up.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;

use super::protocol::Options;
use crate::error::{TaskError, TaskErrorKind};
use crate::outcome::Outcomes;

/// A batch to be sent.
#[derive(Debug)]
pub(super) struct Shipment {
    pub(super) function: &'static str,
    /// The place of its first item in its map.
    pub(super) first: u64,
    pub(super) pieces: Vec<Piece>,
    pub(super) options: Arc<Options>,
}

/// A run of items of a batch.
#[derive(Debug)]
pub(super) enum Piece {
    /// Items with their packed arguments.
    Call { items: u64, body: Vec<u8> },
    /// An item whose arguments cannot travel.
    Error(TaskErrorKind),
}

impl Piece {
    pub(super) fn items(&self) -> u64 {
        match self {
            Piece::Call { items, .. } => *items,
            Piece::Error(_) => 1,
        }
    }

    /// Bytes of packed arguments.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Piece::Call { body, .. } => body.len() as u64,
            Piece::Error(_) => 0,
        }
    }
}

/// Called once with the outcomes of a batch, on a thread of the link.
pub(super) type Completion = Box<dyn FnOnce(Outcome) + Send>;

/// A batch that is out.
pub(super) struct Whole {
    pub(super) id: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    parts: BTreeMap<u64, Part>,
    missing: u64,
    seconds: f64,
    done: Option<Completion>,
}

impl Whole {
    pub(super) fn new(id: u64, items: u64, done: Completion) -> Arc<Whole> {
        let inner = Inner { parts: BTreeMap::new(), missing: items, seconds: 0.0, done: Some(done) };
        Arc::new(Whole { id, inner: Mutex::new(inner) })
    }

    /// Adds the outcomes of the items from `offset` on; with the last ones missing, completes the batch.
    pub(super) fn add(&self, offset: u64, part: Part, seconds: f64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.missing = inner.missing.saturating_sub(part.items);
        inner.seconds += seconds;
        inner.parts.insert(offset, part);
        if inner.missing > 0 {
            return;
        }
        let outcome =
            Outcome { parts: std::mem::take(&mut inner.parts).into_values().collect(), seconds: inner.seconds };
        let done = inner.done.take();
        drop(inner);
        if let Some(done) = done {
            done(outcome);
        }
    }
}

/// The outcomes of a batch.
#[derive(Debug)]
pub(super) struct Outcome {
    parts: Vec<Part>,
    /// What its items took, one after the other.
    pub(super) seconds: f64,
}

/// Outcomes of a run of items.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) items: u64,
    pub(super) content: Content,
    /// The worker, where known.
    pub(super) worker: Option<String>,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Packed outcomes.
    Outcomes(Vec<u8>),
    /// Every item has this error.
    Error(TaskErrorKind),
}

impl Outcome {
    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |part: &Part| match &part.content {
            Content::Outcomes(body) => body.len() as u64,
            Content::Error(_) => 0,
        };
        self.parts.iter().map(bytes).sum()
    }

    /// Whether seconds were measured: something ran.
    pub(super) fn measured(&self) -> Option<f64> {
        let ran = self.parts.iter().any(|part| matches!(part.content, Content::Outcomes(_)));
        ran.then_some(self.seconds)
    }

    /// The results, read one by one.
    pub(super) fn read<R: DeserializeOwned>(self) -> Read<R> {
        Read { parts: self.parts.into_iter(), part: None, left: 0, worker: None, kind: PhantomData }
    }
}

/// Reads the results of a batch, as many as it has items.
pub(super) struct Read<R> {
    parts: std::vec::IntoIter<Part>,
    part: Option<Reading>,
    left: u64,
    worker: Option<String>,
    kind: PhantomData<fn() -> R>,
}

enum Reading {
    Outcomes(Outcomes),
    Error(TaskErrorKind),
}

impl<R: DeserializeOwned> Iterator for Read<R> {
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left == 0 {
            let Part { items, content, worker } = self.parts.next()?;
            self.left = items;
            self.worker = worker;
            self.part = Some(match content {
                Content::Outcomes(body) => Reading::Outcomes(Outcomes::new(body)),
                Content::Error(kind) => Reading::Error(kind),
            });
        }
        self.left -= 1;
        let result = match self.part.as_mut()? {
            Reading::Error(kind) => Err(kind.clone().into()),
            Reading::Outcomes(outcomes) => match outcomes.next::<R>() {
                Ok(Some(result)) => result,
                Ok(None) => Err(damaged("the worker gave fewer outcomes than items")),
                Err(error) => Err(damaged(&error.to_string())),
            },
        };
        Some(result.map_err(|error| match &self.worker {
            Some(worker) => error.on(worker),
            None => error,
        }))
    }
}

fn damaged(message: &str) -> TaskError {
    TaskErrorKind::Serde { what: "read the results".to_owned(), message: message.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome;
    use crate::pack::Packer;
    use std::sync::mpsc::channel;

    fn body(numbers: &[u32]) -> Vec<u8> {
        let mut packer = Packer::default();
        for n in numbers {
            outcome::encode(&mut packer, Ok(n));
        }
        let mut out = Vec::new();
        packer.finish(&mut out);
        out
    }

    fn part(items: u64, content: Content) -> Part {
        Part { items, content, worker: None }
    }

    #[test]
    fn pieces_come_back_in_any_order_and_are_one_batch() {
        let (sender, receiver) = channel();
        let whole = Whole::new(0, 5, Box::new(move |outcome| sender.send(outcome).unwrap()));
        whole.add(3, part(2, Content::Outcomes(body(&[30, 40]))), 0.5);
        whole.add(2, part(1, Content::Error(TaskErrorKind::Cancelled)), 0.0);
        assert!(receiver.try_recv().is_err(), "two items are missing");
        whole.add(0, part(2, Content::Outcomes(body(&[0, 10]))), 0.25);
        let outcome = receiver.recv().unwrap();
        assert_eq!(outcome.measured(), Some(0.75));
        let results: Vec<Result<u32, TaskErrorKind>> =
            outcome.read::<u32>().map(|result| result.map_err(|error| error.kind().clone())).collect();
        assert_eq!(results, [Ok(0), Ok(10), Err(TaskErrorKind::Cancelled), Ok(30), Ok(40)]);
    }

    #[test]
    fn outcomes_that_are_missing_are_errors_of_their_items() {
        let outcome = Outcome { parts: vec![part(3, Content::Outcomes(body(&[7])))], seconds: 0.0 };
        let results: Vec<Result<u32, TaskError>> = outcome.read().collect();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0], Ok(7));
        assert!(results[1..].iter().all(Result::is_err));
    }
}

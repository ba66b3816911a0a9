//! A lane: items of one function that were submitted all at once or one by one, each with its future, sent in batches that
//! the policy sizes.
//!
//! *Invariant:* an item is in one place: waiting, in one batch that is out, or settled.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::de::DeserializeOwned;

use super::link::Link;
use super::protocol::Options;
use super::shipment::{Outcome, Piece, Shipment};
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Canceller, Slot, State};
use crate::pack::Packer;
use crate::policy::{Finished, Policy};

/// The lane.
pub(super) struct Lane<R> {
    me: Weak<Lane<R>>,
    link: Arc<Link>,
    function: &'static str,
    options: Arc<Options>,
    inner: Mutex<Inner<R>>,
}

struct Inner<R> {
    waiting: VecDeque<Waiting<R>>,
    next: u64,
    policy: Policy,
    /// Batches that are out, by their first item.
    out: HashMap<u64, Batch<R>>,
}

struct Waiting<R> {
    item: u64,
    args: Vec<u8>,
    slot: Arc<Slot<R>>,
}

struct Batch<R> {
    slots: Vec<Arc<Slot<R>>>,
    /// Known a moment after it was sent.
    number: Option<u64>,
}

impl<R: DeserializeOwned + Send + 'static> Lane<R> {
    pub(super) fn new(
        link: &Arc<Link>,
        function: &'static str,
        options: &Arc<Options>,
        policy: Policy,
    ) -> Arc<Lane<R>> {
        let inner = Inner { waiting: VecDeque::new(), next: 0, policy, out: HashMap::new() };
        Arc::new_cyclic(|me| Lane {
            me: me.clone(),
            link: Arc::clone(link),
            function,
            options: Arc::clone(options),
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; [`Lane::pump`] sends it. Its arguments are bytes, or why there are none.
    pub(super) fn push(&self, args: Result<Vec<u8>, TaskError>) -> (u64, Arc<Slot<R>>) {
        let slot = Slot::new(State::Pending);
        let mut inner = self.lock();
        let item = inner.next;
        inner.next += 1;
        match args {
            Ok(args) => inner.waiting.push_back(Waiting { item, args, slot: Arc::clone(&slot) }),
            Err(error) => slot.settle(Err(error.at(item).of(self.function))),
        }
        (item, slot)
    }

    /// Sends batches while there is room.
    pub(super) fn pump(&self) {
        while let Some((first, shipment)) = self.next_batch() {
            let me = self.me.clone();
            let done = Box::new(move |outcome| {
                if let Some(lane) = me.upgrade() {
                    lane.completed(first, outcome);
                }
            });
            match self.link.submit(shipment, done) {
                Ok(number) => {
                    // It may be done by now.
                    if let Some(batch) = self.lock().out.get_mut(&first) {
                        batch.number = Some(number);
                    }
                    self.cancel_unwanted(first);
                }
                Err(kind) => self.give_up(first, &kind),
            }
        }
    }

    /// Takes the next items that follow each other and are still wanted.
    fn next_batch(&self) -> Option<(u64, Shipment)> {
        let mut inner = self.lock();
        while inner.waiting.front().is_some_and(|waiting| !waiting.slot.is_open()) {
            inner.waiting.pop_front();
        }
        inner.policy.set_threads(self.link.threads());
        let left = inner.waiting.len() as u64;
        let first = inner.waiting.front()?.item;
        let room = inner.policy.room(Some(left))?;
        let mut packer = Packer::default();
        let mut slots = Vec::new();
        while slots.len() < room.items as usize && packer.raw_bytes() < super::MOST_RAW_ARGS {
            let expected = first + slots.len() as u64;
            let is_next = |next: &Waiting<R>| next.item == expected && next.slot.advance(State::Queued);
            if !inner.waiting.front().is_some_and(is_next) {
                break;
            }
            let Some(Waiting { args, slot, .. }) = inner.waiting.pop_front() else { break };
            // Appending bytes cannot fail.
            let _ = packer.push(|bytes| -> Result<(), std::convert::Infallible> {
                bytes.extend_from_slice(&args);
                Ok(())
            });
            slots.push(slot);
        }
        let items = slots.len() as u64;
        let mut body = Vec::new();
        packer.finish(&mut body);
        let bytes = body.len() as u64;
        inner.policy.submitted(items, bytes);
        inner.out.insert(first, Batch { slots, number: None });
        let pieces = super::fit(Piece::Call { items, body });
        Some((first, Shipment { function: self.function, first, pieces, options: Arc::clone(&self.options) }))
    }

    fn completed(&self, first: u64, outcome: Outcome) {
        let Some(Batch { slots, .. }) = self.lock().out.remove(&first) else { return };
        let done = Finished {
            items: slots.len() as u64,
            seconds: outcome.measured(),
            result_bytes: outcome.bytes(),
            held: false,
        };
        for ((slot, result), item) in slots.iter().zip(outcome.read::<R>()).zip(first..) {
            slot.settle(result.map_err(|error| error.at(item).of(self.function)));
        }
        self.lock().policy.finished(done);
        self.pump();
    }

    /// The link is down: what was to be sent and all that waits has its error.
    fn give_up(&self, first: u64, kind: &TaskErrorKind) {
        let mut inner = self.lock();
        let batch = inner.out.remove(&first).map(|batch| batch.slots).unwrap_or_default();
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        let settle = |slot: &Slot<R>, item: u64| {
            slot.settle(Err(TaskError::from(kind.clone()).at(item).of(self.function)));
        };
        for (slot, item) in batch.iter().zip(first..) {
            settle(slot, item);
        }
        for waiting in waiting {
            settle(&waiting.slot, waiting.item);
        }
    }

    /// Stops a batch of which nothing is wanted any more.
    fn cancel_unwanted(&self, first: u64) {
        let inner = self.lock();
        let unwanted = inner.out.get(&first).filter(|batch| batch.slots.iter().all(|slot| !slot.is_open()));
        let number = unwanted.and_then(|batch| batch.number);
        drop(inner);
        if let Some(number) = number {
            self.link.cancel(&[number]);
        }
    }
}

impl<R: DeserializeOwned + Send + 'static> Canceller for Lane<R> {
    fn cancelled(&self, ticket: u64) {
        let inner = self.lock();
        let holds = |first: u64, batch: &Batch<R>| (first..first + batch.slots.len() as u64).contains(&ticket);
        let first = inner.out.iter().find(|(first, batch)| holds(**first, batch)).map(|(first, _)| *first);
        drop(inner);
        if let Some(first) = first {
            self.cancel_unwanted(first);
        }
    }
}

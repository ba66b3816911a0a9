//! The books of a link: which pieces of batches are out, which of them are with Dask, and which wait for a place there.
//!
//! No I/O. *Invariant:* never more than the stated number are with Dask, and of those under which workers died never more
//! than one, so that the innocent ones among them are not there when a worker dies again; each piece is handed out once, in
//! the order in which it came, and leaves the books once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::protocol::Options;
use super::shipment::{Content, Part, Whole};
use crate::error::TaskErrorKind;
use crate::pack;

/// The books.
#[derive(Default)]
pub(super) struct Books {
    next: u64,
    calls: HashMap<u64, Call>,
    /// What waits for a place with Dask.
    backlog: VecDeque<u64>,
    /// … and what waits for the place of a suspect.
    suspects: VecDeque<u64>,
    /// The suspect that is with Dask.
    suspect: Option<u64>,
    /// How many are with Dask; at most `most_unreleased`.
    sent: usize,
    most_unreleased: usize,
}

/// A piece of a batch that is out.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) function: &'static str,
    /// The place of its first item in its map.
    pub(super) first: u64,
    pub(super) items: u64,
    pub(super) body: Arc<Vec<u8>>,
    pub(super) options: Arc<Options>,
    pub(super) whole: Arc<Whole>,
    /// The place of its first item in its batch.
    pub(super) offset: u64,
    pub(super) tries: u32,
    /// Whether workers died under it: it may be what killed them.
    pub(super) suspect: bool,
    /// Whether it is with Dask.
    pub(super) sent: bool,
}

impl Books {
    pub(super) fn new(most_unreleased: usize) -> Books {
        Books { most_unreleased, ..Books::default() }
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Gives each call a number and a place in the queue.
    pub(super) fn register(&mut self, calls: Vec<Call>) {
        for call in calls {
            let id = self.number();
            let queue = if call.suspect { &mut self.suspects } else { &mut self.backlog };
            queue.push_back(id);
            self.calls.insert(id, Call { sent: false, ..call });
        }
    }

    /// What may be sent now; it counts as sent.
    pub(super) fn take_sendable(&mut self) -> Vec<(u64, Call)> {
        let mut sendable = Vec::new();
        while self.sent < self.most_unreleased
            && let Some(id) = self.next_waiting()
        {
            // What was cancelled while it waited is no more.
            if let Some(call) = self.calls.get_mut(&id) {
                if call.suspect {
                    self.suspect = Some(id);
                }
                call.sent = true;
                self.sent += 1;
                sendable.push((id, call.clone()));
            }
        }
        sendable
    }

    fn next_waiting(&mut self) -> Option<u64> {
        let suspect = if self.suspect.is_none() { self.suspects.pop_front() } else { None };
        suspect.or_else(|| self.backlog.pop_front())
    }

    /// What is with Dask.
    pub(super) fn sent(&self) -> Vec<(u64, Call)> {
        self.calls.iter().filter(|(_, call)| call.sent).map(|(id, call)| (*id, call.clone())).collect()
    }

    /// Takes a call off the books.
    pub(super) fn remove(&mut self, id: u64) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.sent -= usize::from(call.sent);
        self.suspect = self.suspect.filter(|suspect| *suspect != id);
        Some(call)
    }

    /// The calls of these batches.
    pub(super) fn of_batches(&self, numbers: &[u64]) -> Vec<u64> {
        self.calls.iter().filter(|(_, call)| numbers.contains(&call.whole.id)).map(|(id, _)| *id).collect()
    }

    /// Takes everything off the books.
    pub(super) fn clear(&mut self) -> Vec<Call> {
        self.backlog.clear();
        self.suspects.clear();
        self.suspect = None;
        self.sent = 0;
        self.calls.drain().map(|(_, call)| call).collect()
    }
}

impl Call {
    /// Its items before `at` and from there on.
    pub(super) fn cut(&self, at: u64) -> Result<[Call; 2], TaskErrorKind> {
        let bodies = pack::split(&self.body, at as usize)
            .map_err(|error| TaskErrorKind::Bridge { message: error.to_string() })?;
        let [head, tail] = bodies.map(Arc::new);
        Ok([Call { items: at, body: head, ..self.clone() }, Call { body: tail, ..self.clone().from(at) }])
    }

    /// Its items from `at` on, with the body as it is.
    pub(super) fn from(self, at: u64) -> Call {
        Call { first: self.first + at, offset: self.offset + at, items: self.items - at, ..self }
    }

    /// All its items have this error.
    pub(super) fn give_up(self, kind: &TaskErrorKind) {
        let part = Part { items: self.items, content: Content::Error(kind.clone()), worker: None };
        self.whole.add(self.offset, part, 0.0);
    }
}

/// All items of all calls have this error.
pub(super) fn give_up(calls: Vec<Call>, kind: &TaskErrorKind) {
    for call in calls {
        call.give_up(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(first: u64) -> Call {
        Call {
            function: "f",
            first,
            items: 1,
            body: Arc::default(),
            options: Arc::default(),
            whole: Whole::new(first, 1, Box::new(|_| ())),
            offset: 0,
            tries: 0,
            suspect: false,
            sent: false,
        }
    }

    #[test]
    fn suspects_are_sent_one_at_a_time_beside_all_others() {
        let mut books = Books::new(10);
        let suspect = |first| Call { suspect: true, ..call(first) };
        books.register(vec![call(0), suspect(1), suspect(2), call(3), suspect(4)]);
        let sendable = |books: &mut Books| books.take_sendable().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(sendable(&mut books), [1, 0, 3]);
        books.remove(0);
        assert!(sendable(&mut books).is_empty());
        books.remove(2); // cancelled while it waits
        books.remove(1);
        assert_eq!(sendable(&mut books), [4]);
        books.clear();
        books.register(vec![suspect(5)]);
        assert_eq!(sendable(&mut books), [5]);
    }

    proptest! {
        /// Pieces come, leave (done or cancelled while they wait), and are sent; what was sent is compared with what came.
        #[test]
        fn each_is_sent_once_in_order_and_never_too_many_at_a_time(most in 1_usize..5, steps in proptest::collection::vec((0_u64..4, any::<prop::sample::Index>()), 1..80)) {
            let mut books = Books::new(most);
            let (mut came, mut out, mut sent) = (0, Vec::<u64>::new(), Vec::new());
            for (new, leaves) in steps {
                books.register((came..came + new).map(call).collect());
                out.extend(came..came + new);
                came += new;
                if !out.is_empty() {
                    let id = out.remove(leaves.index(out.len()));
                    prop_assert!(books.remove(id).is_some(), "numbers are given in order");
                    prop_assert!(books.remove(id).is_none());
                }
                sent.extend(books.take_sendable().into_iter().map(|(_, call)| call.first));
                prop_assert!(books.sent().len() <= most);
                prop_assert!(books.sent().len() == most || books.sent().len() == out.len(), "no place is left empty");
            }
            prop_assert!(sent.is_sorted_by(|a, b| a < b), "{:?}", sent);
            prop_assert_eq!(books.clear().len(), out.len());
        }
    }
}

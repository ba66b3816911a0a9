//! What one would write by hand: chunks of a lazy iterator on rayon's threads, results in order for one consumer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Items in a chunk: the size that is fastest for a trivial function here.
const CHUNK: usize = 16_384;
const WINDOW: usize = 8;

struct Pipeline<I, F, R> {
    source: I,
    function: Arc<F>,
    sender: Sender<(u64, Vec<R>)>,
    receiver: Receiver<(u64, Vec<R>)>,
    waiting: BTreeMap<u64, Vec<R>>,
    current: std::vec::IntoIter<R>,
    sent: u64,
    turn: u64,
}

/// Maps `function` over `source`; results in order.
pub(crate) fn run<A, R, E>(
    source: impl Iterator<Item = A>,
    function: impl Fn(A) -> Result<R, E> + Send + Sync + 'static,
) -> impl Iterator<Item = Result<R, E>>
where
    A: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let (sender, receiver) = channel();
    Pipeline {
        source,
        function: Arc::new(function),
        sender,
        receiver,
        waiting: BTreeMap::new(),
        current: Vec::new().into_iter(),
        sent: 0,
        turn: 0,
    }
}

impl<A, R, I, F> Iterator for Pipeline<I, F, R>
where
    A: Send + 'static,
    R: Send + 'static,
    I: Iterator<Item = A>,
    F: Fn(A) -> R + Send + Sync + 'static,
{
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        loop {
            if let Some(result) = self.current.next() {
                return Some(result);
            }
            while self.sent < self.turn + WINDOW as u64 {
                let items: Vec<A> = self.source.by_ref().take(CHUNK).collect();
                if items.is_empty() {
                    break;
                }
                let (function, sender, seq) = (Arc::clone(&self.function), self.sender.clone(), self.sent);
                rayon::spawn(move || {
                    let results: Vec<R> = items.into_iter().map(|item| function(item)).collect();
                    let _ = sender.send((seq, results));
                });
                self.sent += 1;
            }
            if self.turn == self.sent {
                return None;
            }
            while !self.waiting.contains_key(&self.turn) {
                let (seq, results) = self.receiver.recv().ok()?;
                self.waiting.insert(seq, results);
            }
            self.current = self.waiting.remove(&self.turn)?.into_iter();
            self.turn += 1;
        }
    }
}

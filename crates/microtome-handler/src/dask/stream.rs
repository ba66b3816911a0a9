//! Batches of a `batched_map` on their way through a cluster.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::Options;
use super::shipment::{Outcome, Piece, Shipment};
use super::{Connection, fit};
use crate::error::{TaskError, TaskErrorKind};
use crate::map::{Done, Results, Runner};
use crate::outcome::MOST_RESULT;
use crate::pack::Packer;

/// Items that are made into bytes at a time, so that large ones are noticed before there are many.
const CHUNK: u64 = 1024;
/// Bytes of arguments that are packed at a time: what they come to is known no earlier.
const PACK: usize = 1 << 20;

/// Gives batches to the link and takes what comes back.
pub(super) struct DaskRunner<A, R> {
    connection: Arc<Connection>,
    function: &'static str,
    options: Arc<Options>,
    sender: Sender<(u64, Outcome)>,
    receiver: Receiver<(u64, Outcome)>,
    /// Batches that are out: what the policy wants to know, and the link's number.
    out: Vec<(u64, Out)>,
    spare: Vec<A>,
    next: Next,
    kind: PhantomData<fn(A) -> R>,
}

#[derive(Clone, Copy)]
struct Out {
    first: u64,
    items: u64,
    number: u64,
}

impl<A, R> DaskRunner<A, R> {
    pub(super) fn new(connection: &Arc<Connection>, function: &'static str, options: &Arc<Options>) -> Self {
        let (sender, receiver) = channel();
        DaskRunner {
            connection: Arc::clone(connection),
            function,
            options: Arc::clone(options),
            sender,
            receiver,
            out: Vec::new(),
            spare: Vec::new(),
            next: Next::default(),
            kind: PhantomData,
        }
    }

    fn done(&mut self, (seq, outcome): (u64, Outcome)) -> Done<R>
    where
        R: DeserializeOwned + 'static,
    {
        let at = self.out.iter().position(|(out, _)| *out == seq);
        // A batch is completed once, after it was put here.
        let out = at.map_or(Out { first: 0, items: 0, number: 0 }, |at| self.out.swap_remove(at).1);
        Done {
            seq,
            first: out.first,
            items: out.items,
            result_bytes: outcome.bytes(),
            seconds: outcome.measured(),
            results: Results::Read(Box::new(outcome.read())),
        }
    }
}

impl<A, R> Runner<A, R> for DaskRunner<A, R>
where
    A: Serialize,
    R: DeserializeOwned + 'static,
{
    fn function(&self) -> &'static str {
        self.function
    }

    fn threads(&self) -> usize {
        self.connection.link.threads()
    }

    fn down(&self) -> Option<TaskErrorKind> {
        self.connection.link.down()
    }

    fn buffer(&mut self) -> Vec<A> {
        std::mem::take(&mut self.spare)
    }

    fn chunk(&self) -> u64 {
        CHUNK
    }

    fn add(&mut self, mut items: Vec<A>, arg_bytes: u64) -> bool {
        for item in items.drain(..) {
            self.next.add(&item);
        }
        self.spare = items;
        self.next.packed < arg_bytes
    }

    fn submit(&mut self, seq: u64, first: u64) -> Result<u64, TaskErrorKind> {
        let pieces = std::mem::take(&mut self.next).finish();
        let count = pieces.iter().map(Piece::items).sum();
        let bytes = pieces.iter().map(Piece::bytes).sum();
        let shipment = Shipment { function: self.function, first, pieces, options: Arc::clone(&self.options) };
        let sender = self.sender.clone();
        // If the map was dropped, nobody wants it.
        let done = Box::new(move |outcome| drop(sender.send((seq, outcome))));
        let number = self.connection.link.submit(shipment, done)?;
        self.out.push((seq, Out { first, items: count, number }));
        Ok(bytes)
    }

    fn recycle(&mut self, _: Vec<Result<R, TaskError>>) {}

    fn done(&mut self, wait: bool) -> Option<Done<R>> {
        let next = if wait && !self.out.is_empty() { self.receiver.recv().ok() } else { self.receiver.try_recv().ok() };
        next.map(|next| self.done(next))
    }
}

impl<A, R> Drop for DaskRunner<A, R> {
    fn drop(&mut self) {
        let numbers: Vec<u64> = self.out.iter().map(|(_, out)| out.number).collect();
        if !numbers.is_empty() {
            self.connection.link.cancel(&numbers);
        }
    }
}

/// The next batch as far as it has been filled.
#[derive(Default)]
struct Next {
    /// Pieces that are closed.
    pieces: Vec<Piece>,
    /// The open piece: packs, and the items behind them.
    body: Vec<u8>,
    items: u64,
    packer: Packer,
    /// Bytes of all packs.
    packed: u64,
}

impl Next {
    /// Adds an item; one whose arguments cannot travel is an error in its place.
    fn add<A: Serialize>(&mut self, item: &A) {
        if let Err(kind) = encode(&mut self.packer, item) {
            self.close();
            self.pieces.push(Piece::Error(kind));
        } else if self.packer.raw_bytes() >= PACK {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let before = self.body.len();
        self.items += self.packer.len() as u64;
        self.packer.finish(&mut self.body);
        self.packed += (self.body.len() - before) as u64;
    }

    fn close(&mut self) {
        if self.packer.len() > 0 {
            self.pack();
        }
        if self.items > 0 {
            let (items, body) = (std::mem::take(&mut self.items), std::mem::take(&mut self.body));
            self.pieces.extend(fit(Piece::Call { items, body }));
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.close();
        self.pieces
    }
}

/// Appends the bytes of an item's arguments.
pub(super) fn encode<A: Serialize>(packer: &mut Packer, item: &A) -> Result<(), TaskErrorKind> {
    let wrong = |message: String| TaskErrorKind::Serde { what: "write the arguments".to_owned(), message };
    let bytes =
        packer.push(|bytes| rmp_serde::encode::write(bytes, item)).map_err(|error| wrong(error.to_string()))? as u64;
    if bytes > MOST_RESULT {
        packer.pop();
        return Err(TaskErrorKind::TooLarge { what: "arguments".to_owned(), bytes, limit: MOST_RESULT });
    }
    Ok(())
}

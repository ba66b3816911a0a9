//! Outcomes of items as bytes: a tag, then the result, or the error.
//!
//! *Invariant:* every item of a batch gives exactly one outcome; bytes that cannot be read back are an error of their item,
//! not a result.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{TaskError, TaskErrorKind};
use crate::pack::{Packer, Unpacked};

/// A result follows, in `MessagePack`.
const OK: u8 = 0;
/// An error follows, in JSON: the runtime on the worker, which is Python, writes such too.
const ERROR: u8 = 1;

/// The most bytes of one result: results are messages, pixels belong into files.
pub(crate) const MOST_RESULT: u64 = 16 << 20;

/// Packs an outcome; gives its bytes.
pub(crate) fn encode<R: Serialize>(packer: &mut Packer, outcome: Result<R, TaskError>) -> usize {
    let error = match outcome {
        Ok(result) => match encode_ok(packer, &result) {
            Ok(bytes) if bytes as u64 <= MOST_RESULT => return bytes,
            Ok(bytes) => {
                packer.pop();
                TaskErrorKind::TooLarge { what: "a result".to_owned(), bytes: bytes as u64, limit: MOST_RESULT }
            }
            Err(error) => TaskErrorKind::Serde { what: "write the result".to_owned(), message: error.to_string() },
        },
        Err(error) => error.kind().clone(),
    };
    encode_error(packer, &error)
}

fn encode_ok<R: Serialize>(packer: &mut Packer, result: &R) -> Result<usize, rmp_serde::encode::Error> {
    packer.push(|bytes| {
        bytes.push(OK);
        rmp_serde::encode::write(bytes, result)
    })
}

fn encode_error(packer: &mut Packer, kind: &TaskErrorKind) -> usize {
    let written = packer.push(|bytes| {
        bytes.push(ERROR);
        serde_json::to_writer(bytes, kind)
    });
    // Strings and numbers always have a JSON form.
    written.unwrap_or(0)
}

/// Reads an outcome.
fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, TaskError> {
    let unreadable = |message: String| TaskErrorKind::Serde { what: "read the result".to_owned(), message }.into();
    match bytes.split_first() {
        // Reading is the user's code, too.
        Some((&OK, result)) => match catch_unwind(AssertUnwindSafe(|| rmp_serde::from_slice(result))) {
            Ok(read) => read.map_err(|error| unreadable(error.to_string())),
            Err(payload) => Err(TaskError::panicked(payload.as_ref())),
        },
        Some((&ERROR, error)) => {
            let kind = serde_json::from_slice::<TaskErrorKind>(error);
            Err(kind.map_or_else(|error| unreadable(error.to_string()), TaskError::from))
        }
        Some((tag, _)) => Err(unreadable(format!("unknown tag {tag}"))),
        None => Err(unreadable("no bytes".to_owned())),
    }
}

/// The outcomes in a body, read one after the other when they are asked for.
#[derive(Debug)]
pub(crate) struct Outcomes {
    body: Vec<u8>,
    at: usize,
    pack: Option<Unpacked>,
}

impl Outcomes {
    pub(crate) fn new(body: Vec<u8>) -> Outcomes {
        Outcomes { body, at: 0, pack: None }
    }

    /// The next outcome; `None` at the end of the body.
    ///
    /// # Errors
    /// `InvalidData` where the body is damaged.
    pub(crate) fn next<R: DeserializeOwned>(&mut self) -> io::Result<Option<Result<R, TaskError>>> {
        loop {
            if let Some(pack) = &mut self.pack
                && let Some(bytes) = pack.next()?
            {
                return Ok(Some(decode(bytes)));
            }
            let mut rest = &self.body[self.at..];
            self.pack = Unpacked::take(&mut rest)?;
            self.at = self.body.len() - rest.len();
            if self.pack.is_none() {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_errors_come_back_in_their_places() {
        let mut packer = Packer::default();
        encode(&mut packer, Ok(7_u32));
        encode::<u32>(&mut packer, Err(TaskError::failed("odd")));
        encode(&mut packer, Ok(9_u32));
        let mut body = Vec::new();
        packer.finish(&mut body);
        let mut outcomes = Outcomes::new(body);
        assert_eq!(outcomes.next::<u32>().unwrap(), Some(Ok(7)));
        assert_eq!(outcomes.next::<u32>().unwrap(), Some(Err(TaskError::failed("odd"))));
        assert_eq!(outcomes.next::<u32>().unwrap(), Some(Ok(9)));
        assert_eq!(outcomes.next::<u32>().unwrap(), None);
    }

    #[test]
    fn a_result_of_another_type_is_an_error_of_its_item() {
        let mut packer = Packer::default();
        encode(&mut packer, Ok("text"));
        let mut body = Vec::new();
        packer.finish(&mut body);
        let error = Outcomes::new(body).next::<u32>().unwrap().unwrap().unwrap_err();
        assert!(matches!(error.kind(), TaskErrorKind::Serde { .. }), "{error}");
    }

    #[test]
    fn a_result_too_large_to_travel_is_an_error_with_advice() {
        let mut packer = Packer::default();
        encode(&mut packer, Ok(vec![0_u8; (MOST_RESULT + 1) as usize]));
        encode(&mut packer, Ok(vec![1_u8; 3]));
        let mut body = Vec::new();
        packer.finish(&mut body);
        let mut outcomes = Outcomes::new(body);
        let error = outcomes.next::<Vec<u8>>().unwrap().unwrap().unwrap_err();
        assert!(error.to_string().contains("write it to shared storage"), "{error}");
        assert_eq!(outcomes.next::<Vec<u8>>().unwrap(), Some(Ok(vec![1; 3])));
    }

    #[test]
    fn the_error_that_python_writes_is_read() {
        let bytes =
            [&[ERROR][..], br#"{"Died": {"how": "was killed by signal 9", "attempts": 3, "stderr": ""}}"#].concat();
        let error = decode::<u32>(&bytes).unwrap_err();
        assert!(matches!(error.kind(), TaskErrorKind::Died { attempts: 3, .. }), "{error}");
    }
}

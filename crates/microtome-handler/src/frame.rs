//! Frames: what travels through a pipe, on both hops (this program ↔ driver, Dask worker ↔ child).
//!
//! `u32le header length | u64le body length | header (JSON object) | body (opaque bytes)`. *Invariant:* nothing is allocated
//! before its length has been checked; unknown header fields are ignored, so that either side may be newer.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the protocol; both sides of a hop say theirs first.
pub(crate) const PROTOCOL: u32 = 1;

const MOST_HEADER: u32 = 1 << 20;
const MOST_BODY: u64 = 1 << 30;

/// Writes one frame and flushes.
///
/// # Errors
/// What the pipe says; `InvalidInput` if header or body is over the limit.
pub(crate) fn write(to: &mut impl Write, header: &impl Serialize, body: &[u8]) -> io::Result<()> {
    let header = serde_json::to_vec(header).map_err(io::Error::other)?;
    if header.len() as u64 > u64::from(MOST_HEADER) || body.len() as u64 > MOST_BODY {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame is too large"));
    }
    let mut head = Vec::with_capacity(12 + header.len());
    head.extend_from_slice(&(header.len() as u32).to_le_bytes());
    head.extend_from_slice(&(body.len() as u64).to_le_bytes());
    head.extend_from_slice(&header);
    to.write_all(&head)?;
    to.write_all(body)?;
    to.flush()
}

/// Reads one frame; `None` at a clean end of the stream.
///
/// # Errors
/// `UnexpectedEof` in the middle of a frame, `InvalidData` where it is none.
pub(crate) fn read<H: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<(H, Vec<u8>)>> {
    let mut lengths = [0; 12];
    if !fill(from, &mut lengths)? {
        return Ok(None);
    }
    let header_len = u32::from_le_bytes([lengths[0], lengths[1], lengths[2], lengths[3]]);
    let mut body_len = [0; 8];
    body_len.copy_from_slice(&lengths[4..]);
    let body_len = u64::from_le_bytes(body_len);
    if header_len > MOST_HEADER || body_len > MOST_BODY {
        return Err(invalid("lengths over the limit: the stream is damaged"));
    }
    let mut header = vec![0; header_len as usize];
    from.read_exact(&mut header)?;
    let header =
        serde_json::from_slice(&header).map_err(|error| invalid(&format!("a header that is none: {error}")))?;
    let mut body = Vec::new();
    from.take(body_len).read_to_end(&mut body)?;
    if (body.len() as u64) < body_len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((header, body)))
}

/// Fills the buffer; false at a clean end before its first byte.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while done < buffer.len() {
        match from.read(&mut buffer[done..]) {
            Ok(0) if done == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn bytes(header: &Value, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, header, body).unwrap();
        out
    }

    #[test]
    fn a_frame_is_lengths_header_body() {
        assert_eq!(bytes(&json!({"a": 1}), b"xy"), b"\x07\0\0\0\x02\0\0\0\0\0\0\0{\"a\":1}xy");
    }

    #[test]
    fn the_stream_ends_between_frames_and_nowhere_else() {
        let two = [bytes(&json!({"id": 1}), b"body"), bytes(&json!({}), b"")].concat();
        let mut from = two.as_slice();
        assert_eq!(read::<Value>(&mut from).unwrap(), Some((json!({"id": 1}), b"body".to_vec())));
        assert_eq!(read::<Value>(&mut from).unwrap(), Some((json!({}), Vec::new())));
        assert_eq!(read::<Value>(&mut from).unwrap(), None);
        for cut in 1..bytes(&json!({"id": 1}), b"body").len() {
            let error = read::<Value>(&mut &two[..cut]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}");
        }
    }

    #[test]
    fn absurd_lengths_are_refused_before_memory_is_taken() {
        let mut claim = vec![0xff; 12];
        claim.extend_from_slice(b"{}");
        assert_eq!(read::<Value>(&mut claim.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read::<Value>(&mut noise.as_slice());
        }
    }
}

//! A stored strip of one codec: sixteen bytes that stand for the tags of its page, shared tables, the stream.

use microtome_tiff::bare::Strip;

/// Most bytes of a strip.
const MOST: u64 = 1 << 15;
/// Bytes that stand for tags.
const HEAD: usize = 16;

/// The codecs that are read.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Strip::compressions().map(|(_, name)| name).collect();
    names.dedup();
    names
}

/// Decodes a strip of the codec of this name, if it is one of at most [`MOST`] bytes.
///
/// # Panics
/// If more bytes come out than the tags ask for.
pub(crate) fn decode(name: &str, bytes: &[u8]) {
    let Some((strip, stream)) = split(name, bytes) else { return };
    if let Ok(found) = strip.decode(stream, MOST) {
        assert!(found.len() as u64 <= strip.bytes(), "{} bytes of {:?}", found.len(), strip);
    }
}

/// The strip and its stream.
fn split<'a>(name: &str, bytes: &'a [u8]) -> Option<(Strip, &'a [u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let codes: Vec<u16> = Strip::compressions().filter(|&(_, codec)| codec == name).map(|(code, _)| code).collect();
    let tables = rest.get(..usize::from(u16::from_le_bytes([head[14], head[15]])))?;
    let strip = Strip {
        compression: codes[usize::from(head[0]) % codes.len()],
        width: u32::from(u16::from_le_bytes([head[1], head[2]])),
        height: u32::from(u16::from_le_bytes([head[3], head[4]])),
        samples: u16::from(head[5]),
        bits: u16::from(head[6]),
        format: u16::from(head[7]),
        photometric: u16::from(head[8]),
        t4_options: u32::from(head[9]),
        lerc: u32::from(head[10]),
        tables: (!tables.is_empty()).then(|| tables.to_vec()),
    };
    Some((strip, &rest[tables.len()..]))
}

/// The input that stands for a strip, and the name of its codec; `None` for one that no input stands for.
pub fn seed(strip: &Strip, stream: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let (_, name) = Strip::compressions().find(|&(code, _)| code == strip.compression)?;
    let codes = Strip::compressions().filter(|&(_, codec)| codec == name);
    let code = codes.map(|(code, _)| code).position(|code| code == strip.compression)?;
    let tables = strip.tables.as_deref().unwrap_or_default();
    let mut seed = vec![u8::try_from(code).ok()?];
    seed.extend(u16::try_from(strip.width).ok()?.to_le_bytes());
    seed.extend(u16::try_from(strip.height).ok()?.to_le_bytes());
    for value in [strip.samples, strip.bits, strip.format, strip.photometric] {
        seed.push(u8::try_from(value).ok()?);
    }
    seed.extend([u8::try_from(strip.t4_options).ok()?, u8::try_from(strip.lerc).ok()?, 0, 0, 0]);
    seed.extend(u16::try_from(tables.len()).ok()?.to_le_bytes());
    seed.extend(tables);
    seed.extend(stream);
    Some((name, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_the_strip_again() {
        let strip = Strip {
            compression: 32946,
            width: 300,
            height: 2,
            samples: 1,
            bits: 8,
            format: 1,
            tables: Some(vec![1, 2, 3]),
            ..Strip::default()
        };
        let (name, seed) = seed(&strip, b"stream").unwrap();
        let (found, stream) = split(name, &seed).unwrap();
        assert_eq!((name, format!("{found:?}"), stream), ("deflate", format!("{strip:?}"), &b"stream"[..]));
    }
}

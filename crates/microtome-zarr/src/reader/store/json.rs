//! JSON as writers of Zarr really write it, within limits that are checked before anything is built.
//!
//! Python writes `NaN`, `Infinity` and `-Infinity`, which JSON does not know: they are read as words. Consolidated
//! metadata, which repeat what the documents themselves say, are passed over.
//!
//! *Invariant:* one pass over the bytes bounds what the values will take in memory, whatever the bytes are.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use microtome_io::ReadError;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::over;

/// Most bytes that the values of a document may take.
const MOST_MEMORY: u64 = 64 << 20;
/// What `serde_json` takes for an object (a node of a B-tree of eleven entries), a list and a value, and a text beside its
/// bytes, at most.
const OBJECT: u64 = 640;
const LIST: u64 = 128;
const VALUE: u64 = 64;
const TEXT: u64 = 32;

/// The key of a group's copies of the documents below it.
const CONSOLIDATED: &str = "consolidated_metadata";

/// What is wrong with a document.
#[derive(Debug)]
pub(super) enum Problem {
    Syntax(serde_json::Error),
    Over { what: &'static str, found: u64, limit: u64 },
}

impl Problem {
    pub(super) fn at(self, path: &Path) -> ReadError {
        match self {
            Problem::Syntax(error) => ReadError::Corrupt {
                path: path.to_owned(),
                what: "the metadata".to_owned(),
                location: String::new(),
                why: format!("is no valid JSON: {error}"),
            },
            Problem::Over { what, found, limit } => over(path, what, found, limit),
        }
    }
}

/// The value of a document.
pub(super) fn parse(bytes: &[u8], most_depth: u32) -> Result<Value, Problem> {
    let seen = Scan::of(bytes);
    for (what, found, limit) in [
        ("the nesting of the metadata", seen.deepest, u64::from(most_depth)),
        ("the size in memory of the metadata in bytes", seen.memory, MOST_MEMORY),
    ] {
        if found > limit {
            return Err(Problem::Over { what, found, limit });
        }
    }
    let text = quoted(bytes, &seen.words);
    let mut reader = serde_json::Deserializer::from_slice(&text);
    let value = reader.deserialize_any(Pruned).map_err(Problem::Syntax)?;
    reader.end().map_err(Problem::Syntax)?;
    Ok(value)
}

/// What one pass over a document found.
#[derive(Default)]
struct Scan {
    memory: u64,
    deepest: u64,
    /// Where words stand that JSON does not know.
    words: Vec<std::ops::Range<usize>>,
}

impl Scan {
    fn of(bytes: &[u8]) -> Scan {
        let mut scan = Scan::default();
        let (mut at, mut depth) = (0, 0u64);
        // Set while inside the value of the consolidated metadata, at the depth of its key.
        let mut skipped = false;
        while let Some(&byte) = bytes.get(at) {
            let mut cost = 0;
            let mut next = at + 1;
            match byte {
                b'"' => {
                    next = end_of_text(bytes, at);
                    cost = TEXT + (next - at) as u64;
                    if depth == 1 && &bytes[at + 1..next.saturating_sub(1).max(at + 1)] == CONSOLIDATED.as_bytes() {
                        skipped = true;
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    cost = if byte == b'{' { OBJECT } else { LIST };
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    skipped &= depth > 0;
                }
                b',' => {
                    cost = VALUE;
                    skipped &= depth > 1;
                }
                b'N' | b'I' | b'-' => next = scan.word(bytes, at),
                _ => {}
            }
            if !skipped {
                scan.memory += cost;
                scan.deepest = scan.deepest.max(depth);
            }
            at = next;
        }
        scan
    }

    /// Notes a word that begins here; returns where to go on.
    fn word(&mut self, bytes: &[u8], at: usize) -> usize {
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|w| bytes[at..].starts_with(w.as_bytes()));
        let Some(word) = word else { return at + 1 };
        // More than a document can honestly have: it will not parse, and need not.
        if self.words.len() < 1 << 16 {
            self.words.push(at..at + word.len());
        }
        at + word.len()
    }
}

/// The first byte behind a text that begins here.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The document with some of its words in quotes.
fn quoted<'a>(bytes: &'a [u8], words: &[std::ops::Range<usize>]) -> Cow<'a, [u8]> {
    if words.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() + 2 * words.len());
    let mut done = 0;
    for word in words {
        out.extend_from_slice(&bytes[done..word.start]);
        out.push(b'"');
        out.extend_from_slice(&bytes[word.clone()]);
        out.push(b'"');
        done = word.end;
    }
    out.extend_from_slice(&bytes[done..]);
    Cow::Owned(out)
}

/// Reads an object without its consolidated metadata.
struct Pruned;

impl<'de> Visitor<'de> for Pruned {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key == CONSOLIDATED {
                access.next_value::<IgnoredAny>()?;
            } else {
                map.insert(key, access.next_value()?);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_of_python_are_read_as_words() {
        let text = br#"{"a": [NaN, -Infinity, Infinity, -1], "b": "NaN, \" NaN", "c": {"d": NaN}}"#;
        let expected = json!({"a": ["NaN", "-Infinity", "Infinity", -1], "b": "NaN, \" NaN", "c": {"d": "NaN"}});
        assert_eq!(parse(text, 64).unwrap(), expected);
        assert!(matches!(parse(br#"{"a": Nan}"#, 64), Err(Problem::Syntax(_))));
        assert!(matches!(parse(br#"{"a": 1} x"#, 64), Err(Problem::Syntax(_))));
        assert!(matches!(parse(b"[1]", 64), Err(Problem::Syntax(_))));
        assert!(matches!(parse(br#"{"a": "open"#, 64), Err(Problem::Syntax(_))));
    }

    #[test]
    fn copies_of_other_documents_are_passed_over() {
        let text = br#"{"a": {"consolidated_metadata": 1}, "consolidated_metadata": {"x": [[[[[1]]]]]}, "b": [[2]]}"#;
        assert_eq!(parse(text, 4).unwrap(), json!({"a": {"consolidated_metadata": 1}, "b": [[2]]}));
        let many: Vec<_> = (0..200_000).map(|n| json!({"n": n})).collect();
        let large = json!({"zarr_format": 3, "consolidated_metadata": {"metadata": many}}).to_string();
        assert_eq!(parse(large.as_bytes(), 64).unwrap(), json!({"zarr_format": 3}));
    }

    #[test]
    fn what_would_take_much_memory_or_is_deep_is_refused_unread() {
        let lists = [("[", "[],", "]"), ("[", "1,", "]"), ("[", r#"{"":0},"#, "]"), ("{", r#""k":0,"#, "}")];
        for (open, part, close) in lists {
            let text = format!("{{\"a\": {open}{}{close}}}", part.repeat((16 << 20) / part.len()));
            let refused = parse(text.as_bytes(), 64);
            assert!(matches!(refused, Err(Problem::Over { limit: MOST_MEMORY, .. })), "{part}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(1 << 20));
        assert!(matches!(parse(deep.as_bytes(), 64), Err(Problem::Over { limit: 64, .. })));
    }
}

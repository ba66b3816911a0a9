//! JSON as writers of Zarr really write it, within limits that are checked before anything is built.
//!
//! Python writes `NaN`, `Infinity` and `-Infinity`, which JSON does not know: they are read as words. What may be long and
//! is of no use to a reader of pixels is passed over: consolidated metadata, which repeat what the documents themselves
//! say, and the colours and properties of each object of a label.
//!
//! *Invariant:* one pass over the bytes bounds what the values will take in memory, whatever the bytes are.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use microtome_io::ReadError;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
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

/// The keys of values that are passed over: an object is read as an empty one.
const PASSED_OVER: [&str; 2] = ["consolidated_metadata", "image-label"];

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
    parse_keeping(bytes, most_depth, "")
}

/// The same, with what is behind one of the keys that are passed over.
pub(super) fn parse_keeping(bytes: &[u8], most_depth: u32, wanted: &str) -> Result<Value, Problem> {
    let passed_over = |key: &str| key != wanted && PASSED_OVER.contains(&key);
    let seen = Scan::of(bytes, wanted);
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
    let value = Kept(&passed_over).deserialize(&mut reader).map_err(Problem::Syntax)?;
    reader.end().map_err(Problem::Syntax)?;
    if value.is_object() { Ok(value) } else { Err(Problem::Syntax(serde_json::Error::custom("it is no object"))) }
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
    fn of(bytes: &[u8], wanted: &str) -> Scan {
        let mut scan = Scan::default();
        let (mut at, mut depth) = (0, 0u64);
        // The depth of the key whose value is passed over.
        let mut passed: Option<u64> = None;
        while let Some(&byte) = bytes.get(at) {
            let mut cost = 0;
            let mut next = at + 1;
            match byte {
                b'"' => {
                    next = end_of_text(bytes, at);
                    cost = TEXT + (next - at) as u64;
                    let text = &bytes[at + 1..next.saturating_sub(1).max(at + 1)];
                    let is_passed = |key: &str| key.as_bytes() == text && key != wanted;
                    if passed.is_none() && PASSED_OVER.iter().any(|key| is_passed(key)) {
                        passed = Some(depth);
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    cost = if byte == b'{' { OBJECT } else { LIST };
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    passed = passed.filter(|key| depth >= *key);
                }
                b',' => {
                    cost = VALUE;
                    passed = passed.filter(|key| depth > *key);
                }
                b'N' | b'I' | b'-' => next = scan.word(bytes, at),
                _ => {}
            }
            if passed.is_none() {
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

/// Reads a value without what is behind keys that are passed over.
#[derive(Clone, Copy)]
struct Kept<'a>(&'a dyn Fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value =
                if (self.0)(&key) { access.next_value::<Emptied>()?.0 } else { access.next_value_seed(self)? };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// An empty object in place of any, and null in place of anything else.
struct Emptied(Value);

impl<'de> serde::Deserialize<'de> for Emptied {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Emptied, D::Error> {
        reader.deserialize_any(Emptying).map(Emptied)
    }
}

/// Reads an object and keeps nothing of it.
struct Emptying;

impl<'de> Visitor<'de> for Emptying {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(Map::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _value: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
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
    fn what_may_be_long_and_is_of_no_use_is_passed_over() {
        let text = br#"{"consolidated_metadata": {"x": [[[[[1]]]]]}, "b": [[2]],
                        "ome": {"image-label": {"colors": [{"rgba": [1]}]}, "type": "image-label", "n": [3, {"k": 4}]}}"#;
        let expected = json!({"consolidated_metadata": {}, "b": [[2]],
                              "ome": {"image-label": {}, "type": "image-label", "n": [3, {"k": 4}]}});
        assert_eq!(parse(text, 4).unwrap(), expected);
        for other in ["null", "1", "-1", "1.5", "true", "[{}]", "\"x\""] {
            let text = format!(r#"{{"image-label": {other}, "a": 1}}"#);
            assert_eq!(parse(text.as_bytes(), 4).unwrap(), json!({"image-label": null, "a": 1}));
        }
        let many: Vec<_> = (0..200_000).map(|n| json!({"label-value": n})).collect();
        let large = json!({"image-label": {"properties": many}, "a": 1}).to_string();
        assert_eq!(parse(large.as_bytes(), 64).unwrap(), json!({"image-label": {}, "a": 1}));
        // What stands behind such a word and is not its value counts.
        let many = format!(r#"{{"a": ["image-label", [{}1]], "b": 2}}"#, "1,".repeat(2 << 20));
        assert!(matches!(parse(many.as_bytes(), 64), Err(Problem::Over { .. })));
        let many = format!(r#"{{"image-label": {{}}, "b": [{}1]}}"#, "1,".repeat(2 << 20));
        assert!(matches!(parse(many.as_bytes(), 64), Err(Problem::Over { .. })));
    }

    #[test]
    fn what_is_passed_over_is_kept_where_it_is_wanted() {
        let text = br#"{"consolidated_metadata": {"x": {"image-label": {"a": 1}}}, "image-label": {"b": 2}}"#;
        let expected = json!({"consolidated_metadata": {"x": {"image-label": {}}}, "image-label": {}});
        assert_eq!(parse_keeping(text, 4, "consolidated_metadata").unwrap(), expected);
        let deep = format!(r#"{{"consolidated_metadata": {}1{}}}"#, "[".repeat(70), "]".repeat(70));
        assert!(parse(deep.as_bytes(), 64).is_ok());
        let refused = parse_keeping(deep.as_bytes(), 64, "consolidated_metadata");
        assert!(matches!(refused, Err(Problem::Over { limit: 64, .. })));
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

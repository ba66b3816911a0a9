//! Names of files with places for numbers in them: `img_t{t}_c{c}.tif`, and `*` and `?` for what does not matter.
//!
//! *Invariant:* a pattern is matched part by part of a path, in time linear in the name, and never leads upwards.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use regex::{Regex, escape};

/// What a place in braces stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    T,
    C,
    Z,
    Scene,
    Well,
    Row,
    Column,
    Site,
    /// The part of the name that `*` and `?` stand for, where nothing is in braces.
    Star,
}

/// Each with its name in braces, and the expression it stands for.
const FIELDS: [(&str, Field, &str); 8] = [
    ("t", Field::T, "[0-9]+"),
    ("c", Field::C, "[^/]+?"),
    ("z", Field::Z, "[0-9]+"),
    ("s", Field::Scene, "[^/]+?"),
    ("well", Field::Well, "[A-Za-z]{1,2}[0-9]{1,3}"),
    ("row", Field::Row, "[A-Za-z]{1,2}|[0-9]+"),
    ("column", Field::Column, "[0-9]+"),
    ("field", Field::Site, "[^/]+?"),
];
/// Number of kinds of fields.
pub(crate) const KINDS: usize = 9;

/// What was found in the place of each field, by its number.
pub(crate) type Values = [Option<String>; KINDS];

/// A part of a path.
#[derive(Clone, Debug)]
struct Part {
    text: String,
    /// What names it stands for, with the field of each group; `None` for a plain name.
    names: Option<(Regex, Vec<Field>)>,
}

/// A path with fields in it.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    base: PathBuf,
    parts: Vec<Part>,
}

/// Whether a path that does not exist may be meant as a pattern.
///
/// # Examples
/// ```
/// use std::path::Path;
/// assert!(microtome_tiff::is_pattern(Path::new("scan/img_t{t}.tif")));
/// assert!(microtome_tiff::is_pattern(Path::new("scan/*.tif")));
/// assert!(!microtome_tiff::is_pattern(Path::new("scan/img.tif")));
/// ```
pub fn is_pattern(path: &Path) -> bool {
    let special = |text: &str| text.contains(['*', '?']) || text.find('{').is_some_and(|at| text[at..].contains('}'));
    path.components().any(|part| part.as_os_str().to_str().is_some_and(special))
}

impl Pattern {
    /// Understands a path, or says what is wrong with it.
    pub(crate) fn parse(path: &Path) -> Result<Pattern, String> {
        let (mut base, mut parts) = (PathBuf::new(), Vec::<Part>::new());
        let has_fields = path.to_str().is_some_and(|text| text.contains('{'));
        for component in path.components() {
            let name = component.as_os_str();
            if parts.is_empty() && !is_pattern(Path::new(name)) {
                base.push(name);
                continue;
            }
            let (Component::Normal(_), Some(text)) = (component, name.to_str()) else {
                return Err(format!("{} after a pattern is no plain name", name.display()));
            };
            parts.push(Part { text: text.to_owned(), names: names(text, has_fields)? });
        }
        Ok(Pattern { base, parts })
    }

    /// Number of parts of a path behind the folder that is plainly named.
    pub(crate) fn depth(&self) -> usize {
        self.parts.len()
    }

    /// The folder that is plainly named.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// The name at a depth, if it is a plain one.
    pub(crate) fn plain(&self, depth: usize) -> Option<&str> {
        let part = &self.parts[depth];
        part.names.is_none().then_some(&part.text[..])
    }

    /// Whether a name fits the part at a depth; what it says is added to `values`, and must not contradict what is there.
    pub(crate) fn fits(&self, depth: usize, name: &OsStr, values: &mut Values) -> bool {
        let part = &self.parts[depth];
        let Some(name) = name.to_str() else { return false };
        let Some((regex, fields)) = &part.names else { return part.text == name };
        if name.starts_with('.') && !part.text.starts_with('.') {
            return false; // hidden, as the shell has it
        }
        let Some(found) = regex.captures(name) else { return false };
        fields.iter().zip(found.iter().skip(1)).all(|(&field, value)| {
            let Some(value) = value.map(|value| value.as_str()) else { return false };
            let slot = &mut values[field as usize];
            if field == Field::Star {
                slot.get_or_insert_default().extend([value, "/"]);
                return true;
            }
            slot.get_or_insert_with(|| value.to_owned()) == value
        })
    }

    /// Whether a field occurs.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.parts.iter().any(|part| part.names.as_ref().is_some_and(|(_, fields)| fields.contains(&field)))
    }

    /// The path that has these texts in the place of fields; `*` and `?` stay.
    pub(crate) fn filled(&self, values: &Values) -> PathBuf {
        let mut path = self.base.clone();
        for part in &self.parts {
            let mut name = part.text.clone();
            for (word, field, _) in FIELDS {
                if let Some(value) = &values[field as usize] {
                    for word in [format!("{{{word}}}"), format!("{{{}}}", word.to_uppercase())] {
                        name = name.replace(&word, value);
                    }
                }
            }
            path.push(name);
        }
        path
    }
}

/// The names that a part of a pattern stands for; `None` for one that is plain.
fn names(text: &str, has_fields: bool) -> Result<Option<(Regex, Vec<Field>)>, String> {
    if !is_pattern(Path::new(text)) {
        return Ok(None);
    }
    let (mut expression, mut fields, mut rest) = ("^".to_owned(), Vec::new(), text);
    while let Some(at) = rest.find(['{', '*', '?']) {
        expression.push_str(&escape(&rest[..at]));
        let wild = match rest.as_bytes()[at] {
            b'*' => "[^/]*?",
            b'?' => "[^/]",
            _ => "",
        };
        if wild.is_empty() {
            let end = rest[at..].find('}').ok_or_else(|| format!("a brace of {text:?} is not closed"))?;
            let name = &rest[at + 1..at + end];
            let (field, names) = field(name)?;
            fields.push(field);
            expression.extend(["(", names, ")"]);
            rest = &rest[at + end + 1..];
            continue;
        }
        if has_fields {
            expression.push_str(wild);
        } else {
            fields.push(Field::Star);
            expression.extend(["(", wild, ")"]);
        }
        rest = &rest[at + 1..];
    }
    expression.push_str(&escape(rest));
    expression.push('$');
    let regex = Regex::new(&expression).map_err(|error| format!("{text:?} is no pattern: {error}"))?;
    Ok(Some((regex, fields)))
}

fn field(name: &str) -> Result<(Field, &'static str), String> {
    let found = FIELDS.iter().find(|(word, ..)| word.eq_ignore_ascii_case(name));
    found.map(|&(_, field, names)| (field, names)).ok_or_else(|| {
        let known: Vec<String> = FIELDS.iter().map(|(word, ..)| format!("{{{word}}}")).collect();
        format!("{{{name}}} stands for nothing; known are {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, name: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(Path::new(pattern)).unwrap();
        let mut values = Values::default();
        let fits = pattern.fits(0, OsStr::new(name), &mut values);
        fits.then(|| values.into_iter().flatten().collect())
    }

    #[test]
    fn numbers_and_names_are_found_in_their_places() {
        assert_eq!(found("img_t{t}_c{c}.tif", "img_t007_cDAPI.tif").unwrap(), ["007", "DAPI"]);
        assert_eq!(found("{c}-{Z}.tif", "a-b-3.tif").unwrap(), ["a-b", "3"]);
        assert_eq!(found("{well}_s{field}.ome.tif", "B03_s1.ome.tif").unwrap(), ["B03", "1"]);
        assert_eq!(found("*_t{t}.tif", "scan_t1.tif").unwrap(), ["1"]);
        assert_eq!(found("a*b?.tif", "axxbc.tif").unwrap(), ["xx/c/"]);
        assert_eq!(found("img_t{t}.tif", "img_tx.tif"), None);
        assert_eq!(found("img_t{t}.tif", "img_t1.tiff"), None);
        assert_eq!(found("a.{t}", "ab1"), None);
        assert_eq!(found("{t}_{t}", "1_1").unwrap(), ["1"]);
        assert_eq!(found("{t}_{t}", "1_2"), None);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let why = |path: &str| Pattern::parse(Path::new(path)).unwrap_err();
        assert!(why("a_{q}.tif").starts_with("{q} stands for nothing; known are {t}, {c}"));
        assert!(why("a_{t}{.tif").contains("not closed"));
        assert!(why("{t}/../x").contains("no plain name"));
    }

    #[test]
    fn a_missing_name_is_written_out() {
        let pattern = Pattern::parse(Path::new("a/{T}/x_{c}.tif")).unwrap();
        let mut values = Values::default();
        (values[Field::T as usize], values[Field::C as usize]) = (Some("01".to_owned()), Some("red".to_owned()));
        assert_eq!(pattern.filled(&values), Path::new("a/01/x_red.tif"));
    }
}

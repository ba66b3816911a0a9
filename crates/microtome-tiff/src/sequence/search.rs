//! The files that a pattern stands for, sorted as people count.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use microtome_io::ReadError;

use super::pattern::{Pattern, Values};

/// Most files of one image.
const MOST: usize = 1 << 20;

/// A file, with what its name says.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) values: Values,
}

/// All files that fit, in the order of their names.
pub(super) fn search(pattern: &Pattern) -> Result<Vec<Found>, ReadError> {
    let mut found = Vec::new();
    let base = if pattern.base().as_os_str().is_empty() { Path::new(".") } else { pattern.base() };
    down(pattern, 0, base, &Values::default(), &mut found)?;
    for file in &mut found {
        // As it was asked for: without the dot that only a folder needs.
        if pattern.base().as_os_str().is_empty() {
            file.path = file.path.strip_prefix(".").unwrap_or(&file.path).to_owned();
        }
    }
    sort(&mut found);
    Ok(found)
}

/// Sorts files by their paths, as people count.
pub(super) fn sort(found: &mut [Found]) {
    found.sort_by(|a, b| natural_order(&a.path.to_string_lossy(), &b.path.to_string_lossy()));
}

fn down(
    pattern: &Pattern,
    depth: usize,
    folder: &Path,
    values: &Values,
    found: &mut Vec<Found>,
) -> Result<(), ReadError> {
    let last = depth + 1 == pattern.depth();
    let mut visit = |path: PathBuf, values: Values| -> Result<(), ReadError> {
        if !last {
            return if path.is_dir() { down(pattern, depth + 1, &path, &values, found) } else { Ok(()) };
        }
        if path.is_file() {
            if found.len() == MOST {
                let what = "number of files".to_owned();
                let (found, limit) = (MOST as u64 + 1, MOST as u64);
                return Err(ReadError::OverLimit { path, what, location: String::new(), found, limit });
            }
            found.push(Found { path, values });
        }
        Ok(())
    };
    if let Some(name) = pattern.plain(depth) {
        return visit(folder.join(name), values.clone());
    }
    for entry in std::fs::read_dir(folder).map_err(|e| ReadError::os(folder, "list", e))? {
        let entry = entry.map_err(|e| ReadError::os(folder, "list", e))?;
        let mut values = values.clone();
        if pattern.fits(depth, &entry.file_name(), &mut values) {
            visit(entry.path(), values)?;
        }
    }
    Ok(())
}

/// Compares two names as people count: digits by the number that they are, `2` before `10`.
///
/// # Examples
/// ```
/// assert!(microtome_tiff::natural_order("a2.tif", "a10.tif").is_lt());
/// ```
pub fn natural_order(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (a, b) = match (one.chars().next(), other.chars().next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        let order = if a.is_ascii_digit() && b.is_ascii_digit() {
            let (x, y) = (digits(&mut one), digits(&mut other));
            let value = |n: &'_ str| n.trim_start_matches('0').to_owned();
            let (x_value, y_value) = (value(x), value(y));
            let by_value = x_value.len().cmp(&y_value.len()).then_with(|| x_value.cmp(&y_value));
            by_value.then_with(|| x.len().cmp(&y.len()))
        } else {
            (one, other) = (&one[a.len_utf8()..], &other[b.len_utf8()..]);
            a.cmp(&b)
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_people_count() {
        let mut names = ["a10", "a2", "b1", "a", "a02", "a2b", "100000000000000000000001", "100000000000000000000000"];
        names.sort_by(|a, b| natural_order(a, b));
        let sorted = ["100000000000000000000000", "100000000000000000000001", "a", "a2", "a2b", "a02", "a10", "b1"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn a_pattern_may_span_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["B02/s1.tif", "B02/s10.tif", "B02/s2.tif", "A1/s1.tif", "A1/notes.txt", "readme/s1.tif"] {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let found = search(&Pattern::parse(&dir.path().join("{well}/s{field}.tif")).unwrap()).unwrap();
        let names: Vec<_> = found.iter().map(|f| f.path.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["A1/s1.tif", "B02/s1.tif", "B02/s2.tif", "B02/s10.tif"]);
    }
}

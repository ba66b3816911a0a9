//! A table of text: a line of names, then rows; comma separated, with quotes where needed. The manifests of the sample
//! corpus are such tables, and the tests of the crates that read it include this file.

use std::collections::HashMap;

/// A line of a table by the names of its columns.
pub(crate) type Row = HashMap<String, String>;

/// The rows of a table.
pub(crate) fn table(text: &str) -> Vec<Row> {
    let mut rows = text.lines().map(cells);
    let names = rows.next().unwrap_or_default();
    rows.map(|row| names.iter().cloned().zip(row).collect()).collect()
}

fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().expect("never empty").push(c),
        }
    }
    cells
}

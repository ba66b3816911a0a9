//! The table of compressions in the documentation is that of the code.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::Path;

use microtome_tiff::bare::Strip;

#[test]
fn the_table_of_compressions_is_that_of_the_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let page = std::fs::read_to_string(page).unwrap();
    let table = page.split("| codec | Compression (tag 259) |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let documented: BTreeMap<String, Vec<u16>> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let mut codes: Vec<u16> = cells[2].split(", ").map(|n| n.parse().unwrap()).collect();
            codes.sort_unstable();
            (cells[1].to_owned(), codes)
        })
        .collect();
    let mut coded: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    for (code, name) in Strip::compressions() {
        coded.entry(name.to_owned()).or_default().push(code);
    }
    for codes in coded.values_mut() {
        codes.sort_unstable();
    }
    assert_eq!(documented, coded);
}

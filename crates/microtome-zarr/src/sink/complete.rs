//! The record by which a finished output is known: its plan, and length and checksum of every unit.
//!
//! *Invariant:* nothing in it comes from a clock, a host, a user or a path: equal plans give equal records.

use std::fmt::Write as _;
use std::path::Path;

use microtome_io::{Completion, WriteError};
use serde::Deserialize;

use super::disk;

/// The folder of our own records in an output.
const FOLDER: &str = ".microtome";
const RECORD: &str = "complete.json";
/// Version of the record's form.
const FORMAT: u32 = 1;

/// Writes the record: a line a unit, `[bytes, crc32c]`, in C order of the units of each array.
pub(super) fn write(output: &Path, completion: &Completion<'_>, sync: bool) -> Result<(), WriteError> {
    let folder = output.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|e| WriteError::os(&folder, "create", e))?;
    disk::write(&folder.join(RECORD), text(completion).as_bytes(), sync)?;
    if sync { disk::sync_folder(&folder) } else { Ok(()) }
}

fn text(completion: &Completion<'_>) -> String {
    let mut out = format!("{{\n  \"format\": {FORMAT},\n  \"plan\": {},\n  \"arrays\": [", json(completion.plan));
    for (n, units) in completion.units.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}\n    {{\"path\": \"{n}\", \"units\": [");
        for (u, unit) in units.iter().enumerate() {
            let comma = if u > 0 { "," } else { "" };
            let _ = write!(out, "{comma}\n      [{}, {}]", unit.stored_bytes, unit.crc32c);
        }
        out.push_str("\n    ]}");
    }
    out.push_str("\n  ]\n}\n");
    out
}

fn json(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

/// The plan of a finished output; `None` if it has no record that is understood.
pub(super) fn plan(output: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Record {
        format: u32,
        plan: String,
    }
    let text = std::fs::read(output.join(FOLDER).join(RECORD)).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    (record.format == FORMAT).then_some(record.plan)
}

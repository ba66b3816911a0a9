//! The record by which a finished output is known: its plan, length and checksum of every unit, and, where something is
//! missing in it, length and checksum of the list of that, which lies beside it.
//!
//! *Invariant:* nothing in it comes from a clock, a host, a user or a path: equal plans give equal records.

use std::fmt::Write as _;
use std::path::Path;

use microtome_io::{Completion, StoredUnit, WriteError};
use serde::{Deserialize, Serialize};

use microtome_io::disk;

/// The folder of our own records in an output.
pub(super) const FOLDER: &str = ".microtome";
const RECORD: &str = "complete.json";
const QUARANTINE: &str = "quarantine.json";
const COLLECTION: &str = "collection.json";
/// The key of the list of what is missing, below the output.
pub(super) const QUARANTINE_KEY: &str = ".microtome/quarantine.json";
/// Version of the record's form.
const FORMAT: u32 = 1;

/// Writes the record: a line a unit, `[bytes, crc32c]`, in C order of the units of each array.
pub(super) fn write(output: &Path, completion: &Completion<'_>, sync: bool) -> Result<(), WriteError> {
    let folder = output.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|e| WriteError::os(&folder, "create", e))?;
    match completion.quarantine {
        Some(list) => disk::write(&folder.join(QUARANTINE), list.as_bytes(), sync)?,
        // One may have been left by a run that was killed while it wrote this record.
        None => disk::remove(&folder.join(QUARANTINE))?,
    }
    disk::write(&folder.join(RECORD), text(completion).as_bytes(), sync)?;
    if sync { disk::sync_folder(&folder) } else { Ok(()) }
}

fn text(completion: &Completion<'_>) -> String {
    let mut out = format!("{{\n  \"format\": {FORMAT},\n  \"plan\": {},\n", json(completion.plan));
    // Writing to a String cannot fail.
    if let Some(list) = completion.quarantine {
        let StoredUnit { stored_bytes, crc32c } = stored(list.as_bytes());
        let _ =
            writeln!(out, "  \"quarantine\": {{\"path\": \"{QUARANTINE}\", \"unit\": [{stored_bytes}, {crc32c}]}},");
    }
    out.push_str("  \"arrays\": [");
    for (n, units) in completion.units.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
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

fn stored(bytes: &[u8]) -> StoredUnit {
    StoredUnit { stored_bytes: bytes.len() as u64, crc32c: crc32c::crc32c(bytes) }
}

#[derive(Deserialize)]
struct Record {
    format: u32,
    plan: String,
    quarantine: Option<Listed>,
    arrays: Vec<RecordedArray>,
}

/// What the record says of an array.
#[derive(Deserialize)]
pub(crate) struct RecordedArray {
    /// Its folder in the output.
    pub(crate) path: String,
    /// Bytes and CRC-32C of its units, in C order.
    pub(crate) units: Vec<(u64, u32)>,
}

/// All that a finished output says of itself.
pub(crate) struct Recorded {
    pub(crate) plan: String,
    pub(crate) has_quarantine: bool,
    pub(crate) arrays: Vec<RecordedArray>,
}

/// What a finished output says of itself; `None` if it has no record that is understood.
pub(crate) fn recorded(output: &Path) -> Option<Recorded> {
    let Record { plan, quarantine, arrays, .. } = record(output)?;
    Some(Recorded { plan, has_quarantine: quarantine.is_some(), arrays })
}

/// What the record says of the list of what is missing.
#[derive(Deserialize)]
struct Listed {
    unit: (u64, u32),
}

fn record(output: &Path) -> Option<Record> {
    record_in(&std::fs::read(output.join(FOLDER).join(RECORD)).ok()?)
}

fn record_in(text: &[u8]) -> Option<Record> {
    let record: Record = serde_json::from_slice(text).ok()?;
    (record.format == FORMAT).then_some(record)
}

/// The plan that a record names; `None` if it is not understood.
pub(super) fn plan_of(record: &[u8]) -> Option<String> {
    Some(record_in(record)?.plan)
}

/// The plan of a finished output; `None` if it has no record that is understood.
pub(super) fn plan(output: &Path) -> Option<String> {
    Some(record(output)?.plan)
}

/// What the record of a folder of several images says.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Collection {
    format: u32,
    /// Hash of all that decides its bytes.
    pub(crate) plan: String,
    /// Whether it is whole: the record is there from the beginning.
    pub(crate) complete: bool,
    /// The paths of its images, each with a record of its own.
    pub(crate) images: Vec<String>,
}

/// Writes the record of a folder of several images.
pub(super) fn write_collection(
    output: &Path,
    plan: &str,
    images: &[String],
    complete: bool,
    sync: bool,
) -> Result<(), WriteError> {
    let folder = output.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|e| WriteError::os(&folder, "create", e))?;
    let record = Collection { format: FORMAT, plan: plan.to_owned(), complete, images: images.to_vec() };
    let text = serde_json::to_string_pretty(&record).unwrap_or_default() + "\n";
    let (path, new) = (folder.join(COLLECTION), folder.join(format!("{COLLECTION}.new")));
    disk::write(&new, text.as_bytes(), sync)?;
    disk::rename(&new, &path)?;
    if sync { disk::sync_folder(&folder) } else { Ok(()) }
}

/// The record of a folder of several images.
pub(crate) fn collection(output: &Path) -> Option<Collection> {
    let text = std::fs::read(output.join(FOLDER).join(COLLECTION)).ok()?;
    serde_json::from_slice(&text).ok().filter(|record: &Collection| record.format == FORMAT)
}

/// The plan of a finished output, of one image or of several.
pub(super) fn any_plan(output: &Path) -> Option<String> {
    match collection(output) {
        Some(record) => record.complete.then_some(record.plan),
        None => plan(output),
    }
}

/// The list of what is missing in a finished output; `None` if nothing is.
pub(super) fn quarantine(output: &Path) -> Result<Option<String>, WriteError> {
    let Some(listed) = record(output).and_then(|record| record.quarantine) else { return Ok(None) };
    let path = output.join(FOLDER).join(QUARANTINE);
    let bytes = std::fs::read(&path).map_err(|e| WriteError::os(&path, "read", e))?;
    listed_text(&listed, bytes, &path).map(Some)
}

/// The same of a record and a list that are here.
pub(super) fn quarantine_of(record: &[u8], list: Option<Vec<u8>>, path: &Path) -> Result<Option<String>, WriteError> {
    let Some(listed) = record_in(record).and_then(|record| record.quarantine) else { return Ok(None) };
    listed_text(&listed, list.unwrap_or_default(), path).map(Some)
}

fn listed_text(listed: &Listed, bytes: Vec<u8>, path: &Path) -> Result<String, WriteError> {
    let (stored_bytes, crc32c) = listed.unit;
    let text =
        String::from_utf8(bytes).ok().filter(|text| stored(text.as_bytes()) == StoredUnit { stored_bytes, crc32c });
    text.ok_or_else(|| {
        let why = "the list of what is missing in the output is damaged; --overwrite makes both anew".to_owned();
        WriteError::Journal { path: path.to_owned(), why }
    })
}

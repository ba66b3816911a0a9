//! What an output keeps beside its pixels: the OME-XML of its source, and where it came from.
//!
//! *Invariant:* nothing in it comes from a clock, a host, a user or a path: equal plans give equal records.

use std::path::Path;

use microtome_io::WriteError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{complete, document};
use crate::{NgffVersion, OmeXml, OutputMeta};
use microtome_io::disk;

/// Where bioformats2raw puts the OME-XML of the file that it converted.
const PUBLIC: (&str, &str) = ("OME", "METADATA.ome.xml");
const SOURCE: &str = "source.ome.xml";
const PROVENANCE: &str = "provenance.json";
/// Version of the form of the record.
const FORMAT: u32 = 1;

/// What is kept.
#[derive(Clone, Debug)]
pub(super) struct Records {
    ome_xml: Option<OmeXml>,
    provenance: Value,
    version: NgffVersion,
}

impl Records {
    pub(super) fn new(meta: &OutputMeta, version: NgffVersion) -> Records {
        Records { ome_xml: meta.ome_xml.clone(), provenance: meta.provenance.clone(), version }
    }

    /// What decides the bytes of the records beside the plan.
    pub(super) fn parameters(&self) -> Value {
        match &self.ome_xml {
            None => Value::Null,
            Some(xml) => json!([format!("{:x}", Sha256::digest(xml.text.as_bytes())), xml.describes_output]),
        }
    }

    /// Writes them into the folder of an output.
    pub(super) fn write(&self, output: &Path, plan: &str, sync: bool) -> Result<(), WriteError> {
        if let Some(xml) = &self.ome_xml {
            let (folder, name) = if xml.describes_output { PUBLIC } else { (complete::FOLDER, SOURCE) };
            write(&output.join(folder), name, &xml.text, sync)?;
        }
        if self.provenance.is_null() {
            return Ok(());
        }
        let text = document::text(&json!({
            "format": FORMAT,
            "tool": {"name": "microtome", "version": env!("CARGO_PKG_VERSION")},
            "plan": plan,
            "ngff_version": self.version.name(),
            "made": self.provenance,
        }));
        write(&output.join(complete::FOLDER), PROVENANCE, &text, sync)
    }
}

/// Writes the OME-XML of several images.
pub(super) fn write_ome_xml(output: &Path, text: &str, sync: bool) -> Result<(), WriteError> {
    write(&output.join(PUBLIC.0), PUBLIC.1, text, sync)
}

fn write(folder: &Path, name: &str, text: &str, sync: bool) -> Result<(), WriteError> {
    std::fs::create_dir_all(folder).map_err(|e| WriteError::os(folder, "create", e))?;
    disk::write(&folder.join(name), text.as_bytes(), sync)?;
    if sync { disk::sync_folder(folder) } else { Ok(()) }
}

//! Which arrays of a folder are images: those of multiscales groups, and those outside any.
//!
//! *Invariant:* links are not followed, an array's own folders (its chunks) are not looked into, and both depth and number
//! of folders are limited.

use std::collections::HashMap;

use microtome_io::ReadError;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::store::{Document, Identity, Root, join};

const MOST_DEPTH: u32 = 8;
const MOST_FOLDERS: u64 = 1 << 20;

/// A group or array with its metadata.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: String,
    pub(super) array: Option<Value>,
    /// The attributes that hold NGFF: of 0.5 the value of `ome`.
    pub(super) attributes: Value,
    pub(super) is_v05: bool,
    /// Names of attributes beside those.
    pub(super) others: Vec<String>,
}

/// All nodes of a folder, sorted by path, and the hash of their documents.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) digest: String,
    pub(super) bytes: u64,
    /// The documents by their paths.
    pub(super) documents: Vec<(String, Identity)>,
    pub(super) warnings: Vec<String>,
    /// Documents below the top that are damaged or over a limit; their folders hold nothing.
    pub(super) problems: Vec<ReadError>,
    by_path: HashMap<String, usize>,
}

impl Tree {
    /// Walks through all folders.
    pub(super) fn read(root: &Root) -> Result<Tree, ReadError> {
        let mut walk = Walk { root, folders: 0, gathered: Gathered::default() };
        walk.folder("", 0)?;
        Ok(walk.gathered.into_tree())
    }

    /// The node at a path.
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.by_path.get(path).map(|&n| &self.nodes[n])
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    hash: Sha256,
    bytes: u64,
    documents: Vec<(String, Identity)>,
    pub(super) nodes: Vec<Node>,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<ReadError>,
}

impl Gathered {
    /// Counts a document in; gives its value.
    pub(super) fn keep(&mut self, key: String, document: Document) -> Value {
        let Document { value, bytes, identity } = document;
        self.hash.update(key.as_bytes());
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.documents.push((key, identity));
        value
    }

    pub(super) fn into_tree(self) -> Tree {
        let Gathered { hash, bytes, documents, nodes, warnings, problems } = self;
        let by_path = nodes.iter().enumerate().map(|(n, node)| (node.path.clone(), n)).collect();
        let digest = format!("{:x}", hash.finalize());
        Tree { nodes, digest, bytes, documents, warnings, problems, by_path }
    }
}

impl Node {
    /// By the document of Zarr v3.
    pub(super) fn v3(path: &str, mut document: Value) -> Node {
        let mut all = document.get_mut("attributes").map(Value::take).unwrap_or_default();
        let (attributes, is_v05) = match all.get_mut("ome") {
            Some(ome) => (ome.take(), true),
            None => (all.take(), false),
        };
        let others = if is_v05 { names(&all) } else { Vec::new() };
        let is_array = document.get("node_type").and_then(Value::as_str) == Some("array");
        let array = is_array.then_some(document);
        Node { path: path.to_owned(), array, attributes, is_v05, others }
    }

    /// By the documents of Zarr v2: `.zarray` and `.zattrs`.
    pub(super) fn v2(path: &str, array: Option<Value>, attributes: Option<Value>) -> Node {
        let attributes = attributes.unwrap_or_default();
        Node { path: path.to_owned(), array, attributes, is_v05: false, others: Vec::new() }
    }
}

struct Walk<'a> {
    root: &'a Root,
    folders: u64,
    gathered: Gathered,
}

impl Walk<'_> {
    fn folder(&mut self, path: &str, depth: u32) -> Result<(), ReadError> {
        self.folders += 1;
        if self.folders > MOST_FOLDERS {
            let (path, what) = (self.root.path().to_owned(), "the number of folders".to_owned());
            let (found, limit) = (self.folders, MOST_FOLDERS);
            return Err(ReadError::OverLimit { path, what, location: String::new(), found, limit });
        }
        let node = match self.node(path) {
            Err(problem @ (ReadError::Corrupt { .. } | ReadError::OverLimit { .. })) if !path.is_empty() => {
                self.gathered.problems.push(problem);
                None
            }
            other => other?,
        };
        let is_array = node.as_ref().is_some_and(|n| n.array.is_some());
        self.gathered.nodes.extend(node);
        if is_array {
            return Ok(());
        }
        let inside = self.root.folders(path)?;
        if depth == MOST_DEPTH && !inside.is_empty() {
            let warning = format!("folders below {path} were not looked into: they are more than {depth} deep");
            self.gathered.warnings.push(warning);
            return Ok(());
        }
        for name in inside.iter().filter(|name| !name.starts_with('.')) {
            self.folder(&join(path, name), depth + 1)?;
        }
        Ok(())
    }

    fn document(&mut self, path: &str, name: &str) -> Result<Option<Value>, ReadError> {
        let key = join(path, name);
        let document = self.root.json(&key)?;
        Ok(document.map(|document| self.gathered.keep(key, document)))
    }

    fn node(&mut self, path: &str) -> Result<Option<Node>, ReadError> {
        if let Some(document) = self.document(path, "zarr.json")? {
            return Ok(Some(Node::v3(path, document)));
        }
        let array = self.document(path, ".zarray")?;
        let attributes = self.document(path, ".zattrs")?;
        let group = array.is_none() && self.document(path, ".zgroup")?.is_some();
        let found = array.is_some() || attributes.is_some() || group;
        Ok(found.then(|| Node::v2(path, array, attributes)))
    }
}

/// The names of what an object holds, but for OME's own.
fn names(attributes: &Value) -> Vec<String> {
    let all = attributes.as_object().into_iter().flat_map(|object| object.keys());
    all.filter(|name| *name != "ome").cloned().collect()
}

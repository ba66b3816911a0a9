//! Which arrays behind a URL are images, found by what metadata say, because there is no list of folders to walk through.
//!
//! The top is asked for as Zarr v3 first, then as v2; the other way round where the URL says so (`…/v0.4/…`, as the IDR has
//! it), because each question that is answered with no costs a request. Consolidated metadata tell all at once. Else each group tells what is
//! below it (levels, wells, fields, labels, series), and what one round of documents tells is asked for in the next, all of
//! it together.
//!
//! *Invariant:* nothing is asked for twice, and depth and number of what is asked for are limited, whatever is answered.

use std::collections::{BTreeMap, HashSet};

use microtome_io::ReadError;
use serde_json::{Map, Value};

use super::ngff;
use super::store::{Document, Root, join};
use super::tree::{Gathered, Node, Tree};
use crate::remote::{Answer, Distant};

/// Generations of groups below the top: plate, well, field, labels, label, level, and some.
const MOST_DEPTH: u32 = 8;
/// Documents of one image: a plate of 1536 wells, nine fields each, with five levels.
const MOST_ASKED: usize = 1 << 17;
/// Documents that are asked for together.
const ROUND: usize = 256;
/// Series of bioformats2raw that are asked for together where nothing says how many there are.
const SERIES: u64 = 4;

/// A version of Zarr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

/// What a node may be that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Array,
    Group,
    /// A series of bioformats2raw by its number.
    Series(u64),
    /// Whatever is listed.
    Listed,
}

/// A node that is asked for.
#[derive(Clone, Debug)]
struct Ask {
    path: String,
    what: What,
    depth: u32,
}

/// Reads what metadata tell, beginning at the top.
pub(super) fn read(root: &Root, distant: &dyn Distant) -> Result<Tree, ReadError> {
    let (gathered, seen, version) = (Gathered::default(), HashSet::new(), Version::V3);
    let mut crawl = Crawl { root, distant, gathered, seen, version };
    let mut next = crawl.top()?;
    while !next.is_empty() {
        let (mut asks, mut below) = (next.into_iter().peekable(), Vec::new());
        while asks.peek().is_some() {
            let round: Vec<Ask> = asks.by_ref().take(ROUND).filter(|ask| crawl.seen.insert(ask.path.clone())).collect();
            below.extend(crawl.round(&round)?);
        }
        next = below;
    }
    crawl.gathered.nodes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(crawl.gathered.into_tree())
}

struct Crawl<'a> {
    root: &'a Root,
    distant: &'a dyn Distant,
    gathered: Gathered,
    seen: HashSet<String>,
    version: Version,
}

impl Crawl<'_> {
    fn document(&mut self, name: &str) -> Result<Option<(Value, Vec<u8>)>, ReadError> {
        let Some(document) = self.root.json(name)? else { return Ok(None) };
        let bytes = document.bytes.clone();
        Ok(Some((self.gathered.keep(name.to_owned(), document), bytes)))
    }

    /// The top, and what is to be asked for below it.
    fn top(&mut self) -> Result<Vec<Ask>, ReadError> {
        self.seen.insert(String::new());
        let early = if says_old(&self.root.path().to_string_lossy()) { self.attributes()? } else { None };
        if is_image(early.as_ref()) {
            self.version = Version::V2;
            return self.under(Node::v2("", None, early));
        }
        let node = match self.document("zarr.json")? {
            Some((document, bytes)) => {
                let is_consolidated = document.get("consolidated_metadata").is_some_and(Value::is_object);
                let node = Node::v3("", document);
                if is_consolidated && self.consolidated(&bytes, "zarr.json", "/consolidated_metadata/metadata") {
                    self.gathered.nodes.push(node);
                    return Ok(Vec::new());
                }
                node
            }
            None => match self.old_top(early)? {
                Some(node) => node,
                None => return Ok(Vec::new()),
            },
        };
        self.under(node)
    }

    /// What is to be asked for below the top.
    fn under(&mut self, node: Node) -> Result<Vec<Ask>, ReadError> {
        let top = Ask { path: String::new(), what: What::Listed, depth: 0 };
        let below = self.below(&top, &node)?;
        self.gathered.nodes.push(node);
        Ok(below)
    }

    fn attributes(&mut self) -> Result<Option<Value>, ReadError> {
        Ok(self.document(".zattrs")?.map(|(value, _)| value))
    }

    /// The top of Zarr v2, whose attributes may be there already; `None` where consolidated metadata told all.
    fn old_top(&mut self, early: Option<Value>) -> Result<Option<Node>, ReadError> {
        self.version = Version::V2;
        let attributes = if early.is_some() { early } else { self.attributes()? };
        if is_image(attributes.as_ref()) {
            // Levels and labels are as many questions, or fewer, than where all is told at once and may not be.
            return Ok(Some(Node::v2("", None, attributes)));
        }
        let tells = attributes.as_ref().is_some_and(|a| KNOWN.iter().any(|key| a.get(key).is_some()));
        if !tells && let Some((array, _)) = self.document(".zarray")? {
            return Ok(Some(Node::v2("", Some(array), attributes)));
        }
        if let Some((_, bytes)) = self.document(".zmetadata")?
            && self.consolidated(&bytes, ".zmetadata", "/metadata")
        {
            return Ok(None);
        }
        let is_group = attributes.is_some() || self.document(".zgroup")?.is_some();
        if is_group {
            return Ok(Some(Node::v2("", None, attributes)));
        }
        let why =
            "the server has none of zarr.json, .zattrs, .zarray, .zmetadata and .zgroup there (HTTP status 404); \
                   give the URL of the Zarr itself"
                .to_owned();
        Err(ReadError::NotAnImage { path: self.root.path().to_owned(), why })
    }

    /// All nodes below the top by consolidated metadata; false where these do not tell.
    fn consolidated(&mut self, bytes: &[u8], name: &str, member: &str) -> bool {
        let told = match self.root.consolidated(name, bytes, member) {
            Ok(Value::Object(told)) if !told.is_empty() => told,
            Ok(_) => return false,
            Err(error) => {
                self.gathered.warnings.push(format!("consolidated metadata were not used: {error}"));
                return false;
            }
        };
        let plain = |path: &str| path.is_empty() || is_plain(path);
        let nodes = match self.version {
            Version::V3 => told.into_iter().map(|(path, document)| Node::v3(&path, document)).collect(),
            Version::V2 => old_nodes(told),
        };
        self.gathered.nodes.extend(nodes.into_iter().filter(|node: &Node| plain(&node.path)));
        true
    }

    /// Asks for nodes together; gives what is to be asked for next.
    fn round(&mut self, asks: &[Ask]) -> Result<Vec<Ask>, ReadError> {
        if self.seen.len() > MOST_ASKED {
            let (path, what) = (self.root.path().to_owned(), "the number of metadata documents".to_owned());
            let (found, limit) = (self.seen.len() as u64, MOST_ASKED as u64);
            return Err(ReadError::OverLimit { path, what, location: String::new(), found, limit });
        }
        let keys: Vec<Vec<String>> = asks.iter().map(|ask| self.keys(ask)).collect();
        let mut answers = self.root.documents(self.distant, &keys.concat()).into_iter();
        let mut next = Vec::new();
        for (ask, keys) in asks.iter().zip(keys) {
            let answers: Vec<_> = answers.by_ref().take(keys.len()).collect();
            let node = match self.node(ask, keys, answers) {
                Err(problem @ (ReadError::Corrupt { .. } | ReadError::OverLimit { .. })) => {
                    self.gathered.problems.push(problem);
                    continue;
                }
                node => node?,
            };
            let Some(node) = node else { continue };
            next.extend(self.below(ask, &node)?);
            self.gathered.nodes.push(node);
        }
        Ok(next)
    }

    /// The documents that tell of a node.
    fn keys(&self, ask: &Ask) -> Vec<String> {
        let names: &[&str] = match (self.version, ask.what) {
            (Version::V3, _) => &["zarr.json"],
            (Version::V2, What::Array) => &[".zarray"],
            (Version::V2, What::Group | What::Series(_)) => &[".zattrs"],
            (Version::V2, What::Listed) => &[".zarray", ".zattrs", ".zgroup"],
        };
        names.iter().map(|name| join(&ask.path, name)).collect()
    }

    fn node(
        &mut self,
        ask: &Ask,
        keys: Vec<String>,
        answers: Vec<Answer<Document>>,
    ) -> Result<Option<Node>, ReadError> {
        let mut values = Vec::new();
        for (key, answer) in keys.into_iter().zip(answers) {
            values.push(answer?.map(|document| self.gathered.keep(key, document)));
        }
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut values = values.into_iter();
        let mut next = || values.next().flatten();
        Ok(match (self.version, ask.what) {
            (Version::V3, _) => next().map(|document| Node::v3(&ask.path, document)),
            (Version::V2, What::Group | What::Series(_)) => Some(Node::v2(&ask.path, None, next())),
            (Version::V2, What::Array | What::Listed) => Some(Node::v2(&ask.path, next(), next())),
        })
    }

    /// What a node says is below it.
    fn below(&mut self, ask: &Ask, node: &Node) -> Result<Vec<Ask>, ReadError> {
        if node.array.is_some() {
            return Ok(Vec::new());
        }
        let depth = ask.depth + 1;
        let mut told = told(node);
        if let What::Series(n) = ask.what
            && n % SERIES == SERIES - 1
        {
            told.extend(numbered(n + 1));
        }
        let tells = KNOWN.iter().any(|key| node.attributes.get(key).is_some());
        if ask.what == What::Listed && !tells {
            let listed = self.root.folders(&node.path)?.into_iter().filter(|name| !name.starts_with('.'));
            told.extend(listed.map(|name| (join(&node.path, &name), What::Listed)));
        }
        if depth > MOST_DEPTH && !told.is_empty() {
            let warning = format!("groups below {} were not looked into: they are more than {depth} deep", node.path);
            self.gathered.warnings.push(warning);
            return Ok(Vec::new());
        }
        let told = told.into_iter().filter(|(path, _)| is_plain(path));
        Ok(told.map(|(path, what)| Ask { path, what, depth }).collect())
    }
}

fn is_image(attributes: Option<&Value>) -> bool {
    attributes.is_some_and(|attributes| attributes.get("multiscales").is_some())
}

/// Whether a URL says that what it names is an OME-Zarr of before 0.5.
fn says_old(url: &str) -> bool {
    let is_old = |part: &str| ["0.1", "0.2", "0.3", "0.4"].contains(&part.trim_start_matches('v'));
    url.split(['/', '-', '_']).any(|part| is_old(part.trim_end_matches(".ome.zarr").trim_end_matches(".zarr")))
}

/// Attributes that tell what is below a group.
const KNOWN: [&str; 6] = ["multiscales", "plate", "well", "labels", "bioformats2raw.layout", "series"];
/// The group of bioformats2raw that lists the series.
const OME: &str = "OME";

/// What the attributes of a group say is below it, by paths from the top.
fn told(node: &Node) -> Vec<(String, What)> {
    let attributes = &node.attributes;
    let here = |name: &str| join(&node.path, name);
    let mut told = Vec::new();
    if let Some(multiscales) = ngff::multiscales(attributes, "") {
        let datasets = multiscales.into_iter().flatten().flat_map(|multiscale| multiscale.datasets);
        told.extend(datasets.map(|dataset| (here(&dataset.path), What::Array)));
        let is_label = ngff::is_label(attributes) || node.path.split('/').any(|part| part == "labels");
        if !is_label {
            told.push((here("labels"), What::Group));
        }
    }
    let entries = |pointer: &str| attributes.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let names = |list: &str| entries(list).filter_map(Value::as_str).collect::<Vec<_>>();
    for list in ["/plate/wells", "/well/images"] {
        let paths = entries(list).filter_map(|entry| entry.get("path")?.as_str());
        told.extend(paths.map(|path| (here(path), What::Group)));
    }
    told.extend(names("/labels").into_iter().map(|name| (here(name), What::Group)));
    if attributes.get("bioformats2raw.layout").is_some() && node.path.is_empty() {
        told.push((OME.to_owned(), What::Group));
        if attributes.get("plate").is_none() {
            // The group beside them may list them; the first ones are there whatever it says.
            told.extend(numbered(0));
        }
    }
    if node.path == OME {
        told.extend(names("/series").into_iter().map(|path| (path.to_owned(), What::Group)));
    }
    told
}

/// Some series by their numbers.
fn numbered(from: u64) -> impl Iterator<Item = (String, What)> {
    (from..from + SERIES).map(|n| (n.to_string(), What::Series(n)))
}

/// Whether a path leads downwards and nowhere else.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\\', '\0'])
}

/// The nodes of consolidated metadata of Zarr v2: a document a key.
fn old_nodes(told: Map<String, Value>) -> Vec<Node> {
    let mut nodes: BTreeMap<String, [Option<Value>; 2]> = BTreeMap::new();
    for (key, document) in told {
        let (path, name) = key.rsplit_once('/').unwrap_or(("", &key));
        let documents = nodes.entry(path.to_owned()).or_default();
        match name {
            ".zarray" => documents[0] = Some(document),
            ".zattrs" => documents[1] = Some(document),
            _ => {}
        }
    }
    nodes.into_iter().map(|(path, [array, attributes])| Node::v2(&path, array, attributes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_say_a_version() {
        assert!(says_old("https://host/idr/zarr/v0.4/idr0062A/6001240.zarr"));
        assert!(says_old("http://localhost:8000/ome-zarr-0.4.zarr"));
        assert!(!says_old("https://host/idr/zarr/v0.5/idr0062A/6001240.zarr"));
        assert!(!says_old("https://host/10.4/image.zarr"));
    }
}

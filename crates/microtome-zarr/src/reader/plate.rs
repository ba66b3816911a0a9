//! Plates: groups of wells, which are groups of fields. Sources: the OME-Zarr specifications 0.4 and 0.5.

use serde_json::Value;

use super::store::join;
use super::tree::{Node, Tree};

/// Most fields that are told to be missing.
const MOST_MISSING: usize = 1000;

fn group<'a>(tree: &'a Tree, path: &str, key: &str) -> Option<&'a Value> {
    tree.node(path).and_then(|node| node.attributes.get(key)).filter(|value| value.is_object())
}

/// The name of an image in a well: well and field, `B/3/0`. `None` for an image that is none.
pub(super) fn name<'a>(tree: &Tree, path: &'a str) -> Option<&'a str> {
    let well = path.rsplit_once('/').map_or("", |(well, _)| well);
    group(tree, well, "well")?;
    let plate = well.match_indices('/').map(|(at, _)| &well[..at]).rev().find(|p| group(tree, p, "plate").is_some());
    Some(plate.map_or(path, |plate| &path[plate.len() + 1..]))
}

/// The paths in a list of objects that lead downwards.
fn paths<'a>(of: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let list = of.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let paths = list.iter().filter_map(|entry| entry.get("path")?.as_str());
    paths.filter(|path| path.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// Wells that plates name, and fields that wells name, and that are not there.
pub(super) fn missing(tree: &Tree) -> Vec<String> {
    let below = |node: &Node, key: &str, list: &'static str| -> Vec<String> {
        let named = node.attributes.get(key).into_iter().flat_map(|of| paths(of, list));
        named.map(|path| join(&node.path, path)).collect()
    };
    let groups = tree.nodes.iter().filter(|node| node.array.is_none());
    let named = groups.flat_map(|node| [below(node, "plate", "wells"), below(node, "well", "images")].concat());
    named.filter(|path| tree.node(path).is_none()).take(MOST_MISSING).collect()
}

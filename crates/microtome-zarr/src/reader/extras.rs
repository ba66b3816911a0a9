//! What attributes say that nothing here understands, by their names: no output holds it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tree::{Node, Tree};

/// What is understood of a group, of its entry in `multiscales`, and of `omero`.
const OF_GROUP: [&str; 10] = [
    "multiscales",
    "omero",
    "image-label",
    "plate",
    "well",
    "labels",
    "bioformats2raw.layout",
    "series",
    "version",
    "_creator",
];
/// `type` and `metadata` say how levels were made; those of an output are its own.
const OF_MULTISCALE: [&str; 8] =
    ["name", "version", "axes", "datasets", "coordinateTransformations", "coordinateSystems", "type", "metadata"];
/// `id`, `name` and `version` say nothing of the picture.
const OF_OMERO: [&str; 4] = ["channels", "id", "name", "version"];
/// The names of axes, as xarray says them.
const OF_ARRAY: [&str; 1] = ["_ARRAY_DIMENSIONS"];
/// Most names that are told.
const MOST: usize = 12;

/// A phrase about all that is not understood, if there is any.
pub(super) fn extras(tree: &Tree) -> Vec<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for node in &tree.nodes {
        for name in of_node(node) {
            *found.entry(name).or_default() += 1;
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<String> = found.keys().take(MOST).cloned().collect();
    if found.len() > MOST {
        names.push(format!("{} more", found.len() - MOST));
    }
    vec![format!("attributes that are not OME-Zarr's: {}", names.join(", "))]
}

fn of_node(node: &Node) -> Vec<String> {
    let beside = |value: &Value, known: &[&str], prefix: &str| -> Vec<String> {
        let keys = value.as_object().into_iter().flat_map(|object| object.keys());
        keys.filter(|key| !known.contains(&key.as_str())).map(|key| format!("{prefix}{key}")).collect()
    };
    let mut names = node.others.clone();
    if node.array.is_some() {
        names.extend(beside(&node.attributes, &OF_ARRAY, ""));
        return names;
    }
    names.extend(beside(&node.attributes, &OF_GROUP, ""));
    for entry in node.attributes.get("multiscales").and_then(Value::as_array).into_iter().flatten() {
        names.extend(beside(entry, &OF_MULTISCALE, "multiscales."));
    }
    names.extend(node.attributes.get("omero").map(|omero| beside(omero, &OF_OMERO, "omero.")).unwrap_or_default());
    names
}

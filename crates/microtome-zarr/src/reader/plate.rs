//! Plates: groups of wells, which are groups of fields. Sources: the OME-Zarr specifications 0.4 and 0.5.

use microtome_io::Well;
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

/// The place of an image on the plate that names its well.
pub(super) fn well(tree: &Tree, path: &str) -> Option<Well> {
    let (at, field) = path.rsplit_once('/')?;
    group(tree, at, "well")?;
    let plates = at.match_indices('/').map(|(end, _)| &at[..end]).rev().chain([""]);
    let (root, plate) = plates.into_iter().find_map(|root| Some((root, group(tree, root, "plate")?)))?;
    let well = at[root.len()..].trim_start_matches('/');
    let list = |key: &str| plate.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entry = list("wells").iter().find(|entry| entry.get("path").and_then(Value::as_str) == Some(well))?;
    let (row, column) = well.split_once('/')?;
    // Before 0.4 the path alone says which row and column it is.
    let number = |key: &str, names: &str, name: &str| {
        let stated = entry.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let named = || list(names).iter().position(|one| one.get("name").and_then(Value::as_str) == Some(name));
        stated.or_else(|| named().and_then(|n| u32::try_from(n).ok()))
    };
    let plate = plate.get("name").and_then(Value::as_str).unwrap_or_default();
    Some(Well {
        plate: plate.to_owned(),
        row_index: number("rowIndex", "rows", row)?,
        column_index: number("columnIndex", "columns", column)?,
        row: row.to_owned(),
        column: column.to_owned(),
        field: field.to_owned(),
    })
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

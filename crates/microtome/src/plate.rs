//! Scenes that know their wells, as a plate: rows, columns, wells and fields as OME-Zarr has them.
//!
//! *Invariant:* every scene is one field of one well, and each has a path of its own.

use std::collections::{BTreeMap, BTreeSet};

use microtome_io::{SceneInfo, Well};
use microtome_zarr::{Member, Survey};
use serde_json::{Value, json};

use crate::Image;

/// A well: numbers and names of its row and column.
type Place = (u32, u32, String, String);
/// A scene with its place.
type Site<'a> = (&'a SceneInfo, &'a Well);

/// Scenes that are no plate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is no plate: {scene} lies in no well that is known; name the files by a pattern with {{well}} and {{field}}, as \
     'plate/{{well}}_s{{field}}.ome.tif', or give files whose OME-XML says it"
)]
pub struct PlateError {
    path: String,
    scene: String,
}

/// The scenes of an image as the fields of a plate.
///
/// A field is called as its metadata or its file's name call it, or by its number where that is no name in OME-Zarr.
///
/// # Errors
/// [`PlateError`] naming the first scene that lies in no well.
pub fn plate(image: &Image) -> Result<Survey, PlateError> {
    let info = image.info();
    let mut wells: BTreeMap<Place, Vec<Site<'_>>> = BTreeMap::new();
    for scene in &info.scenes {
        let Some(well) = &scene.well else {
            let name = if scene.name.is_empty() { scene.index.to_string() } else { scene.name.clone() };
            let (path, scene) = (info.path.display().to_string(), format!("scene {name}"));
            return Err(PlateError { path, scene });
        };
        let key = (well.row_index, well.column_index, well.row.clone(), well.column.clone());
        wells.entry(key).or_default().push((scene, well));
    }
    let rows: BTreeSet<(u32, &String)> = wells.keys().map(|(row, _, name, _)| (*row, name)).collect();
    let columns: BTreeSet<(u32, &String)> = wells.keys().map(|(_, column, _, name)| (*column, name)).collect();
    let number = |names: &BTreeSet<(u32, &String)>, name: &String| names.iter().position(|(_, known)| *known == name);
    let (mut members, mut groups, mut listed) = (Vec::new(), Vec::new(), Vec::new());
    for ((.., row, column), fields) in &wells {
        let path = format!("{row}/{column}");
        let names = names(fields);
        let images: Vec<Value> = names.iter().map(|name| json!({"path": name})).collect();
        listed.push(json!({"path": path, "rowIndex": number(&rows, row), "columnIndex": number(&columns, column)}));
        groups.push((path.clone(), json!({"well": {"images": images}})));
        members.extend(names.iter().zip(fields).map(|(name, (scene, _))| Member {
            scene: scene.index,
            path: format!("{path}/{name}"),
            name: scene.name.clone(),
            label: Value::Null,
            windows: Vec::new(),
        }));
    }
    let named = |names: &BTreeSet<(u32, &String)>| -> Vec<Value> {
        names.iter().map(|(_, name)| json!({"name": name})).collect()
    };
    let mut says = json!({
        "rows": named(&rows),
        "columns": named(&columns),
        "wells": listed,
        "field_count": wells.values().map(Vec::len).max(),
    });
    let name = info.scenes.iter().filter_map(|scene| scene.well.as_ref()).map(|well| &well.plate);
    if let Some(name) = name.into_iter().find(|name| !name.is_empty()) {
        says["name"] = json!(name);
    }
    let above = rows.iter().map(|(_, row)| ((*row).clone(), json!({})));
    let all = std::iter::once((String::new(), json!({"plate": says}))).chain(above).chain(groups);
    members.sort_by_key(|member| member.scene);
    Ok(Survey { members, groups: all.collect() })
}

/// The names of the fields of a well: their own, if each has one that OME-Zarr allows, else their numbers.
fn names(fields: &[Site<'_>]) -> Vec<String> {
    let own: Vec<String> = fields.iter().map(|(_, well)| well.field.clone()).collect();
    let allowed = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let distinct: BTreeSet<&String> = own.iter().collect();
    if own.iter().all(allowed) && distinct.len() == own.len() {
        return own;
    }
    (0..own.len()).map(|n| n.to_string()).collect()
}

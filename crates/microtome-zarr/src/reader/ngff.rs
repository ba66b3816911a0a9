//! NGFF: what the attributes of a group say of an image. Sources: the OME-Zarr specifications 0.1 to 0.5.

use microtome_array::{Axis, PerAxis, PixelType};
use microtome_io::{Channel, PixelSize, Position, Quantity, ome};
use serde_json::Value;

use super::axes::{AxisMap, NamedAxis, canonical};
use crate::omero::{NO_COLOR, stated_window};

/// One entry of `multiscales`.
#[derive(Debug)]
pub(super) struct Multiscale {
    pub(super) name: String,
    pub(super) version: String,
    /// `None` before 0.3, where axes have no names.
    pub(super) axes: Option<Vec<NamedAxis>>,
    pub(super) datasets: Vec<Dataset>,
}

/// One level.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) path: String,
    /// The factors of the level's and of the image's transformations, along the file's axes.
    pub(super) scale: Option<Vec<f64>>,
    /// Where they put the first pixel.
    pub(super) translation: Option<Vec<f64>>,
}

/// The multiscales of a group, in order; an error tells what is wrong with one.
pub(super) fn multiscales(attributes: &Value, version: &str) -> Option<Vec<Result<Multiscale, String>>> {
    let list = attributes.get("multiscales")?.as_array()?;
    Some(list.iter().map(|entry| multiscale(entry, attributes, version)).collect())
}

fn multiscale(entry: &Value, attributes: &Value, version: &str) -> Result<Multiscale, String> {
    let word = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let version = word(entry, "version").or_else(|| word(attributes, "version")).unwrap_or_else(|| version.to_owned());
    let list = entry.get("datasets").and_then(Value::as_array).ok_or("multiscales has no datasets")?;
    let datasets = list.iter().map(|d| dataset(d, entry)).collect::<Result<Vec<_>, String>>()?;
    if datasets.is_empty() {
        return Err("multiscales has no datasets".to_owned());
    }
    // Drafts after 0.5 have systems of coordinates, of which the first is the image's own.
    let axes = entry.get("axes").or_else(|| entry.pointer("/coordinateSystems/0/axes")).and_then(Value::as_array);
    let axes = axes.map(|list| list.iter().map(axis).collect());
    Ok(Multiscale { name: word(entry, "name").unwrap_or_default(), version, axes, datasets })
}

fn axis(value: &Value) -> NamedAxis {
    let word = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = value.as_str().map(str::to_owned).or_else(|| word("name")).unwrap_or_default();
    NamedAxis { name, kind: word("type").unwrap_or_default(), unit: word("unit") }
}

/// A dataset's path must be a plain path downwards: nothing else is joined to a folder.
fn dataset(value: &Value, image: &Value) -> Result<Dataset, String> {
    let path = value.get("path").and_then(Value::as_str).ok_or("a dataset has no path")?;
    let plain =
        path.split('/').all(|part| !part.is_empty() && part != "." && part != "..") && !path.contains(['\\', '\0']);
    if !plain {
        return Err(format!("the dataset path {path:?} leads out of the image's own folder, which is not followed"));
    }
    let (mut scale, mut translation) = (None, None);
    // A level's own transformations come first, those of the whole image after them.
    for step in [value, image].into_iter().flat_map(steps) {
        let numbers = |key: &str| -> Option<Vec<f64>> {
            step.get(key)?.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()
        };
        match step.get("type").and_then(Value::as_str) {
            Some("scale") => {
                let Some(factors) = numbers("scale") else { continue };
                translation = translation.map(|so_far| joined(so_far, &factors, |a, b| a * b));
                scale = Some(scale.map_or_else(|| factors.clone(), |so_far| joined(so_far, &factors, |a, b| a * b)));
            }
            Some("translation") => {
                let Some(way) = numbers("translation") else { continue };
                translation =
                    Some(translation.map_or_else(|| way.clone(), |so_far| joined(so_far, &way, |a, b| a + b)));
            }
            _ => {}
        }
    }
    Ok(Dataset { path: path.to_owned(), scale, translation })
}

/// The transformations of an entry. Drafts after 0.5 put scale and translation into a sequence.
fn steps(entry: &Value) -> impl Iterator<Item = &Value> {
    let list = entry.get("coordinateTransformations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().flat_map(|t| match t.get("transformations").and_then(Value::as_array) {
        Some(steps) => &steps[..],
        None => std::slice::from_ref(t),
    })
}

/// Two lists of numbers, one for each axis, as one; the first where they are not of the same axes.
fn joined(so_far: Vec<f64>, next: &[f64], join: fn(f64, f64) -> f64) -> Vec<f64> {
    if so_far.len() != next.len() {
        return so_far;
    }
    so_far.iter().zip(next).map(|(&a, &b)| join(a, b)).collect()
}

/// Channels by `omero`, one for each of `count`, of pixels of a type.
pub(super) fn channels(attributes: &Value, count: u64, dtype: PixelType) -> Vec<Channel> {
    let list = attributes.pointer("/omero/channels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut channels: Vec<Channel> = list
        .iter()
        .map(|c| Channel {
            name: word(c, "label").unwrap_or_default(),
            // NGFF wants a colour also where there is none; ours says so of those.
            color: word(c, "color").and_then(|c| color(&c)).filter(|_| c.get(NO_COLOR) != Some(&Value::Bool(true))),
            window: c.get("window").and_then(|window| stated_window(window, dtype)),
        })
        .collect();
    channels.resize(count.min(1 << 16) as usize, Channel::default());
    channels
}

/// Level-0 pixels per pixel along a file axis by the scales of both levels, which say it better than rounded extents.
pub(super) fn factor(first: Option<&[f64]>, level: Option<&[f64]>, axis: usize) -> Option<f64> {
    let factor = level?.get(axis)? / first?.get(axis)?;
    (factor.is_finite() && factor > 0.0).then_some(factor)
}

/// Whether a group says that its image is a label.
pub(super) fn is_label(attributes: &Value) -> bool {
    attributes.get("image-label").is_some_and(Value::is_object)
}

/// `RRGGBB` of a colour that may have a `#` before and an alpha behind.
fn color(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('#');
    let valid = digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| digits[..6].to_ascii_uppercase())
}

/// Pixel sizes and position from what the first level's transformations say: lengths in the unit of X, or the first axis that
/// has one.
pub(super) fn place(dataset: &Dataset, axes: &[NamedAxis], map: &AxisMap) -> (PixelSize, Position) {
    let along = |numbers: Option<&[f64]>| match numbers.filter(|list| list.len() == map.len()) {
        Some(list) => canonical(map, &list.iter().copied().map(Some).collect::<Vec<_>>(), None),
        None => PerAxis::splat(None),
    };
    let (factors, starts) = (along(dataset.scale.as_deref()), along(dataset.translation.as_deref()));
    let texts: Vec<Option<&str>> = axes.iter().map(|a| a.unit.as_deref()).collect();
    let units = if texts.len() == map.len() { canonical(map, &texts, None) } else { PerAxis::splat(None) };
    let shared = [Axis::X, Axis::Y, Axis::Z].into_iter().find_map(|a| units[a]).map(ome::length_unit);
    let in_shared = |axis: Axis, value: f64| match (units[axis], &shared) {
        (Some(own), Some(shared)) => ome::length_unit(own).to(shared, value),
        _ => Some(value),
    };
    let stated = |axis: Axis| factors[axis].filter(|f| f.is_finite() && *f != 0.0);
    let size = |axis: Axis| {
        let value = stated(axis)?;
        // NGFF wants a scale on every axis: 1 without a unit beside axes that have one says that nothing is known.
        let unknown = units[axis].is_none() && value == 1.0 && shared.is_some();
        if unknown { None } else { in_shared(axis, value) }
    };
    let start = |axis: Axis| {
        let value = starts[axis].filter(|start| start.is_finite()).unwrap_or(0.0);
        in_shared(axis, value).unwrap_or(0.0)
    };
    let [z, y, x] = [Axis::Z, Axis::Y, Axis::X].map(size);
    let unit = shared.as_ref().map(|u| u.name.clone()).filter(|_| [z, y, x].iter().any(Option::is_some));
    let t = starts[Axis::T].filter(|start| start.is_finite()).unwrap_or(0.0);
    let position = Position { t, z: start(Axis::Z), y: start(Axis::Y), x: start(Axis::X) };
    (PixelSize { z, y, x, unit }.stated(), position)
}

/// Where the first pixel of a level lies along a file axis, in level-0 pixels from the first of those.
pub(super) fn origin(first: &Dataset, level: &Dataset, axis: usize) -> f64 {
    let start = |dataset: &Dataset| dataset.translation.as_ref().and_then(|t| t.get(axis).copied()).unwrap_or(0.0);
    let size = first.scale.as_ref().and_then(|s| s.get(axis).copied()).unwrap_or(1.0);
    let pixels = (start(level) - start(first)) / size;
    if pixels.is_finite() { pixels } else { 0.0 }
}

/// The time between frames: the scale of T, where it has a unit or is not just 1.
pub(super) fn time_increment(scale: Option<&[f64]>, axes: &[NamedAxis], map: &AxisMap) -> Option<Quantity> {
    let at = map.iter().position(|&a| a == Some(Axis::T))?;
    let value = *scale?.get(at)?;
    let unit = axes.get(at).and_then(|a| a.unit.as_deref()).map(|u| ome::time_unit(u).name);
    let says = (unit.is_some() || value != 1.0) && value.is_finite() && value > 0.0;
    says.then(|| Quantity { value, unit: unit.unwrap_or_else(|| "second".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in ["/etc", "../x", "0/../../x", "", "a//b", "./0"] {
            assert!(dataset(&json!({"path": path}), &json!({})).is_err(), "{path}");
        }
        assert!(dataset(&json!({"path": "scale/0"}), &json!({})).is_ok());
    }

    #[test]
    fn scales_of_level_and_image_are_multiplied() {
        let with = |steps: Value| json!({"coordinateTransformations": steps, "path": "0"});
        let own = with(json!([{"type": "scale", "scale": [3.0, 2.0]}, {"type": "translation", "translation": [7, 1]}]));
        let whole = json!([{"type": "scale", "scale": [0.5, 10.0]}, {"type": "translation", "translation": [1, 2]}]);
        let found = dataset(&own, &with(whole)).unwrap();
        assert_eq!((found.scale.unwrap(), found.translation.unwrap()), (vec![1.5, 20.0], vec![4.5, 12.0]));
        let alone = dataset(&own, &json!({})).unwrap();
        assert_eq!((alone.scale.unwrap(), alone.translation.unwrap()), (vec![3.0, 2.0], vec![7.0, 1.0]));
    }

    #[test]
    fn colours_lose_what_is_round_them() {
        assert_eq!(color("#ff00aa80").as_deref(), Some("FF00AA"));
        assert_eq!(color("green"), None);
    }
}

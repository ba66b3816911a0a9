//! NGFF: what the attributes of a group say of an image. Sources: the OME-Zarr specifications 0.1 to 0.5.

use microtome_array::Axis;
use microtome_io::{Channel, PixelSize, Quantity, ome};
use serde_json::Value;

use super::axes::{AxisMap, NamedAxis, canonical};

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
    let whole = scale(entry);
    let datasets = list.iter().map(|d| dataset(d, whole.as_deref())).collect::<Result<Vec<_>, String>>()?;
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
fn dataset(value: &Value, whole: Option<&[f64]>) -> Result<Dataset, String> {
    let path = value.get("path").and_then(Value::as_str).ok_or("a dataset has no path")?;
    let plain =
        path.split('/').all(|part| !part.is_empty() && part != "." && part != "..") && !path.contains(['\\', '\0']);
    if !plain {
        return Err(format!("the dataset path {path:?} leads out of the image's own folder, which is not followed"));
    }
    let scale = match (scale(value), whole) {
        (Some(own), Some(whole)) if own.len() == whole.len() => {
            Some(own.iter().zip(whole).map(|(a, b)| a * b).collect())
        }
        (Some(own), _) => Some(own),
        (None, whole) => whole.map(<[f64]>::to_vec),
    };
    Ok(Dataset { path: path.to_owned(), scale })
}

/// The product of the scale transformations of an entry.
fn scale(entry: &Value) -> Option<Vec<f64>> {
    let list = entry.get("coordinateTransformations")?.as_array()?;
    let mut product: Option<Vec<f64>> = None;
    // Drafts after 0.5 put scale and translation into a sequence.
    let steps = list.iter().flat_map(|t| match t.get("transformations").and_then(Value::as_array) {
        Some(steps) => &steps[..],
        None => std::slice::from_ref(t),
    });
    for one in steps.filter(|t| t.get("type").and_then(Value::as_str) == Some("scale")) {
        let factors: Option<Vec<f64>> = one.get("scale")?.as_array()?.iter().map(Value::as_f64).collect();
        let factors = factors?;
        product = Some(match product {
            Some(so_far) if so_far.len() == factors.len() => so_far.iter().zip(&factors).map(|(a, b)| a * b).collect(),
            _ => factors,
        });
    }
    product
}

/// Channels by `omero`, one for each of `count`.
pub(super) fn channels(attributes: &Value, count: u64) -> Vec<Channel> {
    let list = attributes.pointer("/omero/channels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut channels: Vec<Channel> = list
        .iter()
        .map(|c| Channel {
            name: word(c, "label").unwrap_or_default(),
            color: word(c, "color").and_then(|c| color(&c)),
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

/// Pixel sizes from scale factors: lengths in the unit of X, or the first axis that has one.
pub(super) fn pixel_size(scale: Option<&[f64]>, axes: &[NamedAxis], map: &AxisMap) -> PixelSize {
    let Some(scale) = scale.filter(|s| s.len() == map.len()) else { return PixelSize::default() };
    let factors = canonical(map, &scale.iter().copied().map(Some).collect::<Vec<_>>(), None);
    let texts: Vec<Option<&str>> = axes.iter().map(|a| a.unit.as_deref()).collect();
    let units =
        if texts.len() == map.len() { canonical(map, &texts, None) } else { microtome_array::PerAxis::splat(None) };
    let shared = [Axis::X, Axis::Y, Axis::Z].into_iter().find_map(|a| units[a]);
    let shared = shared.map(ome::length_unit);
    let size = |axis: Axis| {
        let value = factors[axis].filter(|f| f.is_finite() && *f != 0.0)?;
        match (units[axis], &shared) {
            (Some(own), Some(shared)) => ome::length_unit(own).to(shared, value),
            // NGFF wants a scale on every axis: 1 without a unit beside axes that have one says that nothing is known.
            (None, Some(_)) if value == 1.0 => None,
            _ => Some(value),
        }
    };
    PixelSize { z: size(Axis::Z), y: size(Axis::Y), x: size(Axis::X), unit: shared.as_ref().map(|u| u.name.clone()) }
}

/// The time between frames: the scale of T, where it has a unit or is not just 1.
pub(super) fn time_increment(scale: Option<&[f64]>, axes: &[NamedAxis], map: &AxisMap) -> Option<Quantity> {
    let at = map.iter().position(|&a| a == Some(Axis::T))?;
    let value = *scale?.get(at)?;
    let unit = axes.get(at).and_then(|a| a.unit.as_deref()).map(|u| ome::time_unit(u).name);
    (unit.is_some() || value != 1.0).then(|| Quantity { value, unit: unit.unwrap_or_else(|| "second".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_that_lead_out_are_refused() {
        for path in ["/etc", "../x", "0/../../x", "", "a//b", "./0"] {
            assert!(dataset(&json!({"path": path}), None).is_err(), "{path}");
        }
        assert!(dataset(&json!({"path": "scale/0"}), None).is_ok());
    }

    #[test]
    fn scales_of_level_and_image_are_multiplied() {
        let scaled = |s: f64| json!({"coordinateTransformations": [{"type": "scale", "scale": [s, 2.0]}], "path": "0"});
        assert_eq!(dataset(&scaled(3.0), Some(&[0.5, 10.0])).unwrap().scale.unwrap(), [1.5, 20.0]);
    }

    #[test]
    fn colours_lose_what_is_round_them() {
        assert_eq!(color("#ff00aa80").as_deref(), Some("FF00AA"));
        assert_eq!(color("green"), None);
    }
}

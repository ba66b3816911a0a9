//! The documents of an output: of its group and of its arrays, as OME-Zarr 0.5 in Zarr v3 or 0.4 in Zarr v2.
//!
//! *Invariant:* no clock, host, user or path goes in: equal plans give equal bytes.

use microtome_array::{Axis, PixelType};
use microtome_io::{Channel, Position, Quantity};
use serde_json::{Map, Value, json};

use crate::layout::{Layout, folded};
use crate::omero::{NO_COLOR, whole_window, window_json};
use crate::{Compression, LevelSpec, NgffVersion, OutputMeta};

/// The axes as stored.
const AXES: [&str; 5] = ["t", "c", "z", "y", "x"];
/// Colours of channels that have none, in turn (one alone is white).
const COLORS: [&str; 7] = ["00FF00", "FF00FF", "00FFFF", "FF0000", "0000FF", "FFFF00", "FFFFFF"];
const SAMPLE_NAMES: [&str; 4] = ["R", "G", "B", "A"];
const SAMPLE_COLORS: [&str; 4] = ["FF0000", "00FF00", "0000FF", "FFFFFF"];

/// A level of an output: the folder of its array, and where its pixels lie.
pub(super) struct Dataset<'a> {
    pub(super) path: &'a str,
    pub(super) level: &'a LevelSpec,
}

/// Documents of a group or an array: their names, in the order in which they are written.
pub(super) type Documents = Vec<(&'static str, Value)>;

/// The documents of a group with NGFF attributes. The last one makes the folder a group.
pub(super) fn of_group(version: NgffVersion, ngff: Value) -> Documents {
    match version {
        NgffVersion::V05 => {
            vec![("zarr.json", json!({"zarr_format": 3, "node_type": "group", "attributes": {"ome": ngff}}))]
        }
        NgffVersion::V04 => vec![(".zattrs", ngff), (".zgroup", json!({"zarr_format": 2}))],
    }
}

/// The documents of an array, the one that describes it last.
pub(super) fn of_array(version: NgffVersion, array: &Value) -> Documents {
    match version {
        NgffVersion::V05 => vec![("zarr.json", array.clone())],
        // Zarr v2 has no names of axes; xarray's attribute is how they are said.
        NgffVersion::V04 => vec![(".zattrs", json!({"_ARRAY_DIMENSIONS": AXES})), (".zarray", array.clone())],
    }
}

/// The NGFF attributes of an image.
pub(super) fn image(layout: &Layout, meta: &OutputMeta, datasets: &[Dataset<'_>]) -> Value {
    let (version, mut multiscale) = (layout.version, Map::new());
    if version == NgffVersion::V04 {
        multiscale.insert("version".to_owned(), json!(version.name()));
    }
    if !meta.name.is_empty() {
        multiscale.insert("name".to_owned(), json!(meta.name));
    }
    multiscale.insert("axes".to_owned(), axes(meta));
    let entries: Vec<Value> = datasets.iter().map(|d| dataset(d, meta)).collect();
    multiscale.insert("datasets".to_owned(), json!(entries));
    if let (Some(method), true) = (&meta.downsampling, datasets.len() > 1) {
        multiscale.insert("type".to_owned(), json!(method));
        let described = "each pixel of a level is made from a block of pixels of the level before";
        multiscale.insert("metadata".to_owned(), json!({"description": described, "method": method}));
    }
    let mut ome = Map::new();
    if version == NgffVersion::V05 {
        ome.insert("version".to_owned(), json!(version.name()));
    }
    ome.insert("multiscales".to_owned(), json!([multiscale]));
    if !meta.label.is_null() {
        ome.insert("image-label".to_owned(), meta.label.clone());
    } else if let Some(window) = whole_window(layout.array.dtype) {
        ome.insert("omero".to_owned(), json!({"channels": channels(layout, meta, &window)}));
    }
    ome.insert("_creator".to_owned(), json!({"name": "microtome", "version": env!("CARGO_PKG_VERSION")}));
    Value::Object(ome)
}

fn axes(meta: &OutputMeta) -> Value {
    let axis = |name: &str, kind: &str, unit: Option<&str>| {
        let mut axis = json!({"name": name, "type": kind});
        if let Some(unit) = unit.filter(|u| !u.is_empty() && *u != "pixel") {
            axis["unit"] = json!(unit);
        }
        axis
    };
    let unit = meta.pixel_size.unit.as_deref();
    let space = |name: &str, size: Option<f64>| axis(name, "space", unit.filter(|_| size.is_some()));
    json!([
        axis("t", "time", meta.time_increment.as_ref().map(|q| q.unit.as_str())),
        axis("c", "channel", None),
        space("z", meta.pixel_size.z),
        space("y", meta.pixel_size.y),
        space("x", meta.pixel_size.x),
    ])
}

/// Where a level's pixels lie: their distance, and the middle of the first of them.
fn dataset(dataset: &Dataset<'_>, meta: &OutputMeta) -> Value {
    let sizes = [time(meta.time_increment.as_ref()), None, meta.pixel_size.z, meta.pixel_size.y, meta.pixel_size.x];
    let known = |size: Option<f64>| size.filter(|s| s.is_finite() && *s > 0.0).unwrap_or(1.0);
    let times = |of: [f64; 6]| sizes.iter().zip(of).map(|(&size, n)| known(size) * n).collect::<Vec<f64>>();
    let mut transformations = vec![json!({"type": "scale", "scale": times(dataset.level.downsample)})];
    let Position { t, z, y, x } = meta.position;
    let start = [t, 0.0, z, y, x];
    if dataset.level.downsample != [1.0; 6] || start != [0.0; 5] {
        let translation: Vec<f64> = times(dataset.level.origin).iter().zip(start).map(|(n, start)| n + start).collect();
        transformations.push(json!({"type": "translation", "translation": translation}));
    }
    json!({"path": dataset.path, "coordinateTransformations": transformations})
}

fn time(increment: Option<&Quantity>) -> Option<f64> {
    increment.map(|q| q.value)
}

/// One entry for each stored channel: the samples of a channel follow each other as channels of their own.
fn channels(layout: &Layout, meta: &OutputMeta, whole: &Value) -> Vec<Value> {
    let count = layout.array.shape.get(Axis::C);
    let samples = layout.array.shape.get(Axis::S);
    let mut out = Vec::new();
    for c in 0..count {
        let channel = meta.channels.get(c as usize).cloned().unwrap_or_default();
        let stated = meta.windows.get(c as usize).filter(|window| !window.is_null()).cloned();
        let window = stated.or_else(|| channel.window.as_ref().map(window_json)).unwrap_or_else(|| whole.clone());
        for s in 0..samples {
            let (label, color) = if samples > 1 {
                sample(&channel, s as usize, count > 1)
            } else {
                (channel.name.clone(), channel_color(&channel, c as usize, count))
            };
            let mut entry = json!({"active": true, "color": color, "window": window});
            if !label.is_empty() {
                entry["label"] = json!(label);
            }
            if samples == 1 && channel.color.is_none() {
                entry[NO_COLOR] = json!(true);
            }
            out.push(entry);
        }
    }
    out
}

fn channel_color(channel: &Channel, at: usize, count: u64) -> String {
    let default = if count == 1 { "FFFFFF" } else { COLORS[at % COLORS.len()] };
    channel.color.clone().unwrap_or_else(|| default.to_owned())
}

/// Name and colour of one sample: `R`, or `brightfield R` where there are several channels.
fn sample(channel: &Channel, at: usize, several: bool) -> (String, String) {
    let letter = SAMPLE_NAMES.get(at).map_or_else(|| format!("S{at}"), |&name| name.to_owned());
    let color = SAMPLE_COLORS.get(at).copied().unwrap_or("FFFFFF");
    let label = if several && !channel.name.is_empty() { format!("{} {letter}", channel.name) } else { letter };
    (label, color.to_owned())
}

/// The array's document.
pub(super) fn array(layout: &Layout, compression: Compression) -> Value {
    match layout.version {
        NgffVersion::V05 => array_v3(layout, compression),
        NgffVersion::V04 => array_v2(layout, compression),
    }
}

fn array_v2(layout: &Layout, compression: Compression) -> Value {
    let dtype = layout.array.dtype;
    let kind = match dtype {
        PixelType::Bool => 'b',
        _ if dtype.is_complex() => 'c',
        _ if dtype.is_float() => 'f',
        _ if dtype.is_signed_integer() => 'i',
        _ => 'u',
    };
    let order = if dtype.size() == 1 { '|' } else { '<' };
    json!({
        "zarr_format": 2,
        "shape": folded(&layout.array.shape),
        "chunks": folded(&layout.chunk),
        "dtype": format!("{order}{kind}{}", dtype.size()),
        "fill_value": fill_value(dtype),
        "order": "C",
        "filters": null,
        "compressor": compression.metadata(dtype.size(), layout.version),
        "dimension_separator": "/",
    })
}

fn array_v3(layout: &Layout, compression: Compression) -> Value {
    let dtype = layout.array.dtype;
    let mut inner = vec![bytes_codec(dtype)];
    inner.extend(compression.metadata(dtype.size(), layout.version));
    let codecs = match layout.shard {
        None => json!(inner),
        Some(_) => json!([{"name": "sharding_indexed", "configuration": {
            "chunk_shape": folded(&layout.chunk),
            "codecs": inner,
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": "end",
        }}]),
    };
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": folded(&layout.array.shape),
        "data_type": dtype.name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": folded(&layout.unit())}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_value(dtype),
        "codecs": codecs,
        "attributes": {},
        "dimension_names": AXES,
        "storage_transformers": [],
    })
}

fn bytes_codec(dtype: PixelType) -> Value {
    if dtype.component_size() == 1 {
        json!({"name": "bytes"})
    } else {
        json!({"name": "bytes", "configuration": {"endian": "little"}})
    }
}

fn fill_value(dtype: PixelType) -> Value {
    match dtype {
        PixelType::Bool => json!(false),
        _ if dtype.is_complex() => json!([0.0, 0.0]),
        _ if dtype.is_float() => json!(0.0),
        _ => json!(0),
    }
}

/// A document as it is written: indented, with a newline at its end.
pub(super) fn text(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

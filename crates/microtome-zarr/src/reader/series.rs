//! What OME-XML beside a Zarr tells of its images: bioformats2raw writes it, one `Image` a series.
//!
//! *Invariant:* it only adds; what the Zarr metadata say themselves is kept.

use std::collections::HashMap;

use microtome_array::Axis;
use microtome_io::ome::{self, OmeImage};
use microtome_io::{Limits, ReadError, SceneInfo};
use serde_json::Value;

use super::store::Root;
use super::tree::Tree;

/// Where bioformats2raw puts the OME-XML of the file it converted.
const OME_XML: &str = "OME/METADATA.ome.xml";
/// The group with the order of the series.
const OME_GROUP: &str = "OME";

/// The images of the XML by the paths of their groups.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// The document as it was found.
    pub(super) xml: Option<String>,
    pub(super) warnings: Vec<String>,
    images: HashMap<String, OmeImage>,
}

impl Series {
    pub(super) fn read(root: &Root, tree: &Tree, limits: &Limits) -> Result<Series, ReadError> {
        // Behind a URL each question costs: only what says that it is there is asked for.
        if root.distant().is_some() && !is_told_of(tree) {
            return Ok(Series::default());
        }
        let Some(xml) = root.text(OME_XML)? else { return Ok(Series::default()) };
        let (images, warnings) = match ome::parse(&xml, limits) {
            Ok(ome) => (paths(tree, ome.images.len()).into_iter().zip(ome.images).collect(), Vec::new()),
            Err(why) => (HashMap::new(), vec![format!("{OME_XML} is not understood and left out: {why}")]),
        };
        Ok(Series { xml: Some(xml), warnings, images })
    }

    /// Fills in what is not known of an image: its name, its channels, its sizes.
    pub(super) fn complete(&self, path: &str, info: &mut SceneInfo) {
        let Some(image) = self.images.get(path).filter(|image| fits(image, info)) else { return };
        if (info.name.is_empty() || info.name == info.id) && !image.name.is_empty() {
            info.name.clone_from(&image.name);
        }
        if info.channels.iter().all(|channel| channel.name.is_empty() && channel.color.is_none()) {
            for (channel, named) in info.channels.iter_mut().zip(&image.channels) {
                channel.name.clone_from(&named.name);
                channel.color.clone_from(&named.color);
            }
        }
        // A scale without a unit counts pixels.
        if info.pixel_size.unit.is_none() && image.pixel_size.unit.is_some() {
            let old = std::mem::replace(&mut info.pixel_size, image.pixel_size.clone());
            let (new, at) = (&info.pixel_size, &mut info.position);
            let sizes = [(&mut at.z, old.z, new.z), (&mut at.y, old.y, new.y), (&mut at.x, old.x, new.x)];
            for (start, old, new) in sizes {
                *start *= new.unwrap_or(1.0) / old.unwrap_or(1.0);
            }
        }
        if info.time_increment.is_none() {
            info.time_increment.clone_from(&image.time_increment);
        }
    }
}

/// Whether the metadata tell of an OME-XML: by the layout of bioformats2raw or the group it lies in.
fn is_told_of(tree: &Tree) -> bool {
    let layout = tree.node("").and_then(|top| top.attributes.get("bioformats2raw.layout"));
    layout.is_some() || tree.node(OME_GROUP).is_some()
}

/// Whether an image of the XML can be the scene: of the same extent along Y and X.
fn fits(image: &OmeImage, info: &SceneInfo) -> bool {
    let [_, _, _, y, x] = image.size;
    let shape = info.shape();
    [y, x] == [shape.get(Axis::Y), shape.get(Axis::X)]
}

/// The paths of the series: as the group beside the XML lists them, else counted from 0.
fn paths(tree: &Tree, count: usize) -> Vec<String> {
    let listed = tree.node(OME_GROUP).and_then(|node| node.attributes.get("series")).and_then(Value::as_array);
    match listed {
        Some(list) => list.iter().map(|path| path.as_str().unwrap_or_default().to_owned()).collect(),
        None => (0..count).map(|n| n.to_string()).collect(),
    }
}

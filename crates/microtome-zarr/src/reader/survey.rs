//! Which images a folder holds and what its groups say of them: all that is kept when it is written anew.

use serde_json::{Map, Value, json};

use super::ZarrReader;
use super::store::join;
use super::tree::{Node, Tree};
use crate::NgffVersion;

/// What groups say that hold images: plates, wells, lists of labels, series of bioformats2raw.
const KEPT: [&str; 5] = ["plate", "well", "labels", "bioformats2raw.layout", "series"];
/// Those that carry a version of their own in OME-Zarr 0.4.
const VERSIONED: [&str; 3] = ["plate", "well", "image-label"];

/// An image or a label of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its number among the scenes.
    pub scene: usize,
    /// The path of its group; empty for the folder itself.
    pub path: String,
    /// The name that its multiscales give it; empty without one.
    pub name: String,
    /// What a label says of itself: NGFF's `image-label`; `null` for an image.
    pub label: Value,
    /// The ranges that a viewer shows, a channel each, `null` where none is stated.
    pub windows: Vec<Value>,
}

/// All images of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// The images and labels, in the order of scenes.
    pub members: Vec<Member>,
    /// The groups that hold them, each with its path and what it says.
    pub groups: Vec<(String, Value)>,
}

impl Survey {
    /// What a group or a label says, in the words of a version.
    pub fn in_version(attributes: &Value, version: NgffVersion) -> Value {
        let mut attributes = attributes.as_object().cloned().unwrap_or_default();
        for key in VERSIONED {
            if let Some(object) = attributes.get_mut(key).and_then(Value::as_object_mut) {
                match version {
                    NgffVersion::V04 => object.insert("version".to_owned(), json!(version.name())),
                    NgffVersion::V05 => object.remove("version"),
                };
            }
        }
        if version == NgffVersion::V05 {
            attributes.insert("version".to_owned(), json!(version.name()));
        }
        Value::Object(attributes)
    }
}

/// A group as it was found.
#[derive(Debug)]
pub(super) struct Group {
    path: String,
    attributes: Value,
}

/// The groups of a folder.
pub(super) fn groups(tree: &Tree) -> Vec<Group> {
    let group = |node: &Node| Group { path: node.path.clone(), attributes: node.attributes.clone() };
    tree.nodes.iter().filter(|node| node.array.is_none()).map(group).collect()
}

impl Group {
    fn is_image(&self) -> bool {
        self.attributes.get("multiscales").is_some()
    }

    fn kept(&self) -> Map<String, Value> {
        let pairs = KEPT.iter().filter_map(|&key| Some((key.to_owned(), self.attributes.get(key)?.clone())));
        pairs.collect()
    }

    fn member(&self, scene: usize) -> Member {
        let channels = self.attributes.pointer("/omero/channels").and_then(Value::as_array);
        let windows = channels.into_iter().flatten().map(|c| c.get("window").cloned().unwrap_or_default());
        let label = self.attributes.get("image-label").cloned().unwrap_or_default();
        let name = self.attributes.pointer("/multiscales/0/name").and_then(Value::as_str).unwrap_or_default();
        Member { scene, path: self.path.clone(), name: name.to_owned(), label, windows: windows.collect() }
    }
}

impl ZarrReader {
    /// The images of the folder, each with its group; or why they cannot be told apart by their groups.
    ///
    /// # Errors
    /// A text: arrays outside any image, several images in a group, or an image that was left out because it is damaged.
    pub fn survey(&self) -> Result<Survey, String> {
        let mut members = Vec::new();
        for scene in &self.info.scenes {
            let group = self.groups.iter().find(|group| group.path == scene.id && group.is_image());
            let Some(group) = group else { return Err(format!("the array {} belongs to no image", scene.id)) };
            let mut member = group.member(scene.index);
            if member.label.is_object() {
                member.label = self.label(&member.path)?;
            }
            if members.iter().any(|other: &Member| other.path == member.path) {
                return Err(format!("the group {:?} holds several images", member.path));
            }
            members.push(member);
        }
        let is_member = |group: &Group| members.iter().any(|member| member.path == group.path);
        if let Some(lost) = self.groups.iter().find(|group| group.is_image() && !is_member(group)) {
            return Err(format!("the image in the group {:?} cannot be read", lost.path));
        }
        let others = self.groups.iter().filter(|group| !group.is_image());
        let kept = others.map(|group| (group.path.clone(), Value::Object(group.kept())));
        let kept = kept.filter(|(path, kept)| !kept.as_object().is_some_and(Map::is_empty) || holds(&members, path));
        Ok(Survey { groups: kept.collect(), members })
    }

    /// All that a label says of itself, with the colours and properties that opening passes over.
    fn label(&self, group: &str) -> Result<Value, String> {
        let document = |name: &str| self.root.text(&join(group, name)).map_err(|error| error.to_string());
        let (text, keys) = match document("zarr.json")? {
            Some(text) => (Some(text), ["/attributes/ome/image-label", "/attributes/image-label"]),
            None => (document(".zattrs")?, ["/ome/image-label", "/image-label"]),
        };
        let why = |error: serde_json::Error| format!("what the label {group} says of itself is not read: {error}");
        let all: Value = serde_json::from_str(&text.unwrap_or_default()).map_err(why)?;
        Ok(keys.iter().find_map(|key| all.pointer(key)).cloned().unwrap_or_default())
    }
}

/// Whether a group has images below it.
fn holds(members: &[Member], path: &str) -> bool {
    path.is_empty() || members.iter().any(|member| member.path.starts_with(&format!("{path}/")))
}

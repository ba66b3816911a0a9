//! What an output does not hold of its source, or holds otherwise.
//!
//! *Invariant:* it follows from descriptions alone, before anything runs. What a user asked for (a region, a projection, another
//! pixel type) is no loss; what goes with it unasked is.

use std::collections::BTreeSet;
use std::fmt;

use microtome_array::{Axis, Shape};
use microtome_graph::LazyArray;
use microtome_io::ome::{self, OmeMeta};
use microtome_io::{ImageInfo, SceneInfo, SceneKind};
use serde::Serialize;

use crate::OutputFormat;
use crate::describe::ome_xml;

/// What is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lost {
    /// Other scenes of the image.
    Scenes,
    /// Labels.
    Labels,
    /// That the scene is a label.
    Label,
    /// The place on a plate.
    Well,
    /// That values are samples of one pixel.
    Samples,
    /// The name of the scene or of a channel.
    Names,
    /// A distance between pixels, or its unit.
    PixelSize,
    /// The time between frames.
    TimeIncrement,
    /// The ranges that viewers show.
    Windows,
    /// The levels of lower resolution.
    Levels,
    /// What the OME-XML says beside names, sizes and times.
    OmeXml,
    /// Names, sizes, times and all else that is said of pixels.
    Description,
    /// What else the files hold: [`ImageInfo::extras`].
    Extras,
}

/// Something that is not kept, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Its kind.
    pub what: Lost,
    /// What it is, for people.
    pub text: String,
    /// What keeps it all the same, if anything does.
    pub todo: Option<String>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.todo.as_ref().map_or(Ok(()), |todo| write!(f, "; {todo}"))
    }
}

/// A scene as it is to be stored.
pub(crate) struct Stored<'a> {
    pub(crate) array: &'a LazyArray,
    /// What the output says of it.
    pub(crate) said: &'a SceneInfo,
    pub(crate) format: OutputFormat,
    /// Extents of the levels.
    pub(crate) levels: Vec<Shape>,
}

/// Scenes that appear together, with what their folder says of all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Together {
    pub(crate) plate: bool,
    pub(crate) ome_xml: bool,
}

/// What is not kept of the image that scenes are read from, each kind once.
pub(crate) fn losses(stored: &[Stored<'_>], together: Together) -> Vec<Loss> {
    let source = stored.first().and_then(|first| first.array.reader()).map(|(reader, ..)| reader);
    let Some(source) = source else { return Vec::new() };
    let info = source.info();
    let format = stored[0].format;
    let written: BTreeSet<usize> = stored.iter().filter_map(|s| s.array.reader()).map(|(_, at, _)| at.scene).collect();
    let mut all: Vec<Loss> = others(info, &written, format).collect();
    for one in stored {
        let scene = one.array.reader().and_then(|(_, at, _)| info.scenes.get(at.scene).map(|scene| (scene, at.level)));
        let Some((scene, level)) = scene else { continue };
        if one.format == OutputFormat::Png {
            let text = "names, sizes, times and colours: a PNG holds the values of pixels alone";
            all.push(loss(Lost::Description, text, "write OME-TIFF, which has them"));
            continue;
        }
        all.extend(one.nature(together));
        all.extend(one.numbers());
        all.extend(one.levels(scene, level));
        if !together.ome_xml {
            all.extend(one.ome_xml(info));
        }
    }
    if !info.extras.is_empty() {
        all.push(loss(Lost::Extras, info.extras.join("; "), "keep the original too"));
    }
    all.sort_by_key(|loss| loss.what);
    all.dedup_by_key(|loss| loss.what);
    all
}

fn loss(what: Lost, text: impl Into<String>, todo: &str) -> Loss {
    Loss { what, text: text.into(), todo: (!todo.is_empty()).then(|| todo.to_owned()) }
}

/// Scenes and labels that are not written.
fn others<'a>(
    info: &'a ImageInfo,
    written: &'a BTreeSet<usize>,
    format: OutputFormat,
) -> impl Iterator<Item = Loss> + 'a {
    let left = |kind: SceneKind| -> Vec<&SceneInfo> {
        info.scenes.iter().filter(|scene| scene.kind == kind && !written.contains(&scene.index)).collect()
    };
    // What is written together with --scene left out.
    let holds_together = info.path.is_dir() || info.ome_xml.is_some();
    let todo = match format {
        OutputFormat::Png => ["convert each with --scene"; 2],
        OutputFormat::OmeTiff => [
            "convert without --scene, --region, --level and --axes to keep all",
            "convert each with --scene to a file of its own, or write OME-Zarr, which holds labels",
        ],
        OutputFormat::OmeZarr => [
            if holds_together {
                "convert without --scene, --region, --level and --axes to keep all"
            } else {
                "convert each with --scene"
            },
            "labels do not follow what is done to an image: do it to each with --scene",
        ],
    };
    let kinds = [(SceneKind::Image, Lost::Scenes, "scene"), (SceneKind::Label, Lost::Labels, "label")];
    kinds.into_iter().zip(todo).filter_map(move |((kind, what, word), todo)| {
        let left = left(kind);
        // Of a label its image is no other scene that one would look for in it, but it is not kept either.
        (!left.is_empty()).then(|| loss(what, format!("{}: {}", things(left.len(), word), titles(&left)), todo))
    })
}

/// Names shown of many.
const MOST: usize = 4;

fn titles(scenes: &[&SceneInfo]) -> String {
    let title = |scene: &&SceneInfo| match (scene.name.is_empty(), scene.id.is_empty()) {
        (false, _) => scene.name.clone(),
        (true, false) => scene.id.clone(),
        (true, true) => scene.index.to_string(),
    };
    let shown: Vec<String> = scenes.iter().take(MOST).map(title).collect();
    let more = if scenes.len() > MOST { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn things(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

impl Stored<'_> {
    /// What kind of thing the pixels are, where they lie on a plate, and names.
    fn nature(&self, together: Together) -> Vec<Loss> {
        let mut all = Vec::new();
        let said = self.said;
        let is_zarr = self.format == OutputFormat::OmeZarr;
        if let Some(well) = &said.well {
            let is_kept = if is_zarr { together.plate } else { ome::held_well(well).is_some() };
            if !is_kept {
                let place =
                    format!("the place on the plate: row {}, column {}, field {}", well.row, well.column, well.field);
                all.push(loss(Lost::Well, place, if is_zarr { "convert the whole plate to keep it" } else { "" }));
            }
        }
        if is_zarr {
            if self.array.shape().get(Axis::S) > 1 {
                let text = "that values are samples of one pixel: each sample becomes a channel";
                all.push(loss(Lost::Samples, text, "write OME-TIFF, which has samples"));
                if said.channels.len() == 1 && !said.channels[0].name.is_empty() {
                    let text =
                        format!("the name of the channel {}: its samples are called R, G, B", said.channels[0].name);
                    all.push(loss(Lost::Names, text, ""));
                }
            }
            return all;
        }
        if said.kind == SceneKind::Label {
            let text = "that the pixels are labels, for which OME-TIFF has no word";
            all.push(loss(Lost::Label, text, "write OME-Zarr, which has labels"));
        }
        let names = said.channels.iter().map(|channel| &channel.name).chain([&said.name]);
        if names.into_iter().any(|name| ome::held_text(name) != *name) {
            all.push(loss(Lost::Names, "characters in names that XML does not have", ""));
        }
        if said.channels.iter().any(|channel| channel.window.is_some()) {
            let text = "the ranges of values that viewers show";
            all.push(loss(Lost::Windows, text, "write OME-Zarr, which has them"));
        }
        all
    }

    /// Sizes and times that cannot be said.
    fn numbers(&self) -> Vec<Loss> {
        let mut all = Vec::new();
        let size = &self.said.pixel_size;
        let sizes = [(Axis::Z, size.z), (Axis::Y, size.y), (Axis::X, size.x)];
        let none = |value: f64| !(value.is_finite() && value > 0.0);
        let odd = sizes.iter().find(|(_, value)| value.is_some_and(none));
        let unit = size.unit.as_deref().filter(|_| sizes.iter().any(|(_, value)| value.is_some()));
        let todo = "say it with --pixel-size";
        if let Some((axis, value)) = odd {
            let value = value.unwrap_or_default();
            all.push(loss(
                Lost::PixelSize,
                format!("the pixel size along {axis}, {value}, which is no distance"),
                todo,
            ));
        } else if self.format == OutputFormat::OmeTiff {
            if let Some(unit) = unit.filter(|unit| ome::length_symbol(unit).is_none()) {
                all.push(loss(
                    Lost::PixelSize,
                    format!("the unit {unit} of the pixel size, which OME does not have"),
                    todo,
                ));
            }
        } else if let (None, Some((axis, _))) = (unit, sizes.iter().find(|(_, value)| value.is_none()))
            && sizes.iter().any(|(_, value)| value.is_some())
        {
            let text =
                format!("that no pixel size along {axis} is known: OME-Zarr wants one beside the others and gets 1");
            all.push(loss(Lost::PixelSize, text, todo));
        }
        if let (Some(time), OutputFormat::OmeTiff) = (&self.said.time_increment, self.format)
            && (none(time.value) || ome::time_symbol(&time.unit).is_none())
        {
            let text = format!("the time between frames, {} {}, whose unit OME does not have", time.value, time.unit);
            all.push(loss(Lost::TimeIncrement, text, ""));
        }
        all
    }

    /// The levels, where all pixels of the full resolution are there and others are below.
    fn levels(&self, scene: &SceneInfo, level: usize) -> Option<Loss> {
        let plane = |shape: &Shape| [shape.get(Axis::Y), shape.get(Axis::X)];
        let is_whole = level == 0 && plane(&scene.shape()) == plane(&self.array.shape());
        let had: Vec<_> = scene.levels.iter().map(|level| plane(&level.shape)).collect();
        let has: Vec<_> = self.levels.iter().map(plane).collect();
        (is_whole && had.len() > 1 && had != has).then(|| {
            let below = |count: usize| things(count - 1, "level");
            let text = format!("{} of lower resolution: {} made anew by halving", below(had.len()), below(has.len()));
            loss(Lost::Levels, text, "")
        })
    }

    fn ome_xml(&self, info: &ImageInfo) -> Option<Loss> {
        let text = info.ome_xml.as_deref()?;
        if self.format == OutputFormat::OmeZarr {
            let describes = ome_xml(self.array).is_some_and(|xml| xml.describes_output);
            let lost = "the OME-XML as that of the output: it describes other pixels and is kept aside, as \
                        .microtome/source.ome.xml";
            return (!describes).then(|| loss(Lost::OmeXml, lost, ""));
        }
        let meta = OmeMeta { original: Some(text.to_owned()), ..OmeMeta::from(self.said) };
        if !ome::keeps_original(self.array.spec(), &meta) {
            let lost = "the OME-XML of the input, which is too large for a TIFF that others open";
            return Some(loss(Lost::OmeXml, lost, "write OME-Zarr, which keeps it"));
        }
        let beside = ome::beside(&ome::original(text)?);
        let lost = format!("{} of the OME-XML but as text, in an annotation of the image", beside.join(", "));
        (!beside.is_empty() && ome::original(text).as_deref() == Some(text)).then(|| loss(Lost::OmeXml, lost, ""))
    }
}

//! OME-TIFF: scenes, order and names from OME-XML, pixels from pages.

use microtome_array::Axis;
use microtome_io::ome::{self, Ome, OmeImage};
use microtome_io::{Channel, ReadError};

use super::ome_files::{Home, companion, resolve};
use super::ome_planes::{Plan, assign};
use super::{Draft, build};
use crate::set::Set;

/// Whether an `ImageDescription` is to be tried as OME-XML.
pub(super) fn looks_like(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && text.contains("OME")
}

/// The scenes, or `None` with warnings if the XML is not to be used.
pub(super) fn arrange(set: &mut Set, text: &str) -> Result<Option<Vec<Draft>>, ReadError> {
    let limits = set.limits.clone();
    let folder = set.path().parent().map(std::path::Path::to_owned).unwrap_or_default();
    let mut ome = match ome::parse(text, &limits) {
        Ok(ome) => ome,
        Err(why) => {
            set.warn(format!("the OME-XML is not used: {why}; pages are shown in file order"));
            return Ok(None);
        }
    };
    let mut home = Home { folder, uuid: ome.uuid.take(), owns_text: true };
    if ome.images.is_empty() {
        let Some((other, folder)) = companion(set, &home.folder, &ome) else { return Ok(None) };
        ome = other;
        home = Home { folder, uuid: home.uuid, owns_text: false };
    }
    set.warnings.append(&mut ome.warnings);
    let files = resolve(set, &home, &ome)?;
    let mut drafts = Vec::new();
    for image in &ome.images {
        let Some(draft) = draft(set, &ome, image, &files) else {
            return Ok(None);
        };
        drafts.push(draft);
    }
    Ok(Some(drafts))
}

/// A scene of an image; `None`, with a warning, if it cannot be one.
fn draft(set: &mut Set, _ome: &Ome, image: &OmeImage, files: &[crate::scenes::ome_files::Slot]) -> Option<Draft> {
    let [t, c, z, height, width] = image.size;
    let samples = samples(set, image, files);
    let channels = (c / samples).max(1);
    if c % samples != 0 {
        set.warn(format!(
            "image {} has SizeC={c}, its pages {samples} samples a pixel; it is taken to have {channels} channel(s)",
            label(image)
        ));
    }
    let plan = Plan { size: [t, channels, z], order: image.order, samples };
    let (size, planes) = assign(set, image, files, &plan)?;
    let reference = planes.iter().find_map(|&p| set.layout(p));
    let differs = reference.map(|layout| {
        let is = (layout.tags.height, layout.tags.width);
        let size = (is != (height, width)).then(|| {
            format!("image {} is {height} × {width} in the OME-XML and {} × {} in its pages", label(image), is.0, is.1)
        });
        let dtype = image.dtype.filter(|&d| d != layout.dtype);
        let dtype =
            dtype.map(|d| format!("image {} is {d} in the OME-XML and {} in its pages", label(image), layout.dtype));
        [size, dtype]
    });
    for difference in differs.into_iter().flatten().flatten() {
        set.warn(format!("{difference}; the pages are right"));
    }
    let mut draft = Draft::new(size, planes);
    draft.id.clone_from(&image.id);
    draft.name.clone_from(&image.name);
    draft.channels = names(image, size[Axis::C.index()]);
    draft.pixel_size = image.pixel_size.clone();
    draft.time_increment.clone_from(&image.time_increment);
    draft.well.clone_from(&image.well);
    draft.position = image.position;
    draft.objective.clone_from(&image.objective);
    draft.stage.clone_from(&image.stage);
    draft.page_order = image.order;
    draft.fallback = build::fallback([height, width], image.dtype);
    Some(draft)
}

/// How an image is called in warnings.
pub(super) fn label(image: &OmeImage) -> &str {
    if image.id.is_empty() { &image.name } else { &image.id }
}

/// Samples of a pixel that `SizeC` counts: those of the pages, where the pages have several.
fn samples(set: &Set, image: &OmeImage, files: &[crate::scenes::ome_files::Slot]) -> u64 {
    let first = image.tiff_data.iter().find_map(|data| {
        let file = super::ome_files::file_of(data.file, files)?;
        let page = u32::try_from(data.ifd.unwrap_or(0)).ok()?;
        let index = &set.files[file as usize].index;
        (page < index.chain()).then(|| index.layout(page)).flatten()
    });
    let layout = if image.tiff_data.is_empty() { set.main().index.layout(0) } else { first };
    layout.map_or(1, |l| l.tags.samples).max(1)
}

fn names(image: &OmeImage, count: u64) -> Vec<Channel> {
    let named = |n: u64| {
        let channel = image.channels.get(n as usize);
        channel.map(|c| Channel { name: c.name.clone(), color: c.color.clone(), window: None }).unwrap_or_default()
    };
    (0..count).map(named).collect()
}

//! What a file holds beside pixels and what is understood of them, told by its tags: no output holds it.

use crate::set::Set;

/// Tags of the first page that say something of the image, with what they are.
const KNOWN: [(u16, &str); 24] = [
    (269, "the name of its document"),
    (271, "the maker of the instrument"),
    (272, "the model of the instrument"),
    (285, "the name of its page"),
    (306, "the date and time"),
    (315, "its author"),
    (320, "a palette (pixels are the numbers of its colours)"),
    (700, "XMP metadata"),
    (33432, "a copyright"),
    (33550, "geographic metadata"),
    (33628, "MetaMorph metadata"),
    (33629, "MetaMorph metadata"),
    (33723, "IPTC metadata"),
    (34118, "FEI metadata"),
    (34361, "Fluoview metadata"),
    (34412, "Zeiss LSM metadata"),
    (34665, "EXIF metadata"),
    (34675, "a colour profile (ICC)"),
    (34735, "geographic metadata"),
    (37724, "Photoshop metadata"),
    (42112, "GDAL metadata"),
    (50839, "ImageJ metadata (tables of colours, overlays)"),
    (51123, "Micro-Manager metadata"),
    (65420, "Hamamatsu metadata"),
];
/// The lines of an `ImageJ` description that are understood.
const IMAGEJ: [&str; 13] = [
    "ImageJ",
    "images",
    "channels",
    "slices",
    "frames",
    "hyperstack",
    "mode",
    "unit",
    "yunit",
    "zunit",
    "spacing",
    "finterval",
    "tunit",
];
/// Longest text that is shown of a description.
const SHOWN: usize = 60;

/// A phrase about each.
pub(crate) fn extras(set: &Set, description: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for tag in &set.first.others {
        let phrase = KNOWN.iter().find(|(known, _)| known == tag).map(|(_, phrase)| *phrase);
        let new = phrase.filter(|phrase| !found.iter().any(|f| f == phrase));
        found.extend(new.map(str::to_owned));
    }
    found.extend(set.told.iter().cloned());
    found.extend(description.and_then(of_description));
    found
}

/// What a description says that is not understood.
fn of_description(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with("ImageJ=") {
        let keys = text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
        let others: Vec<&str> = keys.filter(|key| !IMAGEJ.contains(key)).take(8).collect();
        return (!others.is_empty()).then(|| format!("lines of the ImageJ description: {}", others.join(", ")));
    }
    let line = text.lines().next().filter(|line| !line.is_empty())?;
    let short: String = line.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    Some(format!("a description: {short}{more}"))
}

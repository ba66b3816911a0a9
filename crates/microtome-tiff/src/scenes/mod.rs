//! From pages to scenes: what the metadata of each kind of TIFF say about the order and meaning of pages.
//!
//! *Invariant:* pages win over metadata. Where they disagree, what is there is shown, cut where it must be, and a
//! warning says so; a plane without a page stays in its place and reading it is an error.

mod aperio;
mod build;
mod fit;
mod fluoview;
mod hamamatsu;
mod imagej;
mod metamorph;
mod ome;
mod ome_files;
mod ome_planes;
mod plain;
mod scanimage;
mod shaped;
mod slide;
mod zeiss;
mod zeiss_strips;

use microtome_array::{Axis, PixelType};
use microtome_io::{Channel, Objective, PixelSize, Position, Quantity, ReadError, StagePosition, Well};

use crate::set::{PlaneRef, Set};

pub(crate) use build::{Level, Scene, build};

/// A scene before its pages are checked.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) channels: Vec<Channel>,
    pub(crate) pixel_size: PixelSize,
    pub(crate) time_increment: Option<Quantity>,
    pub(crate) well: Option<Well>,
    pub(crate) position: Position,
    pub(crate) objective: Option<Objective>,
    pub(crate) stage: Option<StagePosition>,
    pub(crate) page_order: [Axis; 3],
    /// Number of planes along T, C, Z.
    pub(crate) size: [u64; 3],
    /// The planes in the order T, C, Z, Z fastest.
    pub(crate) planes: Vec<PlaneRef>,
    /// The planes of smaller levels that have pages of their own.
    pub(crate) levels: Vec<Vec<PlaneRef>>,
    /// The axes that the file does not name, slowest first: which they are is a guess.
    pub(crate) guessed: Vec<Axis>,
    /// Y, X and type from the metadata, for a scene none of whose planes is there.
    pub(crate) fallback: Option<([u64; 2], PixelType)>,
}

impl Draft {
    /// A scene of planes in the order T, C, Z about which no more is known.
    pub(crate) fn new(size: [u64; 3], planes: Vec<PlaneRef>) -> Draft {
        Draft {
            id: String::new(),
            name: String::new(),
            channels: vec![Channel::default(); size[1] as usize],
            pixel_size: PixelSize::default(),
            time_increment: None,
            well: None,
            position: Position::default(),
            objective: None,
            stage: None,
            page_order: [Axis::Z, Axis::C, Axis::T],
            size,
            planes,
            levels: Vec::new(),
            guessed: Vec::new(),
            fallback: None,
        }
    }
}

/// What a kind of TIFF makes of its pages.
pub(crate) struct Arranged {
    pub(crate) format: &'static str,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) ome_xml: Option<String>,
    /// The description of the first page, where it is not kept as OME-XML.
    pub(crate) description: Option<String>,
}

/// Arranges the pages of a set into scenes, by the first kind of metadata that is there and makes sense.
pub(crate) fn arrange(set: &mut Set) -> Result<Arranged, ReadError> {
    let text = set.first.description.take().unwrap_or_default();
    if ome::looks_like(&text) {
        let drafts = ome::arrange(set, &text)?;
        let format = if drafts.is_some() { "OME-TIFF" } else { "TIFF" };
        let drafts = drafts.unwrap_or_else(|| plain::arrange(set));
        return Ok(Arranged { format, drafts, ome_xml: Some(text), description: None });
    }
    if text.starts_with("ImageJ=") {
        let drafts = imagej::arrange(set, &text);
        return Ok(Arranged { format: "ImageJ TIFF", drafts, ome_xml: None, description: Some(text) });
    }
    if let Some((format, drafts)) = maker(set, &text) {
        let description = Some(text).filter(|text| !text.is_empty());
        return Ok(Arranged { format, drafts, ome_xml: None, description });
    }
    let shaped = if text.starts_with("{\"shape\"") { shaped::arrange(set, &text) } else { None };
    let drafts = shaped.unwrap_or_else(|| plain::arrange(set));
    let description = Some(text).filter(|text| !text.starts_with("{\"shape\""));
    Ok(Arranged { format: "TIFF", drafts, ome_xml: None, description })
}

/// The scenes of a file of a maker of microscopes or scanners, if this is one and its metadata make sense.
fn maker(set: &mut Set, text: &str) -> Option<(&'static str, Vec<Draft>)> {
    let found = |format, drafts: Option<Vec<Draft>>| drafts.filter(|d| !d.is_empty()).map(|drafts| (format, drafts));
    if set.first.ndpi {
        return found("Hamamatsu NDPI", hamamatsu::arrange(set));
    }
    if text.starts_with("Aperio ") {
        return found("Aperio SVS", aperio::arrange(set, text));
    }
    if set.first.has(zeiss::LSM) {
        return found("Zeiss LSM", zeiss::arrange(set));
    }
    if set.first.has(metamorph::UIC2) {
        return found("MetaMorph STK", metamorph::arrange(set));
    }
    if set.first.has(fluoview::HEADER) {
        return found("Olympus Fluoview", fluoview::arrange(set));
    }
    if let Some(settings) = scanimage::settings(set, text) {
        return found("ScanImage TIFF", scanimage::arrange(set, &settings));
    }
    None
}

/// Position of a plane in the order T, C, Z, from its number in file order (`order`, fastest first).
pub(crate) fn plane_at(number: u64, order: [Axis; 3], size: [u64; 3]) -> usize {
    let mut at = [0; 3];
    let mut rest = number;
    for axis in order {
        at[axis.index()] = rest % size[axis.index()];
        rest /= size[axis.index()];
    }
    ((at[0] * size[1] + at[1]) * size[2] + at[2]) as usize
}

/// Planes in the order T, C, Z from pages in file order.
pub(crate) fn in_order(pages: &[PlaneRef], order: [Axis; 3], size: [u64; 3]) -> Vec<PlaneRef> {
    let mut planes = pages.to_vec();
    for (number, &page) in pages.iter().enumerate() {
        planes[plane_at(number as u64, order, size)] = page;
    }
    planes
}

/// `1 page`, `2 pages`.
pub(crate) fn pages(n: usize) -> String {
    if n == 1 { "1 page".to_owned() } else { format!("{n} pages") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_order_becomes_tcz() {
        let pages: Vec<PlaneRef> = (0..6).map(|p| PlaneRef::new(0, p)).collect();
        let planes = in_order(&pages, [Axis::C, Axis::Z, Axis::T], [1, 2, 3]);
        assert_eq!(planes.iter().map(|p| p.page()).collect::<Vec<_>>(), [0, 2, 4, 1, 3, 5]);
    }
}

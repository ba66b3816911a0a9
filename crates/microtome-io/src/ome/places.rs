//! Where images lie: on plates of wells, and, in documents of ours, in space and time.
//!
//! *Invariant:* what is read here only adds to images that the document has.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::model::OmeImage;
use super::parse::Attributes;
use super::write::{attribute, escape};
use crate::{Position, Well};

/// Namespace of the annotation that says where an image lies.
const POSITION: &str = "microtome/position";
/// Most wells, and positions, that are remembered; plates have up to 3456 wells, with several fields each.
const MOST: usize = 1 << 20;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Places {
    plate: Plate,
    /// The well, and the field in it, that the walk is in.
    well: Well,
    in_sample: bool,
    of_image: HashMap<String, Well>,
    /// The annotation with a position that the walk is in, and the axis in it.
    in_position: Option<String>,
    key: String,
    positions: HashMap<String, Position>,
    /// Images, by their number, with the annotations that are theirs.
    referring: Vec<(usize, String)>,
}

#[derive(Default)]
struct Plate {
    name: String,
    rows_are_numbers: bool,
    columns_are_letters: bool,
}

impl Places {
    pub(super) fn enter(
        &mut self,
        name: &[u8],
        attributes: impl FnOnce() -> Result<Attributes, String>,
    ) -> Result<(), String> {
        match name {
            b"Plate" => {
                let mut attributes = attributes()?;
                let mut is = |name: &str, kind: &str| attributes.take(name).as_deref() == Some(kind);
                let rows_are_numbers = is("RowNamingConvention", "number");
                let columns_are_letters = is("ColumnNamingConvention", "letter");
                self.plate =
                    Plate { name: attributes.take("Name").unwrap_or_default(), rows_are_numbers, columns_are_letters };
            }
            b"Well" => {
                let mut attributes = attributes()?;
                let mut number = |name: &str| attributes.integer(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                let (row, column) = (number("Row"), number("Column"));
                self.well = Well {
                    plate: self.plate.name.clone(),
                    row: if self.plate.rows_are_numbers { numbered(row) } else { lettered(row) },
                    column: if self.plate.columns_are_letters { lettered(column) } else { numbered(column) },
                    row_index: row,
                    column_index: column,
                    field: "0".to_owned(),
                };
            }
            b"WellSample" => {
                self.in_sample = true;
                self.well.field = attributes()?.integer("Index").unwrap_or(0).to_string();
            }
            b"ImageRef" if self.in_sample && self.of_image.len() < MOST => {
                if let Some(id) = attributes()?.take("ID") {
                    self.of_image.insert(id, self.well.clone());
                }
            }
            b"MapAnnotation" => {
                let mut attributes = attributes()?;
                let is_ours = attributes.take("Namespace").as_deref() == Some(POSITION);
                self.in_position = attributes.take("ID").filter(|_| is_ours && self.positions.len() < MOST);
            }
            b"M" if self.in_position.is_some() => self.key = attributes()?.take("K").unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) {
        let Some(id) = &self.in_position else { return };
        let Some(value) = text.trim().parse().ok().filter(|v: &f64| v.is_finite()) else { return };
        let position = self.positions.entry(id.clone()).or_default();
        match self.key.as_str() {
            "t" => position.t = value,
            "z" => position.z = value,
            "y" => position.y = value,
            "x" => position.x = value,
            _ => {}
        }
    }

    pub(super) fn leave(&mut self, name: &[u8]) {
        match name {
            b"WellSample" => self.in_sample = false,
            b"MapAnnotation" => self.in_position = None,
            b"M" => self.key.clear(),
            _ => {}
        }
    }

    /// Says that an image, by its number, has an annotation, which stands behind all images.
    pub(super) fn refer(&mut self, image: usize, annotation: String) {
        if self.referring.len() < MOST {
            self.referring.push((image, annotation));
        }
    }

    /// Tells the images where they lie.
    pub(super) fn give(mut self, images: &mut [OmeImage]) {
        for image in &mut *images {
            image.well = self.of_image.remove(&image.id);
        }
        for (image, annotation) in &self.referring {
            if let (Some(image), Some(position)) = (images.get_mut(*image), self.positions.get(annotation)) {
                image.position = *position;
            }
        }
    }
}

/// `A` for 0, `Z` for 25, `AA` for 26.
fn lettered(index: u32) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    if index < 26 { last.to_string() } else { format!("{}{last}", lettered(index / 26 - 1)) }
}

/// `1` for 0.
fn numbered(index: u32) -> String {
    (u64::from(index) + 1).to_string()
}

/// The well that a document can say of one: rows and columns are called by letters or numbers, in order; `None` for names
/// that are neither.
pub fn held_well(well: &Well) -> Option<Well> {
    let name = |name: &str, index: u32| [lettered(index), numbered(index)].contains(&name.to_owned());
    let named = name(&well.row, well.row_index) && name(&well.column, well.column_index);
    let field = well.field.parse::<u32>().is_ok_and(|n| n.to_string() == well.field);
    (named && field).then(|| well.clone())
}

/// The plates of images, each of which may have a well: those of one name, and whose rows and columns are called alike, lie
/// on one plate.
pub(super) fn write_plates(out: &mut String, wells: &[Option<Well>]) {
    let kind = |name: &str| if name.bytes().all(|b| b.is_ascii_digit()) { "number" } else { "letter" };
    let mut plates: BTreeMap<_, BTreeMap<_, Vec<(usize, &Well)>>> = BTreeMap::new();
    for (image, well) in wells.iter().enumerate().filter_map(|(n, well)| Some((n, well.as_ref()?))) {
        let plate = (well.plate.as_str(), kind(&well.row), kind(&well.column));
        let fields = plates.entry(plate).or_default().entry((well.row_index, well.column_index)).or_default();
        fields.push((image, well));
    }
    for (p, ((name, rows, columns), wells)) in plates.iter().enumerate() {
        let _ = write!(out, "<Plate ID=\"Plate:{p}\"");
        attribute(out, "Name", Some(*name).filter(|name| !name.is_empty()));
        attribute(out, "RowNamingConvention", Some(rows));
        attribute(out, "ColumnNamingConvention", Some(columns));
        out.push('>');
        for (w, ((row, column), fields)) in wells.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(out, "<Well ID=\"Well:{p}:{w}\" Row=\"{row}\" Column=\"{column}\">");
            for (f, (image, well)) in fields.iter().enumerate() {
                let _ = write!(
                    out,
                    "<WellSample ID=\"WellSample:{p}:{w}:{f}\" Index=\"{}\"><ImageRef ID=\"Image:{image}\"/></WellSample>",
                    well.field.parse().unwrap_or(0u32),
                );
            }
            out.push_str("</Well>");
        }
        out.push_str("</Plate>");
    }
}

/// The annotation that says where an image lies, in the units of its sizes.
pub(super) fn write_position(out: &mut String, position: &Position, id: &str) {
    let _ = write!(out, "<MapAnnotation ID=\"{id}\" Namespace=\"{POSITION}\"><Description>");
    escape(out, "Where the middle of the first pixel lies, in the units of the pixel size and of the time.", |space| {
        space
    });
    out.push_str("</Description><Value>");
    for (key, value) in [("t", position.t), ("z", position.z), ("y", position.y), ("x", position.x)] {
        let _ = write!(out, "<M K=\"{key}\">{value:?}</M>");
    }
    out.push_str("</Value></MapAnnotation>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_called_as_on_plates() {
        let names: Vec<String> = [0, 25, 26, 701, 702].map(lettered).into();
        assert_eq!(names, ["A", "Z", "AA", "ZZ", "AAA"]);
        let well = |row: &str, row_index, column: &str, column_index| Well {
            row: row.to_owned(),
            row_index,
            column: column.to_owned(),
            column_index,
            field: "0".to_owned(),
            ..Well::default()
        };
        assert!(held_well(&well("B", 1, "3", 2)).is_some() && held_well(&well("2", 1, "C", 2)).is_some());
        assert!(held_well(&well("top", 0, "1", 0)).is_none() && held_well(&well("A", 3, "1", 0)).is_none());
    }
}

//! From the descriptions of images to an OME-XML document of the schema 2016-06.
//!
//! *Invariant:* the text is UTF-8, as OME wants it in a TIFF, and has no character references: Bio-Formats takes them apart.
//! Equal descriptions give equal bytes.

use std::fmt::Write as _;

use microtome_array::{ArraySpec, Axis, PixelType};

use super::places::{held_well, write_plates, write_position};
use super::unit::{length_symbol, time_symbol};
use crate::{Channel, Limits, PixelSize, Position, Quantity, SceneInfo, Well};

/// Who the documents say they are from.
const CREATOR: &str = concat!("microtome ", env!("CARGO_PKG_VERSION"));
const SCHEMA: &str = "http://www.openmicroscopy.org/Schemas/OME/2016-06";
/// Namespace of the annotation that holds the document an image came with.
const ORIGINAL: &str = "microtome/original-ome-xml";

/// What a document says of its image, beside shape and pixel type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OmeMeta {
    /// Name for people, or empty.
    pub name: String,
    /// Channels in order; missing ones are unnamed.
    pub channels: Vec<Channel>,
    /// Distance between pixels.
    pub pixel_size: PixelSize,
    /// Time between two frames.
    pub time_increment: Option<Quantity>,
    /// Its place on a plate; left out where [`held_well`](super::held_well) is `None`.
    pub well: Option<Well>,
    /// Where the first pixel lies.
    pub position: Position,
    /// The document that the image came with: kept whole, as the text of an annotation.
    pub original: Option<String>,
}

impl From<&SceneInfo> for OmeMeta {
    fn from(scene: &SceneInfo) -> Self {
        OmeMeta {
            name: scene.name.clone(),
            channels: scene.channels.clone(),
            pixel_size: scene.pixel_size.clone(),
            time_increment: scene.time_increment.clone(),
            well: scene.well.clone(),
            position: scene.position,
            original: None,
        }
    }
}

/// The OME word for a pixel type; `None` for those that OME does not have.
pub fn type_name(dtype: PixelType) -> Option<&'static str> {
    Some(match dtype {
        PixelType::U8 => "uint8",
        PixelType::U16 => "uint16",
        PixelType::U32 => "uint32",
        PixelType::I8 => "int8",
        PixelType::I16 => "int16",
        PixelType::I32 => "int32",
        PixelType::F32 => "float",
        PixelType::F64 => "double",
        PixelType::C64 => "complex",
        PixelType::C128 => "double-complex",
        PixelType::Bool => "bit",
        _ => return None,
    })
}

/// The document of one image whose planes are the pages of one file, Z fastest, then C, then T; `uuid` is 32 hexadecimal
/// digits with hyphens. `None` for a pixel type that OME does not have.
///
/// A distance whose unit OME does not have, or none, is said in `reference frame`, the unit without a size. A document of
/// ours as the original is not kept, but what it keeps itself. An original that would make the document larger than what
/// readers take by default is left out.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, PixelType, Shape};
/// use microtome_io::ome::{OmeMeta, parse, write};
/// let array = ArraySpec { shape: Shape::new([1, 1, 5, 32, 64, 1])?, dtype: PixelType::U16 };
/// let meta = OmeMeta { name: "Zelle ä".to_owned(), ..OmeMeta::default() };
/// let xml = write(array, &meta, "00000000-0000-8000-8000-000000000000").unwrap();
/// let image = &parse(&xml, &Default::default())?.images[0];
/// assert_eq!((image.size, image.name.as_str()), ([1, 1, 5, 32, 64], "Zelle ä"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(array: ArraySpec, meta: &OmeMeta, uuid: &str) -> Option<String> {
    write_images(&[(array, meta)], uuid)
}

/// The document of several images, whose planes are the pages of one file, those of an image behind those of the one before;
/// each as [`write()`] has it. The original that is kept is that of the first.
///
/// # Examples
/// ```
/// use microtome_array::{ArraySpec, PixelType, Shape};
/// use microtome_io::ome::{OmeMeta, parse, write_images};
/// let array = ArraySpec { shape: Shape::new([1, 1, 5, 32, 64, 1])?, dtype: PixelType::U16 };
/// let meta = OmeMeta::default();
/// let xml = write_images(&[(array, &meta), (array, &meta)], "00000000-0000-8000-8000-000000000000").unwrap();
/// let images = parse(&xml, &Default::default())?.images;
/// assert_eq!((images.len(), images[1].tiff_data[0].ifd), (2, Some(5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_images(images: &[(ArraySpec, &OmeMeta)], uuid: &str) -> Option<String> {
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><OME xmlns=\"{SCHEMA}\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"{SCHEMA} {SCHEMA}/ome.xsd\" \
         UUID=\"urn:uuid:{uuid}\" Creator=\"{CREATOR}\">"
    );
    let wells = images.iter().map(|(_, meta)| meta.well.as_ref().and_then(held_well));
    write_plates(&mut out, &wells.collect::<Vec<_>>());
    let mut described = String::new();
    let mut page = 0;
    // Room for the references that stand between what is described.
    let mut ends = Vec::with_capacity(images.len());
    for (n, (array, meta)) in images.iter().enumerate() {
        let _ = write!(described, "<Image ID=\"Image:{n}\"");
        attribute(&mut described, "Name", Some(meta.name.as_str()).filter(|name| !name.is_empty()));
        described.push('>');
        pixels(&mut described, *array, meta, (n, page))?;
        page += Axis::ALL[..3].iter().map(|&axis| array.shape.get(axis)).product::<u64>();
        ends.push(described.len());
    }
    let kept = images.first().and_then(|(_, meta)| meta.original.as_deref());
    let kept = kept.and_then(original).map(|text| annotation(&text));
    let kept = kept.filter(|kept| fits(out.len() + described.len() + kept.len()));
    let mut annotations = kept.clone().unwrap_or_default();
    let mut from = 0;
    for (n, ((_, meta), end)) in images.iter().zip(ends).enumerate() {
        out.push_str(&described[from..end]);
        from = end;
        if kept.is_some() {
            // An annotation that belongs to the image is one that programs copy along.
            out.push_str("<AnnotationRef ID=\"Annotation:0\"/>");
        }
        if !meta.position.is_origin() {
            let id = format!("Annotation:{}", n + 1);
            let _ = write!(out, "<AnnotationRef ID=\"{id}\"/>");
            write_position(&mut annotations, &meta.position, &id);
        }
        out.push_str("</Image>");
    }
    if !annotations.is_empty() {
        let _ = write!(out, "<StructuredAnnotations>{annotations}</StructuredAnnotations>");
    }
    out.push_str("</OME>");
    Some(out)
}

/// Whether a document of so many bytes is one that readers take by default, with room for its end and for where it lies.
fn fits(bytes: usize) -> bool {
    bytes as u64 + 1024 <= Limits::default().metadata_bytes
}

/// Whether the original would be kept as an annotation: it is not too large. Of one of ours, what it keeps itself.
pub fn keeps_original(array: ArraySpec, meta: &OmeMeta) -> bool {
    let Some(kept) = meta.original.as_deref().and_then(original) else { return true };
    let rest = write(array, &OmeMeta { original: None, ..meta.clone() }, "").map_or(0, |xml| xml.len());
    fits(rest + annotation(&kept).len())
}

/// Text as a document can hold it as an attribute.
pub fn held_text(text: &str) -> String {
    let plain = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        other => other,
    };
    text.chars().map(plain).collect()
}

/// Describes the pixels of image `n`, whose first plane is a page of the file; `None` for a type that OME does not have.
fn pixels(out: &mut String, array: ArraySpec, meta: &OmeMeta, (n, page): (usize, u64)) -> Option<()> {
    let kind = type_name(array.dtype)?;
    let [t, c, z, y, x, s] = array.shape.extents();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<Pixels ID=\"Pixels:{n}\" DimensionOrder=\"XYZCT\" Type=\"{kind}\" SizeX=\"{x}\" SizeY=\"{y}\" SizeZ=\"{z}\" \
         SizeC=\"{}\" SizeT=\"{t}\" BigEndian=\"false\" Interleaved=\"{}\"",
        c * s,
        s > 1
    );
    let size = &meta.pixel_size;
    let unit = size.unit.as_deref().and_then(length_symbol).unwrap_or_else(|| "reference frame".to_owned());
    for (axis, size) in [(Axis::X, size.x), (Axis::Y, size.y), (Axis::Z, size.z)] {
        if let Some(value) = size.filter(|v| v.is_finite() && *v > 0.0) {
            attribute(out, &format!("PhysicalSize{axis}"), Some(&format!("{value:?}")));
            attribute(out, &format!("PhysicalSize{axis}Unit"), Some(&unit));
        }
    }
    let time = meta.time_increment.as_ref().filter(|q| q.value.is_finite() && q.value > 0.0);
    if let Some((time, unit)) = time.and_then(|q| Some((q.value, time_symbol(&q.unit)?))) {
        attribute(out, "TimeIncrement", Some(&format!("{time:?}")));
        attribute(out, "TimeIncrementUnit", Some(&unit));
    }
    out.push('>');
    for number in 0..c {
        let channel = meta.channels.get(number as usize).cloned().unwrap_or_default();
        let _ = write!(out, "<Channel ID=\"Channel:{n}:{number}\"");
        attribute(out, "Name", Some(channel.name.as_str()).filter(|name| !name.is_empty()));
        attribute(out, "SamplesPerPixel", Some(&s.to_string()));
        attribute(out, "Color", channel.color.as_deref().and_then(color).as_deref());
        out.push_str("/>");
    }
    let _ = write!(
        out,
        "<TiffData IFD=\"{page}\" FirstC=\"0\" FirstT=\"0\" FirstZ=\"0\" PlaneCount=\"{}\"/></Pixels>",
        t * c * z
    );
    Some(())
}

/// `RRGGBB` as the signed number of red, green, blue and an opaque alpha.
fn color(text: &str) -> Option<String> {
    let rgb = u32::from_str_radix(text, 16).ok().filter(|rgb| *rgb <= 0x00ff_ffff)?;
    Some(((rgb << 8 | 0xff) as i32).to_string())
}

fn annotation(text: &str) -> String {
    let described = "The OME-XML of the image that this one was made from, as it was found.";
    let mut out = format!(
        "<CommentAnnotation ID=\"Annotation:0\" Namespace=\"{ORIGINAL}\"><Description>{described}\
         </Description><Value>"
    );
    escape(&mut out, text, |space| space);
    out.push_str("</Value></CommentAnnotation>");
    out
}

/// The document that is to be kept of one an image came with: of one of ours what it keeps, if anything.
pub fn original(text: &str) -> Option<String> {
    let Some(at) = text.find(&format!("Namespace=\"{ORIGINAL}\">")) else {
        let by = text.split_once("Creator=\"microtome ").map(|(_, version)| version);
        let ours = by.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));
        return (!ours).then(|| text.to_owned());
    };
    let kept = text[at..].split_once("<Value>")?.1.split_once("</Value>")?.0;
    quick_xml::escape::unescape(kept).ok().map(std::borrow::Cow::into_owned)
}

pub(super) fn attribute(out: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let _ = write!(out, " {name}=\"");
    // Whitespace of other kinds would be read as that.
    escape(out, value, |_| ' ');
    out.push('"');
}

/// Text without what XML takes for its own; what it cannot hold becomes the character for what cannot be shown.
pub(super) fn escape(out: &mut String, text: &str, space: fn(char) -> char) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(space(character)),
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ome::parse;
    use microtome_array::Shape;

    const UUID: &str = "01234567-89ab-8def-8123-456789abcdef";

    fn array(extents: [u64; 6], dtype: PixelType) -> ArraySpec {
        ArraySpec { shape: Shape::new(extents).unwrap(), dtype }
    }

    fn meta() -> OmeMeta {
        let channel =
            |name: &str, color: &str| Channel { name: name.to_owned(), color: Some(color.to_owned()), window: None };
        OmeMeta {
            name: "a <b> & \"c\" \u{1f52c}".to_owned(),
            channels: vec![channel("DAPI", "0000FF"), channel("GFP ü", "FF0102")],
            pixel_size: PixelSize { z: Some(0.3), y: Some(1e-7), x: Some(65.0), unit: Some("micrometer".to_owned()) },
            time_increment: Some(Quantity { value: 2.5, unit: "millisecond".to_owned() }),
            well: None,
            position: Position::default(),
            original: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let xml = write(array([3, 2, 5, 32, 64, 1], PixelType::F32), &meta(), UUID).unwrap();
        assert!(!xml.contains("&#"));
        let ome = parse(&xml, &Limits::default()).unwrap();
        assert_eq!(ome.uuid.as_deref(), Some("urn:uuid:01234567-89ab-8def-8123-456789abcdef"));
        let image = &ome.images[0];
        assert_eq!((image.size, image.dtype), ([3, 2, 5, 32, 64], Some(PixelType::F32)));
        assert_eq!((&image.name, &image.pixel_size), (&meta().name, &meta().pixel_size));
        assert_eq!(image.time_increment, meta().time_increment);
        let channels: Vec<_> = image.channels.iter().map(|c| (c.name.as_str(), c.color.as_deref())).collect();
        assert_eq!(channels, [("DAPI", Some("0000FF")), ("GFP ü", Some("FF0102"))]);
        assert_eq!(image.tiff_data[0].plane_count, Some(30));
    }

    #[test]
    fn several_images_keep_their_pages_places_and_wells_apart() {
        let well = |row: u32, field: &str| Well {
            plate: "p".to_owned(),
            row: char::from(b'A' + row as u8).to_string(),
            column: "2".to_owned(),
            row_index: row,
            column_index: 1,
            field: field.to_owned(),
        };
        let at = |x| Position { x, ..Position::default() };
        let metas = [(0, "0", 0.0), (0, "1", 7.5), (2, "0", -1.0)].map(|(row, field, x)| OmeMeta {
            name: format!("{row}{field}"),
            well: Some(well(row, field)),
            position: at(x),
            original: Some("<OME><Image Name='old'/></OME>".to_owned()),
            ..meta()
        });
        let shapes = [[3, 2, 5, 32, 64, 1], [1, 1, 1, 8, 8, 3], [1, 1, 2, 8, 8, 1]];
        let arrays = shapes.map(|extents| array(extents, PixelType::U16));
        let images: Vec<_> = arrays.into_iter().zip(&metas).collect();
        let xml = write_images(&images, UUID).unwrap();
        let ome = parse(&xml, &Limits::default()).unwrap();
        let pages: Vec<_> = ome.images.iter().map(|image| image.tiff_data[0].ifd).collect();
        assert_eq!(pages, [Some(0), Some(30), Some(31)]);
        for (image, meta) in ome.images.iter().zip(&metas) {
            assert_eq!((&image.name, &image.well, image.position), (&meta.name, &meta.well, meta.position));
        }
        assert_eq!(xml.matches("<Plate ").count() + xml.matches("<Well ").count(), 3, "fields of a well share it");
        assert_eq!(original(&xml), metas[0].original);
    }

    #[test]
    fn samples_are_counted_in_the_channels() {
        let xml = write(array([1, 2, 1, 8, 8, 3], PixelType::U8), &OmeMeta::default(), UUID).unwrap();
        assert!(xml.contains("SizeC=\"6\"") && xml.contains("SamplesPerPixel=\"3\""), "{xml}");
        assert!(!xml.contains("PhysicalSize") && !xml.contains("Color") && !xml.contains("Annotation"), "{xml}");
    }

    #[test]
    fn the_original_is_kept_once_however_often_it_is_handed_on() {
        let found = "<?xml version=\"1.0\"?>\n<OME Creator='x'><Image Name=\"ä &amp; b\"/></OME>".to_owned();
        let full = array([1, 1, 1, 8, 8, 1], PixelType::U8);
        let first = write(full, &OmeMeta { original: Some(found.clone()), ..OmeMeta::default() }, UUID).unwrap();
        assert_eq!(original(&first), Some(found));
        assert_eq!(parse(&first, &Limits::default()).unwrap().images.len(), 1, "its image is text");
        let second = write(full, &OmeMeta { original: Some(first.clone()), ..OmeMeta::default() }, UUID).unwrap();
        assert_eq!(first, second);
        let ours = write(full, &OmeMeta::default(), UUID).unwrap();
        let again = write(full, &OmeMeta { original: Some(ours.clone()), ..OmeMeta::default() }, UUID).unwrap();
        assert_eq!(ours, again);
    }

    #[test]
    fn what_ome_has_no_word_for_is_said_so() {
        assert_eq!(write(array([1, 1, 1, 8, 8, 1], PixelType::U64), &meta(), UUID), None);
        let pixel_size = PixelSize { x: Some(2.0), unit: Some("furlong".to_owned()), ..PixelSize::default() };
        let xml = write(array([1, 1, 1, 8, 8, 1], PixelType::U8), &OmeMeta { pixel_size, ..meta() }, UUID).unwrap();
        assert!(xml.contains("PhysicalSizeXUnit=\"reference frame\""), "{xml}");
    }
}

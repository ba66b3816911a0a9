//! From text to [`Ome`], in one pass over the elements.

use std::collections::HashMap;

use microtome_array::{Axis, PixelType};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::model::{BinaryOnly, FileRef, Ome, OmeChannel, OmeError, OmeImage, TiffData};
use super::places::Places;
use super::taken::Taken;
use super::unit::{Unit, length_unit, time_unit};
use crate::{Limits, PixelSize, Quantity};

/// Reads an OME-XML document.
///
/// # Errors
/// [`OmeError`] if the document is broken, has a DOCTYPE, is over a limit, or describes no image.
///
/// # Examples
/// ```
/// use microtome_io::{Limits, ome};
/// let xml = r#"<OME><Image ID="Image:0"><Pixels SizeX="64" SizeY="32" SizeZ="5" SizeC="1" SizeT="1" Type="uint16"
///   DimensionOrder="XYZCT" PhysicalSizeX="65" PhysicalSizeXUnit="nm"><Channel Name="DAPI"/></Pixels></Image></OME>"#;
/// let image = &ome::parse(xml, &Limits::default())?.images[0];
/// assert_eq!(image.size, [1, 1, 5, 32, 64]);
/// assert_eq!(image.pixel_size.unit.as_deref(), Some("nanometer"));
/// assert_eq!(image.channels[0].name, "DAPI");
/// # Ok::<(), ome::OmeError>(())
/// ```
pub fn parse(xml: &str, limits: &Limits) -> Result<Ome, OmeError> {
    check_limit("a size of", xml.len() as u64, limits.metadata_bytes)?;
    let mut reader = Reader::from_str(xml.trim_start_matches('\u{feff}'));
    let mut walk = Walk::default();
    let mut depth = 0u64;
    loop {
        let event = reader.read_event().map_err(|e| broken(reader.buffer_position(), &e.to_string()))?;
        match event {
            Event::Start(element) => {
                depth += 1;
                check_limit("a nesting of", depth, u64::from(limits.metadata_depth))?;
                walk.enter(&element).map_err(|why| broken(reader.buffer_position(), &why))?;
            }
            Event::Empty(element) => {
                walk.enter(&element).map_err(|why| broken(reader.buffer_position(), &why))?;
                walk.leave(element.local_name().as_ref());
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                walk.leave(element.local_name().as_ref());
            }
            Event::Text(text) => walk.text(&text.decode().unwrap_or_default()),
            Event::DocType(_) => return Err(OmeError::Doctype),
            Event::Eof => break,
            _ => {}
        }
    }
    if depth > 0 {
        return Err(broken(xml.len() as u64, "it ends inside an element"));
    }
    walk.finish()
}

pub(super) fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), OmeError> {
    if found > limit { Err(OmeError::OverLimit { what, found, limit }) } else { Ok(()) }
}

pub(super) fn broken(at: u64, why: &str) -> OmeError {
    OmeError::Xml { at, why: why.to_owned() }
}

/// What has been read so far.
#[expect(clippy::struct_excessive_bools, reason = "each says inside which element the walk is")]
#[derive(Default)]
struct Walk {
    ome: Ome,
    is_ome: bool,
    image: Option<OmeImage>,
    has_pixels: bool,
    in_tiff_data: bool,
    in_uuid: bool,
    uuid: FileRef,
    known_files: HashMap<FileRef, u32>,
    /// Channel names of schemas before 2008, which have them apart from the pixels.
    logical_channels: Vec<OmeChannel>,
    places: Places,
    taken: Taken,
}

impl Walk {
    fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        match element.local_name().as_ref() {
            b"OME" => {
                self.is_ome = true;
                self.ome.uuid = Attributes::of(element)?.take("UUID");
            }
            b"BinaryOnly" => {
                let mut attributes = Attributes::of(element)?;
                let metadata_file = attributes.take("MetadataFile").unwrap_or_default();
                let uuid = attributes.take("UUID").unwrap_or_default();
                self.ome.binary_only = Some(BinaryOnly { metadata_file, uuid });
            }
            b"Image" => self.image(element)?,
            b"Pixels" if self.image.is_some() && !self.has_pixels => self.pixels(element)?,
            b"LogicalChannel" if self.image.is_some() => {
                let channel = channel(Attributes::of(element)?);
                self.logical_channels.push(channel);
            }
            b"Channel" if self.has_pixels => {
                let channel = channel(Attributes::of(element)?);
                self.image.get_or_insert_default().channels.push(channel);
            }
            b"TiffData" if self.has_pixels => {
                let data = tiff_data(&mut Attributes::of(element)?);
                self.image.get_or_insert_default().tiff_data.push(data);
                self.in_tiff_data = true;
            }
            b"UUID" if self.in_tiff_data => {
                self.uuid = FileRef::default();
                self.uuid.name = Attributes::of(element)?.take("FileName").unwrap_or_default();
                self.in_uuid = true;
            }
            b"AnnotationRef" if self.has_pixels => {
                if let Some(id) = Attributes::of(element)?.take("ID") {
                    self.places.refer(self.ome.images.len(), id);
                }
            }
            name => {
                if !self.taken.enter(name, self.ome.images.len(), || Attributes::of(element))? {
                    self.places.enter(name, || Attributes::of(element))?;
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.in_uuid {
            self.uuid.uuid.push_str(text.trim());
        }
        self.places.text(text);
    }

    fn leave(&mut self, name: &[u8]) {
        match name {
            b"UUID" if self.in_uuid => {
                self.in_uuid = false;
                let index = self.intern();
                if let Some(data) = self.image.as_mut().and_then(|i| i.tiff_data.last_mut()) {
                    data.file = Some(index);
                }
            }
            b"TiffData" => self.in_tiff_data = false,
            b"Image" => {
                if let Some(mut image) = self.image.take().filter(|_| self.has_pixels) {
                    if image.channels.is_empty() {
                        image.channels = std::mem::take(&mut self.logical_channels);
                    }
                    self.ome.images.push(image);
                }
                self.has_pixels = false;
            }
            name => self.places.leave(name),
        }
    }

    /// Index of the file just read, the same one for the same name and UUID.
    fn intern(&mut self) -> u32 {
        let file = std::mem::take(&mut self.uuid);
        *self.known_files.entry(file).or_insert_with_key(|file| {
            self.ome.files.push(file.clone());
            self.ome.files.len() as u32 - 1
        })
    }

    fn image(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let mut attributes = Attributes::of(element)?;
        let mut image = OmeImage {
            id: attributes.take("ID").unwrap_or_default(),
            name: attributes.take("Name").unwrap_or_default(),
            ..OmeImage::default()
        };
        // Schema 2003: sizes in micrometres and seconds on the image itself.
        let micro = |name: &str, a: &mut Attributes| a.number(name).map(|v| (v, length_unit("um")));
        let sizes = ["PixelSizeX", "PixelSizeY", "PixelSizeZ"].map(|n| micro(n, &mut attributes));
        image.pixel_size = pixel_size(sizes, &mut self.ome.warnings);
        image.time_increment = increment(&mut attributes);
        self.image = Some(image);
        self.has_pixels = false;
        self.logical_channels.clear();
        Ok(())
    }

    fn pixels(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let mut attributes = Attributes::of(element)?;
        let warnings = &mut self.ome.warnings;
        let image = self.image.get_or_insert_default();
        self.has_pixels = true;
        image.size = ["SizeT", "SizeC", "SizeZ", "SizeY", "SizeX"].map(|name| size(&mut attributes, name, warnings));
        let order = attributes.take("DimensionOrder");
        image.order = order.as_deref().and_then(dimension_order).unwrap_or_else(|| {
            warnings.push(format!("DimensionOrder {order:?} of {} is none; XYZCT is assumed", image.id));
            [Axis::Z, Axis::C, Axis::T]
        });
        let name = attributes.take("Type").or_else(|| attributes.take("PixelType")).unwrap_or_default();
        image.dtype = pixel_type(&name);
        let sizes = ["PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ"].map(|name| {
            let value = attributes.number(name)?;
            Some((value, length_unit(attributes.take(&format!("{name}Unit")).as_deref().unwrap_or("um"))))
        });
        if sizes.iter().any(Option::is_some) {
            image.pixel_size = pixel_size(sizes, warnings);
        }
        image.time_increment = increment(&mut attributes).or(image.time_increment.take());
        Ok(())
    }

    fn finish(mut self) -> Result<Ome, OmeError> {
        self.places.give(&mut self.ome.images);
        self.taken.give(&mut self.ome.images);
        let useful = !self.ome.images.is_empty() || self.ome.binary_only.is_some();
        if self.is_ome && useful { Ok(self.ome) } else { Err(OmeError::NotOme) }
    }
}

/// The attributes of one element, by local name.
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    pub(super) fn of(element: &BytesStart<'_>) -> Result<Attributes, String> {
        let mut all = Vec::new();
        for attribute in element.attributes().with_checks(false) {
            let attribute = attribute.map_err(|e| e.to_string())?;
            let raw = String::from_utf8_lossy(&attribute.value);
            let value = quick_xml::escape::unescape(&raw).map_err(|e| e.to_string())?.into_owned();
            all.push((String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned(), value));
        }
        Ok(Attributes(all))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.swap_remove(index).1)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        self.signed(name).filter(|&value| value > 0.0)
    }

    pub(super) fn signed(&mut self, name: &str) -> Option<f64> {
        self.take(name)?.trim().parse().ok().filter(|value: &f64| value.is_finite())
    }

    pub(super) fn integer(&mut self, name: &str) -> Option<u64> {
        self.take(name)?.trim().parse().ok()
    }
}

fn size(attributes: &mut Attributes, name: &str, warnings: &mut Vec<String>) -> u64 {
    attributes.integer(name).filter(|&n| n > 0).unwrap_or_else(|| {
        warnings.push(format!("{name} of the OME-XML is missing or no positive number; 1 is assumed"));
        1
    })
}

fn dimension_order(text: &str) -> Option<[Axis; 3]> {
    let axes: Vec<Axis> = text.trim().strip_prefix("XY")?.chars().map_while(|c| Axis::parse(c).ok()).collect();
    let order: [Axis; 3] = axes.try_into().ok()?;
    [Axis::T, Axis::C, Axis::Z].iter().all(|a| order.contains(a)).then_some(order)
}

fn pixel_type(name: &str) -> Option<PixelType> {
    match name.trim().to_ascii_lowercase().as_str() {
        "bit" => Some(PixelType::Bool),
        "float" => Some(PixelType::F32),
        "double" => Some(PixelType::F64),
        "complex" => Some(PixelType::C64),
        "double-complex" => Some(PixelType::C128),
        other => other.parse().ok(),
    }
}

/// X, Y and Z in one unit: that of X, or of the first that is given.
fn pixel_size(sizes: [Option<(f64, Unit)>; 3], warnings: &mut Vec<String>) -> PixelSize {
    let Some(unit) = sizes.iter().flatten().map(|(_, unit)| unit.clone()).next() else { return PixelSize::default() };
    let [x, y, z] = sizes.map(|size| {
        let (value, own) = size?;
        let converted = own.to(&unit, value);
        if converted.is_none() {
            warnings
                .push(format!("a pixel size of {value} {} cannot be given in {}; it is left out", own.name, unit.name));
        }
        converted
    });
    PixelSize { z, y, x, unit: Some(unit.name) }
}

fn increment(attributes: &mut Attributes) -> Option<Quantity> {
    let value = attributes.number("TimeIncrement")?;
    let unit = time_unit(attributes.take("TimeIncrementUnit").as_deref().unwrap_or("s"));
    Some(Quantity { value, unit: unit.name })
}

fn channel(mut attributes: Attributes) -> OmeChannel {
    // A signed 32 bit number whose bytes are red, green, blue, alpha.
    let color = attributes.take("Color").and_then(|c| c.trim().parse::<i64>().ok());
    OmeChannel {
        name: attributes.take("Name").unwrap_or_default(),
        color: color.map(|c| format!("{:06X}", (c as u32) >> 8)),
        samples: attributes.integer("SamplesPerPixel").unwrap_or(1).max(1),
    }
}

fn tiff_data(attributes: &mut Attributes) -> TiffData {
    TiffData {
        ifd: attributes.integer("IFD"),
        plane_count: attributes.integer("PlaneCount").or_else(|| attributes.integer("NumPlanes")),
        first: ["FirstT", "FirstC", "FirstZ"].map(|name| attributes.integer(name).unwrap_or(0)),
        file: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(xml: &str) -> Result<Ome, OmeError> {
        parse(xml, &Limits::default())
    }

    fn pixels(attributes: &str, inner: &str) -> OmeImage {
        let sizes = r#"SizeX="4" SizeY="3" SizeZ="1" SizeC="2" SizeT="1" Type="uint8" DimensionOrder="XYCZT""#;
        let xml =
            format!("<OME><Image ID='i' Name='a &amp; b'><Pixels {sizes} {attributes}>{inner}</Pixels></Image></OME>");
        check(&xml).unwrap().images.remove(0)
    }

    #[test]
    fn units_are_normalised_and_made_equal() {
        let image = pixels("PhysicalSizeX='0.5' PhysicalSizeY='500' PhysicalSizeYUnit='nm' PhysicalSizeZ='1'", "");
        let expected = PixelSize { z: Some(1.0), y: Some(0.5), x: Some(0.5), unit: Some("micrometer".to_owned()) };
        assert_eq!(image.pixel_size, expected);
        assert_eq!(
            pixels("TimeIncrement='2'", "").time_increment,
            Some(Quantity { value: 2.0, unit: "second".into() })
        );
    }

    #[test]
    fn names_are_unescaped_and_colours_read_as_signed() {
        let image = pixels("", "<Channel Name='&lt;1&gt;' Color='-16776961'/><Channel Color='16711935'/>");
        assert_eq!(image.name, "a & b");
        assert_eq!(image.channels[0].name, "<1>");
        assert_eq!(image.channels[0].color.as_deref(), Some("FF0000"));
        assert_eq!(image.channels[1].color.as_deref(), Some("00FF00"));
    }

    #[test]
    fn tiff_data_names_files_once() {
        let data = "<TiffData IFD='0' FirstC='1'><UUID FileName='b.tif'>urn:1</UUID></TiffData>\
                    <TiffData IFD='1'><UUID FileName='b.tif'>urn:1</UUID></TiffData><TiffData/>";
        let image = pixels("", data);
        assert_eq!(image.tiff_data.iter().map(|d| d.file).collect::<Vec<_>>(), [Some(0), Some(0), None]);
        assert_eq!(image.tiff_data[0].first, [0, 1, 0]);
    }

    #[test]
    fn a_doctype_is_refused() {
        assert_eq!(check("<!DOCTYPE x [<!ENTITY a 'b'>]><OME/>"), Err(OmeError::Doctype));
    }

    #[test]
    fn an_unknown_entity_is_an_error_not_an_expansion() {
        assert!(matches!(check("<OME UUID='&lol;'><Image/></OME>"), Err(OmeError::Xml { .. })));
    }

    #[test]
    fn nesting_and_size_are_limited() {
        assert!(matches!(check(&"<a>".repeat(100)), Err(OmeError::OverLimit { .. })));
        let small = Limits { metadata_bytes: 10, ..Limits::default() };
        assert!(matches!(parse("<OME>          </OME>", &small), Err(OmeError::OverLimit { .. })));
    }

    #[test]
    fn other_xml_is_not_ome() {
        assert_eq!(check("<html/>"), Err(OmeError::NotOme));
        assert!(check("<OME><Image>").is_err());
    }

    #[test]
    fn a_document_that_points_elsewhere_says_where() {
        let ome = check("<OME><BinaryOnly MetadataFile='m.companion.ome' UUID='u'/></OME>").unwrap();
        assert_eq!(ome.binary_only.unwrap().metadata_file, "m.companion.ome");
    }
}

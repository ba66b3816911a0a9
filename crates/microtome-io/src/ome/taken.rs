//! How images were taken: objectives, places of the stage, times of planes.
//!
//! *Invariant:* what is read here only adds to images that the document has.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::model::{OmeError, OmeImage};
use super::parse::{Attributes, broken, check_limit};
use super::unit::{Unit, length_unit, time_unit};
use crate::{Limits, Objective, PlaneTaken, StagePosition};

/// Most objectives that are remembered.
const MOST: usize = 1 << 12;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Taken {
    objectives: HashMap<String, Objective>,
    /// The objective that an image, by its number, names.
    used: HashMap<usize, String>,
    stages: HashMap<usize, StagePosition>,
}

impl Taken {
    /// Takes an element inside image number `image`, or before it; `false` if it is none of ours.
    pub(super) fn enter(
        &mut self,
        name: &[u8],
        image: usize,
        attributes: impl FnOnce() -> Result<Attributes, String>,
    ) -> Result<bool, String> {
        match name {
            b"Objective" if self.objectives.len() < MOST => {
                let mut attributes = attributes()?;
                if let Some(id) = attributes.take("ID") {
                    self.objectives.insert(id, objective(&mut attributes));
                }
            }
            // Schemas before 2012 have an ObjectiveRef.
            b"ObjectiveSettings" | b"ObjectiveRef" => {
                if let Some(id) = attributes()?.take("ID") {
                    self.used.insert(image, id);
                }
            }
            b"StageLabel" => {
                let stage = stage(&mut attributes()?, "");
                self.stages.extend((!stage.is_empty()).then_some((image, stage)));
            }
            // Where the first plane was taken, unless the image says it of itself.
            b"Plane" | b"StagePosition" if !self.stages.contains_key(&image) => {
                let stage = stage(&mut attributes()?, "Position");
                self.stages.extend((!stage.is_empty()).then_some((image, stage)));
            }
            b"Plane" | b"StagePosition" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Tells the images what is theirs.
    pub(super) fn give(mut self, images: &mut [OmeImage]) {
        for (n, image) in images.iter_mut().enumerate() {
            image.objective = self.used.get(&n).and_then(|id| self.objectives.get(id)).cloned();
            image.stage = self.stages.remove(&n);
        }
    }
}

fn objective(attributes: &mut Attributes) -> Objective {
    let mut text = |name: &str| attributes.take(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (model, maker, immersion) = (text("Model"), text("Manufacturer"), text("Immersion"));
    let nominal = attributes.number("NominalMagnification");
    Objective {
        name: if model.is_empty() { maker } else { model },
        magnification: nominal.or_else(|| attributes.number("CalibratedMagnification")),
        numerical_aperture: attributes.number("LensNA").or_else(|| attributes.number("NumericalAperture")),
        immersion,
    }
}

/// X, Y and Z with a prefix, in the unit of the first that is given.
fn stage(attributes: &mut Attributes, prefix: &str) -> StagePosition {
    let places = ["X", "Y", "Z"].map(|axis| {
        let value = attributes.signed(&format!("{prefix}{axis}"))?;
        let unit = attributes.take(&format!("{prefix}{axis}Unit"));
        Some((value, length_unit(unit.as_deref().unwrap_or("reference frame"))))
    });
    let Some(unit) = places.iter().flatten().map(|(_, unit)| unit.clone()).next() else {
        return StagePosition::default();
    };
    let [x, y, z] = places.map(|place| place.and_then(|(value, own): (f64, Unit)| own.to(&unit, value)));
    StagePosition { x, y, z, unit: unit.size.is_some().then_some(unit.name) }
}

/// When and where the planes of an image, by its number in the document, were taken: those of which something is stated, in
/// document order. O(document).
///
/// # Errors
/// [`OmeError`] if the document is broken, has a DOCTYPE or is over a limit.
///
/// # Examples
/// ```
/// use microtome_io::{Limits, ome};
/// let xml = r#"<OME><Image ID="Image:0"><Pixels SizeX="64" SizeY="32" SizeZ="1" SizeC="1" SizeT="2" Type="uint16"
///   DimensionOrder="XYZCT"><Plane TheZ="0" TheC="0" TheT="1" DeltaT="1500" DeltaTUnit="ms" PositionX="2" PositionXUnit="mm"/>
///   </Pixels></Image></OME>"#;
/// let planes = ome::planes(xml, 0, &Limits::default())?;
/// assert_eq!((planes[0].t, planes[0].delta_t), (1, Some(1.5)));
/// assert_eq!(planes[0].stage.as_ref().unwrap().unit.as_deref(), Some("millimeter"));
/// # Ok::<(), ome::OmeError>(())
/// ```
pub fn planes(xml: &str, image: usize, limits: &Limits) -> Result<Vec<PlaneTaken>, OmeError> {
    check_limit("a size of", xml.len() as u64, limits.metadata_bytes)?;
    let mut reader = Reader::from_str(xml.trim_start_matches('\u{feff}'));
    // Annotations behind the images may have elements of the same names.
    let (mut images, mut inside, mut planes) = (0usize, false, Vec::new());
    loop {
        let event = reader.read_event().map_err(|e| broken(reader.buffer_position(), &e.to_string()))?;
        let element = match event {
            Event::Start(element) | Event::Empty(element) => element,
            Event::End(element) => {
                inside &= element.local_name().as_ref() != b"Image";
                continue;
            }
            Event::DocType(_) => return Err(OmeError::Doctype),
            Event::Eof => break,
            _ => continue,
        };
        match element.local_name().as_ref() {
            b"Image" => (images, inside) = (images + 1, images == image),
            name @ (b"Plane" | b"PlaneTiming" | b"StagePosition") if inside => {
                let attributes = Attributes::of(&element).map_err(|why| broken(reader.buffer_position(), &why))?;
                take(name, attributes, &mut planes);
            }
            _ => {}
        }
    }
    planes.retain(|plane: &PlaneTaken| plane.delta_t.is_some() || plane.exposure.is_some() || plane.stage.is_some());
    Ok(planes)
}

/// Schemas before 2008 say when and where in elements inside the plane's.
fn take(name: &[u8], mut attributes: Attributes, planes: &mut Vec<PlaneTaken>) {
    if name == b"Plane" {
        let mut index = |name: &str| attributes.integer(name).unwrap_or(0);
        planes.push(PlaneTaken { t: index("TheT"), c: index("TheC"), z: index("TheZ"), ..PlaneTaken::default() });
    }
    let Some(plane) = planes.last_mut() else { return };
    let mut seconds = |name: &str| {
        let value = attributes.signed(name)?;
        let unit = time_unit(attributes.take(&format!("{name}Unit")).as_deref().unwrap_or("s"));
        unit.to(&time_unit("s"), value)
    };
    plane.delta_t = seconds("DeltaT").or(plane.delta_t);
    plane.exposure = seconds("ExposureTime").or(plane.exposure);
    let stage = stage(&mut attributes, "Position");
    if !stage.is_empty() {
        plane.stage = Some(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn document(instrument: &str, image: &str, planes: &str) -> String {
        let pixels = r#"SizeX="4" SizeY="3" SizeZ="2" SizeC="1" SizeT="1" Type="uint8" DimensionOrder="XYZCT""#;
        format!("<OME>{instrument}<Image ID='i'>{image}<Pixels {pixels}>{planes}</Pixels></Image></OME>")
    }

    const OIL: &str = "<Instrument ID='I'><Objective ID='O:1' Model='Plan Apo' NominalMagnification='60' LensNA='1.4' \
                       Immersion='Oil'/><Objective ID='O:2' NominalMagnification='10'/></Instrument>";

    fn read(xml: &str) -> OmeImage {
        parse(xml, &Limits::default()).unwrap().images.remove(0)
    }

    #[test]
    fn an_image_has_the_objective_that_it_names() {
        let image = read(&document(OIL, "<ObjectiveSettings ID='O:1' RefractiveIndex='1.5'/>", ""));
        let expected = Objective {
            name: "Plan Apo".into(),
            magnification: Some(60.0),
            numerical_aperture: Some(1.4),
            immersion: "Oil".into(),
        };
        assert_eq!(image.objective, Some(expected));
        assert_eq!(read(&document(OIL, "<ObjectiveRef ID='O:2'/>", "")).objective.unwrap().magnification, Some(10.0));
        assert_eq!(read(&document(OIL, "", "")).objective, None, "which of two is not known");
    }

    #[test]
    fn the_stage_is_where_the_image_says_or_its_first_plane() {
        let planes = "<Plane TheZ='0' TheC='0' TheT='0' PositionX='-1.5' PositionXUnit='mm' PositionY='2000' \
                      PositionYUnit='µm'/><Plane TheZ='1' TheC='0' TheT='0' PositionX='9'/>";
        let first = StagePosition { x: Some(-1.5), y: Some(2.0), z: None, unit: Some("millimeter".into()) };
        assert_eq!(read(&document("", "", planes)).stage, Some(first.clone()));
        let label = "<StageLabel Name='A' X='1' Y='2' Z='3'/>";
        let said = StagePosition { x: Some(1.0), y: Some(2.0), z: Some(3.0), unit: None };
        assert_eq!(read(&document("", label, planes)).stage, Some(said));
        let all = planes_of(&document("", label, planes));
        assert_eq!((all.len(), all[0].stage.as_ref(), all[1].z), (2, Some(&first), 1));
    }

    fn planes_of(xml: &str) -> Vec<PlaneTaken> {
        planes(xml, 0, &Limits::default()).unwrap()
    }

    #[test]
    fn old_schemas_say_it_inside_the_plane() {
        let old = "<Plane TheZ='1' TheC='0' TheT='0'><PlaneTiming DeltaT='3.5' ExposureTime='0.25'/>\
                   <StagePosition PositionX='4'/></Plane><Plane TheZ='0' TheC='0' TheT='0'/>";
        let planes = planes_of(&document("", "", old));
        assert_eq!(planes.len(), 1, "of the other nothing is said");
        assert_eq!((planes[0].delta_t, planes[0].exposure), (Some(3.5), Some(0.25)));
        assert_eq!(planes[0].stage.as_ref().unwrap().x, Some(4.0));
        assert_eq!(read(&document("", "", old)).stage.unwrap().x, Some(4.0));
    }

    #[test]
    fn what_is_no_number_is_not_stated() {
        let odd = "<Plane TheZ='0' TheC='0' TheT='0' DeltaT='soon' PositionX='NaN' ExposureTime='1'/>";
        let planes = planes_of(&document("", "", odd));
        assert_eq!((planes[0].delta_t, planes[0].exposure, &planes[0].stage), (None, Some(1.0), &None));
    }
}

//! What a user says an output is called, against what follows from its image.

use microtome_array::Axis;
use microtome_io::ome::length_unit;
use microtome_io::{Channel, PixelSize, SceneInfo};

/// Names and sizes that replace those of the image.
///
/// # Examples
/// ```
/// use microtome::{Naming, PixelSize};
/// # use microtome::{ArraySpec, PixelType, Reader, Shape, SyntheticReader};
/// # let shape = Shape::new([1, 2, 1, 8, 8, 1])?;
/// # let reader = SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U8 });
/// # let mut scene = reader.info().scenes[0].clone();
/// let size = PixelSize { x: Some(65.0), y: Some(65.0), unit: Some("nm".to_owned()), z: None };
/// let naming = Naming { channels: Some(vec!["DAPI".to_owned(), "GFP".to_owned()]), pixel_size: size };
/// naming.apply(&mut scene)?;
/// assert_eq!(scene.channels[1].name, "GFP");
/// assert_eq!(scene.pixel_size.unit.as_deref(), Some("nanometer"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Naming {
    /// Names of all channels; `None` keeps them. Colours stay.
    pub channels: Option<Vec<String>>,
    /// Distances between pixels; `None` on an axis keeps the image's, in the unit given here.
    pub pixel_size: PixelSize,
}

/// Names that do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NamingError {
    /// Another number of names than of channels.
    #[error("{given} channel names for {channels} channels; give {channels}, separated by commas")]
    Channels {
        /// Names given.
        given: usize,
        /// Channels of the output.
        channels: u64,
    },
    /// A size that is kept cannot be said in the new unit.
    #[error("the pixel size along {axis} stays {value} {from}, which is no length in {to}; give {axis} a size too")]
    Unit {
        /// The axis.
        axis: Axis,
        /// Its size.
        value: f64,
        /// Its unit, or `without a unit`.
        from: String,
        /// The unit given.
        to: String,
    },
}

impl Naming {
    /// Writes the names into a description.
    ///
    /// # Errors
    /// [`NamingError`] if they do not fit it; it is then as it was.
    pub fn apply(&self, scene: &mut SceneInfo) -> Result<(), NamingError> {
        let pixel_size = self.sized(&scene.pixel_size)?;
        if let Some(names) = &self.channels {
            let channels = scene.shape().get(Axis::C);
            if names.len() as u64 != channels {
                return Err(NamingError::Channels { given: names.len(), channels });
            }
            scene.channels.resize(names.len(), Channel::default());
            for (channel, name) in scene.channels.iter_mut().zip(names) {
                name.trim().clone_into(&mut channel.name);
            }
        }
        scene.pixel_size = pixel_size;
        Ok(())
    }

    fn sized(&self, old: &PixelSize) -> Result<PixelSize, NamingError> {
        let new = &self.pixel_size;
        let Some(unit) = new.unit.as_deref().map(length_unit) else {
            let unit = old.unit.clone();
            return Ok(PixelSize { z: new.z.or(old.z), y: new.y.or(old.y), x: new.x.or(old.x), unit });
        };
        let kept = |axis: Axis, new: Option<f64>, old_value: Option<f64>| match (new, old_value) {
            (None, Some(value)) => {
                let from = old.unit.as_deref();
                let known = from.and_then(|from| length_unit(from).to(&unit, value));
                known.map(Some).ok_or_else(|| NamingError::Unit {
                    axis,
                    value,
                    from: from.unwrap_or("without a unit").to_owned(),
                    to: unit.name.clone(),
                })
            }
            (new, _) => Ok(new),
        };
        Ok(PixelSize {
            z: kept(Axis::Z, new.z, old.z)?,
            y: kept(Axis::Y, new.y, old.y)?,
            x: kept(Axis::X, new.x, old.x)?,
            unit: Some(unit.name.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(z: f64, y: f64, x: f64, unit: &str) -> PixelSize {
        let some = |v: f64| (v > 0.0).then_some(v);
        PixelSize { z: some(z), y: some(y), x: some(x), unit: (!unit.is_empty()).then(|| unit.to_owned()) }
    }

    fn sized(new: PixelSize, old: &PixelSize) -> Result<PixelSize, NamingError> {
        Naming { channels: None, pixel_size: new }.sized(old)
    }

    #[test]
    fn an_axis_without_a_new_size_keeps_its_own() {
        let old = size(0.3, 0.1, 0.1, "micrometer");
        assert_eq!(sized(size(0.5, 0.0, 0.0, ""), &old), Ok(size(0.5, 0.1, 0.1, "micrometer")));
        assert_eq!(sized(PixelSize::default(), &old), Ok(old));
    }

    #[test]
    fn kept_sizes_are_said_in_the_new_unit() {
        let new = sized(size(300.0, 0.0, 0.0, "nm"), &size(0.3, 0.5, 0.5, "micrometer")).unwrap();
        assert_eq!(new, size(300.0, 500.0, 500.0, "nanometer"));
    }

    #[test]
    fn a_size_without_a_unit_is_not_given_one() {
        let error = sized(size(0.3, 0.0, 0.0, "um"), &size(0.0, 2.0, 0.0, "")).unwrap_err();
        let text = "the pixel size along Y stays 2 without a unit, which is no length in micrometer; give Y a size too";
        assert_eq!(error.to_string(), text);
    }
}

//! Which scene of an image is meant: the only one, or the one that is named. Never one of several by silence.

use std::path::PathBuf;

use microtome_io::{ReadError, SceneInfo, SceneKind};

use crate::{Image, Scene};

/// A scene that is not there, or not said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// Several scenes, and none was named.
    #[error("{} has {} scenes; say which with --scene: {}", path.display(), scenes.len(), list(scenes))]
    Several {
        /// The image.
        path: PathBuf,
        /// Its scenes.
        scenes: Vec<String>,
    },
    /// No scene of that number, identity or name.
    #[error("{} has no scene `{wanted}`; it has {}", path.display(), list(scenes))]
    Missing {
        /// The image.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// Its scenes.
        scenes: Vec<String>,
    },
    /// Several scenes of that name.
    #[error("{} has several scenes `{wanted}`; give the number: {}", path.display(), list(scenes))]
    Ambiguous {
        /// The image.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// The scenes that fit.
        scenes: Vec<String>,
    },
    /// The scene cannot be used.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Scenes listed in a message at most.
const MOST: usize = 8;

fn list(scenes: &[String]) -> String {
    let shown = scenes.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match scenes.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn title(scene: &SceneInfo) -> String {
    let name = if scene.name.is_empty() { &scene.id } else { &scene.name };
    if name.is_empty() { scene.index.to_string() } else { format!("{} ({name})", scene.index) }
}

impl Image {
    /// The scene of this number, identity or name (in this order), at full resolution.
    ///
    /// # Errors
    /// [`SceneError`] if none or several are called so.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
    /// use microtome::prelude::*;
    /// let image = Image::open(format!("{fixtures}/cells.ome.tif"))?;
    /// assert_eq!(image.scene_named("0")?.info().index, 0);
    /// assert_eq!(image.scene_named("Image:0")?.info().index, 0);
    /// assert!(image.scene_named("9").is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn scene_named(&self, wanted: &str) -> Result<Scene, SceneError> {
        let scenes = &self.info().scenes;
        if let Some(index) = wanted.parse().ok().filter(|&index: &usize| index < scenes.len()) {
            return Ok(self.scene(index)?);
        }
        let by =
            |key: fn(&SceneInfo) -> &str| -> Vec<&SceneInfo> { scenes.iter().filter(|s| key(s) == wanted).collect() };
        let fits = Some(by(|s| &s.id)).filter(|found| !found.is_empty()).unwrap_or_else(|| by(|s| &s.name));
        let path = self.info().path.clone();
        let wanted = wanted.to_owned();
        match fits[..] {
            [one] => Ok(self.scene(one.index)?),
            [] => Err(SceneError::Missing { path, wanted, scenes: scenes.iter().map(title).collect() }),
            _ => Err(SceneError::Ambiguous { path, wanted, scenes: fits.into_iter().map(title).collect() }),
        }
    }

    /// The scene of an image that has just one, labels not counted unless there is nothing else.
    ///
    /// # Errors
    /// [`SceneError::Several`] if there are several: none is taken in silence.
    pub fn only_scene(&self) -> Result<Scene, SceneError> {
        let scenes = &self.info().scenes;
        let images: Vec<&SceneInfo> = scenes.iter().filter(|s| s.kind == SceneKind::Image).collect();
        match (&images[..], &scenes[..]) {
            ([one], _) => Ok(self.scene(one.index)?),
            ([], [one]) => Ok(self.scene(one.index)?),
            _ => {
                Err(SceneError::Several { path: self.info().path.clone(), scenes: scenes.iter().map(title).collect() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use microtome_array::{ArraySpec, BufferPool, PixelType, PixelsMut, Region, Shape};
    use microtome_io::{ImageInfo, Place, ReadContext, ReadCount, Reader, SourceSpec, SyntheticReader};

    use super::*;

    /// Scenes without pixels.
    #[derive(Debug)]
    struct Titles(ImageInfo);

    impl Reader for Titles {
        fn info(&self) -> &ImageInfo {
            &self.0
        }
        fn source(&self) -> SourceSpec {
            SourceSpec { uri: None, stamp: None, digest: String::new() }
        }
        fn read(
            &self,
            _: Place,
            _: &Region,
            _: &mut PixelsMut<'_>,
            _: &ReadContext<'_>,
        ) -> Result<ReadCount, ReadError> {
            Ok(ReadCount::default())
        }
        fn scratch_bytes(&self, _: Place, _: &Region) -> u64 {
            BufferPool::charged(0)
        }
    }

    fn image(scenes: &[(&str, &str, SceneKind)]) -> Image {
        let spec = ArraySpec { shape: Shape::new([1; 6]).unwrap(), dtype: PixelType::U8 };
        let one = SyntheticReader::new(spec).info().scenes[0].clone();
        let scene = |(index, &(id, name, kind)): (usize, &(&str, &str, SceneKind))| SceneInfo {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            ..one.clone()
        };
        let scenes = scenes.iter().enumerate().map(scene).collect();
        Image::of(Arc::new(Titles(ImageInfo { path: "a.lif".into(), scenes, ..ImageInfo::default() })))
    }

    const IMAGE: SceneKind = SceneKind::Image;
    const LABEL: SceneKind = SceneKind::Label;

    #[test]
    fn labels_do_not_make_a_scene_unclear() {
        let image = image(&[("0", "cells", IMAGE), ("labels/nuclei", "nuclei", LABEL)]);
        assert_eq!(image.only_scene().unwrap().info().index, 0);
    }

    #[test]
    fn of_several_scenes_one_must_be_named() {
        let image = image(&[("Image:0", "left", IMAGE), ("Image:1", "", IMAGE)]);
        let error = image.only_scene().unwrap_err().to_string();
        assert_eq!(error, "a.lif has 2 scenes; say which with --scene: 0 (left), 1 (Image:1)");
    }

    #[test]
    fn a_name_is_a_number_an_identity_or_a_name() {
        let image = image(&[("Image:0", "1", IMAGE), ("Image:1", "twin", IMAGE), ("Image:2", "twin", IMAGE)]);
        assert_eq!(image.scene_named("1").unwrap().info().index, 1);
        assert_eq!(image.scene_named("Image:2").unwrap().info().index, 2);
        assert!(matches!(image.scene_named("twin"), Err(SceneError::Ambiguous { .. })));
        let error = image.scene_named("3").unwrap_err().to_string();
        assert_eq!(error, "a.lif has no scene `3`; it has 0 (1), 1 (twin), 2 (twin)");
    }
}

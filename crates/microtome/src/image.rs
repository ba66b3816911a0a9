//! Images and scenes as users see them.

use std::path::Path;
use std::sync::Arc;

use microtome_array::{ChunkDims, Region};
use microtome_graph::{GraphError, LazyArray, Selection};
use microtome_io::{ImageInfo, Limits, Place, PlaneTaken, ReadError, Reader, SceneInfo, ome};

/// An opened image: its description; pixels are read when an array of it is computed.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
/// use microtome::prelude::*;
/// let image = Image::open(format!("{fixtures}/cells.ome.tif"))?;
/// let scene = image.scene(0)?;
/// assert_eq!(scene.info().channels[0].name, "DAPI");
/// assert_eq!(scene.array(&ChunkDims::parse("YX")?)?.shape().axes(), "TCZYX");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Image {
    reader: Arc<dyn Reader>,
}

impl Image {
    /// Opens a file, a Zarr folder, or a Zarr behind a URL (`http://`, `https://`, `s3://`, `gs://`; with the cargo feature
    /// `remote`) from its headers, within the default [`Limits`].
    ///
    /// # Errors
    /// [`ReadError`] if there is nothing, nothing known, or something damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Image, ReadError> {
        Image::open_within(path, &Limits::default())
    }

    /// Opens within other limits.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_within(path: impl AsRef<Path>, limits: &Limits) -> Result<Image, ReadError> {
        Ok(Image { reader: crate::open::open(path.as_ref(), limits)? })
    }

    /// An image over any reader.
    pub fn of(reader: Arc<dyn Reader>) -> Image {
        Image { reader }
    }

    /// The description.
    pub fn info(&self) -> &ImageInfo {
        self.reader.info()
    }

    /// The reader.
    pub fn reader(&self) -> Arc<dyn Reader> {
        Arc::clone(&self.reader)
    }

    /// A scene at full resolution, by its position.
    ///
    /// # Errors
    /// [`ReadError::NoSuchPlace`] if there is none.
    pub fn scene(&self, index: usize) -> Result<Scene, ReadError> {
        let at = Place { scene: index, level: 0 };
        self.reader.level(at)?;
        Ok(Scene { reader: self.reader(), at })
    }

    /// All scenes.
    pub fn scenes(&self) -> impl Iterator<Item = Scene> + '_ {
        (0..self.info().scenes.len()).map(|scene| Scene { reader: self.reader(), at: Place { scene, level: 0 } })
    }
}

/// A scene at one level of resolution.
#[derive(Clone, Debug)]
pub struct Scene {
    reader: Arc<dyn Reader>,
    at: Place,
}

impl Scene {
    /// The description.
    pub fn info(&self) -> &SceneInfo {
        &self.reader.info().scenes[self.at.scene]
    }

    /// When and where its planes were taken, as far as its OME-XML says so, in the order of the document. Read anew each time:
    /// O(document).
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if the document is broken or over a limit, as one that did not serve for opening may be.
    ///
    /// # Examples
    /// ```
    /// use microtome::Image;
    /// # let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    /// let image = Image::open(fixtures.join("plain.tif"))?;
    /// assert!(image.scene(0)?.planes_taken()?.is_empty(), "a TIFF without OME-XML says nothing of it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn planes_taken(&self) -> Result<Vec<PlaneTaken>, ReadError> {
        let info = self.reader.info();
        let Some(xml) = &info.ome_xml else { return Ok(Vec::new()) };
        let (limits, scene) = (Limits::default(), self.info());
        let broken = |why: ome::OmeError| ReadError::Corrupt {
            path: info.path.clone(),
            what: "the OME-XML".to_owned(),
            location: format!("scene {}", scene.index),
            why: why.to_string(),
        };
        let images = ome::parse(xml, &limits).map_err(broken)?.images;
        let named = images.iter().position(|image| !image.id.is_empty() && image.id == scene.id);
        ome::planes(xml, named.unwrap_or(scene.index), &limits).map_err(broken)
    }

    /// Scene and level.
    pub fn place(&self) -> Place {
        self.at
    }

    /// The reader.
    pub fn reader(&self) -> Arc<dyn Reader> {
        Arc::clone(&self.reader)
    }

    /// The same scene at another level, 0 is full resolution.
    ///
    /// # Errors
    /// [`ReadError::NoSuchPlace`] if there is none.
    pub fn level(&self, level: usize) -> Result<Scene, ReadError> {
        let at = Place { level, ..self.at };
        self.reader.level(at)?;
        Ok(Scene { reader: self.reader(), at })
    }

    /// All pixels as a lazy array, T C Z Y X (S), cut into chunks.
    ///
    /// # Errors
    /// [`GraphError`] if the chunks cannot be.
    pub fn array(&self, dims: &ChunkDims) -> Result<LazyArray, GraphError> {
        self.region(None, dims)
    }

    /// A region of it, in pixels of this level.
    ///
    /// # Errors
    /// [`GraphError`] if the region reaches outside.
    pub fn region(&self, region: Option<Region>, dims: &ChunkDims) -> Result<LazyArray, GraphError> {
        LazyArray::source(self.reader(), &Selection { at: self.at, region }, dims)
    }

    /// Chunks that suit the scene: planes, or, where a plane is over 64 MiB, boxes of at most 16 MiB made of whole
    /// stored tiles. Depends on the image alone.
    pub fn default_chunks(&self) -> ChunkDims {
        let level = &self.info().levels[self.at.level];
        crate::describe::default_chunks(level, self.info().dtype)
    }
}

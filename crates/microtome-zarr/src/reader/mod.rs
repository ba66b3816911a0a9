//! Opening and reading a Zarr folder, a ZIP archive of one, or a Zarr behind a URL.
//!
//! *Invariant:* opening reads metadata documents only; every tile is decoded into a buffer whose size its array's metadata
//! decides.

mod axes;
mod chain;
mod crawl;
mod extras;
mod fetch;
mod fill;
mod level;
mod meta;
mod ngff;
mod order;
mod plate;
mod scenes;
mod series;
mod store;
mod survey;
mod tile;
mod tree;

use std::path::Path;

use microtome_array::{ArrayError, Axis, PixelsMut, Region};
use microtome_io::{ImageInfo, Limits, Place, ReadContext, ReadCount, ReadError, Reader, SourceSpec};

pub use survey::{Member, Survey};

use crate::codec::Shelf;
use level::Level;
use store::{Identity, Root};
use tile::{IndexCache, Tiles};

/// An opened Zarr folder, or a ZIP archive of one: OME-Zarr 0.1 to 0.5, or arrays without OME metadata.
///
/// Scenes are sorted by the path of their full-resolution array, `2` before `10`, labels last.
#[derive(Debug)]
pub struct ZarrReader {
    root: Root,
    info: ImageInfo,
    digest: String,
    documents: Vec<(String, Identity)>,
    levels: Vec<Vec<Level>>,
    groups: Vec<survey::Group>,
    cache: IndexCache,
    shelf: Shelf,
}

/// What [`Reader::scratch_bytes`] says at most of an array, here or behind a URL, from its document alone; `None` for a document that
/// is none.
pub(crate) fn scratch_bytes(document: &serde_json::Value, is_away: bool) -> Option<u64> {
    let meta = meta::ArrayMeta::parse(document).ok()?;
    let map = axes::unnamed(&meta.shape).ok()?;
    let level = Level::new(String::new(), meta, map, &Limits::default()).ok()?;
    let window = if is_away { fetch::window_bytes(&level, &level.spec.shape.region()) } else { 0 };
    Some(level.scratch_bytes() + window)
}

/// Opens a Zarr folder, a ZIP archive of one, or a Zarr behind a URL (`http://`, `https://`, `s3://`, `gs://`; with the
/// cargo feature `remote`), from its metadata.
///
/// # Errors
/// [`ReadError`] if the folder holds no image, or none whose metadata can be understood; [`ReadError::Remote`] if it cannot
/// be had.
///
/// # Examples
/// ```
/// use microtome_io::{Limits, Reader};
/// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/ome-zarr-0.5-sharded.zarr");
/// let reader = microtome_zarr::open(path.as_ref(), &Limits::default())?;
/// assert_eq!(reader.info().format, "OME-Zarr 0.5");
/// assert_eq!(reader.info().scenes[0].shape().present(), [1, 2, 5, 96, 128]);
/// # Ok::<(), microtome_io::ReadError>(())
/// ```
pub fn open(path: &Path, limits: &Limits) -> Result<ZarrReader, ReadError> {
    let root = Root::open(path, limits)?;
    let mut tree = match root.distant() {
        Some(distant) => crawl::read(&root, distant)?,
        None => tree::Tree::read(&root)?,
    };
    let series = series::Series::read(&root, &tree, limits)?;
    let found = scenes::find(&root, &mut tree, &series, limits)?;
    let info = ImageInfo {
        path: root.path().to_owned(),
        format: found.format,
        bytes: tree.bytes,
        files: vec![root.path().to_owned()],
        missing_files: found.missing,
        warnings: [found.warnings, series.warnings].concat(),
        scenes: found.scenes,
        ome_xml: series.xml,
        extras: extras::extras(&tree),
    };
    let groups = survey::groups(&tree);
    let (cache, shelf) = (IndexCache::default(), Shelf::default());
    let (digest, documents) = (tree.digest, tree.documents);
    Ok(ZarrReader { root, info, digest, documents, levels: found.levels, groups, cache, shelf })
}

impl Reader for ZarrReader {
    fn info(&self) -> &ImageInfo {
        &self.info
    }

    fn source(&self) -> SourceSpec {
        let uri = Some(self.info.path.to_string_lossy().into_owned());
        SourceSpec { uri, stamp: self.root.stamp(), digest: self.digest.clone() }
    }

    fn read(
        &self,
        at: Place,
        region: &Region,
        out: &mut PixelsMut<'_>,
        context: &ReadContext<'_>,
    ) -> Result<ReadCount, ReadError> {
        self.level(at)?;
        let level = &self.levels[at.scene][at.level];
        let array = |source| ReadError::Array { path: self.root.at(&level.path), source };
        region.check_inside(&level.spec.shape).map_err(array)?;
        if out.dtype() != level.spec.dtype {
            return Err(array(ArrayError::PixelType { expected: level.spec.dtype, found: out.dtype() }));
        }
        if out.shape() != region.shape() || region.len(Axis::S) != level.extent(Axis::S) {
            let expected = region.shape().bytes(level.spec.dtype);
            return Err(array(ArrayError::Length { expected, found: out.spec().bytes() }));
        }
        let (root, cache, shelf) = (&self.root, &self.cache, &self.shelf);
        let tiles = Tiles { root, level, cache, shelf, pool: context.pool };
        match root.distant() {
            Some(distant) => tiles.fetch(distant, region, out),
            None => tiles.read(region, out),
        }
    }

    /// Looks at the metadata documents alone: chunks are too many, and most writers replace them one by one.
    fn unchanged(&self) -> Result<(), ReadError> {
        self.root.unchanged(&self.documents)
    }

    fn scratch_bytes(&self, at: Place, region: &Region) -> u64 {
        let level = self.levels.get(at.scene).and_then(|levels| levels.get(at.level));
        let window = |level| if self.root.distant().is_some() { fetch::window_bytes(level, region) } else { 0 };
        level.map_or(0, |level| level.scratch_bytes() + self.root.most_held() + window(level))
    }
}

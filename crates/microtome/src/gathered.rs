//! The place of several scenes that are written together: a Zarr folder, or one OME-TIFF.
//!
//! *Invariant:* each scene is an output of its own inside the place; the place gets its name when all are whole.

use std::path::Path;

use microtome_array::ArraySpec;
use microtome_io::ome::OmeMeta;
use microtome_io::{Standing, WriteError};
use microtome_tiff::{TiffBuilding, TiffCollection};
use microtome_zarr::{ZarrBuilding, ZarrCollection};
use serde_json::Value;

use crate::collection::Part;
use crate::levels::Pyramid;
use crate::{Store, StoreOptions};

/// The place.
#[derive(Debug)]
pub(crate) enum Gathered {
    Zarr(ZarrCollection),
    Tiff(TiffCollection),
}

/// The place while it is built.
#[derive(Debug)]
pub(crate) enum Built<'a> {
    Zarr(ZarrBuilding<'a>),
    Tiff(TiffBuilding<'a>),
}

impl Gathered {
    /// An OME-TIFF of scenes in their order.
    pub(crate) fn tiff(path: &Path, parts: &[Part], options: &StoreOptions) -> Result<Gathered, WriteError> {
        let images = parts.iter().map(|part| image(path, part, options)).collect::<Result<Vec<_>, WriteError>>()?;
        Ok(Gathered::Tiff(TiffCollection::new(path, images, &options.tiff)?))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Gathered::Zarr(zarr) => zarr.path(),
            Gathered::Tiff(tiff) => tiff.path(),
        }
    }

    /// What decides its bytes beside those of the scenes.
    pub(crate) fn parameters(&self) -> Value {
        match self {
            Gathered::Zarr(zarr) => zarr.parameters(),
            Gathered::Tiff(tiff) => tiff.parameters(),
        }
    }

    /// What stands where it is to stand; refuses what is in the way.
    pub(crate) fn look(&self, plan: &str, resume: bool) -> Result<Standing, WriteError> {
        match self {
            Gathered::Zarr(zarr) => zarr.look(plan, resume),
            Gathered::Tiff(tiff) => tiff.look(plan, resume),
        }
    }

    /// Makes its partial folder, or takes up the one that is there.
    pub(crate) fn begin(
        &self,
        plan: &str,
        standing: Standing,
        images: &[String],
        sync: bool,
    ) -> Result<Built<'_>, WriteError> {
        Ok(match self {
            Gathered::Zarr(zarr) => Built::Zarr(zarr.begin(plan, standing, images, sync)?),
            Gathered::Tiff(tiff) => Built::Tiff(tiff.begin(plan, standing, sync)?),
        })
    }

    /// Removes what a run left that was killed after it had its name.
    pub(crate) fn clear(&self, plan: &str) -> Result<(), WriteError> {
        match self {
            Gathered::Zarr(zarr) => zarr.clear(plan),
            Gathered::Tiff(tiff) => tiff.clear(plan),
        }
    }

    /// A scene that is to be stored in a folder that is built.
    pub(crate) fn store(
        &self,
        (number, part): (usize, &Part),
        dir: &Path,
        options: &StoreOptions,
    ) -> Result<Store, WriteError> {
        match self {
            Gathered::Zarr(_) => Store::inside(part, dir, options),
            Gathered::Tiff(tiff) => Store::in_tiff((number, part), tiff.member(number, dir)?, options),
        }
    }
}

/// The levels of a scene in an OME-TIFF, and what is said of it.
fn image(path: &Path, part: &Part, options: &StoreOptions) -> Result<(Vec<ArraySpec>, OmeMeta), WriteError> {
    let refused = |why| WriteError::Unsupported { path: path.to_owned(), why };
    let method = part.options(options).method(part.scene.kind).map_err(refused)?;
    let pyramid = Pyramid::of(&part.array, options.levels, method, refused)?;
    let original = part.array.reader().and_then(|(reader, ..)| reader.info().ome_xml.clone());
    let arrays = pyramid.specs.iter().map(|level| level.array).collect();
    Ok((arrays, OmeMeta { original, ..OmeMeta::from(&part.scene) }))
}

/// One scene of several in an OME-TIFF, for a process that makes tiles of it and knows none of the others: these stand for
/// themselves, and decide nothing of its tiles.
pub(crate) fn one_of_tiff(
    (number, part): (usize, &Part),
    dir: &Path,
    options: &StoreOptions,
) -> Result<Store, WriteError> {
    let images = vec![image(dir, part, options)?; number + 1];
    let member = TiffCollection::new(dir, images, &options.tiff)?.member(number, dir)?;
    Store::in_tiff((number, part), member, options)
}

impl Built<'_> {
    /// The folder in which the scenes are built.
    pub(crate) fn dir(&self) -> &Path {
        match self {
            Built::Zarr(zarr) => zarr.dir(),
            Built::Tiff(tiff) => tiff.dir(),
        }
    }

    /// Publishes it, once every scene is whole.
    pub(crate) fn finish(&self) -> Result<(), WriteError> {
        match self {
            Built::Zarr(zarr) => zarr.finish(),
            Built::Tiff(tiff) => tiff.finish(),
        }
    }

    pub(crate) fn abandon(&self) {
        match self {
            Built::Zarr(zarr) => zarr.abandon(),
            Built::Tiff(tiff) => tiff.abandon(),
        }
    }
}

//! Running lazy arrays: the methods that join what is to be computed with how.

use std::path::Path;
use std::sync::Arc;

use microtome_array::Pixels;
use microtome_exec::{Plan, Resume, RunError, RunOptions, RunReport};
use microtome_graph::{Estimate, Fusing, GraphError, LazyArray};
use microtome_io::{Output, SceneInfo, SceneKind, Standing, WriteError};
use microtome_ops::Op;
use microtome_tiff::TiffMember;
use microtome_zarr::{LevelSpec, OutputMeta};
use serde_json::{Value, json};

use crate::cluster::{How, PartData, Recipe};
use crate::collection::{Part, label_says};
use crate::describe;
use crate::describe::ome_xml;
use crate::levels::{Pyramid, StoreOptions};
use crate::losses::{Loss, Stored, Together, losses};
use crate::target::OutputFormat;

/// Computes a lazy array, or stores it.
pub trait Compute {
    /// Computes into memory, on this machine's threads.
    ///
    /// The result counts against the budget. Axes are T C Z Y X, and S where pixels have several samples.
    ///
    /// # Errors
    /// [`RunError`] if it does not fit, cannot be read, or an operation has no result.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use microtome::prelude::*;
    /// use microtome::{ArraySpec, SyntheticReader};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let shape = Shape::new([1, 2, 5, 64, 64, 1])?;
    /// let image = Image::of(Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 })));
    /// let mip = image.scene(0)?.array(&ChunkDims::default())?.project(Axis::Z, Projection::Max)?;
    /// let pixels = mip.compute(&RunOptions::default())?;
    /// assert_eq!(pixels.as_ref().view::<u16>()?.shape(), [1, 2, 1, 64, 64]);
    /// # Ok(())
    /// # }
    /// ```
    fn compute(&self, options: &RunOptions) -> Result<Pixels, RunError>;

    /// Plans to store the array, with levels of lower resolution; nothing is written before [`Store::run`].
    ///
    /// The format follows from the end of the name ([`OutputFormat::of`]); where that says none, it is OME-Zarr. Channel names and pixel sizes follow from the image it is read from.
    ///
    /// # Errors
    /// [`WriteError`] if the output cannot hold the array. What stands in its way is told by [`Store::check`] and refused by
    /// [`Store::run`].
    fn store(&self, path: impl AsRef<Path>, options: impl Into<StoreOptions>) -> Result<Store, WriteError>;
}

impl Compute for LazyArray {
    fn compute(&self, options: &RunOptions) -> Result<Pixels, RunError> {
        Plan::compute(self, Fusing::Full).collect(options).map(|(pixels, _)| pixels)
    }

    fn store(&self, path: impl AsRef<Path>, options: impl Into<StoreOptions>) -> Result<Store, WriteError> {
        Store::of(self, path.as_ref(), describe(self).as_ref(), &options.into())
    }
}

/// A lazy array with the place it is to be stored at.
#[derive(Debug)]
pub struct Store {
    array: LazyArray,
    steps: Vec<Arc<dyn Op>>,
    output: Box<dyn Output>,
    /// What the output says of it, and in which format.
    said: Option<(SceneInfo, OutputFormat)>,
    /// How it was made from the array.
    recipe: Recipe,
}

impl Store {
    /// A lazy array that is to be stored with the names and sizes of `scene`: what [`describe`] gives, or that with a
    /// [`Naming`](crate::Naming) applied.
    ///
    /// # Errors
    /// As [`Compute::store`].
    pub fn of(
        array: &LazyArray,
        path: &Path,
        scene: Option<&SceneInfo>,
        options: &StoreOptions,
    ) -> Result<Store, WriteError> {
        let meta = scene.map_or_else(OutputMeta::default, OutputMeta::from);
        let kind = scene.map_or(SceneKind::Image, |scene| scene.kind);
        let label = if kind == SceneKind::Label { label_says(&json!({}), options) } else { Value::Null };
        let meta = OutputMeta { ome_xml: ome_xml(array), label, ..meta };
        let format = OutputFormat::of(path).unwrap_or(OutputFormat::OmeZarr);
        let options = &StoreOptions { levels: format.levels(options.levels), ..options.clone() };
        let recipe = How::Array(scene.cloned().map(Box::new));
        let store = Store::planned((array, kind, recipe), path, meta, options, |levels, meta| {
            format.create(path, levels, meta, (array, scene), options)
        })?;
        Ok(Store { said: scene.map(|scene| (scene.clone(), format)), ..store })
    }

    /// A scene that is to be stored alone, with all that its group says of it.
    ///
    /// # Errors
    /// As [`Compute::store`].
    pub fn of_part(part: &Part, path: &Path, options: &StoreOptions) -> Result<Store, WriteError> {
        let meta = OutputMeta { ome_xml: ome_xml(&part.array), ..part.meta(options) };
        let format = OutputFormat::of(path).unwrap_or(OutputFormat::OmeZarr);
        let options = &StoreOptions { levels: format.levels(options.levels), ..options.clone() };
        let recipe = How::Part(Box::new(PartData::from(part)));
        let store = Store::planned((&part.array, part.scene.kind, recipe), path, meta, options, |levels, meta| {
            format.create(path, levels, meta, (&part.array, Some(&part.scene)), options)
        })?;
        Ok(Store { said: Some((part.scene.clone(), format)), ..store })
    }

    /// A scene that is to be stored among others, in a folder that is built.
    pub(crate) fn inside(part: &Part, dir: &Path, options: &StoreOptions) -> Result<Store, WriteError> {
        let options = part.options(options);
        let kind = part.scene.kind;
        let recipe = How::Inside(Box::new(PartData::from(part)));
        let store = Store::planned((&part.array, kind, recipe), dir, part.meta(&options), &options, |levels, meta| {
            Ok(Box::new(microtome_zarr::create_member(dir, levels, meta, &options.zarr)?))
        })?;
        Ok(Store { said: Some((part.scene.clone(), OutputFormat::OmeZarr)), ..store })
    }

    /// A scene that is to be stored among others in an OME-TIFF.
    pub(crate) fn in_tiff(
        (number, part): (usize, &Part),
        member: TiffMember,
        options: &StoreOptions,
    ) -> Result<Store, WriteError> {
        let (options, dir) = (part.options(options), member.path().to_owned());
        let kind = part.scene.kind;
        let recipe = How::InTiff(Box::new(PartData::from(part)), number);
        let store = Store::planned((&part.array, kind, recipe), &dir, part.meta(&options), &options, |_, _| {
            Ok(Box::new(member))
        })?;
        Ok(Store { said: Some((part.scene.clone(), OutputFormat::OmeTiff)), ..store })
    }

    fn planned(
        (array, kind, how): (&LazyArray, SceneKind, How),
        path: &Path,
        meta: OutputMeta,
        options: &StoreOptions,
        create: impl FnOnce(&[LevelSpec], &OutputMeta) -> Result<Box<dyn Output>, WriteError>,
    ) -> Result<Store, WriteError> {
        let refused = |why| WriteError::Unsupported { path: path.to_owned(), why };
        let method = options.method(kind).map_err(refused)?;
        let Pyramid { specs, steps } = Pyramid::of(array, options.levels, method, refused)?;
        let levels: Vec<_> = steps.iter().map(|op| json!({"op": op.name(), "params": op.params()})).collect();
        let provenance = json!({"layers": array.stage().parameters(), "levels": levels});
        let meta = OutputMeta { downsampling: Some(method.name().to_owned()), provenance, ..meta };
        let output = create(&specs, &meta)?;
        let recipe = Recipe { how, path: path.to_owned(), options: options.clone() };
        Ok(Store { array: array.clone(), steps, output, said: None, recipe })
    }

    /// What is stored.
    pub(crate) fn array(&self) -> &LazyArray {
        &self.array
    }

    /// What makes each level from the one below.
    pub(crate) fn steps(&self) -> &[Arc<dyn Op>] {
        &self.steps
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        self.output.path()
    }

    /// What of its source the output will not hold, or not as it is; known before anything runs.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
    /// use microtome::{Lost, prelude::*};
    /// let image = Image::open(format!("{fixtures}/rgb.tif"))?;
    /// let array = image.scene(0)?.array(&ChunkDims::default())?;
    /// let losses = array.store("out.ome.zarr", ZarrOptions::default())?.losses();
    /// assert!(losses.iter().any(|loss| loss.what == Lost::Samples)); // R, G and B become channels
    /// # Ok(())
    /// # }
    /// ```
    pub fn losses(&self) -> Vec<Loss> {
        losses(&self.stored().into_iter().collect::<Vec<_>>(), Together::default())
    }

    pub(crate) fn stored(&self) -> Option<Stored<'_>> {
        let (said, format) = self.said.as_ref()?;
        let levels = (0..self.output.arrays()).map(|n| self.output.array(n).spec().array.shape).collect();
        Some(Stored { array: &self.array, said, format: *format, levels })
    }

    /// The output.
    pub fn output(&self) -> &dyn Output {
        self.output.as_ref()
    }

    /// What [`run`](Store::run) would begin with; refuses what stands in the way of the output. Nothing is changed.
    ///
    /// # Errors
    /// [`WriteError`] naming it.
    pub fn check(&self, options: &RunOptions) -> Result<Standing, WriteError> {
        self.output.look(&self.plan().hash_for(options), options.resume != Resume::No)
    }

    /// The plan: counts, memory, refusal. O(layers).
    pub fn plan(&self) -> Plan<'_> {
        Plan::pyramid(&self.array, self.steps.clone(), self.output.as_ref())
    }

    /// The exact counts and sizes of a run, or why it is refused. O(layers), for each pass.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if it does not fit the budget.
    pub fn estimate(&self, options: &RunOptions) -> Result<Estimate, GraphError> {
        self.plan().estimate_for(options)
    }

    /// Computes and stores; the output appears under its name when it is whole. See [`Plan::run`].
    ///
    /// # Errors
    /// [`RunError`]; nothing is left under the output's name. With [`RunError::Kept`] an unfinished output stays beside it.
    ///
    /// # Examples
    /// ```
    /// # use std::sync::Arc;
    /// use microtome::prelude::*;
    /// use microtome::{ArraySpec, Resume, SyntheticReader};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let out = folder.path().join("out.ome.zarr");
    /// let shape = Shape::new([1, 2, 5, 64, 64, 1])?;
    /// let image = Image::of(Arc::new(SyntheticReader::new(ArraySpec { shape, dtype: PixelType::U16 })));
    /// let array = image.scene(0)?.array(&ChunkDims::default())?;
    /// let options = RunOptions { resume: Resume::Yes, ..RunOptions::default() };
    /// let first = array.store(&out, ZarrOptions::default())?.run(&options)?;
    /// assert_eq!((first.units_written, first.units_resumed), (2, 0));
    /// let again = array.store(&out, ZarrOptions::default())?.run(&options)?; // finished: nothing to do
    /// assert_eq!((again.units_written, again.units_resumed), (0, 2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(&self, options: &RunOptions) -> Result<RunReport, RunError> {
        self.plan().run(options)
    }
}
